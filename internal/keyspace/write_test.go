package keyspace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

func TestWriteIsVersionEntryStreamAndEventInOne(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	if got := h.write(h.absent(write{id: 7, author: 9, kind: "post", text: `{"a":"|"}`, now: 1000})); got != "ok 1 1000 0 9" {
		t.Errorf("reply: %s", got)
	}
	v := model.NewVersion(1, 1)
	h.wantPinned(7, v)
	if e, _, _ := h.entry(7); e.Stamp != 1 || e.Item.AuthorID != 9 || e.Item.Kind != "post" || string(e.Item.Content) != `{"a":"|"}` ||
		e.Item.CreatedAt.UnixMilli() != 1000 || e.Item.UpdatedAt.UnixMilli() != 1000 || e.Item.Deleted {
		t.Errorf("entry %+v", e)
	}
	if got := h.stream(h.sp.Queue(h.s)); !slices.Equal(got, []string{`1-1 v7 9|post|1000|1000|{"a":"|"}`}) {
		t.Errorf("queue %q", got)
	}
	if got := h.stream(h.sp.Events(h.s)); !slices.Equal(got, []string{"1-1 v 7 9 1000"}) {
		t.Errorf("events %q", got)
	}
	if got := h.c.HGet(t.Context(), h.sp.Gen(h.s), Stripe(7)).Val(); got != "1" {
		t.Errorf("generation of the stripe %q", got)
	}
}

func TestWriteReplacesAndDeletes(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.put(7, "first")
	if got := h.write(write{id: 7, author: 9, kind: "note", text: "second", now: 2000}); got != "ok 2 1000 1 9" {
		t.Errorf("replacement: %s", got)
	}
	if e, _, _ := h.entry(7); e.Item.Kind != "note" || string(e.Item.Content) != "second" ||
		e.Item.CreatedAt.UnixMilli() != 1000 || e.Item.UpdatedAt.UnixMilli() != 2000 {
		t.Errorf("replaced: %+v", e)
	}
	h.unchanged("another author's write", func() {
		if got := h.write(write{id: 7, author: 8, kind: "note", text: "stolen"}); got != "author" {
			t.Errorf("another author's write: %s", got)
		}
	})
	if got := h.write(write{id: 7, delete: true, now: 3000}); got != "ok 3 1000 1 9" {
		t.Errorf("deletion: %s", got)
	}
	h.wantPinned(7, model.NewVersion(1, 3)) // a deletion is an entry too
	if e, _, _ := h.entry(7); !e.Item.Deleted || len(e.Item.Content) != 0 || e.Item.AuthorID != 9 || e.Item.Kind != "note" {
		t.Errorf("deleted: %+v", e)
	}
	h.unchanged("a second deletion", func() {
		if got := h.write(write{id: 7, delete: true, now: 4000}); got != "none "+Hex(model.NewVersion(1, 3))+" 9 queued 1-3" {
			t.Errorf("second deletion: %s", got)
		}
	})
	if got := h.write(write{id: 7, author: 8, text: "stolen"}); got != "author" {
		t.Errorf("a deleted item's ID is free for others: %s", got)
	}
	if got := h.write(write{id: 7, author: 9, kind: "post", text: "again", now: 5000}); got != "ok 4 5000 0 9" {
		t.Errorf("creation after the deletion: %s", got)
	}
	if got := h.stream(h.sp.Queue(h.s))[2:]; !slices.Equal(got, []string{"1-3 d7 9|note|1000|3000|", "1-4 v7 9|post|5000|5000|again"}) {
		t.Errorf("queue %q", got)
	}
}

