package queue

import (
	"context"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Direct writes to SQL, without a queue, while SQL is the home of a shard. Each call is one transaction,
// which makes sure in itself that the shard is still where the caller believes: else it returns ErrMoved,
// and nothing was done.
type Direct interface {
	// Write makes a write, with the outcomes of one that is queued. Its result is committed.
	Write(ctx context.Context, shard int, epoch int64, w *model.Write) (model.WriteResult, error)
	// Count makes changes of counters of one shard, in their order, and returns one result for each.
	Count(ctx context.Context, shard int, epoch int64, counts []model.Count) ([]model.CountResult, error)
	// Remember stores result under key unless the key is known, and returns what is stored now.
	Remember(ctx context.Context, shard int, epoch int64, key string, result []byte) (stored []byte, replayed bool, err error)
	// Flush stores writes that were queued under older epochs, those left out that are stored already. The
	// shard must be on its way to its home of this epoch, or that home be SQL.
	Flush(ctx context.Context, shard int, epoch int64, writes []model.Queued) (model.Applied, error)
}

// Keys are the idempotency keys in SQL: those of writes that are committed.
type Keys interface {
	// Recall returns what is remembered under the key: fingerprint|result.
	Recall(ctx context.Context, shard int, key string) (record string, ok bool, err error)
}

// Totals brings totals of counters from SQL into Redis.
type Totals interface {
	// Load makes the totals of the subjects, which are of the grant's shard, hot. They may be cold again when
	// it returns. An error that the database has caused has model.ErrDatabase in its chain.
	Load(ctx context.Context, g *shards.Grant, subjects []string) error
}

// Letters are the writes that SQL has refused.
type Letters interface {
	// List returns at most limit dead letters with IDs above after, ascending.
	List(ctx context.Context, after int64, limit int) ([]model.DeadLetter, error)
	// Get returns the dead letter, an error of kind NotFound if there is none.
	Get(ctx context.Context, id int64) (model.DeadLetter, error)
	// Discard removes the dead letter, and reports whether it was there.
	Discard(ctx context.Context, id int64) (bool, error)
	// Stored reports whether version v of the shard became a dead letter that is still there.
	Stored(ctx context.Context, shard int, v model.Version) (bool, error)
	// RetryItem stores the write of an item and removes the dead letter, unless the item has been written
	// since: then it returns false and does nothing.
	RetryItem(ctx context.Context, id int64) (applied bool, err error)
}

// Evictor drops an item from the caches of every replica.
type Evictor interface {
	Evict(ctx context.Context, id model.ID) error
}

// Counting takes changes of counters.
type Counting interface {
	// Count makes changes of counters and returns one result or error for each, in their order.
	Count(ctx context.Context, counts []model.Count) ([]model.CountResult, []error)
	// AwaitCount returns when the change of the subject with version v is committed in SQL.
	AwaitCount(ctx context.Context, subject string, v model.Version) error
}
