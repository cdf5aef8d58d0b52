// Package queue takes writes and brings them to SQL. The Producer runs the one write script, which gives
// a write its version, makes it readable and appends it to its shard's stream. The Drainer reads the
// streams after SQL's position, merges what it finds and commits it in one transaction that moves the
// position: that compare-and-set is what makes the effect exactly-once, whoever drains. What is
// committed is released: unpinned, recorded and trimmed.
package queue
