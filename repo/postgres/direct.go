package postgres

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
)

// Direct makes writes without the queue, each call in a transaction of its own, while SQL is the home of
// a shard. Every method returns [model.ErrMoved], and has done nothing, if that is not so under the
// caller's epoch.
//
// A transaction locks, in this order, so that none can deadlock:
//
//   - its shard, shared. Whoever ends an epoch, or brings writes of older ones, locks it alone. It is an
//     advisory lock because those queue fairly: row locks that are shared by ever new transactions would
//     keep a claim waiting for as long as the load lasts. The row is locked too, FOR KEY SHARE, for it
//     is the row that says which epoch it is.
//   - the idempotency keys, so that of concurrent repeats one has an effect.
//   - the item, or the subjects of the counters, whether they have rows or not.
//
// Those of one process queue for the keys, items and subjects before they begin; see turns.
type Direct struct {
	db *DB
}

// Direct returns the writer of shards whose home is SQL.
func (db *DB) Direct() *Direct { return &Direct{db: db} }

// The classes of advisory locks, in the order in which they are taken. An object of a class is a hash:
// two that share one wait for each other, which does no harm.
const (
	lockShard int32 = iota + 1
	lockKey
	lockItem
	lockSubject
)

const (
	shareShard = "SELECT pg_advisory_xact_lock_shared($1, $2)"
	// endDirect waits for the direct transactions of some shards, given in ascending order, and lets
	// later ones wait.
	endDirect  = "SELECT pg_advisory_xact_lock($1, s) FROM unnest($2::integer[]) AS s"
	lockGiven  = "SELECT pg_advisory_xact_lock(class, object) FROM unnest($1::integer[], $2::integer[]) AS l (class, object)"
	homeIsHere = "SELECT FROM shards WHERE shard = $1 AND epoch = $2 AND home = '" + model.HomeSQL + "' AND ready FOR KEY SHARE"
)

// locks are advisory locks that a transaction takes.
type locks struct{ classes, objects []int32 }

// add appends the locks of some names of a class. Hashes are sorted, not names: they may coincide.
func (l *locks) add(class int32, names ...string) {
	objects := make([]int32, 0, len(names))
	for _, name := range names {
		h := fnv.New32a()
		_, _ = h.Write([]byte(name))
		objects = append(objects, int32(h.Sum32()))
	}
	slices.Sort(objects)
	for _, o := range slices.Compact(objects) {
		l.classes, l.objects = append(l.classes, class), append(l.objects, o)
	}
}

// transact runs a direct transaction in two round trips: what read queues is answered when write is
// called, and what write queues is committed. If write queues nothing, or fails, nothing was done.
func (d *Direct) transact(ctx context.Context, shard int, epoch int64, l locks, read func(*pgx.Batch), write func(*pgx.Batch) error) error {
	if err := d.db.turns.take(ctx, l); err != nil {
		return translate(err)
	}
	defer d.db.turns.give(l)
	conn, err := d.acquire(ctx)
	if err != nil {
		return translate(err)
	}
	defer d.release(ctx, conn)
	b, here := &pgx.Batch{}, false
	b.Queue(begin)
	b.Queue(shareShard, lockShard, shard)
	b.Queue(homeIsHere, shard, epoch).Exec(func(tag pgconn.CommandTag) error {
		here = tag.RowsAffected() == 1
		return nil
	})
	if len(l.classes) > 0 {
		b.Queue(lockGiven, l.classes, l.objects)
	}
	read(b)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return translate(err)
	}
	if !here {
		return model.ErrMoved
	}
	b = &pgx.Batch{}
	if err := write(b); err != nil || b.Len() == 0 {
		return err
	}
	if err := failpoint.Hit("direct.before_commit"); err != nil {
		return translate(err)
	}
	b.Queue(commit)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return translate(err)
	}
	return translate(failpoint.Hit("direct.after_commit"))
}

// acquire takes a connection of those for reads, of which direct transactions use half: they may wait
// for those of other replicas, and reads shall not wait for them.
func (d *Direct) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	select {
	case d.db.direct <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := d.db.pool.Acquire(ctx)
	if err != nil {
		<-d.db.direct
	}
	return conn, err
}

// release gives the connection back, and first ends its transaction if that is still open.
func (d *Direct) release(ctx context.Context, conn *pgxpool.Conn) {
	if c := conn.Conn().PgConn(); !c.IsClosed() && c.TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, _ = conn.Exec(ctx, "rollback") // on failure the pool drops the connection, which rolls back too
	}
	conn.Release()
	<-d.db.direct
}

// recallKeys returns the records of those keys that are known. The newest comes last: a key that has
// been forgotten in Redis may have been used again.
const recallKeys = `
SELECT k.key, k.record
FROM idempotency AS i CROSS JOIN LATERAL unnest(i.keys, i.records) AS k (key, record)
WHERE i.shard = $1 AND i.keys && $2 AND k.key = ANY($2)
ORDER BY i.id`

const rememberKeys = "INSERT INTO idempotency (shard, keys, records) VALUES ($1, $2, $3)"

