package repotest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var flushTests = []test{
	{"Flush/Once", flushesOnce},
	{"Flush/P4_AndTheQueueComesBack", flushedAndDrained},
	{"Flush/P4_AtOnce", flushesAtOnce},
	{"Flush/P4_SetMeanwhile", overridden},
	{"Flush/P9_SetsReach", setsReach("one", "other")},
	{"Flush/P9_SetsReachInTheOtherOrder", setsReach("other", "one")},
	{"Flush/P9_SetsReachInOneCall", setsReach("both")},
	{"Flush/P9_SetsReachAgain", setsReach("one", "other", "one", "other")},
	{"Flush/P4_OverriddenIncrementsAreNotRepeated", overriddenKey(model.CountAdd)},
	{"Flush/P4_OverriddenSetsAreNotRepeated", overriddenKey(model.CountSet)},
	{"Flush/P7_RefusedSetsOverrideNothing", refusedSets},
	{"Flush/P9_LateSetsAreDifferences", lateSets(false)},
	{"Flush/P9_LateSetsAreDifferencesOnTheWayBack", lateSets(true)},
	{"Flush/NewerWritesStay", newerStay},
	{"Flush/Fence", flushFence},
	{"Flush/DeadLetters", flushBuries},
}

// lost returns what a replica queued in shard 0 under epoch 1, of which SQL has the first two writes, and
// the shard on its way to SQL in epoch 2.
func lost(t *testing.T, r Repo) (model.Shard, []model.Queued) {
	t.Helper()
	sh := opened(t, r, 1)[0]
	v := base(1)
	writes := []model.Queued{
		puts(item(1, 5, v+1))[0],
		change(0, v+2, "s", "likes", 100),
		keyed(puts(item(2, 5, v+3))[0], "item", "f|2"),
		change(0, v+4, "s", "likes", 10),
		keyed(change(0, v+5, "s", "likes", 1), "count", "f|111|1|5"),
		puts(tombstone(1, 5, v+6))[0],
	}
	if refused := apply(t, r, &model.Batch{Advances: []model.Advance{move(sh, v+2)}, Writes: writes[:2]}); refused != nil {
		t.Fatalf("refused %v", refused)
	}
	return open(t, r, model.Claim{Epoch: 1, Home: model.HomeSQL}, false), writes
}

func flush(t *testing.T, r Repo, epoch int64, writes ...model.Queued) model.Applied {
	t.Helper()
	a, err := r.Direct.Flush(t.Context(), 0, epoch, writes)
	if err != nil || a.Refused != nil {
		t.Fatalf("Flush: %+v, %v", a, err)
	}
	return a
}

// wantFlushed fails the test unless all that lost returned is in SQL once.
func wantFlushed(t *testing.T, r Repo) {
	t.Helper()
	wantItem(t, r, tombstone(1, 5, base(1)+6))
	wantItem(t, r, item(2, 5, base(1)+3))
	wantTotals(t, r, "s", map[string]int64{"likes": 111})
	wantKey(t, r, 0, "item", "f|2")
	wantKey(t, r, 0, "count", "f|111|1|5")
}

func flushesOnce(t *testing.T, r Repo) {
	sh, writes := lost(t, r)
	before := slices.Clone(writes)
	if a := flush(t, r, sh.Epoch, writes...); a.LeftOut != 2 || a.ItemRows != 2 || a.CounterRows != 1 || a.DeadLetters != nil {
		t.Errorf("flushed %+v, want 2 items and a counter, and 2 writes left out", a)
	}
	wantFlushed(t, r)
	if !slices.EqualFunc(writes, before, func(a, b model.Queued) bool { return a.Version == b.Version }) {
		t.Error("the caller's writes were changed")
	}
	// Again, as when the answer was lost; and once more when the shard is ready.
	for range 2 {
		if a := flush(t, r, sh.Epoch, writes...); a.CounterRows != 0 || a.ItemRows != 0 || a.DeadLetters != nil {
			t.Errorf("flushed again: %+v", a)
		}
		wantFlushed(t, r)
		if _, err := r.Claims.Confirm(t.Context(), []model.Shard{sh}); err != nil {
			t.Fatal(err)
		}
	}
	if a := flush(t, r, sh.Epoch, change(0, base(1)+7, "s", "likes", 1)); a.CounterRows != 1 {
		t.Errorf("flushed to a ready shard: %+v", a)
	}
	flush(t, r, sh.Epoch)
	wantTotals(t, r, "s", map[string]int64{"likes": 112})
	if got := state(t, r)[0]; got.Position != base(1)+2 || got.Skipped != 0 {
		t.Errorf("the flush moved the shard: %+v", got)
	}
}

