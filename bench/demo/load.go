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
	downtime         = 3 * time.Second // of a replica that was killed
)

// load creates all items, and edits and deletes some, over all replicas in turn. servers, if not nil,
// loses and regains a replica halfway if the options ask for it.
func (d *demo) load(ctx context.Context, servers *stack) (int, error) {
	var created atomic.Int64
	halfway := make(chan struct{})
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	group, loading := errgroup.WithContext(loading)
	workers := min(d.opts.workers, d.opts.items)
	half := int64(max(1, d.opts.items/2))
	progress := func(n int) {
		if after := created.Add(int64(n)); after >= half && after-int64(n) < half {
			close(halfway)
		}
	}
	for i := range workers {
		group.Go(func() error {
			l := d.newLoader(i)
			err := l.run(loading, share(d.opts.items, workers, i), progress)
			d.book.add(l.items)
			return err
		})
	}
	var loadErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		loadErr = group.Wait()
	}()
	err := d.watch(ctx, servers, done, halfway, &created)
	if err != nil {
		cancel()
	}
	<-done
	return len(d.book.items), errors.Join(err, loadErr)
}

// share returns the i-th of n parts of a whole that differ by at most 1.
func share(whole, n, i int) int {
	part := whole / n
	if i < whole%n {
		part++
	}
	return part
}

// watch shows the progress of the load until it is done, and kills a replica halfway. It runs on the
// goroutine of its caller, the only one that may start replicas; see childAttr.
func (d *demo) watch(ctx context.Context, servers *stack, done, halfway <-chan struct{}, created *atomic.Int64) error {
	if !d.opts.kill {
		halfway = nil
	}
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-halfway:
			halfway = nil
			if err := d.killOne(ctx, servers); err != nil {
				return err
			}
		case <-tick.C:
			d.report.say("load: %d of %d items", created.Load(), d.opts.items)
		}
	}
}

// killOne kills the last replica and starts it again a little later.
func (d *demo) killOne(ctx context.Context, servers *stack) error {
	d.report.say("load: kill -9 of replica %d", len(servers.replicas)-1)
	victim := servers.replicas[len(servers.replicas)-1]
	if err := victim.kill(); err != nil {
		return err
	}
	if err := pause(ctx, downtime); err != nil {
		return err
	}
	if err := victim.start(ctx); err != nil {
		return err
	}
	d.report.say("load: it is back")
	return nil
}

// loader is one worker of the load.
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

// run creates quota items and tells progress how many at a time.
func (l *loader) run(ctx context.Context, quota int, progress func(n int)) error {
	for quota > 0 {
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
			return err
		}
		quota -= n
		progress(n)
		for range len(l.items) - before {
			l.edits += l.chance(editShare)
			l.deletes += l.chance(deleteShare)
		}
		if err := l.settleDue(ctx, 100-batchedShare); err != nil {
			return err
		}
	}
	return l.settleDue(ctx, 100)
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
