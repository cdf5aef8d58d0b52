package model

import "time"

// Shard is the state of one shard as SQL holds it: where its writes are taken now, and up to which
// version they are in SQL.
type Shard struct {
	Shard    int
	Epoch    int64
	Home     string // HomeSQL, or identity of the Redis process that takes the writes; "" before the first opening
	Ready    bool   // false while Opener moves the shard to Home
	Opener   string // the replica that opened or opens this epoch
	Position Version
	Skipped  Version // position of the last round that left out or dead-lettered a write
}

// HomeSQL is the home of shards whose writes go to SQL directly, because Redis is lost.
const HomeSQL = "sql"

// AtSQL reports whether the shard's writes go to SQL directly now.
func (s *Shard) AtSQL() bool { return s.Home == HomeSQL && s.Ready }

// Beat is what a replica says of itself when it renews its permission. Both slices have one element for
// each shard.
type Beat struct {
	Replica string
	TTL     time.Duration // of the permission
	// Sees is the Redis process that the replica reaches as master of the shard, "" for none.
	Sees []string
	// Settled is the epoch of the shard under which the replica works now: everything it did under
	// older ones has ended, and what it had queued there is in SQL as far as it could be.
	Settled []int64
}

// Heartbeat is what a replica learns when it renews its permission.
type Heartbeat struct {
	Shards []Shard  // all of them, by number
	Alive  []string // the replicas whose permission has not run out, this one included, sorted
}

// Claim asks for a new epoch of a shard.
type Claim struct {
	Shard int
	Epoch int64  // the epoch that the claimant knows; another one in SQL refuses the claim
	Home  string // the Redis process that shall be the home, or HomeSQL
}

// Advance moves a shard's position, on condition that it stands where the batch was read after and
// that epoch and home are those it was read under.
type Advance struct {
	Shard    int
	Epoch    int64
	Home     string
	Opening  bool // drained by the opener of Epoch, before the shard is ready
	From, To Version
}

// Tombstone names a deleted item's row.
type Tombstone struct {
	ID      ID
	Version Version
}
