// Package service holds the rules of feeds, counters and IDs: what a request may say, which identity and
// time a write gets, and what its outcome means to a client. It knows no HTTP, no SQL and no Redis.
package service

import (
	"context"

	"github.com/zmsg/zmsg/model"
)

// Reader answers reads of items. Whether caches take part is its own matter.
type Reader interface {
	// Get returns the item, or a Doc that is not Found. exact means: no copy that may be older than
	// the newest acknowledged write of any replica.
	Get(ctx context.Context, id model.ID, exact bool) (model.Doc, error)
	// GetMany returns one Doc or error for each ID, in their order.
	GetMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error)
	// Current returns the newest item for a read-modify-write; Version 0 or Deleted if there is none.
	Current(ctx context.Context, id model.ID) (model.Item, error)
	// List returns at most limit live items of the authors (sorted, distinct) with IDs below before
	// (0: from the newest), newest first.
	List(ctx context.Context, authors []model.ID, before model.ID, limit int, exact bool) (model.Page, error)
	// MayExist asks the caches and the Bloom filter alone, never SQL.
	MayExist(ctx context.Context, id model.ID) (bool, error)
}

// Evictor drops an item from the caches of every replica. A write that is still queued stays.
type Evictor interface {
	Evict(ctx context.Context, id model.ID) error
}

// Writer takes writes.
type Writer interface {
	// Write gives the write its version and queues it: from its return on it is readable. An error
	// of kind Unavailable means that the outcome is unknown. An idempotency key is kept only by a
	// write that was applied; a repeat of it answers the first result, whatever its conditions.
	Write(ctx context.Context, w *model.Write) (model.WriteResult, error)
	// Await returns when the write of id with version v is committed in SQL.
	Await(ctx context.Context, id model.ID, v model.Version) error
	// Ready returns the store that a write with this one gets: a delayed write may have to be a
	// synchronous one. It refuses early, with Unavailable, what could not be finished now.
	Ready(store model.Store) (model.Store, error)
	// Durability names what a queued write survives: "memory", "fsync" or "replicated".
	Durability() string
}

// CounterReader answers reads of counters.
type CounterReader interface {
	// Get returns the counters of each subject by metric, without those that are 0, or an error, in
	// the order of the subjects. They show every acknowledged change of any replica.
	Get(ctx context.Context, subjects []string) ([]map[string]int64, []error)
}

// Counting takes changes of counters.
type Counting interface {
	// Count gives each change its version and queues it: from its return on it counts. It returns one
	// result or error for each, in their order; those of one counter are done in it. An error of kind
	// Unavailable means that the outcome is unknown. An idempotency key is kept only by a change that
	// was applied; a repeat of it answers the first result.
	Count(ctx context.Context, counts []model.Count) ([]model.CountResult, []error)
	// AwaitCount returns when the change of a counter of subject with version v is committed in SQL.
	AwaitCount(ctx context.Context, subject string, v model.Version) error
	// Ready is that of Writer.
	Ready(store model.Store) (model.Store, error)
	// Durability names what a queued change survives, as that of Writer does.
	Durability() string
}

// Minter makes IDs.
type Minter interface {
	// Mint returns n new IDs in ascending order, Unavailable when no lease is held.
	Mint(ctx context.Context, n int) ([]model.ID, error)
}

// Results remembers what has no item of its shard to be stored with: the answers to requests without
// items, and the fingerprints of writes whose item is not in the shard of their key.
type Results interface {
	// Remember stores result under key unless the key is known, and returns what is stored now.
	// How long it is remembered is its own matter. A write of an item of the key's shard with the
	// same key finds it, and the other way round: then what is stored is the write's fingerprint,
	// followed by '|' and its result.
	Remember(ctx context.Context, key string, result []byte) (stored []byte, replayed bool, err error)
}
