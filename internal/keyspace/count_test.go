package keyspace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

const most = model.MaxCount

func (h *shard) wantTotal(want map[string]int64) {
	h.t.Helper()
	if got := h.total("post:1"); got == nil || !maps.Equal(got, want) {
		h.t.Errorf("totals %v, want %v", got, want)
	}
}

func (h *shard) wantPending(want map[string]int64) {
	h.t.Helper()
	if got := h.pending("post:1"); !maps.Equal(got, want) {
		h.t.Errorf("pending sums %v, want %v", got, want)
	}
}

// forget makes the totals of post:1 cold, as an eviction does.
func (h *shard) forget() {
	h.t.Helper()
	if err := h.c.Del(h.t.Context(), h.sp.TotalsKey(h.s, "post:1")).Err(); err != nil {
		h.t.Fatal(err)
	}
}

func TestCountIsTotalPendingSumStreamAndEventInOne(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": 5})
	h.wantCount("ok 1 8, ok 2 0, ok 3 -2, ok 4 -9, ok 5 -9",
		add("likes", 3), remove("likes"), add("views", -2), set("views", -9), add("views", 0))
	h.wantTotal(map[string]int64{"views": -9})
	h.wantPending(map[string]int64{"likes": -5, "views": -9})
	want := []string{
		"1-1 i post:1|likes|3|1000|", "1-2 i post:1|likes|-8|1000|r", "1-3 i post:1|views|-2|1000|",
		"1-4 i post:1|views|-7|1000|", "1-5 i post:1|views|0|1000|",
	}
	if got := h.stream(h.sp.Queue(h.s)); !slices.Equal(got, want) {
		t.Errorf("queue %q, want %q", got, want)
	}
	h.wantCount("ok 6 0, ok 7 0", remove("views"), remove("unheard of"))
	h.wantPending(map[string]int64{"likes": -5})
	h.wantTotal(map[string]int64{})
	if got := h.stream(h.sp.Events(h.s)); !slices.Equal(got, []string{"1-5 c 5", "1-7 c 2"}) {
		t.Errorf("events %q", got)
	}
	if got := h.meta("seq"); got != "7" {
		t.Errorf("sequence %s", got)
	}
}

func TestCountColdTotalsMustBeLoadedFirst(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.unchanged("changes of a cold subject", func() {
		h.wantCount("cold, cold, cold", add("likes", 1), set("likes", 1), remove("likes"))
		if got := h.count(mode{blind: true}, set("likes", 1), remove("likes"), add("likes", 1)); got != "cold, cold, cold" {
			t.Errorf("an addition overtook what came before it: %s", got)
		}
	})
	other := model.Count{Counter: model.Counter{Subject: "post:2", Metric: "likes"}, N: 4}
	if got := h.count(mode{blind: true}, add("likes", 3), set("likes", 1), other); got != "ok 1 , cold, ok 2 " {
		t.Errorf("blind: %s", got)
	}
	h.mustLoad("post:1", map[string]int64{"likes": 10, "views": 1})
	h.wantTotal(map[string]int64{"likes": 13, "views": 1})
	h.wantCount("ok 3 14, cold", add("likes", 1), other)
	if got := h.count(mode{blind: true}, add("likes", 1), set("views", 7)); got != "ok 4 15, ok 5 7" {
		t.Errorf("blind, but hot: %s", got)
	}
	if err := h.c.HSet(t.Context(), h.sp.Meta(h.s), "cg", 1).Err(); err != nil {
		t.Fatal(err)
	}
	h.wantCount("cold", add("likes", 1)) // totals of another generation
	h.mustLoad("post:1", map[string]int64{"likes": 10, "views": 1})
	h.wantTotal(map[string]int64{"likes": 15, "views": 7})
}

