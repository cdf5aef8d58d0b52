package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
)

// Drain writes what was queued.
type Drain struct {
	db *DB
}

// Drain returns the writer of queued items.
func (db *DB) Drain() *Drain { return &Drain{db: db} }

// lockToMove locks the rows in the order of shards, so that those who wait for several cannot
// deadlock. It does not conflict with heartbeats.
const lockToMove = "SELECT FROM shards WHERE shard = ANY($1) ORDER BY shard FOR NO KEY UPDATE"

// advance is the compare-and-set that makes the effect of a round exactly-once: of all rounds that
// were read after one position, one at most finds it.
//
// It waits for nobody. A row that is locked belongs to a round of another replica, which moves the
// position in most cases; should that replica have stalled, only the shards of its round wait until
// the database ends it, not every round that has one of them. The locks are taken in the order of
// shards, so that of rounds over the same shards the first to come mostly gets all.
const advance = `
WITH locked AS (
	SELECT shard FROM shards WHERE shard = ANY($1) ORDER BY shard FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE shards AS s SET position = a.target
FROM locked JOIN unnest($1::integer[], $2::bigint[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[])
	AS a (shard, epoch, home, opening, origin, target) USING (shard)
WHERE s.shard = locked.shard AND s.epoch = a.epoch AND s.home = a.home AND s.ready <> a.opening AND s.position = a.origin
RETURNING s.shard`

const upsert = `
INSERT INTO feeds (` + itemColumns + `)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::boolean[])
ON CONFLICT (id) DO UPDATE SET
	author_id = excluded.author_id, kind = excluded.kind, content = excluded.content,
	created_at = excluded.created_at, updated_at = excluded.updated_at,
	version = excluded.version, deleted = excluded.deleted
WHERE feeds.version < excluded.version`

// Apply writes the batch's items and moves its shards' positions, all or nothing. If any shard is not
// where its advance starts from (another drainer was there first, or the epoch has ended), or is in the
// hands of another transaction, nothing is written, and those shards are returned. Each shard and each
// item may be in the batch once.
//
// An opener is not refused for a lock, it waits: the shard is its own, whoever else holds the row is
// about to find that out, and a refusal would cost the opener its epoch.
//
// An error of kind Unavailable may come after the commit: the positions tell.
func (d *Drain) Apply(ctx context.Context, batch *model.Batch) (refused []int, err error) {
	if len(batch.Advances) == 0 && len(batch.Items) == 0 {
		return nil, nil
	}
	var moved []int
	b := &pgx.Batch{}
	b.BeginTx(readCommitted)
	queueAdvances(b, batch.Advances, &moved)
	queueUpsert(b, batch.Items)
	results := d.db.control.SendBatch(ctx, b)
	tx := results.Tx()
	defer rollback(ctx, tx)

	if err := results.Close(); err != nil {
		return nil, translate(err)
	}
	for _, a := range batch.Advances {
		if !slices.Contains(moved, a.Shard) {
			refused = append(refused, a.Shard)
		}
	}
	if len(refused) > 0 {
		return refused, nil
	}
	if err := failpoint.Hit("drain.before_commit"); err != nil {
		return nil, translate(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, translate(err)
	}
	return nil, translate(failpoint.Hit("drain.after_commit"))
}

// rollbackTimeout bounds the wait for a database that does not answer; then the connection is closed,
// which rolls back too.
const rollbackTimeout = 2 * time.Second

// rollback ends tx, even when ctx has ended. After a commit it does nothing.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

func queueAdvances(b *pgx.Batch, advances []model.Advance, moved *[]int) {
	if len(advances) == 0 {
		return
	}
	n := len(advances)
	shards, homes, opening := make([]int32, n), make([]string, n), make([]bool, n)
	epochs, from, to := make([]int64, n), make([]int64, n), make([]int64, n)
	var own []int32
	for i, a := range advances {
		if a.Opening {
			own = append(own, int32(a.Shard))
		}
		shards[i], epochs[i], homes[i], opening[i] = int32(a.Shard), a.Epoch, a.Home, a.Opening
		from[i], to[i] = int64(a.From), int64(a.To)
	}
	if len(own) > 0 {
		b.Queue(lockToMove, own)
	}
	b.Queue(advance, shards, epochs, homes, opening, from, to).Query(collect(moved, pgx.RowTo[int]))
}

// queueUpsert sends the items as one array for each column, in the order of IDs, so that concurrent
// upserts cannot deadlock.
func queueUpsert(b *pgx.Batch, items []model.Item) {
	if len(items) == 0 {
		return
	}
	byID := func(a, b model.Item) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(items, byID) {
		items = slices.SortedFunc(slices.Values(items), byID)
	}
	n := len(items)
	ids, authors, versions := make([]int64, n), make([]int64, n), make([]int64, n)
	kinds, contents := make([]string, n), make(pgtype.FlatArray[[]byte], n)
	created, updated, deleted := make([]time.Time, n), make([]time.Time, n), make([]bool, n)
	for i := range items {
		it := &items[i]
		ids[i], authors[i], versions[i] = int64(it.ID), int64(it.AuthorID), int64(it.Version)
		kinds[i], contents[i] = it.Kind, it.Content
		if it.Content == nil {
			contents[i] = []byte{} // nil would be NULL
		}
		created[i], updated[i], deleted[i] = it.CreatedAt, it.UpdatedAt, it.Deleted
	}
	b.Queue(upsert, ids, authors, kinds, contents, created, updated, versions, deleted)
}

// collect returns a callback of a queued query that puts its rows into dst.
func collect[T any](dst *[]T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*dst, err = pgx.CollectRows(rows, scan)
		return err
	}
}
