package repotest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var counterTests = []test{
	{"Counters/Aggregates", aggregates},
	{"Counters/Totals", readsTotals},
	{"Counters/WholeRange", wholeRange},
	{"Counters/Removes", removesCounters},
	{"Counters/OverlappingRounds", overlappingCounts},
}

// change returns a queued change of a counter.
func change(shard int, v model.Version, subject, metric string, n int64) model.Queued {
	d := &model.Delta{Counter: model.Counter{Subject: subject, Metric: metric}, N: n, At: noon}
	return model.Queued{Shard: shard, Version: v, Delta: d}
}

// count applies changes without moving any shard.
func count(t *testing.T, r Repo, writes ...model.Queued) model.Applied {
	t.Helper()
	return applied(t, r, &model.Batch{Writes: writes})
}

// wantTotals fails the test unless the subject has these counters. There must be a shard 0.
func wantTotals(t *testing.T, r Repo, subject string, want map[string]int64) {
	t.Helper()
	got, err := r.Counters.Totals(t.Context(), 0, []string{subject})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got.Values[subject], want) {
		t.Errorf("counters of %s: %v, want %v", subject, got.Values[subject], want)
	}
}

// A thousand increments of one counter cost one row.
func aggregates(t *testing.T, r Repo) {
	opened(t, r, 1)
	var writes []model.Queued
	for v := range 1000 {
		writes = append(writes, change(0, model.Version(v+1), "post:1", "likes", 1))
	}
	for round := int64(1); round <= 2; round++ {
		if a := count(t, r, writes...); a.CounterRows != 1 || a.ItemRows != 0 {
			t.Errorf("a thousand increments: %+v, want 1 row", a)
		}
		wantTotals(t, r, "post:1", map[string]int64{"likes": 1000 * round})
	}
	writes = append(writes, change(0, 1001, "post:1", "views", -3), change(0, 1002, "post:2", "likes", 5))
	if a := count(t, r, writes...); a.CounterRows != 3 {
		t.Errorf("changes of three counters: %+v", a)
	}
	wantTotals(t, r, "post:1", map[string]int64{"likes": 3000, "views": -3})
	wantTotals(t, r, "post:2", map[string]int64{"likes": 5})
}

func readsTotals(t *testing.T, r Repo) {
	s := opened(t, r, 3)
	b := &model.Batch{Advances: []model.Advance{move(s[2], 7)}, Writes: []model.Queued{
		change(2, 5, "a", "x", 1), change(2, 6, "a", "y", 2), change(2, 7, "b", "x", 3), change(2, 4, "c", "x", 9),
		change(2, 3, "b", "zero", 4), change(2, 4, "b", "zero", -4),
	}}
	if refused := apply(t, r, b); refused != nil {
		t.Fatal(refused)
	}
	got, err := r.Counters.Totals(t.Context(), 2, []string{"b", "nobody", "a"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]int64{"a": {"x": 1, "y": 2}, "b": {"x": 3, "zero": 0}}
	if !maps.EqualFunc(got.Values, want, maps.Equal) || got.Shard != state(t, r)[2] || got.Shard.Position != 7 {
		t.Errorf("totals %+v", got)
	}
	if got, err := r.Counters.Totals(t.Context(), 1, nil); err != nil || len(got.Values) != 0 || got.Shard != s[1] {
		t.Errorf("totals of no subject: %+v, %v", got, err)
	}
	if _, err := r.Counters.Totals(t.Context(), 3, []string{"a"}); model.KindOf(err) != model.Internal {
		t.Errorf("totals of a shard that does not exist: %v", err)
	}
}

// A change may lead from one end of the range to the other, on a new row and on an old one; and changes
// that meet in the range may leave it between.
func wholeRange(t *testing.T, r Repo) {
	opened(t, r, 1)
	for _, tc := range []struct {
		deltas []int64
		want   int64
	}{
		{[]int64{-model.MaxCount}, -model.MaxCount},
		{[]int64{2 * model.MaxCount}, model.MaxCount},
		{[]int64{1, 5, -6}, model.MaxCount},
		{[]int64{-model.MaxCount, -model.MaxCount, 1}, 1 - model.MaxCount},
	} {
		var writes []model.Queued
		for i, n := range tc.deltas {
			writes = append(writes, change(0, model.Version(i+1), "s", "m", n))
		}
		if a := count(t, r, writes...); a.CounterRows != 1 || a.DeadLetters != nil {
			t.Errorf("changes %v: %+v", tc.deltas, a)
		}
		wantTotals(t, r, "s", map[string]int64{"m": tc.want})
	}
}

// A removed counter has no row, unless it was counted again before the round.
func removesCounters(t *testing.T, r Repo) {
	opened(t, r, 1)
	removal := func(v model.Version, metric string, n int64) model.Queued {
		w := change(0, v, "s", metric, n)
		w.Delta.Remove = true
		return w
	}
	count(t, r, change(0, 1, "s", "gone", 5), change(0, 2, "s", "again", 5), change(0, 3, "s", "zero", 5))
	a := count(t, r, removal(4, "gone", -5), removal(5, "again", -5), change(0, 6, "s", "again", 2),
		change(0, 7, "s", "zero", -5), removal(8, "never was", 0))
	if a.DeadLetters != nil {
		t.Errorf("applied %+v", a)
	}
	wantTotals(t, r, "s", map[string]int64{"again": 2, "zero": 0})
	count(t, r, removal(9, "again", -2), removal(10, "zero", 0))
	wantTotals(t, r, "s", nil)
}

// Rounds that count the same in any order all come through, and no change is lost.
func overlappingCounts(t *testing.T, r Repo) {
	opened(t, r, 1)
	const writers, rounds, counters = 6, 15, 30
	var g errgroup.Group
	for range writers {
		g.Go(func() error {
			for range rounds {
				var b model.Batch
				for _, k := range rand.Perm(counters) {
					b.Writes = append(b.Writes, change(0, 1, "s", fmt.Sprint(k), int64(k)))
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
	want := make(map[string]int64)
	for k := range counters {
		want[fmt.Sprint(k)] = int64(k) * writers * rounds
	}
	wantTotals(t, r, "s", want)
}