func TestCountKeepsTheRangeToTheLastUnit(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": most})
	h.unchanged("changes that leave the range", func() {
		h.wantCount(fmt.Sprintf("range %d, range %[1]d, range %[1]d, range 0", most),
			add("likes", 1), add("likes", most), set("likes", most+1), set("new", -most-1))
	})
	h.wantCount(fmt.Sprintf("ok 1 %d, ok 2 0, ok 3 %d, range %d, range %d, ok 4 %d", most, -most, -most, -most, 1-most),
		add("likes", 0), add("likes", -most), add("likes", -most), add("likes", -1), add("likes", -most), add("likes", 1))
	h.wantTotal(map[string]int64{"likes": 1 - most})
	h.wantPending(map[string]int64{"likes": 1 - 2*most})
}

// Without totals nobody sees how many counters a subject has. What is pending is limited all the same; and however
// many there are in SQL after several times without it, they can be loaded.
func TestCountBlindMetricsHaveAnEnd(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	blind := mode{blind: true}
	for n := range model.MaxMetrics {
		if got := h.count(blind, add(fmt.Sprint("metric", n), 1)); got != fmt.Sprintf("ok %d ", n+1) {
			t.Fatalf("metric %d: %s", n, got)
		}
	}
	h.unchanged("one metric too many", func() {
		if got := h.count(blind, add("more", 1)); got != "cold" {
			t.Errorf("one more: %s", got)
		}
	})
	if got := h.count(blind, add("metric0", 1)); got != "ok 257 " {
		t.Errorf("one that is there: %s", got)
	}
	stored := make(map[string]int64)
	for n := range 5000 {
		stored[fmt.Sprint("metric", n)] = 10
	}
	h.mustLoad("post:1", stored)
	stored["metric0"]++
	for n := range model.MaxMetrics {
		stored[fmt.Sprint("metric", n)]++
	}
	h.wantTotal(stored)
	h.wantCount("many, ok 258 13", add("more", 1), add("metric0", 1))
}

// Differences of two totals may need 54 bits, of which the numbers of a script hold 53.
func TestCountDifferencesAndSumsAreExactBeyondTheNumbersOfLua(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": -most})
	total := int64(-most)
	for i, c := range []model.Count{
		set("likes", most), set("likes", 1-most), set("likes", most-2), remove("likes"),
		set("likes", -most), set("likes", 2), set("likes", -most), set("likes", most-1), add("likes", 1),
	} {
		h.wantCount(fmt.Sprintf("ok %d %d", i+1, c.N+map[bool]int64{true: most - 1}[c.Op == model.CountAdd]), c)
		delta := c.N - total
		if c.Op == model.CountAdd {
			delta = c.N
		}
		total += delta
		queued := h.queued()
		if q := queued[len(queued)-1]; q.Delta == nil || q.Delta.N != delta || q.Delta.Remove != (c.Op == model.CountRemove) {
			t.Errorf("%v is queued as %+v, want the difference %d", c, q.Delta, delta)
		}
		if sum := total + most; sum != 0 {
			h.wantPending(map[string]int64{"likes": sum})
		} else {
			h.wantPending(map[string]int64{})
		}
	}
	h.wantPending(map[string]int64{"likes": 2 * most})
	h.forget()
	h.mustLoad("post:1", map[string]int64{"likes": -most})
	h.wantTotal(map[string]int64{"likes": most})
}

func TestCountBlindlyCannotPassAnyBound(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	blind := mode{blind: true}
	if got := h.count(blind, add("likes", most)); got != "ok 1 " {
		t.Errorf("the most: %s", got)
	}
	h.unchanged("one more", func() {
		if got := h.count(blind, add("likes", 1), add("likes", -1)); got != "cold, cold" {
			t.Errorf("one more: %s", got)
		}
	})
	// Nobody knew what SQL has. From beyond the range only changes that lead into it are done.
	h.mustLoad("post:1", map[string]int64{"likes": 2})
	h.wantCount(fmt.Sprintf("range %d, range %[1]d, ok 2 %d", most+2, int64(most)), add("likes", 1), add("likes", -1), add("likes", -2))
	h.forget()
	h.mustLoad("post:1", map[string]int64{"likes": 4})
	h.wantTotal(map[string]int64{"likes": most + 2})
	h.wantCount("ok 3 1", set("likes", 1))
	h.wantPending(map[string]int64{"likes": -3})
	h.forget()
	h.mustLoad("post:1", map[string]int64{"likes": 4})
	h.wantTotal(map[string]int64{"likes": 1})
}

