package queue

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
)

// worker drains a part of the shards, one round after the other: read, commit, release, trim. While
// one worker waits for SQL another may read or release.
type worker struct {
	*Drainer
	signal   chan struct{}
	perShard int         // how many writes to ask one shard for, after the sizes seen
	writes   int         // that the last round committed, of items and of counters
	refused  int         // shards that the last round found elsewhere, or in the hands of another transaction
	busy     atomic.Bool // with a round

	mu    sync.Mutex // guards what is below
	dirty map[int]struct{}
	later map[int]expected
	late  *time.Timer // calls promote; nil while nobody waits

	gathered map[int]struct{} // shards whose changes wait for more of them
	changes  int              // that were told of since the last of these rounds
	ripe     *time.Timer      // calls flush; nil while nothing is gathered
}

func newWorker(d *Drainer) *worker {
	return &worker{
		Drainer: d, signal: make(chan struct{}, 1), perShard: firstPerShard,
		dirty: make(map[int]struct{}), later: make(map[int]expected), gathered: make(map[int]struct{}),
	}
}

const (
	// lateness is how long a waiter trusts that the shard's own drainer will come.
	lateness = 100 * time.Millisecond
	// firstPerShard is how many writes of a shard the first round asks for, whatever their size.
	firstPerShard = 16
	// retryFirst and retryMost bound the pause after a failed round.
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
)

func (w *worker) wake(s int) {
	w.mu.Lock()
	w.dirty[s] = struct{}{}
	w.mu.Unlock()
	w.notify()
}

// gather wakes the shard when its first change has waited for others long enough, together with all that
// are gathered by then: one transaction takes them. It does so at once when a round has enough to do.
func (w *worker) gather(s, changes int) {
	w.mu.Lock()
	w.gathered[s] = struct{}{}
	w.changes += changes
	enough := w.changes > roundEntries
	if w.ripe == nil {
		w.ripe = time.AfterFunc(w.cfg.CounterFlush, w.flush)
	}
	w.mu.Unlock()
	if enough {
		w.flush()
	}
}

// flush wakes all shards that are gathered.
func (w *worker) flush() {
	w.mu.Lock()
	for s := range w.gathered {
		w.dirty[s] = struct{}{}
	}
	clear(w.gathered)
	w.changes = 0
	if w.ripe != nil {
		w.ripe.Stop()
		w.ripe = nil
	}
	w.mu.Unlock()
	w.notify()
}

// expected is what waiters of one shard wait for: the versions of the first and of the last of them.
type expected struct{ first, last model.Version }

// wakeLater wakes the shard after a while unless v has been released by then.
func (w *worker) wakeLater(s int, v model.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, waiting := w.later[s]
	if !waiting {
		e.first = v
	}
	e.last = max(e.last, v)
	w.later[s] = e
	if w.late == nil {
		w.late = time.AfterFunc(lateness, w.promote)
	}
}

// promote makes the shards dirty that still lag. Those whose first waiter has been served wait on for
// the others.
func (w *worker) promote() {
	w.mu.Lock()
	for s, e := range w.later {
		released := w.table.ReleasedUpTo(s)
		switch {
		case released < e.first:
			w.dirty[s] = struct{}{}
			delete(w.later, s)
		case released < e.last:
			w.later[s] = expected{first: e.last, last: e.last}
		default:
			delete(w.later, s)
		}
	}
	w.late = nil
	if len(w.later) > 0 {
		w.late = time.AfterFunc(lateness, w.promote)
	}
	w.mu.Unlock()
	w.notify()
}

func (w *worker) notify() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// take empties the set of dirty shards.
func (w *worker) take() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]int, 0, len(w.dirty))
	for s := range w.dirty {
		list = append(list, s)
		delete(w.gathered, s) // what was told of so far is read now
	}
	clear(w.dirty)
	slices.Sort(list)
	return list
}