// Redis comes back with the queue that was flushed, and with a write of a replica that is gone.
func flushedAndDrained(t *testing.T, r Repo) {
	sh, writes := lost(t, r)
	flush(t, r, sh.Epoch, writes[3:]...)
	sh = open(t, r, model.Claim{Epoch: sh.Epoch, Home: "h"}, false)
	a := move(sh, base(1)+6)
	a.Opening = true
	got := applied(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: writes[2:]})
	if got.Refused != nil || got.LeftOut != 2 || got.DeadLetters != nil {
		t.Errorf("the drain of what was left: %+v, want 2 changes left out", got)
	}
	wantFlushed(t, r)
	if got := state(t, r)[0]; got.Skipped != base(1)+6 {
		t.Errorf("writes were left out, and the shard is %+v", got)
	}
	// What the drain has brought, a late flush does not bring again.
	if a := flush(t, r, sh.Epoch, writes...); a.LeftOut != len(writes) {
		t.Errorf("flushed after the drain: %+v", a)
	}
	wantFlushed(t, r)
}

// A counter is set while Redis is away, which holds changes of it that nobody has flushed: a set whose answer was
// lost, and what replicas queued that are gone. They came before, so they count no more. What is done after the
// set does, and so do other counters.
func overridden(t *testing.T, r Repo) {
	sh := opened(t, r, 1)[0]
	v := base(1)
	queued := []model.Queued{
		change(0, v+1, "s", "set", 90), change(0, v+2, "s", "removed", 7), change(0, v+3, "s", "other", 5),
	}
	at := open(t, r, model.Claim{Epoch: sh.Epoch, Home: model.HomeSQL}, true)
	counter := func(metric string) model.Counter { return model.Counter{Subject: "s", Metric: metric} }
	if _, err := r.Direct.Count(t.Context(), 0, at.Epoch, []model.Count{
		{Counter: counter("set"), Op: model.CountSet, N: 100},
		{Counter: counter("set"), Op: model.CountAdd, N: 1},
		{Counter: counter("removed"), Op: model.CountRemove},
		{Counter: counter("other"), Op: model.CountAdd, N: 2},
	}); err != nil {
		t.Fatal(err)
	}
	flush(t, r, at.Epoch, queued[0]) // by a replica that was paused
	back := open(t, r, model.Claim{Epoch: at.Epoch, Home: "h"}, false)
	a := move(back, v+3)
	a.Opening = true
	if got := applied(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: queued}); got.Refused != nil || got.LeftOut != 2 {
		t.Errorf("the drain of what was left: %+v, want 2 changes left out", got)
	}
	wantTotals(t, r, "s", map[string]int64{"set": 101, "other": 7})

	// A later epoch's changes count again, and the notes go once the position has come so far.
	if _, err := r.Claims.Confirm(t.Context(), []model.Shard{state(t, r)[0]}); err != nil {
		t.Fatal(err)
	}
	next := state(t, r)[0]
	later := model.NewVersion(next.Epoch, 1)
	if refused := apply(t, r, &model.Batch{Advances: []model.Advance{move(next, later)}, Writes: []model.Queued{change(0, later, "s", "set", 1)}}); refused != nil {
		t.Fatalf("refused %v", refused)
	}
	wantTotals(t, r, "s", map[string]int64{"set": 102, "other": 7})
	if n, err := r.Keys.Expire(t.Context(), time.Now().Add(-time.Hour)); err != nil || n != 2 {
		t.Errorf("%d notes forgotten, %v; want 2", n, err)
	}
}

