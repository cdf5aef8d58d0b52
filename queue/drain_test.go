package queue

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

// Rounds fail before their commit, and after it, as when the reply is lost. Everything arrives once, in
// its order, and is released.
func TestP1_DrainArrivesOnceWhateverFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var commits atomic.Int64
	fail := func(every int64) func() error {
		return func() error {
			if n := commits.Add(1); n <= 8 && n%every == 0 {
				return model.NewUnavailable("the database is away", model.ErrDatabase)
			}
			return nil
		}
	}
	r.sql.before, r.sql.after = fail(2), fail(3)
	r.start()
	const items, writers = 20, 4
	var group sync.WaitGroup
	var mu sync.Mutex
	last := make(map[model.ID]model.Version)
	for w := range writers {
		group.Go(func() {
			for i := range 100 {
				id := model.ID(1 + w + writers*(i%(items/writers)))
				write := model.Write{ID: id, AuthorID: 9, Kind: "post", Content: []byte(textN(i)), At: time.UnixMilli(1000).UTC()}
				res, err := r.producer.Write(t.Context(), &write)
				if err == nil && i%10 == 0 {
					err = r.producer.Await(t.Context(), id, res.Version)
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				last[id] = res.Version
				mu.Unlock()
			}
		})
	}
	group.Wait()
	r.eventually("everything is stored and released", func() bool {
		for s := range testShards {
			if len(r.queued(s)) > 0 {
				return false
			}
		}
		return true
	})
	for id, want := range last {
		if row, _ := r.sql.Get(t.Context(), id); row.Version != want {
			t.Errorf("item %s is stored as %d, want %d", id, row.Version, want)
		}
		if e := r.entry(id); e.Pinned || e.Item.Version != want {
			t.Errorf("entry of %s: %+v", id, e)
		}
		arrived := r.sql.arrived[id]
		if !slices.IsSorted(arrived) || len(slices.Compact(slices.Clone(arrived))) != len(arrived) {
			t.Errorf("writes of %s arrived as %v", id, arrived)
		}
	}
	if commits.Load() < 8 || len(last) != items {
		t.Errorf("%d commits of %d items", commits.Load(), len(last))
	}
}

// Another drainer was here: its shard is left out of the round, which goes on, and comes later.
func TestDrainCAS_RefusedShardIsRefreshedAndCostsOnlyItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mine, others := r.inShard(0, 0), r.inShard(1, 0)
	first := r.put(others, `"x"`)
	sh, _ := r.sql.All(t.Context())
	if applied := r.sql.commit(&model.Batch{
		Advances: []model.Advance{{Shard: 1, Epoch: sh[1].Epoch, Home: sh[1].Home, To: first}},
		Writes:   []model.Queued{{Shard: 1, Version: first, Item: &model.Item{ID: others, Version: first}}},
	}); applied.Refused != nil {
		t.Fatal(applied.Refused)
	}
	second := r.put(others, `"y"`)
	v := r.put(mine, `"z"`)
	if err := r.round(0, 1); err != nil {
		t.Fatal(err)
	}
	if r.sql.position(0) != v || r.sql.position(1) != first {
		t.Errorf("positions %d and %d", r.sql.position(0), r.sql.position(1))
	}
	if r.entry(mine).Pinned || !r.entry(others).Pinned {
		t.Error("what is stored is released, and nothing else")
	}
	r.eventually("the refused shard is looked at again", func() bool { return slices.Contains(r.workers[0].take(), 1) })
	if err := r.round(1); err != nil {
		t.Fatal(err)
	}
	if got := r.sql.arrived[others]; !slices.Equal(got, []model.Version{first, second}) || r.entry(others).Pinned {
		t.Errorf("arrived %v, entry %+v", got, r.entry(others))
	}
}

