package keyspace

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/model"
)

// counted returns a shard with six queued changes of two counters, some of which need 54 bits.
func counted(t *testing.T) *shard {
	t.Helper()
	h := newCounters(t)
	h.mustLoad("post:1", map[string]int64{"likes": -most, "views": 1})
	h.wantCount(fmt.Sprintf("ok 1 %d, ok 2 5, ok 3 %d, ok 4 7, ok 5 %d, ok 6 0", most, most-1, -most),
		set("likes", most), add("views", 4), add("likes", -1), add("views", 2), set("likes", -most), remove("views"))
	h.wantPending(map[string]int64{"views": -1})
	return h
}

// inSQL is what SQL holds of a counted shard when the position has this sequence.
var inSQL = []map[string]int64{
	{"likes": -most, "views": 1},
	{"likes": most, "views": 1},
	{"likes": most, "views": 5},
	{"likes": most - 1, "views": 5},
	{"likes": most - 1, "views": 7},
	{"likes": -most, "views": 7},
	{"likes": -most},
}

// wantSettled checks that exactly what SQL lacks at a position is pending.
func (h *shard) wantSettled(seq int) {
	h.t.Helper()
	want := map[string]int64{}
	for _, metric := range []string{"likes", "views"} {
		if sum := inSQL[len(inSQL)-1][metric] - inSQL[seq][metric]; sum != 0 {
			want[metric] = sum
		}
	}
	h.wantPending(want)
}

func TestReleaseSettlesWhatTheStreamSays(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			h := counted(t)
			for to := 1; to <= 6; to += 2 {
				position := model.NewVersion(1, int64(to))
				for more := " 1 "; more != " 0 "; {
					before := h.meta("rel")
					got := h.releaseSome(position, most)
					if h.meta("rel") == before {
						t.Fatalf("release of %s does not go on: %s", position, got)
					}
					up, _ := ParseHex(h.meta("rel"))
					h.wantSettled(int(up.Seq()))
					if more = got[versionHex : versionHex+3]; up > position || (more == " 0 ") != (up == position) {
						t.Fatalf("release up to %s is answered %s", position, got)
					}
				}
				h.unchanged("a repeated release", func() { h.releaseSome(position, most) })
			}
			h.wantTotal(map[string]int64{"likes": -model.MaxCount}) // still hot
			h.wantSettled(5)
		})
	}
}

func TestReleaseSettlesWhatTheCallerRead(t *testing.T) {
	t.Parallel()
	h := counted(t)
	likes, views := counter("likes"), counter("views")
	first := releaseArgs{read: true, most: 1000, sums: map[model.Counter]int64{likes: 2*most - 1, views: 4}}
	third := model.NewVersion(1, 3)
	if got := h.releaseWith(third, first); got != Hex(third)+" 0 "+none {
		t.Errorf("release: %s", got)
	}
	h.wantSettled(3)
	h.unchanged("a repeated release", func() { h.releaseWith(third, first) })
	// Read before the first release was known: what the caller has is too much.
	fourth := third + 1
	h.releaseWith(fourth, releaseArgs{read: true, most: 1000, sums: map[model.Counter]int64{likes: 2*most - 1, views: 6}})
	h.wantSettled(4)
	sixth := third + 3
	h.releaseWith(sixth, releaseArgs{
		read: true, most: 1000, from: fourth, skipped: third, // what was left out lies behind
		sums: map[model.Counter]int64{likes: 1 - 2*most, views: -7},
	})
	h.wantSettled(6)
	h.wantTotal(map[string]int64{"likes": -most})
	if got := h.c.Keys(t.Context(), h.sp.Prefix(h.s)+"p:*").Val(); len(got) != 0 {
		t.Errorf("%v: nothing is pending", got)
	}
}

