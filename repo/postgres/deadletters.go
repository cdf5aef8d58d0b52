package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zmsg/zmsg/model"
)

// DeadLetters keeps the queued writes that could not be stored, until somebody retries or discards them.
type DeadLetters struct {
	db *DB
}

// DeadLetters returns the dead letters of the database. Drain and Direct add to them.
func (db *DB) DeadLetters() *DeadLetters { return &DeadLetters{db: db} }

// newLetter returns the dead letter of a write that SQL refused because of cause, or that cannot be read.
func newLetter(w *model.Queued, cause error) model.DeadLetter {
	l := model.DeadLetter{Shard: w.Shard, Version: w.Version, Kind: "entry", Reason: w.Damage, Write: *w}
	switch {
	case w.Item != nil:
		l.Kind, l.Key = "item", w.Item.ID.String()
	case w.Delta != nil:
		l.Kind, l.Key = "counter", w.Delta.String()
		delta := *w.Delta
		delta.Absolute, delta.To = false, 0 // a letter is of the difference: a retry must not undo what came since
		l.Write.Delta = &delta
	}
	var answer *pgconn.PgError
	if errors.As(cause, &answer) {
		l.Code, l.Reason = answer.Code, answer.Message
	}
	l.Key, l.Reason = text(l.Key), text(l.Reason)
	return l
}

const insertLetter = `
INSERT INTO dead_letters (shard, version, kind, key, code, reason, payload) VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, at`

// queueLetters stores the letters, and fills in what SQL gives them.
func queueLetters(b *pgx.Batch, letters []model.DeadLetter) {
	for i := range letters {
		l := &letters[i]
		b.Queue(insertLetter, l.Shard, l.Version, l.Kind, l.Key, l.Code, l.Reason, encodePayload(&l.Write)).
			QueryRow(func(row pgx.Row) error {
				err := row.Scan(&l.ID, &l.At)
				l.At = l.At.UTC()
				return err
			})
	}
}

const letterColumns = "id, shard, version, kind, key, code, reason, payload, at"

// List returns the next at most limit letters with IDs above after, in ascending order.
func (d *DeadLetters) List(ctx context.Context, after int64, limit int) ([]model.DeadLetter, error) {
	rows, err := d.db.pool.Query(ctx, "SELECT "+letterColumns+" FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
	if err != nil {
		return nil, translate(err)
	}
	letters, err := pgx.CollectRows(rows, scanLetter)
	return letters, translate(err)
}

// Get returns the letter, or an error of kind NotFound.
func (d *DeadLetters) Get(ctx context.Context, id int64) (model.DeadLetter, error) {
	rows, err := d.db.pool.Query(ctx, "SELECT "+letterColumns+" FROM dead_letters WHERE id = $1", id)
	if err != nil {
		return model.DeadLetter{}, translate(err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, scanLetter)
	return l, translate(noLetter(err))
}

// noLetter tells a letter that is not there from a defect.
func noLetter(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return &model.Error{Kind: model.NotFound, Message: "there is no such dead letter"}
	}
	return err
}

func scanLetter(row pgx.CollectableRow) (model.DeadLetter, error) {
	var l model.DeadLetter
	var payload []byte
	err := row.Scan(&l.ID, &l.Shard, &l.Version, &l.Kind, &l.Key, &l.Code, &l.Reason, &payload, &l.At)
	l.At = l.At.UTC()
	l.Write = decodePayload(payload)
	l.Write.Shard, l.Write.Version = l.Shard, l.Version
	if l.Write.Item != nil {
		l.Write.Item.Version = l.Version
	}
	return l, err
}

// Count returns how many letters there are.
func (d *DeadLetters) Count(ctx context.Context) (int64, error) {
	var n int64
	err := d.db.pool.QueryRow(ctx, "SELECT count(*) FROM dead_letters").Scan(&n)
	return n, translate(err)
}

// Discard removes the letter, and tells whether it was there.
func (d *DeadLetters) Discard(ctx context.Context, id int64) (bool, error) {
	tag, err := d.db.pool.Exec(ctx, "DELETE FROM dead_letters WHERE id = $1", id)
	return tag.RowsAffected() > 0, translate(err)
}

// Stored reports whether there is a letter of this version.
func (d *DeadLetters) Stored(ctx context.Context, shard int, v model.Version) (bool, error) {
	var found bool
	err := d.db.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM dead_letters WHERE shard = $1 AND version = $2)", shard, v).Scan(&found)
	return found, translate(err)
}

// dropLetter keeps the letter if the item was written since.
const dropLetter = `
DELETE FROM dead_letters WHERE id = $1 AND NOT EXISTS (SELECT FROM feeds WHERE feeds.id = $2 AND version > $3)`

// RetryItem stores the item of the letter, under its own version, and removes the letter. It returns false,
// and keeps the letter, if the item was written since. If SQL still refuses the item, the error is of kind
// Invalid; if there is no such letter, NotFound.
func (d *DeadLetters) RetryItem(ctx context.Context, id int64) (applied bool, err error) {
	tx, err := d.db.pool.BeginTx(ctx, readCommitted)
	if err != nil {
		return false, translate(err)
	}
	defer rollback(ctx, tx)
	rows, err := tx.Query(ctx, "SELECT "+letterColumns+" FROM dead_letters WHERE id = $1 FOR UPDATE", id)
	if err != nil {
		return false, translate(err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, scanLetter)
	if err != nil {
		return false, translate(noLetter(err))
	}
	it := l.Write.Item
	if it == nil {
		return false, model.NewInvalid("", "the dead letter is not that of an item")
	}
	var written, dropped int
	b := &pgx.Batch{}
	queueItems(b, [][]*model.Queued{{&l.Write}}, &written)
	b.Queue(dropLetter, id, it.ID, it.Version).Exec(addRows(&dropped))
	if err := tx.SendBatch(ctx, b).Close(); err != nil || dropped == 0 {
		return false, translate(err)
	}
	return true, translate(tx.Commit(ctx))
}
