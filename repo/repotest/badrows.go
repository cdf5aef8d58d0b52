package repotest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var badRowTests = []test{
	{"BadRows/P7_OneOfAThousand", oneBadRow},
	{"BadRows/P7_Several", severalBadRows},
	{"BadRows/FallBack", fallsBack},
	{"BadRows/CounterAmongMany", badCounter},
	{"BadRows/ChangeAmongMany", badChange},
	{"BadRows/SumBeyondItsType", hugeSum},
	{"BadRows/Key", badKey},
	{"BadRows/Opening", badWhileOpening},
	{"BadRows/P1_OneOfManyWins", oneOfManyBadWins},
}

// bad returns an item that no database stores: its kind holds a NUL.
func bad(id model.ID, v model.Version) model.Item {
	it := item(id, 1, v)
	it.Kind = "p\x00st"
	return it
}

// refuse makes SQL refuse rows of a table by a trigger of the test's own.
func refuse(t *testing.T, r Repo, table, condition string) {
	t.Helper()
	r.SQL(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'we want no such %', TG_TABLE_NAME; END $$`)
	r.SQL(t, fmt.Sprintf("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION refuse()", table, condition))
}

func accept(t *testing.T, r Repo) { r.SQL(t, "DROP FUNCTION refuse CASCADE") }

// The others arrive, the bad one is kept with its reason, and the position moves, all in one transaction.
func oneBadRow(t *testing.T, r Repo) {
	s := opened(t, r, 2)
	refuse(t, r, "feeds", "NEW.id = 500")
	b := &model.Batch{Advances: []model.Advance{move(s[0], 2000), move(s[1], 3)}}
	for _, k := range rand.Perm(1000) {
		w := puts(item(model.ID(k+1), 7, model.Version(k+1)))[0]
		b.Writes = append(b.Writes, keyed(w, fmt.Sprint("key", k+1), "fp|x"))
	}
	a := applied(t, r, b)
	if a.ItemRows != 999 || a.Refused != nil || a.LeftOut != 0 {
		t.Errorf("applied %d rows, refused %v, left out %d", a.ItemRows, a.Refused, a.LeftOut)
	}
	l := wantLetters(t, r, a.DeadLetters, "item 500 500")[0]
	if l.Code != "P0001" || l.Reason != "we want no such feeds" || l.Shard != 0 || l.Write.Key != "key500" || l.Write.Record != "fp|x" ||
		!same(*l.Write.Item, item(500, 7, 500)) {
		t.Errorf("letter %+v, item %+v", l, l.Write.Item)
	}
	for id := model.ID(1); id <= 1000; id++ {
		if id != 500 {
			wantItem(t, r, item(id, 7, model.Version(id)))
		}
	}
	s[0].Position, s[0].Skipped, s[1].Position = 2000, 2000, 3
	if got := state(t, r); !slices.Equal(got, s) {
		t.Errorf("shards %+v, want %+v", got, s)
	}
	wantKey(t, r, 0, "key500", "fp|x")
	wantKey(t, r, 0, "key1", "fp|x")
	if rows := r.SQL(t, "SELECT count(*) FROM idempotency"); rows != 1 {
		t.Errorf("%d rows of keys, want 1", rows)
	}
}

func severalBadRows(t *testing.T, r Repo) {
	s := opened(t, r, 1)
	var want []string
	b := &model.Batch{Advances: []model.Advance{move(s[0], 200)}}
	for id := model.ID(1); id <= 100; id++ {
		it := item(id, 1, model.Version(id))
		switch id % 10 {
		case 1:
			it = bad(id, it.Version)
		case 2:
			it.Content = []byte("\"\xff\xfe\"")
		case 3:
			it.ID = -id
		}
		if it.ID != id || id%10 == 1 || id%10 == 2 {
			want = append(want, fmt.Sprintf("item %d %d", it.ID, it.Version))
		}
		b.Writes = append(b.Writes, puts(it)...)
	}
	a := applied(t, r, b)
	if a.ItemRows != 70 {
		t.Errorf("%d rows, want 70", a.ItemRows)
	}
	for _, l := range wantLetters(t, r, a.DeadLetters, want...) {
		codes := map[bool]string{true: "23514", false: "22021"} // a constraint, or bytes that are no text
		if l.Code != codes[l.Write.Item.ID < 0] {
			t.Errorf("letter %+v has another code", l)
		}
		if i := int(l.Version) - 1; !same(*l.Write.Item, *b.Writes[i].Item) {
			t.Errorf("kept %+v of %+v", l.Write.Item, b.Writes[i].Item)
		}
	}
}

// An item is then as its newest good write says.
func fallsBack(t *testing.T, r Repo) {
	s := opened(t, r, 1)
	store(t, r, item(3, 1, 1))
	b := &model.Batch{Advances: []model.Advance{move(s[0], 9)}, Writes: puts(
		item(1, 1, 2), item(1, 1, 3), bad(1, 4), bad(1, 5),
		bad(2, 2), tombstone(2, 1, 3), bad(2, 4), item(2, 1, 6),
		bad(3, 7), bad(3, 8),
		bad(4, 2), item(4, 1, 3), bad(4, 4),
	)}
	a := applied(t, r, b)
	if a.ItemRows != 3 {
		t.Errorf("%d rows, want those of items 1, 2 and 4", a.ItemRows)
	}
	// Of item 2 and 4, what an older write would have been does not matter any more.
	wantLetters(t, r, a.DeadLetters, "item 1 5", "item 1 4", "item 3 8", "item 3 7", "item 4 4")
	for _, want := range []model.Item{item(1, 1, 3), item(2, 1, 6), item(3, 1, 1), item(4, 1, 3)} {
		wantItem(t, r, want)
	}
}

func badCounter(t *testing.T, r Repo) {
	s := opened(t, r, 1)
	count(t, r, change(0, 1, "post:7", "likes", model.MaxCount))
	refuse(t, r, "counters", "NEW.subject = 'post:3'")
	b := &model.Batch{Advances: []model.Advance{move(s[0], 1000)}}
	for k := range 200 {
		for range 2 {
			v := model.Version(len(b.Writes) + 2)
			b.Writes = append(b.Writes, change(0, v, fmt.Sprintf("post:%d", k), "likes", 2))
		}
	}
	b.Writes = append(b.Writes, puts(item(1, 1, 900))...)
	a := applied(t, r, b)
	if a.CounterRows != 198 || a.ItemRows != 1 {
		t.Errorf("%d counters and %d items, want 198 and 1", a.CounterRows, a.ItemRows)
	}
	for _, l := range wantLetters(t, r, a.DeadLetters, "counter post:3/likes 8", "counter post:3/likes 9", "counter post:7/likes 16", "counter post:7/likes 17") {
		if l.Write.Delta == nil || *l.Write.Delta != *b.Writes[l.Version-2].Delta {
			t.Errorf("letter %+v keeps %+v", l, l.Write.Delta)
		}
	}
	wantItem(t, r, item(1, 1, 900))
	wantTotals(t, r, "post:0", map[string]int64{"likes": 4})
	wantTotals(t, r, "post:199", map[string]int64{"likes": 4})
	wantTotals(t, r, "post:3", nil)
	wantTotals(t, r, "post:7", map[string]int64{"likes": model.MaxCount})
	if got := state(t, r)[0]; got.Position != 1000 || got.Skipped != 1000 {
		t.Errorf("the shard is %+v", got)
	}
}

// One change that leads out of the range costs the others nothing.
func badChange(t *testing.T, r Repo) {
	s := opened(t, r, 1)
	b := &model.Batch{Advances: []model.Advance{move(s[0], 1000)}}
	for v := model.Version(1); v <= 500; v++ {
		b.Writes = append(b.Writes, change(0, v, "s", "m", 1), change(0, v, "s", "other", 2))
	}
	b.Writes[600].Delta.N = model.MaxCount // version 301
	a := applied(t, r, b)
	if a.CounterRows != 2 {
		t.Errorf("%d rows, want 2", a.CounterRows)
	}
	l := wantLetters(t, r, a.DeadLetters, "counter s/m 301")[0]
	if l.Code != "23514" || l.Write.Delta.N != model.MaxCount || !sameTime(l.Write.Delta.At, noon) {
		t.Errorf("letter %+v keeps %+v", l, l.Write.Delta)
	}
	wantTotals(t, r, "s", map[string]int64{"m": 499, "other": 1000})
}

// Changes whose sum is no integer any more are looked at one by one.
func hugeSum(t *testing.T, r Repo) {
	opened(t, r, 1)
	var writes []model.Queued
	for v := model.Version(1); v <= 1100; v++ {
		writes = append(writes, change(0, v, "s", "m", model.MaxCount))
	}
	a := count(t, r, writes...)
	if a.CounterRows != 1 || len(a.DeadLetters) != 1099 || len(letters(t, r)) != 1099 {
		t.Errorf("%d rows and %d dead letters", a.CounterRows, len(a.DeadLetters))
	}
	wantTotals(t, r, "s", map[string]int64{"m": model.MaxCount})
}

// A key that SQL does not take costs only itself.
func badKey(t *testing.T, r Repo) {
	opened(t, r, 1)
	refuse(t, r, "idempotency", "NEW.keys && ARRAY['bad']")
	var writes []model.Queued
	for v, key := range []string{"a", "bad", "b", "c"} {
		writes = append(writes, keyed(change(0, model.Version(v+1), "s", "m", 1), key, "fp|"+key))
	}
	if a := count(t, r, writes...); a.CounterRows != 1 || a.DeadLetters != nil {
		t.Errorf("applied %+v", a)
	}
	wantTotals(t, r, "s", map[string]int64{"m": 4})
	for key, want := range map[string]string{"a": "fp|a", "b": "fp|b", "c": "fp|c", "bad": ""} {
		wantKey(t, r, 0, key, want)
	}
}

func badWhileOpening(t *testing.T, r Repo) {
	opened(t, r, 1)
	sh := open(t, r, model.Claim{Shard: 0, Epoch: 1, Home: "h"}, false)
	a := move(sh, 9)
	a.Opening = true
	done := applied(t, r, &model.Batch{Advances: []model.Advance{a}, Writes: puts(item(1, 1, 1), bad(1, 2), bad(2, 3), item(3, 1, 4))})
	if done.ItemRows != 2 || done.Refused != nil || done.LeftOut != 0 {
		t.Errorf("applied %+v", done)
	}
	wantLetters(t, r, done.DeadLetters, "item 1 2", "item 2 3")
	wantItem(t, r, item(1, 1, 1))
	wantItem(t, r, item(3, 1, 4))
	sh.Position, sh.Skipped = 9, 9
	if got := state(t, r)[0]; got != sh {
		t.Errorf("shard %+v, want %+v", got, sh)
	}
	if stored, err := r.Letters.Stored(t.Context(), 0, 3); err != nil || !stored {
		t.Errorf("Stored: %v, %v", stored, err)
	}
	if stored, err := r.Letters.Stored(t.Context(), 0, 4); err != nil || stored {
		t.Errorf("Stored of what was stored as an item: %v, %v", stored, err)
	}
}

// Rounds with bad rows from one position on: one of them is written, once, with its dead letter.
func oneOfManyBadWins(t *testing.T, r Repo) {
	s := opened(t, r, 2)
	const rounds, drainers = 5, 6
	for round, deadline := 0, time.Now().Add(20*time.Second); round < rounds; {
		var wins atomic.Int32
		var g errgroup.Group
		for range drainers {
			g.Go(func() error {
				v := model.NewVersion(1, int64(round+1))
				a, err := r.Drain.Apply(t.Context(), &model.Batch{
					Advances: []model.Advance{move(s[0], v), move(s[1], v)},
					Writes:   []model.Queued{puts(bad(model.ID(round+1), v))[0], change(1, v, "s", "m", 1)},
				})
				if err == nil && len(a.Refused) == 0 {
					wins.Add(1)
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
		if wins.Load() == 1 {
			s = state(t, r)
			round++
		}
	}
	if n := len(letters(t, r)); n != rounds {
		t.Errorf("%d dead letters, want %d", n, rounds)
	}
	wantTotals(t, r, "s", map[string]int64{"m": rounds})
}