func flushesAtOnce(t *testing.T, r Repo) {
	sh, writes := lost(t, r)
	if _, err := r.Claims.Confirm(t.Context(), []model.Shard{sh}); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for range 6 {
		g.Go(func() error {
			_, err := r.Direct.Flush(t.Context(), 0, sh.Epoch, writes)
			return err
		})
		g.Go(func() error {
			_, err := r.Direct.Count(t.Context(), 0, sh.Epoch, []model.Count{{Counter: likes("s"), N: 1000}})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Direct.Count(t.Context(), 0, sh.Epoch, []model.Count{{Counter: likes("s"), N: -6000}}); err != nil {
		t.Fatal(err)
	}
	wantFlushed(t, r)
}

// What was written directly is newer than all that was queued before, and a key that is known has had its
// effect.
func newerStay(t *testing.T, r Repo) {
	sh, writes := lost(t, r)
	if _, err := r.Claims.Confirm(t.Context(), []model.Shard{sh}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	got, err := r.Direct.Write(ctx, 0, sh.Epoch, withKey(put(1, 0), "item", "f"))
	if err != nil {
		t.Fatal(err)
	}
	if a := flush(t, r, sh.Epoch, writes...); a.LeftOut != 3 || a.ItemRows != 0 || a.CounterRows != 1 {
		t.Errorf("flushed %+v, want one counter, and 3 writes left out", a)
	}
	if it, err := r.Feeds.Get(ctx, 1); err != nil || it.Version != got.Version || it.Deleted {
		t.Errorf("the newer item is %+v, %v", it, err)
	}
	if it, err := r.Feeds.Get(ctx, 2); err != nil || it.Version != 0 {
		t.Errorf("a write whose key was known became %+v, %v", it, err)
	}
	wantTotals(t, r, "s", map[string]int64{"likes": 111})
	// The key of a flushed change is known to direct ones.
	res := counts(t, r, sh.Epoch, countKey(add(1), "count", "f"))[0]
	if !res.Replayed || res.Value != 111 || res.Version != base(1)+5 {
		t.Errorf("a repeat of a flushed change: %+v", res)
	}
}

func flushFence(t *testing.T, r Repo) {
	sh, writes := lost(t, r)
	refused := func(when string, epoch int64) {
		t.Helper()
		if a, err := r.Direct.Flush(t.Context(), 0, epoch, writes); !errors.Is(err, model.ErrMoved) {
			t.Errorf("%s: %+v, %v", when, a, err)
		}
		if it, err := r.Feeds.Get(t.Context(), 2); err != nil || it.Version != 0 {
			t.Errorf("%s: an item became %+v, %v", when, it, err)
		}
		wantTotals(t, r, "s", map[string]int64{"likes": 100})
	}
	refused("an ended epoch", sh.Epoch-1)
	refused("an epoch to come", sh.Epoch+1)
	sh = open(t, r, model.Claim{Epoch: sh.Epoch, Home: "h"}, true)
	refused("ready in Redis", sh.Epoch)
	if a, err := r.Direct.Flush(t.Context(), 9, sh.Epoch, writes); !errors.Is(err, model.ErrMoved) {
		t.Errorf("no such shard: %+v, %v", a, err)
	}
	sh = open(t, r, model.Claim{Epoch: sh.Epoch, Home: "h"}, false)
	flush(t, r, sh.Epoch, writes...) // on the way to Redis
	wantFlushed(t, r)
}

// What SQL refuses is a dead letter, however often it is flushed.
func flushBuries(t *testing.T, r Repo) {
	sh, writes := lost(t, r)
	v := base(1)
	writes = append(writes,
		puts(bad(3, v+7))[0],
		change(0, v+8, "full", "likes", model.MaxCount),
		change(0, v+9, "full", "likes", 1),
	)
	a := flush(t, r, sh.Epoch, writes...)
	wantLetters(t, r, a.DeadLetters, fmt.Sprintf("item 3 %d", v+7), fmt.Sprintf("counter full/likes %d", v+9))
	wantFlushed(t, r)
	if a := flush(t, r, sh.Epoch, writes...); a.DeadLetters != nil || a.ItemRows != 0 || a.CounterRows != 0 {
		t.Errorf("flushed again: %+v", a)
	}
	if got := letters(t, r); len(got) != 2 {
		t.Errorf("the dead letters are %+v", got)
	}
	wantTotals(t, r, "full", map[string]int64{"likes": model.MaxCount})
	buriedAndDrained(t, r, sh, writes)
}

// buriedAndDrained discards a dead letter, and drains the queue that comes back with Redis: nothing in it is a
// dead letter once more.
func buriedAndDrained(t *testing.T, r Repo, sh model.Shard, writes []model.Queued) {
	t.Helper()
	if found, err := r.Retries.Discard(t.Context(), letters(t, r)[0].ID); err != nil || !found {
		t.Fatalf("Discard: %v, %v", found, err)
	}
	if a := flush(t, r, sh.Epoch, writes...); a.DeadLetters != nil {
		t.Errorf("flushed after the letter was discarded: %+v", a)
	}
	sh = open(t, r, model.Claim{Epoch: sh.Epoch, Home: "h"}, false)
	a := move(sh, writes[len(writes)-1].Version)
	a.Opening = true
	got := applied(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: writes[2:]})
	if got.Refused != nil || got.DeadLetters != nil || got.ItemRows != 0 || got.CounterRows != 0 {
		t.Errorf("the drain of what was left: %+v", got)
	}
	if left := letters(t, r); len(left) != 1 {
		t.Errorf("the dead letters are %+v", left)
	}
	wantFlushed(t, r)
	wantTotals(t, r, "full", map[string]int64{"likes": model.MaxCount})
}