func TestCountBoundsTheMetricsOfASubject(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	values := make(map[string]int64)
	for i := range model.MaxMetrics - 1 {
		values[fmt.Sprint("m", i)] = 1
	}
	h.mustLoad("post:1", values)
	h.wantCount("ok 1 1, many, many, ok 2 2, ok 3 0", add("last", 1), add("more", 1), set("more", 1), add("m0", 1), remove("more"))
	h.wantCount("ok 4 0, ok 5 1, many", remove("m1"), add("more", 1), add("m1", 1))
}

func TestCountIdempotencyKeyIsStoredWithTheEffect(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": 5})
	like := keyed(add("likes", 3), "key", "print")
	h.wantCount("ok 1 8, replay 8|1|1 queued 1-1, reused", like, like, keyed(add("likes", 3), "key", "prin"))
	if got := h.stream(h.sp.Queue(h.s)); !slices.Equal(got, []string{"1-1 i post:1|likes|3|1000| k key|print|8|1|1"}) {
		t.Errorf("queue %q", got)
	}
	q := h.queued()[0]
	fingerprint, result, _ := strings.Cut(q.Record, "|")
	if r, err := model.ParseCountResult(result); err != nil || q.Key != "key" || fingerprint != "print" || !r.Known || r.Value != 8 || r.Version != q.Version {
		t.Errorf("queued as %+v, result %+v, %v", q, r, err)
	}
	h.unchanged("a change that is refused", func() {
		h.wantCount("range 8", keyed(add("likes", most), "second", "print"))
	})
	h.wantCount("ok 2 9", keyed(add("likes", 1), "second", "print"))
	h.forget()
	h.unchanged("a repeat while the totals are cold", func() { h.wantCount("replay 8|1|1 queued 1-1, reused", like, keyed(like, "key", "other")) })
	unknown := keyed(add("likes", 1), "third", "print")
	if got := h.count(mode{blind: true}, unknown, unknown); got != "ok 3 , replay |1|3 queued 1-3" {
		t.Errorf("blind: %s", got)
	}
	h.age(1)
	h.wantCount("replay 8|1|1 queued 1-1", like)
	h.age(1)
	h.mustLoad("post:1", map[string]int64{"likes": 5})
	h.wantCount("ok 4 13", like) // forgotten after two periods
	if keys := h.c.Keys(t.Context(), h.sp.Prefix(h.s)+"k:*").Val(); len(keys) != 1 {
		t.Errorf("periods kept: %v", keys)
	}
	for key := range h.dump() {
		if ttl := h.c.TTL(t.Context(), key).Val(); (ttl >= 0) != (key == h.sp.TotalsKey(h.s, "post:1")) {
			t.Errorf("%s has the life %v", key, ttl)
		}
	}
}

// reopen opens the next epoch of a shard that has nothing queued, after which keys must be looked up.
func (h *shard) reopen(lookUp int64) {
	h.t.Helper()
	h.lookUp = lookUp
	h.open(h.epoch+1, 0)
}

