package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zmsg/zmsg/model"
)

// attempt runs the queued statements in tx under a savepoint. After an error of the data tx goes on as if
// there had been none of them; after any other, tx is to be rolled back.
func attempt(ctx context.Context, tx pgx.Tx, queue func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	b.Queue("savepoint attempt")
	queue(b)
	b.Queue("release savepoint attempt")
	err := tx.SendBatch(ctx, b).Close()
	if !dataError(err) {
		return err
	}
	if _, err := tx.Exec(ctx, undo, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	return err
}

// undo releases the savepoint too: many of them, each within the other, would be slow.
const undo = "rollback to savepoint attempt; release savepoint attempt"

// bisect writes rows, all at once or, when SQL refuses that, the halves of them, down to the single rows
// that it refuses. These go to refused. Any other error ends it.
func bisect[T any](rows []T, write func(rows []T) error, refused func(row T, cause error) error) error {
	if len(rows) == 0 {
		return nil
	}
	err := write(rows)
	if !dataError(err) {
		return err
	}
	if len(rows) == 1 {
		return refused(rows[0], err)
	}
	half := len(rows) / 2
	if err := bisect(rows[:half], write, refused); err != nil {
		return err
	}
	return bisect(rows[half:], write, refused)
}

// carefully writes a plan of which SQL refuses something.
type carefully struct {
	tx   pgx.Tx
	done model.Applied
}

// storeCarefully writes what SQL takes of the plan, and makes dead letters of the rest.
func (p *plan) storeCarefully(ctx context.Context, tx pgx.Tx) (model.Applied, error) {
	c := &carefully{tx: tx}
	for _, w := range p.damaged {
		c.bury(w, nil)
	}
	if err := c.items(ctx, p.items); err != nil {
		return model.Applied{}, err
	}
	if err := c.counts(ctx, p.counts); err != nil {
		return model.Applied{}, err
	}
	if err := c.keys(ctx, p.keys); err != nil {
		return model.Applied{}, err
	}
	b := &pgx.Batch{}
	queueLetters(b, c.done.DeadLetters)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return model.Applied{}, err
	}
	return c.done, nil
}

func (c *carefully) bury(w *model.Queued, cause error) {
	c.done.DeadLetters = append(c.done.DeadLetters, newLetter(w, cause))
}

// items falls back to the previous write of each item whose newest is refused, and so on: the item is then
// as if the bad writes had not been.
func (c *carefully) items(ctx context.Context, groups [][]*model.Queued) error {
	for len(groups) > 0 {
		var older [][]*model.Queued
		err := bisect(groups, func(part [][]*model.Queued) error {
			return c.write(ctx, &c.done.ItemRows, func(b *pgx.Batch, rows *int) { queueItems(b, part, rows) })
		}, func(g []*model.Queued, cause error) error {
			c.bury(g[0], cause)
			if len(g) > 1 {
				older = append(older, g[1:])
			}
			return nil
		})
		if err != nil {
			return err
		}
		groups = older
	}
	return nil
}

// counts looks for the bad changes among those of each counter that is refused.
func (c *carefully) counts(ctx context.Context, groups [][]*model.Queued) error {
	return bisect(groups, func(part [][]*model.Queued) error {
		return c.write(ctx, &c.done.CounterRows, func(b *pgx.Batch, rows *int) { queueCounts(b, part, rows) })
	}, func(g []*model.Queued, cause error) error {
		if len(g) == 1 {
			c.bury(g[0], cause)
			return nil
		}
		return c.changes(ctx, g)
	})
}

// changes writes the changes of one counter, which is one row of the result however many parts it takes.
func (c *carefully) changes(ctx context.Context, deltas []*model.Queued) error {
	written := 0
	err := bisect(deltas, func(part []*model.Queued) error {
		return c.write(ctx, &written, func(b *pgx.Batch, rows *int) { queueCounts(b, [][]*model.Queued{part}, rows) })
	}, func(w *model.Queued, cause error) error {
		c.bury(w, cause)
		return nil
	})
	c.done.CounterRows += min(written, 1)
	return err
}

// keys remembers the keys of all writes, dead letters too: a repeat of those must not be a new write. A key
// that SQL refuses is one that nobody asks for.
func (c *carefully) keys(ctx context.Context, writes []*model.Queued) error {
	return bisect(writes, func(part []*model.Queued) error {
		return attempt(ctx, c.tx, func(b *pgx.Batch) { queueKeys(b, part) })
	}, func(*model.Queued, error) error { return nil })
}

// write attempts the queued statements, and adds the rows that they wrote to total if they stand.
func (c *carefully) write(ctx context.Context, total *int, queue func(b *pgx.Batch, rows *int)) error {
	rows := 0
	if err := attempt(ctx, c.tx, func(b *pgx.Batch) { queue(b, &rows) }); err != nil {
		return err
	}
	*total += rows
	return nil
}

// addRows returns a callback of a queued statement that adds the number of its rows to total.
func addRows(total *int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*total += int(tag.RowsAffected())
		return nil
	}
}