func TestWriteConditionsAreComparedInTheScript(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	live := h.put(1, "live")
	h.put(2, "gone")
	gone := h.mustWrite(write{id: 2, delete: true})
	for _, tc := range []struct {
		id     model.ID
		cond   string
		refuse string // "": the condition holds
	}{
		{1, "a", Hex(live)},
		{1, "x", ""},
		{1, "m" + Hex(live), ""},
		{1, "m" + Hex(live+1), Hex(live)},
		{1, "m" + Hex(live+1) + "," + Hex(live), ""},
		{2, "a", ""},
		{2, "x", none},
		{2, "m" + Hex(gone), none}, // a deleted item's version matches nothing
		{3, "a", ""},
		{3, "x", none},
		{3, "m" + none, none},
	} {
		what := fmt.Sprintf("item %s on condition %q", tc.id, tc.cond)
		if tc.refuse == "" {
			before, _, _ := h.entry(tc.id)
			if got := h.write(h.absent(write{id: tc.id, author: 9, cond: tc.cond})); !strings.HasPrefix(got, "ok ") {
				t.Errorf("%s: %s", what, got)
			}
			h.restore(tc.id, before)
			continue
		}
		for _, del := range []bool{false, true} {
			h.unchanged(what, func() {
				if got := h.write(h.absent(write{id: tc.id, author: 9, cond: tc.cond, delete: del})); got != "cond "+tc.refuse {
					t.Errorf("%s, deletion %v: %s", what, del, got)
				}
			})
		}
	}
}

