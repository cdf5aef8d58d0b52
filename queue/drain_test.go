package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

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
				return model.NewUnavailable("the database is away", nil)
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
	if refused := r.sql.commit(&model.Batch{
		Advances: []model.Advance{{Shard: 1, Epoch: sh[1].Epoch, Home: sh[1].Home, To: first}},
		Items:    []model.Item{{ID: others, Version: first}},
	}); refused != nil {
		t.Fatal(refused)
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
	r.table.Poke()
	r.eventually("the position is known", func() bool { return r.table.Position(2) == v })
	if err := r.round(2); err != nil {
		t.Fatal(err)
	}
	if r.entry(id).Pinned || len(r.queued(2)) > 0 || r.table.ReleasedUpTo(2) != v {
		t.Errorf("entry %+v, queue %v, released %d", r.entry(id), r.queued(2), r.table.ReleasedUpTo(2))
	}
}

func TestDamagedEntryIsNamedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.inShard(0, 0)
	v := r.put(id, `"x"`)
	damaged := redis.XAddArgs{Stream: r.space.Queue(0), ID: "1-2", Values: []string{"v7", "no record"}}
	if err := r.conn.Client().XAdd(t.Context(), &damaged).Err(); err != nil {
		t.Fatal(err)
	}
	err := r.round(0)
	if err == nil || !strings.Contains(err.Error(), "1-2") || !strings.Contains(err.Error(), "shard 0") {
		t.Errorf("got %v", err)
	}
	sh, _ := r.sql.All(t.Context())
	sh[0].Ready = false
	if _, err := r.DrainLeftovers(t.Context(), sh[0]); err == nil || !strings.Contains(err.Error(), "1-2") {
		t.Errorf("leftovers: %v", err)
	}
	if got := r.queued(0); !slices.Equal(got, []string{"1-1", "1-2"}) || r.sql.position(0) != 0 || !r.entry(id).Pinned {
		t.Errorf("queue %v, position %d, entry %+v", got, r.sql.position(0), r.entry(id))
	}
	if err := r.conn.Client().XDel(t.Context(), damaged.Stream, damaged.ID).Err(); err != nil { // repaired by hand
		t.Fatal(err)
	}
	if err := r.round(0); err != nil || r.sql.position(0) != v {
		t.Errorf("after the repair: %v, position %d", err, r.sql.position(0))
	}
}

func TestDrainLeftoversStopsWhenRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 5 {
		r.put(r.inShard(3, n), `"x"`)
	}
	before := r.queued(3)
	sh, _ := r.sql.All(t.Context())
	claimed := sh[3]
	claimed.Epoch++ // the attempt of somebody whom a later one has overtaken
	if position, err := r.DrainLeftovers(t.Context(), claimed); err == nil {
		t.Errorf("drained up to %d", position)
	}
	if !slices.Equal(r.queued(3), before) || len(r.sql.arrived) != 0 {
		t.Errorf("queue %v, stored %v", r.queued(3), r.sql.arrived)
	}
	r.sql.before = func() error { return errors.New("the database refuses") }
	if _, err := r.DrainLeftovers(t.Context(), claimed); err == nil || r.sql.position(3) != 0 {
		t.Errorf("without the database: %v, position %d", err, r.sql.position(3))
	}
}

func TestDrainLeftoversTakesAllPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const writes = 2*leftoverBatch + 3
	id := r.inShard(3, 0)
	var last model.Version
	for n := range writes {
		last = r.put(id, textN(n))
	}
	sh, _ := r.sql.All(t.Context())
	claimed, err := r.sql.claim(t.Context(), sh[3])
	if err != nil {
		t.Fatal(err)
	}
	if position, err := r.DrainLeftovers(t.Context(), claimed); err != nil || position != last || r.sql.position(3) != last {
		t.Errorf("drained up to %d, %v, want %d", position, err, last)
	}
	if row, _ := r.sql.Get(t.Context(), id); row.Version != last || len(r.sql.arrived[id]) != 3 {
		t.Errorf("stored %+v in %d transactions", row, len(r.sql.arrived[id]))
	}
}

// claim begins an epoch of one shard at the same home.
func (m *memory) claim(ctx context.Context, sh model.Shard) (model.Shard, error) {
	claimed, _, err := m.Claim(ctx, "a", []model.Claim{{Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home}})
	if err != nil || len(claimed) != 1 {
		return model.Shard{}, errors.Join(err, errors.New("not claimed"))
	}
	return claimed[0], nil
}

func TestPromoteWakesOnlyShardsThatLag(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	released := make([]model.Version, testShards)
	for s := range testShards {
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
