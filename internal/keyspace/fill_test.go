package keyspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
)

func TestFillStoresWhatSQLSaid(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	row := model.Item{ID: 7, AuthorID: 9, Version: 5, Content: []byte("x")}
	if got := h.fill(0, &row); got != "1" {
		t.Errorf("fill: %s", got)
	}
	h.wantCached(7, 5, valueTTL)
	if got := h.fill(0, &model.Item{ID: 8}); got != "1" {
		t.Errorf("fill of an absence: %s", got)
	}
	if e, ttl, ok := h.entry(8); !ok || !e.Absent || ttl < 0 {
		t.Errorf("absence: %+v, life %v", e, ttl)
	}
}

func TestFillGen_KeyWrittenSinceTheMissIsNotFilled(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	old := model.Item{ID: 7, AuthorID: 9, Version: 5}
	v := h.put(7, "new")
	h.release(v)
	h.evict(7) // written, drained and evicted, all between the reader's miss and its fill
	h.unchanged("a late fill", func() {
		if got := h.fill(0, &old); got != "0" {
			t.Errorf("late fill: %s", got)
		}
	})
	if got := h.fill(2, &model.Item{ID: 7, AuthorID: 9, Version: v}); got != "0" {
		t.Errorf("fill after a miss before the eviction: %s", got)
	}
	if got := h.fill(3, &model.Item{ID: 7, AuthorID: 9, Version: v}); got != "1" {
		t.Errorf("fill after a miss at the eviction's own event: %s", got)
	}
	other := model.ID(8)
	for Stripe(other) == Stripe(7) {
		other++
	}
	if got := h.fill(0, &model.Item{ID: other, AuthorID: 9, Version: 5}); got != "1" {
		t.Errorf("fill of a key of another stripe: %s", got)
	}
}

func TestFillTrusted_EntryOfTheEpochStays(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	row := model.Item{ID: 7, AuthorID: 9, Version: 5}
	h.fill(0, &row)
	row.Version = 4
	if got := h.fill(100, &row); got != "0" {
		t.Errorf("a trusted entry was replaced: %s", got)
	}
	h.open(2, 0)
	if got := h.fill(0, &row); got != "1" {
		t.Errorf("an entry of an ended epoch was not replaced: %s", got)
	}
	h.wantCached(7, 4, valueTTL)
}

func TestFillPin_QueuedWriteIsNeverReplaced(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	v := h.put(7, "queued")
	h.unchanged("a fill", func() {
		if got := h.fill(100, &model.Item{ID: 7, AuthorID: 9, Version: 5}); got != "0" {
			t.Errorf("fill: %s", got)
		}
	})
	h.wantPinned(7, v)
	// Not even a pin of an ended epoch, which only a failover can leave behind.
	e, _, _ := h.entry(7)
	h.open(2, v)
	h.restore(7, e)
	if got := h.fill(100, &model.Item{ID: 7, AuthorID: 9, Version: 5}); got != "0" {
		t.Errorf("fill over a pin of an ended epoch: %s", got)
	}
	h.wantPinned(7, v)
}

