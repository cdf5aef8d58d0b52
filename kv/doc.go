// Package kv is a log-structured in-memory database: strings, maps, sets, lists, sorted sets, bitmaps,
// tries and streams, in memory, with every change appended to a log on disk, from which it comes back.
//
// It is used in three ways. As a library: Open a DB and call its methods. In place of Redis in the same
// process: give DB.Dialer to go-redis. And as a server: DB.Serve answers any client of Redis, as
// "zmsg kv --addr :6379" does. All three see the same data, may be used at the same time, and have the same
// meaning: each method says which command it is.
//
// Commands run one at a time, in the order of the log. Every method may be called by many goroutines. Keys
// and values are bytes of any kind, up to 512 MB each. What a method costs is said of each; n is the number
// of elements of the value, unless it says otherwise.
package kv
