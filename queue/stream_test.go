package queue

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// queuedWrites draws the writes of one shard: items, changes of counters and entries that cannot be read.
func queuedWrites() *rapid.Generator[[]model.Queued] {
	return rapid.Custom(func(t *rapid.T) []model.Queued {
		writes := make([]model.Queued, rapid.IntRange(1, 3*releaseChunk).Draw(t, "writes"))
		spread := rapid.SampledFrom([]int{3, 3 * releaseChunk}).Draw(t, "items and counters")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for i := range writes {
			q := &writes[i]
			q.Version = model.NewVersion(1, int64(11+2*i))
			n := 1 + random.IntN(spread)
			switch random.IntN(10) {
			case 0:
				q.Raw = "damaged"
			case 1, 2, 3, 4:
				q.Item = &model.Item{ID: model.ID(n), Version: q.Version}
			default:
				q.Delta = &model.Delta{
					Counter: model.Counter{Subject: "s" + strconv.Itoa(n/2), Metric: "m" + strconv.Itoa(n%2)},
					N:       random.Int64N(model.MaxCount) - model.MaxCount/2,
				}
			}
		}
		return writes
	})
}

func TestChunksOfAReleaseCoverItWithoutGaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := part{from: model.NewVersion(1, 10), writes: queuedWrites().Draw(t, "part")}
		p.to = p.writes[len(p.writes)-1].Version
		at, rest := p.from, p.writes
		for _, c := range p.chunks() {
			if n := len(c.items) + len(c.sums); c.from != at || n > releaseChunk {
				t.Fatalf("chunk from %d to %d of %d after %d", c.from, c.to, n, at)
			}
			items, sums := make(map[model.ID]int), make(map[model.Counter]int64)
			for ; len(rest) > 0 && rest[0].Version <= c.to; rest = rest[1:] {
				switch q := rest[0]; {
				case q.Item != nil:
					items[q.Item.ID] = 1
				case q.Delta != nil:
					sums[q.Delta.Counter] += q.Delta.N
				}
			}
			told := make(map[model.ID]int)
			for _, id := range c.items {
				told[id]++
			}
			if !maps.Equal(told, items) || !maps.Equal(c.sums, sums) {
				t.Fatalf("chunk to %d: items %v and sums %v, want %v and %v", c.to, told, c.sums, items, sums)
			}
			at = c.to
		}
		if at != p.to || len(rest) != 0 {
			t.Fatalf("covered up to %d of %d", at, p.to)
		}
	})
}

func TestManyChangesOfFewCountersAreOneChunk(t *testing.T) {
	t.Parallel()
	var p part
	for i := range 20 * releaseChunk {
		p.add("", model.Queued{Version: model.NewVersion(1, int64(i+1)), Delta: &model.Delta{
			Counter: model.Counter{Subject: "s", Metric: strconv.Itoa(i % 4)}, N: 1,
		}})
	}
	list := p.chunks()
	if len(list) != 1 || list[0].to != p.to || len(list[0].sums) != 4 || list[0].sums[model.Counter{Subject: "s", Metric: "0"}] != 5*releaseChunk {
		t.Errorf("%d chunks, the first to %d with sums %v", len(list), list[0].to, list[0].sums)
	}
}

func TestRoundThatSQLLeftSomethingOutOfIsReadByTheScript(t *testing.T) {
	t.Parallel()
	p := part{grant: &shards.Grant{Shard: 3}, from: 1}
	p.add("", model.Queued{Shard: 3, Version: 2, Item: &model.Item{ID: 7}})
	other := part{grant: &shards.Grant{Shard: 4}, from: 1, to: 2}
	b := &batch{parts: []part{p, other}}
	b.skip([]model.DeadLetter{{Shard: 3, Version: 2}})
	list := b.parts[0].chunks()
	if len(list) != 1 || list[0].to != 2 || list[0].skipped != 2 || len(list[0].items) != 0 {
		t.Errorf("got %+v", list)
	}
	if b.parts[1].skipped != 0 {
		t.Errorf("the other shard: %+v", b.parts[1])
	}
}

// testWorker returns a worker over n shards of items that does not run.
func testWorker(cfg Config, n int) *worker {
	space := keyspace.New(n)
	d := NewDrainer(cfg, DrainerDeps{
		Space: space, Table: shards.NewTable(space), Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
	})
	return d.workers[0]
}

// sized returns a batch of so many item writes with so much content in all.
func sized(bytes, items int) *batch {
	var p part
	for i := range items {
		it := &model.Item{ID: model.ID(i + 1)}
		if i == 0 {
			it.Content = make([]byte, bytes)
		}
		p.add("", model.Queued{Version: model.Version(i + 1), Item: it})
	}
	return &batch{parts: []part{p}}
}

func TestAdaptKeepsBatchesNearTheirLimit(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	w := testWorker(Config{Workers: 1, BatchItems: 1000, BatchBytes: limit}, 1)
	for range 20 {
		w.adapt(sized(10, 1))
	}
	if w.perShard != 1000 {
		t.Errorf("small writes: %d for each shard", w.perShard)
	}
	for range 20 {
		w.adapt(sized(0, 0))
		w.adapt(sized(limit/2, 10))
	}
	if w.perShard != 1000 {
		t.Errorf("an empty round, or one of the right size, changed it to %d", w.perShard)
	}
	for range 20 {
		w.adapt(sized(limit+1, 10))
	}
	if w.perShard != 1 {
		t.Errorf("huge writes: %d for each shard", w.perShard)
	}
}

