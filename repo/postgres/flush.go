package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
)

// flushable locks the shard while its epoch has no home in Redis that is ready: there an opener has drained
// what Redis holds of older epochs, and readers count on nothing to be added.
const flushable = `
SELECT position, direct FROM shards
WHERE shard = $1 AND epoch = $2 AND NOT (ready AND home <> '` + model.HomeSQL + `')
FOR NO KEY UPDATE`

const noteFlushed = `
INSERT INTO flushed (shard, version, subject, metric, delta)
SELECT $1, n.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[]) AS n`

// Flush brings writes to SQL that were queued under older epochs of the shard in a Redis process that is
// lost: the replica that queued them still knows them. What SQL has already is left out: it may have been
// drained, or flushed by an earlier call whose answer was lost. Should Redis come back with its queue, the
// opener leaves out what was flushed. Writes that SQL refuses become dead letters, as in a drain, and only once,
// even if somebody has discarded the letter meanwhile.
//
// It returns [model.ErrMoved] if the shard is in another epoch, or ready in Redis.
func (d *Direct) Flush(ctx context.Context, shard int, epoch int64, writes []model.Queued) (model.Applied, error) {
	if len(writes) == 0 {
		return model.Applied{}, nil
	}
	applied, err := d.flush(ctx, shard, epoch, writes)
	if errors.Is(err, model.ErrMoved) {
		return model.Applied{}, err
	}
	return applied, translate(err)
}

func (d *Direct) flush(ctx context.Context, shard int, epoch int64, writes []model.Queued) (model.Applied, error) {
	position, direct := model.Version(-1), int64(0)
	b := &pgx.Batch{}
	b.BeginTx(readCommitted)
	b.Queue(endDirect, lockShard, []int{shard}) // their conditions must not be of the moment before the flush
	b.Queue(flushable, shard, epoch).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&position, &direct); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
	results := d.db.control.SendBatch(ctx, b)
	tx := results.Tx()
	defer rollback(ctx, tx)

	if err := results.Close(); err != nil {
		return model.Applied{}, err
	}
	if position < 0 {
		return model.Applied{}, model.ErrMoved
	}
	rest := slices.DeleteFunc(slices.Clone(writes), func(w model.Queued) bool { return w.Version <= position })
	rest, _, err := leaveOut(ctx, tx, rest, map[int]bool{shard: true})
	if err != nil {
		return model.Applied{}, err
	}
	rest, done, err := storeReaching(ctx, tx, shard, direct, rest)
	if err != nil {
		return model.Applied{}, err
	}
	done.LeftOut = len(writes) - len(rest)
	return done, commitFlush(ctx, tx, shard, rest, done.DeadLetters)
}

// commitFlush notes what has no version of its own in SQL, unlike items: changes of counters, and items that
// became dead letters. Then it commits.
func commitFlush(ctx context.Context, tx pgx.Tx, shard int, writes []model.Queued, letters []model.DeadLetter) error {
	var versions, deltas []int64
	var subjects, metrics []*string
	buried := make(map[model.Version]bool, len(letters))
	for i := range letters {
		buried[letters[i].Version] = true
	}
	for i := range writes {
		if d := writes[i].Delta; d != nil {
			n := d.N
			if d.Absolute || buried[writes[i].Version] {
				n = 0 // a set that came before a set is left out
			}
			versions, deltas = append(versions, int64(writes[i].Version)), append(deltas, n)
			subjects, metrics = append(subjects, &d.Subject), append(metrics, &d.Metric)
		}
	}
	for i := range letters {
		if letters[i].Write.Item != nil {
			versions, deltas = append(versions, int64(letters[i].Version)), append(deltas, 0)
			subjects, metrics = append(subjects, nil), append(metrics, nil)
		}
	}
	if len(versions) > 0 {
		if _, err := tx.Exec(ctx, noteFlushed, shard, versions, subjects, metrics, deltas); err != nil {
			return err
		}
	}
	if err := failpoint.Hit("flush.before_commit"); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return failpoint.Hit("flush.after_commit")
}
