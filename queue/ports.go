package queue

import (
	"context"
	"time"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Loader tells what an item is that L2 does not hold.
type Loader interface {
	// Guess answers from memory alone: absent means that no write of the item happened up to the event
	// tip that is returned. ok is false when memory cannot tell.
	Guess(g *shards.Grant, id model.ID) (tip uint64, ok bool)
	// Load returns the item as SQL or the filter knows it, version 0 if there is none; tip is the
	// event tip that was read when L2 missed it.
	Load(ctx context.Context, g *shards.Grant, id model.ID, tip uint64) (model.Item, error)
}

// Observer is told of own writes, before they are answered: what this replica remembers of the item
// is older from now on.
type Observer interface {
	Wrote(g *shards.Grant, it *model.Item)
}

// Committer commits batches of the drain.
type Committer interface {
	// Apply commits a batch in one transaction. If shards do not stand where the batch says, it names them
	// and commits nothing. Writes that SQL refuses become dead letters within the transaction. An error of
	// kind Unavailable may come after the commit.
	Apply(ctx context.Context, b *model.Batch) (model.Applied, error)
}

// Expirer forgets idempotency keys in SQL.
type Expirer interface {
	// Expire forgets the keys that were stored before olderThan, and which flushed changes streams might
	// hold that no longer do. It returns how many rows that were.
	Expire(ctx context.Context, olderThan time.Time) (int64, error)
}

// Positions tells how far the shards have reached SQL.
type Positions interface {
	// All returns the state of all shards.
	All(ctx context.Context) ([]model.Shard, error)
}

// Rows are the items in SQL.
type Rows interface {
	// Get returns the item's row, version 0 if there is none.
	Get(ctx context.Context, id model.ID) (model.Item, error)
	// Tombstones returns rows of items deleted before olderThan, with IDs after after.
	Tombstones(ctx context.Context, olderThan time.Time, after model.ID, limit int) ([]model.Tombstone, error)
	// RemoveTombstones removes rows whose version is unchanged.
	RemoveTombstones(ctx context.Context, list []model.Tombstone) (int64, error)
}