func (w *worker) run(ctx context.Context) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, timer := range []*time.Timer{w.late, w.ripe} {
			if timer != nil {
				timer.Stop()
			}
		}
	}()
	pause := retryFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.signal:
		}
		list := w.take()
		w.busy.Store(true)
		err := w.round(ctx, list)
		w.busy.Store(false)
		if err == nil {
			if pause != retryFirst {
				w.log.Info("the drain goes on")
			}
			pause = retryFirst
			continue
		}
		if ctx.Err() != nil {
			return
		}
		level := zap.DebugLevel // an outage has one line at its beginning and one at its end
		if pause == retryFirst {
			level = zap.WarnLevel
		}
		w.log.Log(level, "a round of the drain failed and will be repeated", zap.Error(err))
		w.metrics.failures.Inc()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMost)
		for _, s := range list {
			w.wake(s)
		}
	}
}

// finish drains what is left at the end of the process. Shards may still be in the hands of a transaction of the
// round that was ended: the database takes a moment to notice.
func (w *worker) finish(ctx context.Context) error {
	for {
		for s := range w.table.Shards() {
			if w.table.Owns(s) && w.worker(s) == w {
				w.wake(s)
			}
		}
		if err := w.round(ctx, w.take()); err != nil || w.writes+w.refused == 0 {
			return err
		}
		if w.writes > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryFirst):
		}
	}
}

// round brings what the shards hold after their positions to SQL and releases it. Shards that hold
// more than one round takes are woken again.
func (w *worker) round(ctx context.Context, list []int) error {
	began := time.Now()
	w.writes, w.refused = 0, 0
	batch, err := w.read(ctx, list)
	if err != nil {
		return err
	}
	if err := w.commit(ctx, batch); err != nil {
		return err
	}
	items, changes := batch.size() // without those of refused shards
	w.writes = items + changes
	if err := failpoint.Hit("drain.before_release"); err != nil {
		return err
	}
	if err := w.release(ctx, batch); err != nil {
		return err
	}
	if err := failpoint.Hit("drain.before_trim"); err != nil {
		return err
	}
	w.trim(ctx, batch)
	if w.writes > 0 {
		w.metrics.observe(items, changes, time.Since(began))
	}
	for _, s := range batch.more {
		w.wake(s)
	}
	return nil
}

// commit writes the batch to SQL. Shards that turn out to stand elsewhere are left out.
func (w *worker) commit(ctx context.Context, b *batch) error {
	for len(b.parts) > 0 {
		applied, err := w.apply(ctx, b.transaction())
		if err != nil {
			return err
		}
		if len(applied.Refused) == 0 {
			b.skip(applied.DeadLetters)
			for _, p := range b.parts {
				w.committed(p.grant.Shard, p.grant.Epoch, p.to, p.skipped)
			}
			return nil
		}
		if err := w.refresh(ctx); err != nil {
			return err
		}
		b.drop(applied.Refused)
		w.refused += len(applied.Refused)
		for _, s := range applied.Refused { // not at once: its other drainer, or its next epoch, takes a moment
			w.wakeLater(s, math.MaxInt64)
		}
	}
	return nil
}

// apply commits a transaction, and tells of what it did.
func (d *Drainer) apply(ctx context.Context, tx *model.Batch) (model.Applied, error) {
	began := time.Now()
	applied, err := d.commits.Apply(ctx, tx)
	if err != nil {
		return applied, err
	}
	d.metrics.apply(&applied, time.Since(began))
	if n := len(applied.DeadLetters); n > 0 {
		first := applied.DeadLetters[0]
		d.log.Error("writes are kept as dead letters: the database refuses them, or they cannot be read",
			zap.Int("writes", n), zap.Int("shard", first.Shard), zap.Stringer("version", first.Version),
			zap.String("kind", first.Kind), zap.String("key", first.Key),
			zap.String("code", first.Code), zap.String("reason", first.Reason))
	}
	return applied, nil
}
