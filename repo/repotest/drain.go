package repotest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var drainTests = []test{
	{"Drain/MovesAndWrites", movesAndWrites},
	{"Drain/RefusesWhole", refusesWhole},
	{"Drain/Opening", drainsOpening},
	{"Drain/P1_OneOfManyWins", oneOfManyWins},
	{"Drain/OverlappingItems", overlappingItems},
	{"Drain/NewestOfEachItem", newestOfEach},
	{"Drain/LeavesOutWhatSQLKnows", leavesOutKnown},
	{"Drain/Large", largeBatch},
}

func apply(t *testing.T, r Repo, b *model.Batch) []int {
	t.Helper()
	return applied(t, r, b).Refused
}

func applied(t *testing.T, r Repo, b *model.Batch) model.Applied {
	t.Helper()
	a, err := r.Drain.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func movesAndWrites(t *testing.T, r Repo) {
	s := opened(t, r, 3)
	v := model.NewVersion(1, 8)
	batch := &model.Batch{
		Advances: []model.Advance{move(s[2], v), move(s[0], v-1)},
		Writes:   puts(item(9, 1, v), item(2, 1, v-1), tombstone(5, 1, v)),
	}
	if refused := apply(t, r, batch); refused != nil {
		t.Fatalf("refused %v", refused)
	}
	for _, w := range batch.Writes {
		wantItem(t, r, *w.Item)
	}
	s[0].Position, s[2].Position = v-1, v
	if got := state(t, r); !slices.Equal(got, s) {
		t.Errorf("shards %+v, want %+v", got, s)
	}
	if refused := apply(t, r, batch); !slices.Equal(refused, []int{2, 0}) {
		t.Errorf("the same batch again: refused %v, want both", refused)
	}
	if refused := apply(t, r, &model.Batch{}); refused != nil {
		t.Errorf("an empty batch is refused: %v", refused)
	}
}

// One shard that is not where the batch was read after refuses all of it.
func refusesWhole(t *testing.T, r Repo) {
	s := opened(t, r, 2)
	v := model.NewVersion(1, 3)
	for name, change := range map[string]func(a *model.Advance){
		"position": func(a *model.Advance) { a.From++ },
		"epoch":    func(a *model.Advance) { a.Epoch++ },
		"home":     func(a *model.Advance) { a.Home = "elsewhere" },
		"opening":  func(a *model.Advance) { a.Opening = true },
		"shard":    func(a *model.Advance) { a.Shard = 77 },
	} {
		batch := &model.Batch{Advances: []model.Advance{move(s[0], v), move(s[1], v)}, Writes: puts(item(1, 1, v))}
		change(&batch.Advances[1])
		if refused := apply(t, r, batch); !slices.Equal(refused, []int{batch.Advances[1].Shard}) {
			t.Errorf("%s: refused %v", name, refused)
		}
		if got, err := r.Feeds.Get(t.Context(), 1); err != nil || got.Version != 0 {
			t.Errorf("%s: a refused batch wrote %+v, %v", name, got, err)
		}
		if got := state(t, r); !slices.Equal(got, s) {
			t.Errorf("%s: a refused batch moved a shard: %+v", name, got)
		}
	}
}

// The opener drains before the shard is ready, and then its Confirm names the new position.
func drainsOpening(t *testing.T, r Repo) {
	s := opened(t, r, 1)
	claimed, _, err := r.Claims.Claim(t.Context(), "r", []model.Claim{{Shard: 0, Epoch: 1, Home: "new"}})
	if err != nil {
		t.Fatal(err)
	}
	v := model.NewVersion(1, 4)
	if refused := apply(t, r, &model.Batch{Advances: []model.Advance{move(s[0], v)}}); refused == nil {
		t.Error("a drain of the ended epoch was accepted")
	}
	a := move(claimed[0], v)
	if refused := apply(t, r, &model.Batch{Advances: []model.Advance{a}}); refused == nil {
		t.Error("a drain that is not the opener's was accepted before the shard is ready")
	}
	a.Opening = true
	if refused := apply(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: puts(item(1, 1, v))}); refused != nil {
		t.Fatal("the opener's drain was refused")
	}
	wantItem(t, r, item(1, 1, v))
	if confirmed, err := r.Claims.Confirm(t.Context(), claimed); err != nil || len(confirmed) != 0 {
		t.Errorf("Confirm at the old position: %v, %v", confirmed, err)
	}
	claimed[0].Position = v
	if confirmed, err := r.Claims.Confirm(t.Context(), claimed); err != nil || len(confirmed) != 1 {
		t.Errorf("Confirm at the new position: %v, %v", confirmed, err)
	}
}

