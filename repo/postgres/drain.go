package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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

// Apply writes the batch and moves its shards' positions, all or nothing. If any shard is not where its
// advance starts from (another drainer was there first, or the epoch has ended), or is in the hands of
// another transaction, nothing is written, and those shards are returned as refused.
//
// Of each item the newest write is stored, of each counter the sum of its changes, and the idempotency
// keys of all. Writes that SQL refuses become dead letters in the same transaction; the item is then as
// its previous write in the batch says. An opener drains what an earlier epoch has left: writes that came
// to SQL by another way meanwhile are left out.
//
// An opener is not refused for a lock, it waits: the shard is its own, whoever else holds the row is
// about to find that out, and a refusal would cost the opener its epoch.
//
// An error of kind Unavailable may come after the commit: the positions tell.
func (d *Drain) Apply(ctx context.Context, batch *model.Batch) (model.Applied, error) {
	if len(batch.Advances) == 0 && len(batch.Writes) == 0 {
		return model.Applied{}, nil
	}
	if !slices.ContainsFunc(batch.Advances, func(a model.Advance) bool { return a.Opening }) {
		applied, err := d.atOnce(ctx, batch)
		if !dataError(err) {
			return applied, translate(err)
		}
	}
	applied, err := d.stepwise(ctx, batch)
	return applied, translate(err)
}

// atOnce writes the batch in one round trip and the commit.
func (d *Drain) atOnce(ctx context.Context, batch *model.Batch) (model.Applied, error) {
	var moved []int
	var done model.Applied
	p := newPlan(batch.Writes)
	b := &pgx.Batch{}
	b.BeginTx(readCommitted)
	queueAdvances(b, batch.Advances, &moved)
	p.queue(b, &done)
	if len(p.damaged) > 0 {
		b.Queue(skips, shardsOf(p.damaged))
	}
	results := d.db.control.SendBatch(ctx, b)
	tx := results.Tx()
	defer rollback(ctx, tx)

	if err := results.Close(); err != nil {
		return model.Applied{}, err
	}
	if refused := refusals(batch.Advances, moved); refused != nil {
		return model.Applied{Refused: refused}, nil
	}
	return done, finish(ctx, tx)
}

// stepwise looks before it writes, and writes so that bad rows cost only themselves.
func (d *Drain) stepwise(ctx context.Context, batch *model.Batch) (model.Applied, error) {
	var moved []int
	b := &pgx.Batch{}
	b.BeginTx(readCommitted)
	queueAdvances(b, batch.Advances, &moved)
	results := d.db.control.SendBatch(ctx, b)
	tx := results.Tx()
	defer rollback(ctx, tx)

	if err := results.Close(); err != nil {
		return model.Applied{}, err
	}
	if refused := refusals(batch.Advances, moved); refused != nil {
		return model.Applied{Refused: refused}, nil
	}
	rest, known, err := leaveOut(ctx, tx, batch.Writes, opening(batch.Advances))
	if err != nil {
		return model.Applied{}, err
	}
	done, err := store(ctx, tx, rest)
	if err != nil {
		return model.Applied{}, err
	}
	done.LeftOut = len(known)
	for i := range done.DeadLetters {
		known = append(known, &done.DeadLetters[i].Write)
	}
	if shards := shardsOf(known); len(shards) > 0 {
		if _, err := tx.Exec(ctx, skips, shards); err != nil {
			return model.Applied{}, err
		}
	}
	return done, finish(ctx, tx)
}

// finish commits.
func finish(ctx context.Context, tx pgx.Tx) error {
	if err := failpoint.Hit("drain.before_commit"); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return failpoint.Hit("drain.after_commit")
}

// refusals returns the shards whose advances did not happen.
func refusals(advances []model.Advance, moved []int) (refused []int) {
	for _, a := range advances {
		if !slices.Contains(moved, a.Shard) {
			refused = append(refused, a.Shard)
		}
	}
	return refused
}

func opening(advances []model.Advance) map[int]bool {
	shards := make(map[int]bool)
	for _, a := range advances {
		if a.Opening {
			shards[a.Shard] = true
		}
	}
	return shards
}

// shardsOf returns the shards of the writes, each once.
func shardsOf(writes []*model.Queued) []int32 {
	var shards []int32
	for _, w := range writes {
		if s := int32(w.Shard); !slices.Contains(shards, s) {
			shards = append(shards, s)
		}
	}
	return shards
}

// skips marks shards in whose rounds not all was stored. The round has set their positions.
const skips = "UPDATE shards SET skipped = position WHERE shard = ANY ($1)"

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

// collect returns a callback of a queued query that puts its rows into dst.
func collect[T any](dst *[]T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*dst, err = pgx.CollectRows(rows, scan)
		return err
	}
}