// damage adds entries that no script writes, as a hand or a fault may.
func (h *shard) damage(fields ...[]string) {
	h.t.Helper()
	for _, f := range fields {
		seq := h.c.HIncrBy(h.t.Context(), h.sp.Meta(h.s), "seq", 1).Val()
		err := h.c.XAdd(h.t.Context(), &redis.XAddArgs{
			Stream: h.sp.Queue(h.s), ID: StreamID(model.NewVersion(h.epoch, seq)), Values: f,
		}).Err()
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

var damaged = [][]string{
	{"i", ""},
	{"i", "post:1|likes|x|1|"},
	{"i", "post:1|likes|99999999999999999999|1|"},
	{"i", "post:1"},
	{"bogus", "x"},
	{"", ""},
	{"v", ""},
	{"vx", "8|post|1|1|"},
	{"k", "a|b|c"},
	{"v99999999999999999999", "8|post|1|1|x"},
	{"v5", ""},
	{"v5", "x|post|1|1|"},
	{"v5", "99999999999999999999|post|1|1|"},
}

func TestDamagedEntriesHoldNothingUp(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(h *shard, to model.Version){
		"Release": func(h *shard, to model.Version) { h.releaseWith(to, releaseArgs{most: 3}) },
		"Open":    func(h *shard, to model.Version) { h.open(2, to) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newCounters(t)
			h.mustLoad("post:1", nil)
			h.wantCount("ok 1 3", add("likes", 3))
			h.damage(damaged...)
			h.wantCount(fmt.Sprintf("ok %d 5", len(damaged)+2), add("likes", 2))
			to := model.NewVersion(1, int64(len(damaged)+2))
			for name == "Release" && h.meta("rel") != Hex(to) {
				finish(h, to)
			}
			if name == "Open" {
				finish(h, to)
			}
			h.wantPending(map[string]int64{})
			for _, q := range h.queued() {
				if readable := q.Version.Seq() == 1 || q.Version == to; readable != (q.Damage == "") {
					t.Errorf("%+v", q)
				}
			}
		})
	}
}

func TestPendingLeavesOutWhatIsNoWriteOfAnItem(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	page := func(after string, most int) string {
		t.Helper()
		return h.run(Pending, []string{h.sp.Meta(h.s), h.sp.Queue(h.s)}, h.epoch, after, most)
	}
	h.put(7, "x")
	h.damage(slices.DeleteFunc(slices.Clone(damaged), func(f []string) bool { return f[0] == "i" })...)
	last := h.put(8, "x")
	head := fmt.Sprintf("%d %s %[2]s", last.Seq(), none)
	for after, want := range map[string]string{"0-0": " 1-1 v7 9", "1-1": " " + StreamID(last) + " v8 9", StreamID(last): ""} {
		if got := page(after, 1); got != head+want {
			t.Errorf("page after %s: %s, want %s", after, got, head+want)
		}
	}
	h.s = h.sp.ItemShards()
	h.open(1, 0)
	h.mustLoad("post:1", nil)
	h.wantCount("ok 1 1, ok 2 2", add("likes", 1), add("likes", 1))
	if got := page("0-0", 1); got != "2 "+none+" "+none {
		t.Errorf("of counters: %s", got)
	}
}

// What SQL left out must not stay readable, nor come back from what was read before.
func TestReleaseOfWhatSQLLeftOutForgetsItsItems(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 1000} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			h := newShard(t)
			before := h.put(6, "stored")
			h.releaseWith(before, releaseArgs{most: 1, read: true, ids: []model.ID{6}})
			h.put(7, "left out")
			h.put(8, "left out")
			to := h.mustWrite(write{id: 7, delete: true})
			newer := h.mustWrite(write{id: 8, author: 9, text: "newer"})
			old := h.absent(write{id: 9, author: 9})

			var got string
			for h.meta("rel") != Hex(to) {
				// The caller read all of it, and yet cannot say what is in SQL.
				from, _ := ParseHex(h.meta("rel"))
				got = h.releaseWith(to, releaseArgs{most: most, read: true, from: from, ids: []model.ID{7, 8}, skipped: to})
			}
			if got != fmt.Sprintf("%s 0 %[1]s", Hex(to)) {
				t.Errorf("release: %s", got)
			}
			if e, _, ok := h.entry(7); ok {
				t.Errorf("what SQL left out is readable: %+v", e)
			}
			h.wantPinned(8, newer)
			h.wantCached(6, before, valueTTL)
			h.wantEvents("x 7", "r "+Hex(to)+" "+Hex(to))

			tip := h.integer(h.meta("seq"))
			h.unchanged("what was read before", func() {
				if got := h.fill(tip-1, &model.Item{ID: 7}); got != "0" {
					t.Errorf("fill: %s", got)
				}
				if got := h.write(old); got != fmt.Sprint("load ", tip) {
					t.Errorf("write with an old snapshot: %s", got)
				}
			})
			if got := h.fill(tip, &model.Item{ID: 7}); got != "1" {
				t.Errorf("fill after the release: %s", got)
			}
			h.unchanged("a repeat", func() {
				if got := h.release(to); got != fmt.Sprintf("%s 0 %[1]s", Hex(to)) {
					t.Errorf("repeated release: %s", got)
				}
			})
			if got := h.release(newer); got != fmt.Sprintf("%s 0 %s", Hex(newer), Hex(to)) {
				t.Errorf("the next release: %s", got)
			}
			h.wantCached(8, newer, valueTTL)
		})
	}
}

