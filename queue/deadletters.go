package queue

import (
	"context"
	"fmt"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// DeadLetters lets an operator look at the writes that SQL has refused, and try them again or drop them.
type DeadLetters struct {
	letters Letters
	space   *keyspace.Space
	table   *shards.Table
	evictor Evictor
	counts  Counting
}

// DeadLettersDeps are what a DeadLetters works with.
type DeadLettersDeps struct {
	Letters Letters
	Space   *keyspace.Space
	Table   *shards.Table
	Evictor Evictor
	Counts  Counting
}

// NewDeadLetters returns a DeadLetters.
func NewDeadLetters(d DeadLettersDeps) *DeadLetters {
	return &DeadLetters{letters: d.Letters, space: d.Space, table: d.Table, evictor: d.Evictor, counts: d.Counts}
}

// List returns at most limit dead letters with IDs above after, ascending.
func (d *DeadLetters) List(ctx context.Context, after int64, limit int) ([]model.DeadLetter, error) {
	return d.letters.List(ctx, after, limit)
}

// Get returns a dead letter, an error of kind NotFound if there is none.
func (d *DeadLetters) Get(ctx context.Context, id int64) (model.DeadLetter, error) {
	return d.letters.Get(ctx, id)
}

// Discard drops a dead letter for good. The error is of kind NotFound if there is none.
func (d *DeadLetters) Discard(ctx context.Context, id int64) error {
	found, err := d.letters.Discard(ctx, id)
	if err == nil && !found {
		return &model.Error{Kind: model.NotFound, Message: "there is no such dead letter"}
	}
	return err
}

// Retry stores the write of a dead letter, and drops it. The error is of kind Conflict if the item has been
// written since, and Invalid if the write cannot be stored now either; the letter, or in the case of a counter
// a new one, then stays.
func (d *DeadLetters) Retry(ctx context.Context, id int64) error {
	l, err := d.letters.Get(ctx, id)
	switch {
	case err != nil:
		return err
	case l.Write.Item != nil:
		return d.retryItem(ctx, &l)
	case l.Write.Delta != nil:
		return d.retryCount(ctx, &l)
	default:
		return model.NewInvalid("", "the entry cannot be read: it can only be discarded")
	}
}

// evictions is how often it is tried to drop an item from the caches.
const evictions = 3

// retryItem stores the item's row. The caches, which know the item without that write, must forget it. They do
// so before, too: if this process ends in between, a filter that has never heard of the item would go on to say
// that there is none.
func (d *DeadLetters) retryItem(ctx context.Context, l *model.DeadLetter) error {
	item := l.Write.Item.ID
	s := d.space.Shard(item)
	if g := d.table.Grant(s); g == nil || (!g.SQL && d.table.Away(s)) {
		return model.NewUnavailable("the item's shard moves, or its cache is out of reach: nothing was done", nil)
	}
	if err := d.evict(ctx, s, item); err != nil {
		return model.NewUnavailable("the item's cache does not answer: nothing was done", err)
	}
	applied, err := d.letters.RetryItem(ctx, l.ID)
	if err != nil {
		return err
	}
	if !applied {
		return &model.Error{Kind: model.Conflict, Message: "the item has been written since"}
	}
	if err := d.evict(ctx, s, item); err != nil {
		return model.NewUnavailable("the write is stored, but caches may still show the item as it was before", err)
	}
	return nil
}

// evict drops an item of shard s from the caches.
func (d *DeadLetters) evict(ctx context.Context, s int, item model.ID) (err error) {
	for range evictions {
		if g := d.table.Grant(s); g != nil && g.SQL {
			return nil // nothing is cached, nor trusted later of what was
		}
		if err = d.evictor.Evict(ctx, item); err == nil {
			return nil
		}
	}
	return err
}

// retryCount makes the change anew. Its key keeps it from being made twice if it is not known whether it was
// made. Nor is the letter dropped before the change is in SQL.
func (d *DeadLetters) retryCount(ctx context.Context, l *model.DeadLetter) error {
	delta := l.Write.Delta
	if delta.N < -model.MaxCount || delta.N > model.MaxCount {
		return model.NewInvalid("", "the change is greater than any that can be made at once")
	}
	results, errs := d.counts.Count(ctx, []model.Count{{
		Counter: delta.Counter, Op: model.CountAdd, N: delta.N,
		IdempotencyKey: fmt.Sprintf("dead:%d", l.ID), Fingerprint: l.Version.String(),
	}})
	if errs[0] != nil {
		return errs[0]
	}
	switch res := &results[0]; res.Outcome {
	case model.OutcomeApplied:
		if res.Committed {
			break
		}
		err := d.counts.AwaitCount(ctx, delta.Subject, res.Version)
		if model.KindOf(err) == model.Invalid {
			_ = d.Discard(ctx, l.ID) // its successor tells the same; left here, both could be made some day
		}
		if err != nil {
			return err
		}
	case model.OutcomeOutOfRange:
		return model.NewInvalid("", "the counter would leave its range")
	case model.OutcomeTooManyMetrics:
		return model.NewInvalid("", "the subject has as many counters as it may")
	default:
		return &model.Error{Kind: model.Internal, Message: "unknown outcome of a change"}
	}
	return d.Discard(ctx, l.ID)
}