func oneOfManyWins(t *testing.T, r Repo) {
	s := opened(t, r, 4)
	const rounds, drainers = 10, 8
	// Rounds that meet may refuse each other: then all begin again, as drainers do.
	for round, deadline := 0, time.Now().Add(20*time.Second); round < rounds; {
		var wins atomic.Int32
		var winner atomic.Int64
		var g errgroup.Group
		for d := range drainers {
			g.Go(func() error {
				var b model.Batch
				for _, k := range rand.Perm(len(s)) {
					b.Advances = append(b.Advances, move(s[k], model.NewVersion(1, int64(round+1))))
				}
				b.Writes = puts(item(model.ID(round+1), model.ID(d+1), 1))
				a, err := r.Drain.Apply(t.Context(), &b)
				if err == nil && len(a.Refused) == 0 {
					wins.Add(1)
					winner.Store(int64(d + 1))
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if n := wins.Load(); n > 1 || time.Now().After(deadline) {
			t.Fatalf("round %d: %d drainers moved the same shards", round, n)
		}
		if wins.Load() == 0 {
			continue
		}
		wantItem(t, r, item(model.ID(round+1), model.ID(winner.Load()), 1))
		s = state(t, r)
		round++
	}
}

// Rounds that write the same items in any order all come through, and the newest version stays.
func overlappingItems(t *testing.T, r Repo) {
	const writers, rounds, items = 6, 15, 40
	var version atomic.Int64
	var mu sync.Mutex
	newest := make(map[model.ID]model.Version)
	var g errgroup.Group
	for range writers {
		g.Go(func() error {
			for range rounds {
				var b model.Batch
				for _, k := range rand.Perm(items)[:items/2] {
					id, v := model.ID(k+1), model.Version(version.Add(1))
					b.Writes = append(b.Writes, puts(item(id, 1, v))...)
					mu.Lock()
					newest[id] = max(newest[id], v)
					mu.Unlock()
				}
				if _, err := r.Drain.Apply(t.Context(), &b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for id, v := range newest {
		wantItem(t, r, item(id, 1, v))
	}
}

// Of several writes of an item in one batch, in whatever order, one row is written: the newest.
func newestOfEach(t *testing.T, r Repo) {
	s := opened(t, r, 1)
	b := &model.Batch{
		Advances: []model.Advance{move(s[0], 9)},
		Writes:   puts(item(4, 1, 1), item(7, 1, 2), tombstone(4, 1, 3), item(4, 1, 2), item(7, 1, 5)),
	}
	if a := applied(t, r, b); a.ItemRows != 2 || a.CounterRows != 0 || a.LeftOut != 0 || a.DeadLetters != nil {
		t.Errorf("applied %+v, want 2 rows", a)
	}
	wantItem(t, r, tombstone(4, 1, 3))
	wantItem(t, r, item(7, 1, 5))
	if got := state(t, r); got[0].Skipped != 0 {
		t.Errorf("nothing was left out, and the shard is %+v", got[0])
	}
}

// An opener leaves out what came to SQL by another way while Redis was lost; other drainers need not look.
func leavesOutKnown(t *testing.T, r Repo) {
	s := opened(t, r, 3)
	keyed := func(w model.Queued, shard int, key string) model.Queued {
		w.Shard = shard
		return keyed(w, key, "f|1")
	}
	before := puts(item(50, 1, 1))[0]
	if refused := apply(t, r, &model.Batch{Advances: []model.Advance{move(s[0], 1)}, Writes: []model.Queued{keyed(before, 0, "known")}}); refused != nil {
		t.Fatal(refused)
	}
	r.SQL(t, "INSERT INTO flushed (shard, version) VALUES (0, 3), (1, 2)")
	s = state(t, r)
	b := &model.Batch{Writes: []model.Queued{
		keyed(puts(item(1, 1, 2))[0], 0, "known"),
		keyed(change(0, 3, "s", "flushed", 4), 0, "other"),
		keyed(change(0, 4, "s", "known", 4), 0, "known"),
		keyed(puts(item(2, 1, 5))[0], 0, "new"),
		keyed(puts(item(3, 1, 2))[0], 1, "known"),
		change(1, 2, "s", "n", 3),                 // neither the key nor the note counts in a shard that is not opening
		keyed(puts(item(4, 1, 3))[0], 2, "known"), // another shard's key
	}}
	for _, shard := range []int{0, 2} {
		a := move(open(t, r, model.Claim{Shard: shard, Epoch: 1, Home: "h"}, false), 9)
		a.Opening = true
		b.Advances = append(b.Advances, a)
	}
	b.Advances = append(b.Advances, move(s[1], 9))
	if a := applied(t, r, b); a.LeftOut != 3 || a.ItemRows != 3 || a.CounterRows != 1 || a.Refused != nil || a.DeadLetters != nil {
		t.Errorf("applied %+v, want 3 writes left out, 3 rows and 1 counter", a)
	}
	for _, it := range []model.Item{item(2, 1, 5), item(3, 1, 2), item(4, 1, 3)} {
		wantItem(t, r, it)
	}
	if got, err := r.Feeds.Get(t.Context(), 1); err != nil || got.Version != 0 {
		t.Errorf("a write whose key is known became %+v, %v", got, err)
	}
	wantTotals(t, r, "s", map[string]int64{"n": 3})
	for i, want := range []model.Version{9, 0, 0} {
		if got := state(t, r)[i]; got.Skipped != want || got.Position != 9 {
			t.Errorf("shard %+v, want skipped %d", got, want)
		}
	}
	if _, ok, err := r.Keys.Recall(t.Context(), 0, "other"); err != nil || ok {
		t.Errorf("the key of a write that was left out was stored again: %v, %v", ok, err)
	}
}

func largeBatch(t *testing.T, r Repo) {
	const n = 10_000
	var b model.Batch
	for _, k := range rand.Perm(n) {
		b.Writes = append(b.Writes, puts(item(model.ID(k+1), model.ID(k%100), 1))...)
	}
	if refused := apply(t, r, &b); refused != nil {
		t.Fatal(refused)
	}
	var all []model.ID
	for _, w := range b.Writes {
		all = append(all, w.Item.ID)
	}
	got, err := r.Feeds.GetMany(t.Context(), all)
	if err != nil || len(got) != n {
		t.Fatalf("read %d of %d items: %v", len(got), n, err)
	}
}
