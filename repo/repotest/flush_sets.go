package repotest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/zmsg/zmsg/model"
)

// setTo is a set that was answered, and made the difference n to what Redis held.
func setTo(v model.Version, metric string, to, n int64) model.Queued {
	q := change(0, v, "s", metric, n)
	q.Delta.Absolute, q.Delta.To = true, to
	return q
}

func removed(v model.Version, metric string, n int64) model.Queued {
	q := setTo(v, metric, 0, n)
	q.Delta.Remove = true
	return q
}

// Redis is lost with changes that nobody was told of, on which sets and removals rest. Each replica brings
// what it has answered, in any order; then Redis comes back with all of it.
func setsReach(order ...string) func(t *testing.T, r Repo) {
	v := base(1)
	never := []model.Queued{ // their answers were lost
		change(0, v+4, "s", "set", 30), change(0, v+5, "s", "gone", 8), change(0, v+6, "s", "twice", 100),
		change(0, v+12, "s", "set", 500),
	}
	one := []model.Queued{
		change(0, v+7, "s", "set", 4), setTo(v+8, "twice", 10, -91), change(0, v+9, "s", "twice", 1), removed(v+10, "gone", -9),
		change(0, v+13, "s", "set", 2),
	}
	other := []model.Queued{
		setTo(v+11, "set", 50, 15), change(0, v+14, "s", "set", 3), setTo(v+15, "twice", 7, -4), change(0, v+16, "s", "twice", 2),
		change(0, v+17, "s", "gone", 5),
	}
	calls := map[string][]model.Queued{"one": one, "other": other, "both": slices.Concat(one, other)}
	return func(t *testing.T, r Repo) {
		sh := opened(t, r, 1)[0]
		first := []model.Queued{change(0, v+1, "s", "set", 1), change(0, v+2, "s", "gone", 1), change(0, v+3, "s", "twice", 1)}
		if refused := apply(t, r, &model.Batch{Advances: []model.Advance{move(sh, v+3)}, Writes: first}); refused != nil {
			t.Fatalf("refused %v", refused)
		}
		at := open(t, r, model.Claim{Epoch: 1, Home: model.HomeSQL}, false)
		for _, call := range order {
			flush(t, r, at.Epoch, calls[call]...)
		}
		wantTotals(t, r, "s", map[string]int64{"set": 55, "twice": 9, "gone": 5})

		back := open(t, r, model.Claim{Epoch: at.Epoch, Home: "h"}, false)
		a := move(back, v+17)
		a.Opening = true
		all := slices.Concat(never, one, other)
		for i := range all {
			delta := *all[i].Delta
			delta.Absolute, delta.To = false, 0 // the stream does not tell
			all[i].Delta = &delta
		}
		if got := applied(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: all}); got.Refused != nil || got.DeadLetters != nil {
			t.Errorf("the drain of what was left: %+v", got)
		}
		// What was added after a set counts, also if only Redis knew.
		wantTotals(t, r, "s", map[string]int64{"set": 555, "twice": 9, "gone": 5})
	}
}

// A replica that has slept brings a set of before SQL became the home. What was done there came later: an
// addition stays, and so does a set.
func lateSets(back bool) func(t *testing.T, r Repo) {
	return func(t *testing.T, r Repo) {
		v := base(1)
		sh := opened(t, r, 1)[0]
		at := open(t, r, model.Claim{Epoch: sh.Epoch, Home: model.HomeSQL}, true)
		counter := func(metric string) model.Counter { return model.Counter{Subject: "s", Metric: metric} }
		if _, err := r.Direct.Count(t.Context(), 0, at.Epoch, []model.Count{
			{Counter: counter("set"), Op: model.CountSet, N: 100}, {Counter: counter("added"), Op: model.CountAdd, N: 5},
		}); err != nil {
			t.Fatal(err)
		}
		if back { // on the way to Redis again
			at = open(t, r, model.Claim{Epoch: at.Epoch, Home: "h"}, false)
		}
		flush(t, r, at.Epoch, setTo(v+1, "set", 7, 7), setTo(v+2, "added", 20, 20))
		wantTotals(t, r, "s", map[string]int64{"set": 100, "added": 25})
	}
}

// A change with a key comes to SQL after the set that overrides it, by a flush or with the queue. A repeat does
// not do it again.
func overriddenKey(op model.CountOp) func(t *testing.T, r Repo) {
	return func(t *testing.T, r Repo) {
		v := base(1)
		sh := opened(t, r, 1)[0]
		at := open(t, r, model.Claim{Epoch: sh.Epoch, Home: model.HomeSQL}, false)
		older := func(n model.Version, key string) model.Queued {
			q := keyed(change(0, v+n, "s", "likes", 20), key, "f|20|1|5")
			q.Delta.Absolute, q.Delta.To = op == model.CountSet, 20
			return q
		}
		flush(t, r, at.Epoch, setTo(v+10, "likes", 50, 10))
		flush(t, r, at.Epoch, older(5, "flushed"))
		back := open(t, r, model.Claim{Epoch: at.Epoch, Home: "h"}, false)
		a := move(back, v+10)
		a.Opening = true
		if got := applied(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: []model.Queued{older(6, "queued")}}); got.Refused != nil || got.LeftOut != 1 {
			t.Errorf("the drain of what was left: %+v", got)
		}
		at = open(t, r, model.Claim{Epoch: back.Epoch, Home: model.HomeSQL}, true)
		for _, key := range []string{"flushed", "queued"} {
			repeat := countKey(model.Count{Counter: likes("s"), Op: op, N: 20}, key, "f")
			if res := counts(t, r, at.Epoch, repeat)[0]; !res.Replayed || res.Value != 20 {
				t.Errorf("the repeat of %s is answered %+v", key, res)
			}
		}
		wantTotals(t, r, "s", map[string]int64{"likes": 50})
	}
}

// What was flushed before leads a set out of the range: it becomes a dead letter, and all that came before it
// counts, of the same flush and of others.
func refusedSets(t *testing.T, r Repo) {
	v := base(1)
	sh := opened(t, r, 1)[0]
	at := open(t, r, model.Claim{Epoch: sh.Epoch, Home: model.HomeSQL}, false)
	flush(t, r, at.Epoch, change(0, v+12, "s", "likes", 5))
	a := flush(t, r, at.Epoch, change(0, v+3, "s", "likes", 2), setTo(v+8, "views", 9, 9), setTo(v+10, "likes", model.MaxCount, model.MaxCount))
	wantLetters(t, r, a.DeadLetters, fmt.Sprintf("counter s/likes %d", v+10))
	flush(t, r, at.Epoch, change(0, v+4, "s", "likes", 7), change(0, v+11, "s", "likes", -10), change(0, v+7, "s", "views", 1))
	wantTotals(t, r, "s", map[string]int64{"likes": 4, "views": 9})
}
