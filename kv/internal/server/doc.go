// Package server speaks Redis's protocol over sockets. On Linux one goroutine serves all connections with
// epoll: what its clients have sent is executed in turns, and one commit of the log is for all of a turn.
// Elsewhere, and for listeners that are not the system's own, each connection has its goroutines.
package server