// A predecessor has stored writes and died before it released them: who finds that completes it.
func TestUnfinishedReleaseIsCompleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.inShard(2, 0)
	v := r.put(id, `"x"`)
	sh, _ := r.sql.All(t.Context())
	r.sql.commit(&model.Batch{Advances: []model.Advance{{Shard: 2, Epoch: sh[2].Epoch, Home: sh[2].Home, To: v}}})
	r.eventually("the position is known", func() bool { return r.table.Position(2) == v })
	if err := r.round(2); err != nil {
		t.Fatal(err)
	}
	if r.entry(id).Pinned || len(r.queued(2)) > 0 || r.table.ReleasedUpTo(2) != v {
		t.Errorf("entry %+v, queue %v, released %d", r.entry(id), r.queued(2), r.table.ReleasedUpTo(2))
	}
}

func TestPromoteWakesOnlyShardsThatLag(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	released := make([]model.Version, itemShards)
	for s := range itemShards {
		released[s] = r.put(r.inShard(s, 0), `"x"`)
	}
	w := r.workers[0]
	if err := r.round(0, 1); err != nil {
		t.Fatal(err)
	}
	w.take()
	for s, v := range released {
		w.wakeLater(s, v)
	}
	var woken []int
	r.eventually("shards are woken", func() bool { woken = w.take(); return len(woken) > 0 })
	if !slices.Equal(woken, []int{2, 3}) {
		t.Errorf("woken: %v", woken)
	}
	// The first waiter of shard 0 is served, a later one is not: it wakes the shard when its time comes.
	w.wakeLater(0, released[0])
	w.wakeLater(0, released[0]+1)
	r.eventually("the later waiter is served", func() bool { return slices.Equal(w.take(), []int{0}) })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.later) != 0 || w.late != nil {
		t.Errorf("waits on for %v", w.later)
	}
}

// As long as Redis may know a key, SQL does too: a stream that comes back may hold it.
func TestKeysAreForgottenWithTheTombstones(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.TombstonePeriod = 10 * time.Millisecond
	r.start()
	expired := func() []time.Time {
		r.sql.mu.Lock()
		defer r.sql.mu.Unlock()
		return r.sql.expired
	}
	began := time.Now()
	r.eventually("keys are forgotten again and again", func() bool { return len(expired()) > 1 })
	if age := began.Sub(expired()[0]); age > 2*r.cfg.IdempotencyTTL || age < 2*r.cfg.IdempotencyTTL-time.Minute {
		t.Errorf("keys older than %v are forgotten", age)
	}
}

func TestTombKeep_TombstonesGoAfterThePositionHasPassedThem(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(10_000_000)
	const passed, young, queued = 1, 2, 3
	r := newRig(t, func(sql *memory) {
		for s := range sql.shards {
			sql.shards[s].Position = model.NewVersion(0, 5)
		}
		sql.rows[passed] = model.Item{ID: passed, Version: 5, Deleted: true, UpdatedAt: now.Add(-2 * time.Hour)}
		sql.rows[young] = model.Item{ID: young, Version: 5, Deleted: true, UpdatedAt: now}
		sql.rows[queued] = model.Item{ID: queued, Version: 6, Deleted: true, UpdatedAt: now.Add(-2 * time.Hour)}
		for id := model.ID(100); id < 100+2*tombstonePage; id++ { // more than a page, all to go
			sql.rows[id] = model.Item{ID: id, Version: 1, Deleted: true, UpdatedAt: now.Add(-2 * time.Hour)}
		}
		sql.rows[99] = model.Item{ID: 99, Version: 1, UpdatedAt: now.Add(-2 * time.Hour)}
	})
	if err := r.removeTombstones(t.Context(), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(r.sql.removed) != 1+2*tombstonePage || r.sql.removed[0].ID != passed {
		t.Errorf("%d rows are removed, first %+v", len(r.sql.removed), r.sql.removed[0])
	}
	for _, id := range []model.ID{young, queued, 99} {
		if r.sql.rows[id].ID != id {
			t.Errorf("row %s is gone", id)
		}
	}
}
