package repotest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

var letterTests = []test{
	{"DeadLetters/DamagedEntry", damagedEntry},
	{"DeadLetters/RetryItem", retriesItem},
	{"DeadLetters/Tombstone", keepsTombstoneOfLetter},
	{"DeadLetters/ListAndDiscard", listsAndDiscards},
}

// letters returns all of them.
func letters(t *testing.T, r Repo) []model.DeadLetter {
	t.Helper()
	all, err := r.Letters.List(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantLetters fails the test unless those in the answer are those in SQL, and have these keys in any order.
func wantLetters(t *testing.T, r Repo, answer []model.DeadLetter, keys ...string) []model.DeadLetter {
	t.Helper()
	all := letters(t, r)
	var got []string
	for _, l := range all {
		got = append(got, fmt.Sprintf("%s %s %d", l.Kind, l.Key, l.Version))
		if since := time.Since(l.At); l.Reason == "" || since < -time.Minute || since > time.Minute {
			t.Errorf("letter %+v", l)
		}
	}
	slices.Sort(got)
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("dead letters %q, want %q", got, keys)
	}
	if !reflect.DeepEqual(answer, all) {
		t.Errorf("the answer has\n%+v\nSQL has\n%+v", answer, all)
	}
	return all
}

// What cannot be read is kept as it is, byte for byte, both in a round that has nothing else wrong and in one
// that has.
func damagedEntry(t *testing.T, r Repo) {
	opened(t, r, 2)
	raw := "v7\x00\xff <no record>"
	var want []string
	for round := model.Version(1); round <= 2; round++ {
		v := 10 * round
		b := &model.Batch{Writes: []model.Queued{
			keyed(model.Queued{Shard: 0, Version: v, Raw: raw, Damage: "it has no record"}, "k", fmt.Sprint("fp|", round)),
			{Shard: 1, Raw: "?", Damage: "its ID is \xff"},
			puts(item(1, 1, v))[0],
		}}
		if round == 2 {
			b.Writes = append(b.Writes, puts(bad(2, v+1))...)
			want = append(want, "item 2 21")
		}
		for _, sh := range state(t, r) {
			b.Advances = append(b.Advances, move(sh, v+5))
		}
		before := len(letters(t, r))
		a := applied(t, r, b)
		want = append(want, fmt.Sprintf("entry  %d", v), "entry  0")
		all := wantLetters(t, r, slices.Concat(letters(t, r)[:before], a.DeadLetters), want...)
		for i, w := range b.Writes[:2] {
			l := all[before+i]
			if l.Code != "" || l.Shard != i || l.Write.Item != nil || l.Write.Delta != nil || l.Write.Raw != w.Raw || l.Write.Damage != w.Damage {
				t.Errorf("letter %+v of %+v", l, w)
			}
		}
		wantItem(t, r, *b.Writes[2].Item)
		wantKey(t, r, 0, "k", fmt.Sprint("fp|", round))
		for _, sh := range state(t, r) {
			if sh.Position != v+5 || sh.Skipped != v+5 {
				t.Errorf("round %d: shard %+v", round, sh)
			}
		}
	}
}

func retriesItem(t *testing.T, r Repo) {
	refuse(t, r, "feeds", "NEW.id IN (1, 2, 3)")
	var b model.Batch
	b.Writes = append(puts(item(1, 1, 5), tombstone(2, 1, 6), item(3, 1, 7)), change(0, 1, "s", "m", 1))
	b.Writes[3].Delta.Subject = "s\x00"
	a := applied(t, r, &b)
	all := wantLetters(t, r, a.DeadLetters, "item 1 5", "item 2 6", "item 3 7", "counter s\uFFFD/m 1")
	ids := make(map[string]int64)
	for _, l := range all {
		ids[l.Key] = l.ID
	}
	retry := func(key string, want bool, kind model.Kind) {
		t.Helper()
		before := int64(len(letters(t, r)))
		got, err := r.Retries.RetryItem(t.Context(), ids[key])
		if got != want || (err != nil) != (kind != 0) || kind != 0 && model.KindOf(err) != kind {
			t.Errorf("retry of %s: %v, %v; want %v and kind %v", key, got, err, want, kind)
		}
		if want {
			before--
		}
		if n, err := r.Letters.Count(t.Context()); err != nil || n != before {
			t.Errorf("after the retry of %s there are %d letters, %v; want %d", key, n, err, before)
		}
	}
	retry("1", false, model.Invalid) // still refused
	accept(t, r)
	retry("1", true, 0)
	wantItem(t, r, item(1, 1, 5))
	retry("1", false, model.NotFound)
	store(t, r, item(2, 1, 9))
	retry("2", false, 0) // written since
	wantItem(t, r, item(2, 1, 9))
	store(t, r, item(3, 1, 7)) // the same write, by another way
	retry("3", true, 0)
	retry("s\uFFFD/m", false, model.Invalid) // not an item
}

// However old a dead letter is, its retry does not bring back an item that was deleted after it.
func keepsTombstoneOfLetter(t *testing.T, r Repo) {
	refuse(t, r, "feeds", "NEW.id = 2")
	a := applied(t, r, &model.Batch{Writes: puts(item(2, 1, 8))})
	accept(t, r)
	store(t, r, tombstone(2, 1, 9), tombstone(3, 1, 7))
	gone := []model.Tombstone{{ID: 2, Version: 9}, {ID: 3, Version: 7}}
	if n, err := r.Tombstones.RemoveTombstones(t.Context(), gone); err != nil || n != 1 {
		t.Fatalf("removed %d, %v", n, err)
	}
	wantItem(t, r, tombstone(2, 1, 9))
	letter := a.DeadLetters[0].ID
	if again, err := r.Retries.RetryItem(t.Context(), letter); again || err != nil {
		t.Errorf("the older write was made: %v, %v", again, err)
	}
	if _, err := r.Retries.Discard(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Tombstones.RemoveTombstones(t.Context(), gone); err != nil || n != 1 {
		t.Errorf("without the letter: removed %d, %v", n, err)
	}
}

func listsAndDiscards(t *testing.T, r Repo) {
	var b model.Batch
	for id := model.ID(1); id <= 5; id++ {
		b.Writes = append(b.Writes, puts(bad(id, model.Version(id)))...)
	}
	applied(t, r, &b)
	var all []model.DeadLetter
	for after := int64(0); ; {
		page, err := r.Letters.List(t.Context(), after, 2)
		if err != nil || len(page) > 2 {
			t.Fatalf("List: %+v, %v", page, err)
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
		after = page[len(page)-1].ID
	}
	if n, err := r.Letters.Count(t.Context()); err != nil || n != 5 || len(all) != 5 {
		t.Fatalf("%d letters are counted, %v, and %d listed, want 5", n, err, len(all))
	}
	l := all[2]
	if got, err := r.Letters.Get(t.Context(), l.ID); err != nil || !reflect.DeepEqual(got, l) {
		t.Errorf("Get: %+v, %v; want %+v", got, err, l)
	}
	for _, want := range []bool{true, false} {
		if got, err := r.Retries.Discard(t.Context(), l.ID); err != nil || got != want {
			t.Errorf("Discard: %v, %v; want %v", got, err, want)
		}
		if _, err := r.Letters.Get(t.Context(), l.ID); model.KindOf(err) != model.NotFound {
			t.Errorf("Get of what was discarded: %v", err)
		}
	}
	if left := letters(t, r); len(left) != 4 {
		t.Errorf("%d letters are left, want 4", len(left))
	}
}
