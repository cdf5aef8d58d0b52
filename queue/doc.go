// Package queue takes writes of items and changes of counters, and brings them to SQL.
//
// Producer and Counts run the one script that gives a write its version, makes it readable and appends it
// to its shard's stream. The Drainer reads the streams after SQL's position, merges what it finds and
// commits it in one transaction that moves the position: that compare-and-set is what makes the effect
// exactly-once, whoever drains. What is committed is released: unpinned, recorded and trimmed. What SQL
// refuses becomes a dead letter.
//
// The Journal keeps what this replica has queued until it is released, and brings it to SQL if the stream
// is lost with its Redis. While SQL is the home of a shard, its writes go there without a queue. The
// Backlog bounds all that waits.
package queue
