package model

// Shard is the state of one shard as SQL holds it: where its writes are taken now, and up to which
// version they are in SQL.
type Shard struct {
	Shard    int
	Epoch    int64
	Home     string // identity of the Redis process that takes the writes; "" before the first opening
	Ready    bool   // false while Opener moves the shard to Home
	Opener   string // the replica that opened or opens this epoch
	Position Version
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
	Home  string // the Redis process that shall be the home
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

// Batch is one transaction of the drain: merged items (at most one for each ID; deleted ones are
// tombstones) and the positions that follow from them.
type Batch struct {
	Advances []Advance
	Items    []Item
}

// Tombstone names a deleted item's row.
type Tombstone struct {
	ID      ID
	Version Version
}