func TestReadTipFirst_TipAndEntriesAreOfOneMoment(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.put(7, "x")
	h.put(8, "y")
	keys := []string{h.sp.Meta(h.s), h.sp.Entry(h.s, 7), h.sp.Entry(h.s, 6), h.sp.Entry(h.s, 8)}
	reply, err := h.try(Read, keys, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := reply.([]any)
	if !ok || len(got) != 4 || got[0] != int64(2) || got[2] != nil {
		t.Fatalf("reply %v", reply)
	}
	for i, id := range map[int]model.ID{1: 7, 3: 8} {
		text, _ := got[i].(string)
		if e, err := ParseEntry(id, []byte(text)); err != nil || e.Item.Version.Seq() != int64(id)-6 {
			t.Errorf("entry %q: %+v, %v", text, e, err)
		}
	}
	if got := h.run(Read, keys[:1], 1); got != "2" {
		t.Errorf("the tip alone: %s", got)
	}
}

func TestEvictPin_QueuedWriteStaysReadable(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	v := h.put(7, "queued")
	if got := h.evict(7); got != "2" {
		t.Errorf("evict: %s", got)
	}
	h.wantPinned(7, v)
	h.release(v)
	h.evict(7)
	if e, _, ok := h.entry(7); ok {
		t.Errorf("the entry stays: %+v", e)
	}
	h.evict(6) // not there: other replicas may still have it in L1
	want := []string{"1-1 v 7 9 1000", "1-2 x 7", "1-3 r " + Hex(v) + " " + none, "1-4 x 7", "1-5 x 6"}
	if got := h.stream(h.sp.Events(h.s)); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestPendingPagesTheQueueAfterTheTip(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.put(7, "a|b")
	h.put(8, "")
	h.mustWrite(write{id: 7, delete: true})
	h.release(model.NewVersion(1, 1))
	pending := func(after string, most int) string {
		t.Helper()
		return h.run(Pending, []string{h.sp.Meta(h.s), h.sp.Queue(h.s)}, h.epoch, after, most)
	}
	head := "4 " + Hex(model.NewVersion(1, 1)) + " " + none
	if got, want := pending("0-0", 2), head+" 1-1 v7 9 1-2 v8 9"; got != want {
		t.Errorf("first page %s, want %s", got, want)
	}
	if got, want := pending("1-2", 2), head+" 1-3 d7 9"; got != want {
		t.Errorf("second page %s, want %s", got, want)
	}
	if got := pending("1-3", 2); got != head {
		t.Errorf("last page %s", got)
	}
	v := model.NewVersion(1, 2)
	h.releaseWith(v, releaseArgs{most: 9, skipped: v})
	if got, want := pending("1-3", 2), fmt.Sprintf("6 %s %[1]s", Hex(v)); got != want {
		t.Errorf("after a release that SQL left something out of %s, want %s", got, want)
	}
}

func TestRecallKeepsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	recall := func(key, value string) string {
		t.Helper()
		return h.run(Recall, []string{h.sp.Meta(h.s)}, h.epoch, h.sp.Prefix(h.s), key, value, keyPeriod, "")
	}
	for i, tc := range []struct {
		age              int64
		key, value, want string
	}{
		{0, "a", "first", "0"},
		{0, "a", "second", "1 first"},
		{0, "b", "other", "0"},
		{1, "a", "third", "1 first"},
		{0, "c", "young", "0"},
		{1, "a", "fourth", "0"}, // forgotten after two periods
		{0, "a", "fifth", "1 fourth"},
		{0, "c", "old", "1 young"},
	} {
		if tc.age > 0 {
			h.age(tc.age)
		}
		if got := recall(tc.key, tc.value); got != tc.want {
			t.Errorf("%d: recall of %s: %s, want %s", i, tc.key, got, tc.want)
		}
	}
	if keys := h.c.Keys(t.Context(), h.sp.Prefix(h.s)+"k:*").Val(); len(keys) != 2 {
		t.Errorf("periods kept: %v", keys)
	}
}

// call is any use of a script.
type call struct {
	name Name
	keys []string
	args []any
}

// calls returns one call of every script but the opening, under the shard's epoch.
func (h *shard) calls() []call {
	meta, entry := h.sp.Meta(h.s), h.sp.Entry(h.s, 7)
	keys, args := h.writeArgs(h.absent(write{id: 7, author: 9, key: "key", print: "print"}))
	return []call{
		{Read, []string{meta, entry}, []any{h.epoch}},
		{Fill, []string{meta, h.sp.Entry(h.s, 8), h.sp.Gen(h.s)}, []any{h.epoch, Stripe(8), 100, AppendEntry(nil, &model.Item{ID: 8}, h.epoch), 1000}},
		{Write, keys, args},
		{Evict, []string{meta, entry, h.sp.Events(h.s), h.sp.Gen(h.s)}, []any{h.epoch, 7, eventsKept, Stripe(7)}},
		{Release, []string{meta, h.sp.Queue(h.s), h.sp.Events(h.s)}, []any{
			h.epoch, Hex(model.NewVersion(h.epoch, 1)), StreamID(model.NewVersion(h.epoch, 1)), h.sp.Prefix(h.s), 1000, 1000, 10, 10, "", "", 0,
		}},
		{Trim, []string{meta, h.sp.Queue(h.s)}, []any{h.epoch}},
		{Pending, []string{meta, h.sp.Queue(h.s)}, []any{h.epoch, "0-0", 10}},
		{Recall, []string{meta}, []any{h.epoch, h.sp.Prefix(h.s), "key2", "value", keyPeriod, ""}},
		{Count, []string{meta, h.sp.Queue(h.s), h.sp.Events(h.s)}, AppendCount(
			[]any{h.epoch, h.sp.Prefix(h.s), 1000, keyPeriod, "", "1"}, &model.Count{Counter: model.Counter{Subject: "s", Metric: "m"}, N: 1},
		)},
		{Totals, []string{meta, h.sp.TotalsKey(h.s, "s")}, []any{h.epoch}},
		{LoadTotals, []string{meta, h.sp.TotalsKey(h.s, "s"), h.sp.PendingKey(h.s, "s")}, []any{h.epoch, h.meta("rel"), 1000, "m", 1}},
	}
}

// wantRefused checks that every script is refused with the code, and nothing done.
func (h *shard) wantRefused(code string, calls []call) {
	h.t.Helper()
	for _, c := range calls {
		h.unchanged(files[c.name], func() {
			_, err := h.try(c.name, c.keys, c.args...)
			if !Refused(err) || !strings.HasPrefix(fmt.Sprint(err), code) {
				h.t.Errorf("%s is answered %v, want %s", files[c.name], err, code)
			}
		})
	}
}

func TestScriptEp_EveryScriptComparesTheEpoch(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	v := h.put(7, "x")
	if len(h.calls()) != int(Open) {
		t.Fatal("a script is not tested")
	}
	old := h.calls()
	h.open(2, v)
	h.wantRefused("STALE", old)
	h.epoch = 3 // SQL has granted it, Redis does not know of it
	h.wantRefused("STALE", h.calls())
	h.epoch = 2
	for _, c := range h.calls() {
		if _, err := h.try(c.name, c.keys, c.args...); err != nil {
			t.Errorf("%s under the epoch served: %v", files[c.name], err)
		}
	}
}
