package model

import "time"

// Queued is one entry of a shard's stream: a write of an item, or a change of a counter.
type Queued struct {
	Shard   int
	Version Version
	Item    *Item  // of a write; a deletion is a tombstone
	Delta   *Delta // of a change of a counter
	Key     string // idempotency key, "" for none
	Record  string // what is remembered under Key: fingerprint|result
	Raw     string // of an entry that cannot be read, as it is; Item and Delta are nil then
	Damage  string // why it cannot be read
}

// Delta is a queued change of a counter, by its amount. A set and a removal are queued as the difference
// that they made.
type Delta struct {
	Counter
	N      int64
	At     time.Time
	Remove bool // the counter was removed: a row that is 0 after it goes
	// Absolute says of a set and a removal that To is what it led to. Who answers it knows, the stream does not.
	Absolute bool
	To       int64
}

// Batch is one transaction of the drain: the writes of some shards, and the positions that follow from
// them. A shard has one advance at most.
type Batch struct {
	Advances []Advance
	Writes   []Queued // in the order of versions within each shard
}

// Applied tells what a transaction of the drain did.
type Applied struct {
	// Refused are the shards that do not stand where the batch says. If there are any, nothing was done.
	Refused     []int
	ItemRows    int
	CounterRows int
	LeftOut     int          // writes whose idempotency key, or whose flush, SQL knew already
	DeadLetters []DeadLetter // writes that SQL refuses
}

// DeadLetter is a queued write that could not be stored.
type DeadLetter struct {
	ID      int64
	Shard   int
	Version Version
	Kind    string // "item", "counter", or "entry" if it cannot be read
	Key     string // the item's ID, the counter as subject/metric, or ""
	Code    string // SQLSTATE, "" if SQL was not asked
	Reason  string
	Write   Queued // as decoded from what is stored
	At      time.Time
}

// QueueReport is the queue as a whole, for a person to read.
type QueueReport struct {
	Replica     string
	Replicas    []string
	Shards      []ShardReport
	DeadLetters int64 // that are there; -1 if SQL did not tell
	Level       string
	Waiting     int64 // synchronous writes that wait for their commit
	Work        QueueWork
}

// QueueWork is what one replica has done for the queue since its start.
type QueueWork struct {
	Commits       int64         // transactions of the drain
	CommitTime    time.Duration // of one, on average
	ItemWrites    int64
	ItemRows      int64 // that came of them
	Increments    int64
	IncrementRows int64 // that came of them
	DeadLetters   int64
	Lost          int64 // queued writes that went with their Redis
	Takeovers     int64 // times that shards of a replica that was gone fell to this one
	MovedToRedis  int64 // shards
	MovedToSQL    int64 // shards
}

// ShardReport is the queue of one shard.
type ShardReport struct {
	Shard    int
	Counters bool   // the shard holds counters, not items
	Home     string // "redis", "sql", or "none" while it moves
	Process  string // of a home in Redis
	Epoch    int64
	Drainer  string // the replica to which draining it falls
	Position Version
	Backlog  int64 // queued writes
	Bytes    int64 // about
	Lag      time.Duration
	RedisOut bool // the process that serves it is out of reach for this replica
}
