package service

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

// batchWorkers bounds how many operations of one batch are under way at once.
const batchWorkers = 64

// Batch applies operations and returns their results in the same order. Those on one item are applied
// in their order, others at once. Each stands for itself: one that fails fails alone, except that what
// follows it on the same item is not attempted when its outcome is unknown, for the two could then
// take effect in either order. Fields of errors are JSON pointers from the operation's own root.
//
// An idempotency key that belongs to another batch fails every operation, before any is applied.
//
// All writes are queued before the first is waited for, so that synchronous ones share commits.
func (f *Feeds) Batch(ctx context.Context, ops []BatchOp, opts WriteOptions) []BatchResult {
	b := &batch{feeds: f, opts: opts, ops: ops, waits: make([]pending, len(ops)), errs: make([]error, len(ops))}
	store, err := f.store(opts.Store)
	if err == nil && opts.IdempotencyKey != "" {
		// The operations keep their keys with their items, so that those of another batch with the
		// key may meet none of them.
		err = markKey(ctx, f.deps.Results, storedKey("batch", opts.IdempotencyKey), opts.Fingerprint)
	}
	for i := range ops {
		b.errs[i] = err
	}
	if err == nil {
		b.opts.Store = store
		b.submit(ctx)
		b.settle(ctx)
	}
	results := make([]BatchResult, len(ops))
	for i := range results {
		if b.errs[i] != nil {
			results[i].Err = b.errs[i]
			continue
		}
		results[i].Written = b.waits[i].written
	}
	return results
}

// batch is one call of Batch under way. waits and errs have one element for each operation, written by
// the worker that has the operation.
type batch struct {
	feeds *Feeds
	opts  WriteOptions
	ops   []BatchOp
	waits []pending
	errs  []error
}

// submit queues the writes.
func (b *batch) submit(ctx context.Context) {
	var workers errgroup.Group
	workers.SetLimit(batchWorkers)
	for _, group := range b.byItem() {
		workers.Go(func() error {
			b.submitInOrder(ctx, group)
			return nil
		})
	}
	_ = workers.Wait() // each operation keeps its own error
}

// byItem groups the numbers of the operations by their item. A creation that asks for an ID is alone.
func (b *batch) byItem() [][]int {
	groups := make([][]int, 0, len(b.ops))
	groupOf := make(map[model.ID]int, len(b.ops))
	for i := range b.ops {
		id := b.ops[i].Draft.ID
		g, known := groupOf[id]
		if !known || id == 0 {
			g = len(groups)
			groupOf[id] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

func (b *batch) submitInOrder(ctx context.Context, group []int) {
	unknown := false
	for _, i := range group {
		switch {
		case unknown:
			b.errs[i] = model.NewUnavailable("not attempted: the outcome of an earlier operation on the item is unknown", nil)
		case ctx.Err() != nil:
			b.errs[i] = model.NewUnavailable("not attempted: the request ended", context.Cause(ctx))
		default:
			b.waits[i], b.errs[i] = b.submitOne(ctx, i)
			unknown = b.errs[i] != nil && model.KindOf(b.errs[i]) == model.Unavailable
		}
	}
}

func (b *batch) submitOne(ctx context.Context, i int) (pending, error) {
	op, f := b.ops[i], b.feeds
	key := batchKey(i, b.opts.IdempotencyKey)
	if op.Op == model.OpDelete {
		if err := needID(op.Draft.ID); err != nil {
			return pending{}, err
		}
		return f.submit(ctx, f.deletion(op.Draft.ID, op.Cond, key, b.opts.Fingerprint), b.opts.Store)
	}
	if !op.Create {
		if err := needID(op.Draft.ID); err != nil {
			return pending{}, err
		}
	}
	d, err := f.check(op.Draft)
	if err != nil {
		return pending{}, err
	}
	if op.Create {
		op.Cond = model.Cond{Absent: true}
	}
	if d.ID == 0 {
		if d.ID, err = f.mint(ctx, key); err != nil {
			return pending{}, err
		}
	}
	p, err := f.submit(ctx, f.put(d, op.Cond, key, b.opts.Fingerprint), b.opts.Store)
	if op.Create {
		err = asConflict(err)
	}
	return p, err
}

// settle waits until the writes that were queued may be answered.
func (b *batch) settle(ctx context.Context) {
	if b.opts.Store != model.StoreSync {
		return
	}
	var workers errgroup.Group
	workers.SetLimit(batchWorkers)
	for i := range b.ops {
		if b.errs[i] != nil {
			continue
		}
		workers.Go(func() error {
			b.errs[i] = b.feeds.settle(ctx, b.waits[i])
			return nil
		})
	}
	_ = workers.Wait() // as above
}