func TestKeysMustBeLookedUpForAWhile(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", nil)
	h.wantCount("ok 1 1", keyed(add("likes", 1), "before", "print"))
	h.release(model.NewVersion(1, 1))
	h.lookUp = 1000
	h.open(2, model.NewVersion(1, 1))
	asked := keyed(add("likes", 1), "asked", "print")
	other := model.Count{Counter: model.Counter{Subject: "post:2", Metric: "likes"}, N: 4}
	before := keyed(add("likes", 1), "before", "print") // what is here may never have been answered, and SQL know better
	h.unchanged("keys of before", func() {
		h.wantCount("key, cold, cold", before, asked, add("likes", 1))
	})
	h.mustLoad("post:1", map[string]int64{"likes": 1})
	h.unchanged("a key of before that SQL does not know", func() {
		if got := h.count(mode{looked: true}, before); got != "replay 1|1|1" {
			t.Errorf("looked up: %s", got)
		}
	})
	if got := h.count(mode{blind: true}, asked, add("likes", 1), other); got != "key, cold, ok 1 " {
		t.Errorf("after a key that is not here: %s", got)
	}
	if got := h.count(mode{looked: true}, asked, add("likes", 1)); got != "ok 2 2, ok 3 3" {
		t.Errorf("looked up: %s", got)
	}
	if got := h.count(mode{looked: true}, asked); got != "replay 2|2|2 queued 2-2" {
		t.Errorf("again: %s", got)
	}

	until := h.meta("kc")
	if now := time.Now().Unix(); h.integer(until) < now+900 || h.integer(until) > now+1001 {
		t.Errorf("keys are looked up until %s, now %d", until, now)
	}
	h.release(model.NewVersion(2, 3))
	for _, s := range []int64{0, 10} { // neither ends it earlier
		h.lookUp = s
		h.open(h.epoch+1, model.NewVersion(2, 3))
		if got := h.meta("kc"); got != until {
			t.Errorf("keys are looked up until %s, want %s", got, until)
		}
	}
	if err := h.c.HSet(t.Context(), h.sp.Meta(h.s), "kc", time.Now().Unix()-1).Err(); err != nil {
		t.Fatal(err)
	}
	h.mustLoad("post:1", map[string]int64{"likes": 3})
	h.wantCount("ok 1 4", keyed(add("likes", 1), "later", "print"))
}

func TestWriteAndRecallAskForKeysToBeLookedUp(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	w := h.absent(write{id: 7, author: 9, now: 1000, key: "key", print: "print"})
	recall := func(key, value string, looked bool) string {
		t.Helper()
		return h.run(Recall, []string{h.sp.Meta(h.s)}, h.epoch, h.sp.Prefix(h.s), key, value, keyPeriod, flag(looked))
	}
	recall("old", "value", false)
	h.reopen(1000)
	w.tip, w.snapshot = "0", AppendSnapshot(nil, &model.Item{ID: 7}, h.epoch)
	h.unchanged("keys that are not here", func() {
		if got := h.write(w); got != "key" {
			t.Errorf("write: %s", got)
		}
		if got := recall("new", "value", false); got != "2" {
			t.Errorf("recall: %s", got)
		}
		if got := recall("old", "other", false); got != "2" {
			t.Errorf("recall of a key that is here: %s", got)
		}
		if got := recall("old", "other", true); got != "1 value" {
			t.Errorf("recall of a key that is here, looked up: %s", got)
		}
	})
	unkeyed := w
	unkeyed.key, unkeyed.id = "", 8
	unkeyed.snapshot = AppendSnapshot(nil, &model.Item{ID: 8}, h.epoch)
	h.mustWrite(unkeyed)
	w.looked = true
	if got := h.write(w); got != "ok 2 1000 0 9" {
		t.Errorf("write, looked up: %s", got)
	}
	if got := h.write(w); got != "replay 7|2|2|1000|1000|0 queued 2-2" {
		t.Errorf("repeat: %s", got)
	}
	if got := recall("new", "value", true); got != "0" {
		t.Errorf("recall, looked up: %s", got)
	}
	if got := recall("new", "other", true); got != "1 value" {
		t.Errorf("recall again: %s", got)
	}
}

func TestWriteQueuesItsKeyWithTheResult(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	v := h.mustWrite(h.absent(write{id: 7, author: 9, kind: "post", text: "x|y", now: 1000, key: "key", print: "print"}))
	q := h.queued()[0]
	fingerprint, result, _ := strings.Cut(q.Record, "|")
	r, err := model.ParseWriteResult(result)
	if err != nil || q.Key != "key" || fingerprint != "print" || r.ID != 7 || r.Version != v || !r.Created {
		t.Errorf("queued as %+v, result %+v, %v", q, r, err)
	}
	if q.Version != v || q.Item == nil || q.Item.ID != 7 || string(q.Item.Content) != "x|y" || q.Item.Version != v {
		t.Errorf("queued as %+v", q)
	}
}