// wantEvents checks the last of the events that are no writes, and that every number has its event.
func (h *shard) wantEvents(want ...string) {
	h.t.Helper()
	var got []string
	for i, e := range h.stream(h.sp.Events(h.s)) {
		var seq int
		if _, err := fmt.Sscanf(e, fmt.Sprintf("%d-%%d", h.epoch), &seq); err != nil || seq != i+1 {
			h.t.Errorf("event %d is %q", i+1, e)
		}
		_, text := e, e[len(fmt.Sprintf("%d-%d ", h.epoch, seq)):]
		if text[0] != 'v' && text[0] != 'd' {
			got = append(got, text)
		}
	}
	for _, e := range want {
		if !slices.Contains(got, e) {
			h.t.Errorf("events %q lack %q", got, e)
		}
	}
}

func TestReleaseOfWhatSQLLeftOutMakesTotalsCold(t *testing.T) {
	t.Parallel()
	h := counted(t)
	third := model.NewVersion(1, 3)
	h.releaseWith(third, releaseArgs{
		most: 2, read: true, sums: map[model.Counter]int64{counter("likes"): 2*most - 1, counter("views"): 4}, skipped: third,
	})
	h.wantSettled(2) // the script read for itself, a chunk
	if got := h.total("post:1"); got != nil {
		t.Errorf("totals %v hold what SQL left out", got)
	}
	h.releaseWith(third, releaseArgs{most: 2, skipped: third})
	h.wantSettled(3)
	h.wantCount("cold", add("views", 1))
	// SQL left the second change out.
	if got := h.load(third, "post:1", map[string]int64{"likes": most - 1, "views": 1}); got[:2] != "ok" {
		t.Fatalf("load: %s", got)
	}
	h.wantTotal(map[string]int64{"likes": -most, "views": -4})
	h.release(third + 3)
	h.wantTotal(map[string]int64{"likes": -most, "views": -4})
	h.wantPending(map[string]int64{})
}

func TestOpenSettlesChangesThatAreNotReleased(t *testing.T) {
	t.Parallel()
	for released := range 7 {
		t.Run(fmt.Sprint(released), func(t *testing.T) {
			t.Parallel()
			h := counted(t)
			h.release(model.NewVersion(1, int64(released)))
			h.wantSettled(released)
			last := model.NewVersion(1, 6)
			h.unchanged("a refused opening", func() {
				if got := h.tryOpen(2, last-1); got != "backlog" {
					t.Errorf("open: %s", got)
				}
			})
			h.open(2, last)
			h.wantPending(map[string]int64{})
			if got := h.total("post:1"); got != nil {
				t.Errorf("totals of the last epoch are trusted: %v", got)
			}
			h.mustLoad("post:1", inSQL[6])
			h.wantCount(fmt.Sprintf("ok 1 %d", 1-most), add("likes", 1))
		})
	}
}

func TestOpenSettlesPagesOfChanges(t *testing.T) {
	t.Parallel()
	h := newCounters(t)
	h.mustLoad("post:1", nil)
	var counts []model.Count
	for i := range 1100 {
		counts = append(counts, add(fmt.Sprint("m", i%7), int64(i)))
	}
	for some := range slices.Chunk(counts, 200) {
		h.count(mode{}, some...)
	}
	h.releaseSome(model.NewVersion(1, 1100), 100) // and no further
	before := h.pending("post:1")
	h.open(2, model.NewVersion(1, 1100))
	if after := h.pending("post:1"); len(before) != 7 || !maps.Equal(after, map[string]int64{}) {
		t.Errorf("pending sums %v became %v", before, after)
	}
}