// queueRecall looks up keys, and puts the records of the known ones into known.
func queueRecall(b *pgx.Batch, shard int, keys []string, known map[string]string) {
	if len(keys) == 0 {
		return
	}
	b.Queue(recallKeys, shard, keys).Query(func(rows pgx.Rows) error {
		var key, record string
		_, err := pgx.ForEachRow(rows, []any{&key, &record}, func() error {
			known[key] = record
			return nil
		})
		return err
	})
}

// lockedItem returns what a write must know of the row. Of an item without a row nothing is scanned.
const lockedItem = "SELECT author_id, kind, created_at, version, deleted FROM feeds WHERE id = $1 FOR UPDATE"

// Write makes one write of an item. The outcomes are those of a queued write.
func (d *Direct) Write(ctx context.Context, shard int, epoch int64, w *model.Write) (model.WriteResult, error) {
	var l locks
	var keys []string
	if w.IdempotencyKey != "" {
		keys = []string{w.IdempotencyKey}
	}
	l.add(lockKey, keys...)
	l.add(lockItem, w.ID.String())
	known := make(map[string]string)
	row := model.Item{ID: w.ID}
	var res model.WriteResult
	err := d.transact(ctx, shard, epoch, l, func(b *pgx.Batch) {
		queueRecall(b, shard, keys, known)
		b.Queue(lockedItem, w.ID).QueryRow(func(r pgx.Row) error {
			err := r.Scan(&row.AuthorID, &row.Kind, &row.CreatedAt, &row.Version, &row.Deleted)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	}, func(b *pgx.Batch) (err error) {
		if record, ok := known[w.IdempotencyKey]; ok {
			res, err = replayWrite(record, w)
			return err
		}
		var next *model.Item
		if res, next = decide(w, &row, epoch); next == nil {
			return nil
		}
		queueItems(b, [][]*model.Queued{{{Item: next}}}, new(int))
		if w.IdempotencyKey != "" {
			b.Queue(rememberKeys, shard, keys, []string{model.Record(w.Fingerprint, res.Encode())})
		}
		return nil
	})
	if err != nil {
		return model.WriteResult{}, err
	}
	res.Committed = true
	return res, nil
}

// decide returns what becomes of a write of the item in row (of Version 0 if there is none), and the
// item as it is after it, nil if it does not change. It decides as the script does that queues writes.
func decide(w *model.Write, row *model.Item, epoch int64) (model.WriteResult, *model.Item) {
	res := model.WriteResult{ID: w.ID}
	exists := row.Version != 0 && !row.Deleted
	switch {
	case !holds(w.Cond, exists, row.Version):
		res.Outcome = model.OutcomeCondFailed
		if exists {
			res.Version = row.Version
		}
		return res, nil
	case w.Op == model.OpDelete && !exists:
		res.Outcome, res.Version = model.OutcomeUnchanged, row.Version
		return res, nil
	case w.Op == model.OpPut && row.Version != 0 && row.AuthorID != w.AuthorID:
		res.Outcome = model.OutcomeAuthorConflict
		return res, nil
	}
	next := *row
	next.UpdatedAt = time.UnixMilli(w.At.UnixMilli()).UTC()
	// The base of the epoch, because the row may be of an older one whose last versions were lost.
	next.Version = max(row.Version+1, model.NewVersion(epoch, 0))
	next.Deleted = w.Op == model.OpDelete
	if w.Op == model.OpPut {
		next.AuthorID, next.Kind, next.Content = w.AuthorID, w.Kind, w.Content
	}
	if !exists {
		next.CreatedAt = next.UpdatedAt
	}
	next.CreatedAt = next.CreatedAt.UTC()
	res.Outcome, res.Version, res.Created = model.OutcomeApplied, next.Version, !exists
	res.CreatedAt, res.UpdatedAt = next.CreatedAt, next.UpdatedAt
	return res, &next
}

// holds reports whether the item meets the condition. Of several the first counts, as in the queue.
func holds(c model.Cond, exists bool, v model.Version) bool {
	switch {
	case c.Absent:
		return !exists
	case len(c.Match) > 0:
		return exists && slices.Contains(c.Match, v)
	case c.Exists:
		return exists
	default:
		return true
	}
}

// replayWrite is the answer to a write whose key is known.
func replayWrite(record string, w *model.Write) (model.WriteResult, error) {
	result, same := model.ResultIn(record, w.Fingerprint)
	if !same {
		return model.WriteResult{ID: w.ID, Outcome: model.OutcomeKeyReused}, nil
	}
	return model.ParseWriteResult(result)
}

// Remember stores result under key unless the key is known, and returns what is stored.
func (d *Direct) Remember(ctx context.Context, shard int, epoch int64, key string, result []byte) (stored []byte, replayed bool, err error) {
	var l locks
	l.add(lockKey, key)
	known := make(map[string]string)
	stored = result
	err = d.transact(ctx, shard, epoch, l, func(b *pgx.Batch) {
		queueRecall(b, shard, []string{key}, known)
	}, func(b *pgx.Batch) error {
		var record string
		if record, replayed = known[key]; replayed {
			stored = decodeRecord(record)
			return nil
		}
		b.Queue(rememberKeys, shard, []string{key}, []string{encodeRecord(result)})
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return stored, replayed, nil
}