func TestTotalsAreThoseThatAreHot(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": most, "zero": 0})
	h.mustLoad("post:2", nil)
	h.wantCount("ok 1 -1", add("views", -1))
	h.release(model.NewVersion(1, 1))
	released, all := h.totals("post:1", "cold", "post:2")
	if released != Hex(model.NewVersion(1, 1)) || !maps.Equal(all[0], map[string]int64{"likes": most, "zero": 0, "views": -1}) ||
		all[1] != nil || all[2] == nil || len(all[2]) != 0 {
		t.Errorf("totals %v at %s", all, released)
	}
	if _, all := h.totals(); len(all) != 0 {
		t.Errorf("of no subjects: %v", all)
	}
	h.open(2, model.NewVersion(1, 1))
	if _, all := h.totals("post:1", "post:2"); all[0] != nil || all[1] != nil {
		t.Errorf("totals of the last epoch are trusted: %v", all)
	}
}

func TestLoadIsAcceptedOnlyAtTheReleasedPosition(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": 5, "gone": 1})
	h.wantCount("ok 1 6, ok 2 8, ok 3 0", add("likes", 1), add("likes", 2), remove("gone"))
	second := model.NewVersion(1, 2)
	h.release(second)
	h.forget()
	h.unchanged("what SQL said at other positions", func() {
		if got := h.load(second-1, "post:1", map[string]int64{"likes": 6}); got != "ahead "+Hex(second) {
			t.Errorf("an old snapshot: %s", got)
		}
		if got := h.load(second+1, "post:1", map[string]int64{"likes": 8}); got != "behind "+Hex(second) {
			t.Errorf("a snapshot of what is not released: %s", got)
		}
	})
	h.wantCount("cold", add("likes", 1))
	if got := h.load(second, "post:1", map[string]int64{"likes": 8}); got != "ok likes 8 gone -1" {
		t.Errorf("load: %s", got)
	}
	// A reload replaces all that was there.
	if got := h.load(second, "post:1", map[string]int64{"gone": 1}); got != "ok gone 0" {
		t.Errorf("load: %s", got)
	}
	h.wantCount("ok 5 1", add("likes", 1))
	if ttl := h.c.PTTL(t.Context(), h.sp.TotalsKey(h.s, "post:1")).Val(); ttl <= totalsTTL-10*time.Second || ttl > totalsTTL {
		t.Errorf("the totals live for %v", ttl)
	}
	if ttl := h.c.PTTL(t.Context(), h.sp.PendingKey(h.s, "post:1")).Val(); ttl >= 0 {
		t.Errorf("the pending sums live for %v", ttl)
	}
}

func TestCountAndLoadDoNothingWhenRedisIsFull(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": 5})
	h.wantCount("ok 1 6", add("likes", 1))
	if err := h.c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	h.unchanged("a change in a full Redis", func() {
		for _, c := range []model.Count{add("likes", 1), set("likes", 1), remove("likes")} {
			keys, args := h.countArgs(mode{}, c)
			if _, err := h.try(Count, keys, args...); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
				t.Errorf("count: %v", err)
			}
		}
		keys := []string{h.sp.Meta(h.s), h.sp.TotalsKey(h.s, "post:1"), h.sp.PendingKey(h.s, "post:1")}
		if _, err := h.try(LoadTotals, keys, h.epoch, h.meta("rel"), 1000, "likes", 1); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
			t.Errorf("load: %v", err)
		}
	})
	if got := h.release(model.NewVersion(1, 1)); got != Hex(model.NewVersion(1, 1))+" 0 "+none {
		t.Errorf("release: %s", got)
	}
	h.wantPending(map[string]int64{})
}
