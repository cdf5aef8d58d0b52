// Package engine is the database without its data types, its files and its listeners: it executes
// commands, one at a time, in one order, and keeps what they share — keyspaces, expiry, transactions,
// blocked clients, subscriptions, the memory limit, and the log of what has changed.
//
// Everything runs under one lock. A front (a TCP loop, a connection in process, the Go API) hands its
// input to Process, which takes the lock once for as many requests as are complete, and must call Commit
// before it lets the replies go. What a method needs of the lock is said where it is not the rule: methods
// of Client, Keyspace and Value are called by commands, under the lock; Process, Commit, NewClient and the
// other entry points named in front.go take it themselves.
package engine