// restore puts an entry back as it was before a write.
func (h *shard) restore(id model.ID, e Entry) {
	h.t.Helper()
	var err error
	if e.Item.Version == 0 {
		err = h.c.Del(h.t.Context(), h.sp.Entry(h.s, id)).Err()
	} else {
		err = h.c.Set(h.t.Context(), h.sp.Entry(h.s, id), encode(&e), 0).Err()
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestWriteFillGen_SnapshotOlderThanTheStripesLastWriteIsRefused(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.unchanged("a write of an unknown item", func() {
		if got := h.write(write{id: 7, author: 9}); got != "load 0" {
			t.Fatalf("without a snapshot: %s", got)
		}
	})
	early := h.absent(write{id: 7, author: 9, text: "late", cond: "a"})
	h.put(7, "first")
	h.release(model.NewVersion(1, 1))
	h.evict(7) // L2 knows nothing of the item any more, SQL has it
	h.unchanged("a write with an old snapshot", func() {
		if got := h.write(early); got != "load 3" {
			t.Fatalf("with an old snapshot: %s", got)
		}
	})
	row := model.Item{ID: 7, AuthorID: 9, Version: model.NewVersion(1, 1)}
	fresh := write{id: 7, author: 9, cond: "a", tip: "3", snapshot: AppendSnapshot(nil, &row, 1)}
	if got := h.write(fresh); got != "cond "+Hex(row.Version) {
		t.Errorf("with what SQL says now: %s", got)
	}
}

func TestWriteStamp_EntryOfAnOlderEpochIsNotTrusted(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	v := h.put(7, "first")
	h.release(v)
	h.open(2, v)
	if got := h.write(write{id: 7, author: 9, cond: "a"}); got != "load 0" {
		t.Errorf("the old entry was trusted: %s", got)
	}
	// Rows may have been imported with times before 1970.
	row := model.Item{ID: 7, AuthorID: 9, Version: v, CreatedAt: time.UnixMilli(-5)}
	if got := h.write(write{id: 7, author: 9, cond: "m" + Hex(v), text: "second", tip: "0", snapshot: AppendSnapshot(nil, &row, 2)}); got != "ok 1 -5 1 9" {
		t.Errorf("with a snapshot: %s", got)
	}
	h.wantPinned(7, model.NewVersion(2, 1))
}

func TestWriteVersionsReachTheEndOfTheirRange(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.open(model.MaxEpoch, 0)
	if err := h.c.HSet(t.Context(), h.sp.Meta(h.s), "seq", int64(model.MaxSeq)-3).Err(); err != nil {
		t.Fatal(err)
	}
	v := h.put(7, "late")
	if v != model.NewVersion(model.MaxEpoch, model.MaxSeq-2) {
		t.Fatalf("version %d", v)
	}
	h.wantPinned(7, v)
	if got := h.release(v); got != Hex(v)+" 0 "+none {
		t.Errorf("release: %s", got)
	}
	h.wantCached(7, v, valueTTL)
	if got := h.meta("seq"); got != strconv.FormatInt(model.MaxSeq-1, 10) {
		t.Errorf("sequence %s", got)
	}
}

func TestWriteIdempotencyKeyIsStoredWithTheEffect(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	first := h.absent(write{id: 7, author: 9, kind: "post", text: "x", now: 1000, cond: "a", key: "key", print: "print"})
	h.mustWrite(first)
	again := first
	again.id, again.now, again.tip = 8, 2000, "" // a repeat got another ID and knows nothing
	h.unchanged("a repeat", func() {
		if got := h.write(again); got != "replay 7|1|1|1000|1000|0 queued 1-1" {
			t.Errorf("repeat: %s", got)
		}
		other := again
		other.print = "other"
		if got := h.write(other); got != "reused" {
			t.Errorf("another request: %s", got)
		}
	})
	refused := write{id: 7, author: 9, cond: "a", key: "second", print: "print"}
	if got := h.write(refused); !strings.HasPrefix(got, "cond ") {
		t.Fatalf("conditional: %s", got)
	}
	refused.cond = ""
	if got := h.write(refused); !strings.HasPrefix(got, "ok ") { // what was refused is not remembered
		t.Errorf("after a refusal: %s", got)
	}
	for key := range h.dump() {
		if ttl := h.c.TTL(t.Context(), key).Val(); ttl >= 0 {
			t.Errorf("%s may be evicted: life %v", key, ttl)
		}
	}
}

// age makes everything stored under idempotency keys n periods older.
func (h *shard) age(n int64) {
	h.t.Helper()
	prefix := h.sp.Prefix(h.s) + "k:"
	keys, err := h.c.Keys(h.t.Context(), prefix+"*").Result()
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Sort(keys) // the oldest first, so that none is overwritten
	for _, key := range keys {
		bucket, err := strconv.ParseInt(key[len(prefix):], 10, 64)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.c.Rename(h.t.Context(), key, prefix+strconv.FormatInt(bucket-n, 10)).Err(); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := h.c.HIncrBy(h.t.Context(), h.sp.Meta(h.s), "kb", -n).Err(); err != nil {
		h.t.Fatal(err)
	}
}

func TestWriteIdempotencyKeysOutliveTheEndOfTheirPeriodByOne(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	w := h.absent(write{id: 7, author: 9, now: 1000, key: "key", print: "print"})
	h.mustWrite(w)
	h.age(1)
	if got := h.write(w); !strings.HasPrefix(got, "replay 7|") {
		t.Errorf("in the next period: %s", got)
	}
	other := h.absent(write{id: 8, author: 9, key: "second", print: "print"})
	h.mustWrite(other)
	h.age(1)
	if got := h.write(other); !strings.HasPrefix(got, "replay 8|") {
		t.Errorf("in the next period: %s", got)
	}
	h.mustWrite(h.absent(write{id: 9, author: 9, key: "third", print: "print"}))
	if keys := h.c.Keys(t.Context(), h.sp.Prefix(h.s)+"k:*").Val(); len(keys) != 2 {
		t.Errorf("periods kept: %v", keys)
	}
	h.mustWrite(w) // forgotten by now: a write like any other
}

// Whatever the present period is, by another setting or after a long rest, older ones do not stay.
func TestWriteDropsPeriodsOfAnySetting(t *testing.T) {
	t.Parallel()
	for name, periods := range map[string]int64{"Idle": 1000, "Longer": -1000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newShard(t)
			h.mustWrite(h.absent(write{id: 7, author: 9, key: "first", print: "print"}))
			h.age(periods)
			h.mustWrite(h.absent(write{id: 8, author: 9, key: "second", print: "print"}))
			if keys := h.c.Keys(t.Context(), h.sp.Prefix(h.s)+"k:*").Val(); len(keys) != 1 {
				t.Errorf("periods kept: %v", keys)
			}
		})
	}
}