func TestARoundHasLimits(t *testing.T) {
	t.Parallel()
	w := testWorker(Config{Workers: 1, BatchItems: 1000, BatchBytes: 1 << 20}, 64)
	const counter = 64 // the first of them
	for _, tc := range []struct{ perShard, shard, shards, want int }{
		{16, 0, 1, 16},
		{16, 0, 64, 15},
		{1000, 0, 1, 1000},
		{1000, 0, 64, 15},
		{1000, 0, 2000, 1},
		{16, counter, 1, roundEntries},
		{16, counter, 16, counterSlack * roundEntries / 16},
	} {
		w.perShard = tc.perShard
		if got := w.count(tc.shard, tc.shards); got != tc.want {
			t.Errorf("%d for each shard: %d of shard %d, one of %d; want %d", tc.perShard, got, tc.shard, tc.shards, tc.want)
		}
	}
}

func TestParseReplay(t *testing.T) {
	t.Parallel()
	got, err := model.ParseWriteResult("7|2|3|1000|2000|1")
	want := model.WriteResult{
		Outcome: model.OutcomeApplied, ID: 7, Version: model.NewVersion(2, 3), CreatedAt: time.UnixMilli(1000).UTC(),
		UpdatedAt: time.UnixMilli(2000).UTC(), Replayed: true,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, s := range []string{"", "7|2|3|1000|2000", "7|2|3|1000|2000|1|9", "7|2|x|1000|2000|1"} {
		if got, err := model.ParseWriteResult(s); err == nil {
			t.Errorf("%q is read as %+v", s, got)
		}
	}
}

func TestConditionsAsTheScriptReadsThem(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]model.Cond{
		"":                                   {},
		"a":                                  {Absent: true},
		"x":                                  {Exists: true},
		"m0000000000000005,000001000000000a": {Exists: true, Match: []model.Version{5, model.NewVersion(1, 10)}},
	} {
		if got := condition(c); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
}

func TestTakeEmptiesTheSetOfWokenShards(t *testing.T) {
	t.Parallel()
	w := testWorker(Config{Workers: 1}, 4)
	for _, s := range []int{3, 1, 3} {
		w.wake(s)
	}
	if got := w.take(); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("got %v", got)
	}
	if got := w.take(); len(got) != 0 {
		t.Errorf("taken twice: %v", got)
	}
}

// The first change of a counter waits for others as long as was asked for, and then all go together.
func TestChangesOfCountersAreGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := testWorker(Config{Workers: 1, CounterFlush: 5 * time.Second}, 16)
		woken := func(after time.Duration) []int {
			<-time.After(after)
			synctest.Wait()
			return w.take()
		}
		w.gather(17, 1)
		if got := woken(3 * time.Second); len(got) != 0 {
			t.Errorf("after 3s: %v", got)
		}
		w.gather(19, 1)
		w.gather(17, 1)
		if got := woken(1999 * time.Millisecond); len(got) != 0 {
			t.Errorf("just before 5s: %v", got)
		}
		if got := woken(time.Millisecond); !slices.Equal(got, []int{17, 19}) {
			t.Errorf("after 5s: %v", got)
		}
		if got := woken(time.Minute); len(got) != 0 {
			t.Errorf("without any change: %v", got)
		}
		w.gather(18, 1) // its own wait begins
		if got := woken(4999 * time.Millisecond); len(got) != 0 {
			t.Errorf("just before the second 5s: %v", got)
		}
		if got := woken(time.Millisecond); !slices.Equal(got, []int{18}) {
			t.Errorf("after the second 5s: %v", got)
		}
	})
}

func TestManyChangesOfCountersDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := testWorker(Config{Workers: 1, CounterFlush: 5 * time.Second}, 16)
		for range roundEntries {
			w.gather(17, 1)
		}
		w.gather(18, 0)
		if got := w.take(); len(got) != 0 {
			t.Errorf("a full round, no more: %v", got)
		}
		w.gather(19, 1)
		if got := w.take(); !slices.Equal(got, []int{17, 18, 19}) {
			t.Errorf("more than a round: %v", got)
		}
		w.gather(17, 1) // is counted anew, and timed anew
		<-time.After(4999 * time.Millisecond)
		synctest.Wait()
		if got := w.take(); len(got) != 0 {
			t.Errorf("the next change: %v", got)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if got := w.take(); !slices.Equal(got, []int{17}) {
			t.Errorf("after its time: %v", got)
		}
	})
}

// A waiter has its shard drained at once, with what was gathered of it; the others wait on.
func TestWaitersTakeWhatIsGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := testWorker(Config{Workers: 1, CounterFlush: 5 * time.Second}, 16)
		w.gather(17, 1)
		w.gather(18, 1)
		w.Expect(17, 5) // no replica owns it: this one drains it
		if got := w.counters.take(); !slices.Equal(got, []int{17}) {
			t.Errorf("at once: %v", got)
		}
		w.wake(17)
		if got := w.take(); !slices.Equal(got, []int{17}) {
			t.Errorf("woken: %v", got)
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		if got := w.take(); !slices.Equal(got, []int{18}) {
			t.Errorf("gathered: %v", got)
		}
	})
}
