package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

// The mix of the load, in percent: of turns that are a batch, of items that are edited and deleted
// later, and of edits and deletions that go into batches.
const (
	batchShare   = 15
	editShare    = 5
	deleteShare  = 2
	batchedShare = 50
)

const (
	maxBatch         = 100
	progressInterval = 5 * time.Second
)

// progress is what the load has done so far.
type progress struct{ items, increments, reads atomic.Int64 }

// done returns which part of the load is done, from 0 to 1.
func (d *demo) done() float64 {
	return float64(d.progress.items.Load()+d.progress.increments.Load()) / float64(d.opts.items+d.opts.increments)
}

// load creates all items, edits and deletes some, and sends all increments, over all replicas in turn,
// while others read counters. The faults of the options come about meanwhile, to servers.
func (d *demo) load(ctx context.Context, servers *stack) (int, error) {
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	group, working := errgroup.WithContext(loading)
	workers := min(d.opts.workers, d.opts.items)
	for i := range workers {
		group.Go(func() error { return d.work(working, i, workers) })
	}
	var loadErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		loadErr = group.Wait()
	}()
	watchers, reading := errgroup.WithContext(loading)
	if d.opts.increments > 0 {
		for i := range counterReaders {
			watchers.Go(func() error { return d.observeCounters(reading, i, done) })
		}
	}
	err := d.watch(ctx, d.faults(servers), done)
	if err != nil {
		cancel()
	}
	<-done
	d.report.window("")
	return len(d.book.items), errors.Join(err, loadErr, watchers.Wait())
}

// work does the share of one worker: items and increments, neither far ahead of the other, so that both
// meet the faults.
func (d *demo) work(ctx context.Context, worker, workers int) (err error) {
	l, c := d.newLoader(worker), d.newCounting(worker)
	defer func() {
		d.book.add(l.items)
		d.tally.add(c.own)
	}()
	items, increments := share(d.opts.items, workers, worker), share(d.opts.increments, workers, worker)
	allItems, allIncrements := items, increments
	for items > 0 || increments > 0 {
		n := 0
		if items > 0 && items*allIncrements >= increments*allItems {
			n, err = l.next(ctx, items)
			items -= n
			d.progress.items.Add(int64(n))
		} else {
			n, err = c.next(ctx, increments)
			increments -= n
			d.progress.increments.Add(int64(n))
		}
		if err != nil {
			return err
		}
	}
	if err := l.settleDue(ctx, 100); err != nil {
		return err
	}
	return c.finish(ctx)
}

// share returns the i-th of n parts of a whole that differ by at most 1.
func share(whole, n, i int) int {
	part := whole / n
	if i < whole%n {
		part++
	}
	return part
}

// loader creates items for one worker of the load.
type loader struct {
	*writer
	authors authors
	zipf    *rand.Zipf
	items   []*model.Item
	live    []*model.Item
	edits   int // that are due
	deletes int
}

func (d *demo) newLoader(worker int) *loader {
	w := d.newWriter(uint64(worker))
	return &loader{writer: w, authors: d.authors, zipf: zipf(w.rng, d.opts.authors)}
}

// newWriter returns a writer with random choices of its own.
func (d *demo) newWriter(stream uint64) *writer {
	rng := rand.New(rand.NewPCG(d.opts.seed, 1+stream))
	return &writer{api: d.api, report: d.report, rng: rng, turn: int(stream)}
}

// next creates at most quota items, and edits and deletes as many as are due. It returns how many it
// tried to create.
func (l *loader) next(ctx context.Context, quota int) (int, error) {
	before := len(l.items)
	n := 1
	var err error
	if l.rng.IntN(100) < batchShare {
		n = min(quota, 1+l.rng.IntN(maxBatch))
		err = l.mixed(ctx, n)
	} else {
		err = l.single(ctx)
	}
	if err != nil {
		return n, err
	}
	for range len(l.items) - before {
		l.edits += l.chance(editShare)
		l.deletes += l.chance(deleteShare)
	}
	return n, l.settleDue(ctx, 100-batchedShare)
}

// chance returns 1 in so many percent of all cases, else 0.
func (l *loader) chance(percent int) int {
	if l.rng.IntN(100) < percent {
		return 1
	}
	return 0
}

func (l *loader) nextAuthor() model.ID { return l.authors.id(l.zipf.Uint64()) }

// single creates one item by a request of its own.
func (l *loader) single(ctx context.Context) error {
	it, err := l.create(ctx, l.nextAuthor())
	if err != nil || it == nil {
		return err
	}
	l.items = append(l.items, it)
	l.live = append(l.live, it)
	return nil
}

// mixed creates n items in one batch, which also does edits and deletions that are due.
func (l *loader) mixed(ctx context.Context, n int) error {
	var ops []batchOp
	for ; l.edits > 0 && len(l.live) > 0; l.edits-- {
		ops = append(ops, l.editOp(l.live[l.rng.IntN(len(l.live))]))
	}
	for ; l.deletes > 0 && len(l.live) > 0; l.deletes-- {
		ops = append(ops, l.removeOp(l.takeLive()))
	}
	first := len(ops)
	for range n {
		op, err := l.createOp(ctx, l.nextAuthor())
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	if err := l.batch(ctx, ops); err != nil {
		return err
	}
	for _, op := range ops[first:] {
		if op.item.ID != 0 {
			l.items = append(l.items, op.item)
			l.live = append(l.live, op.item)
		}
	}
	return nil
}

// settleDue does so many percent of the edits and deletions that are due, each by a request of its own;
// the next batch does the rest.
func (l *loader) settleDue(ctx context.Context, percent int) error {
	for range l.edits {
		if len(l.live) > 0 && l.chance(percent) == 1 {
			l.edits--
			if err := l.edit(ctx, l.live[l.rng.IntN(len(l.live))]); err != nil {
				return err
			}
		}
	}
	for range l.deletes {
		if len(l.live) > 0 && l.chance(percent) == 1 {
			l.deletes--
			if err := l.remove(ctx, l.takeLive()); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeLive removes a random item from those that may still be edited.
func (l *loader) takeLive() *model.Item {
	i, last := l.rng.IntN(len(l.live)), len(l.live)-1
	it := l.live[i]
	l.live[i] = l.live[last]
	l.live = l.live[:last]
	return it
}
