package cache

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

// fakeClock is a time that tests move.
type fakeClock struct{ nanos atomic.Int64 }

func (c *fakeClock) now() time.Time          { return time.Unix(1700000000, c.nanos.Load()) }
func (c *fakeClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func newTestL1(tb testing.TB, cfg L1Config) (*L1, *fakeClock) {
	tb.Helper()
	clock := new(fakeClock)
	l, err := NewL1(cfg, clock.now)
	if err != nil {
		tb.Fatal(err)
	}
	return l, clock
}

func smallL1(tb testing.TB) (*L1, *fakeClock) {
	tb.Helper()
	return newTestL1(tb, L1Config{MaxBytes: 4 * mebibyte, TTL: time.Minute, AbsentTTL: time.Second})
}

func TestL1Refuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []L1Config{
		{MaxBytes: 1, TTL: time.Second},
		{MaxBytes: -1, TTL: time.Second},
		{MaxBytes: mebibyte},
		{MaxBytes: mebibyte, TTL: time.Second, AbsentTTL: -1},
	} {
		if _, err := NewL1(cfg, time.Now); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestL1KeepsUntilExpiry(t *testing.T) {
	t.Parallel()
	l, clock := smallL1(t)
	l.Fill(1, l.Begin(1), 7, 100, []byte("body"))
	l.Fill(2, l.Begin(2), 7, 0, nil)
	if v, body, ok := l.Get(1, 7); !ok || v != 100 || string(body) != "body" {
		t.Errorf("got %v %q %v", v, body, ok)
	}
	if v, body, ok := l.Get(2, 7); !ok || v != 0 || len(body) != 0 {
		t.Errorf("absence: got %v %q %v", v, body, ok)
	}
	if _, _, ok := l.Get(1, 6); ok {
		t.Error("an entry of another era was used")
	}
	if _, _, ok := l.Get(1, 8); ok {
		t.Error("an entry of another era was used")
	}
	clock.advance(time.Second - 1)
	if _, _, ok := l.Get(2, 7); !ok {
		t.Error("the absence expired too early")
	}
	clock.advance(1)
	if _, _, ok := l.Get(2, 7); ok {
		t.Error("the absence did not expire")
	}
	clock.advance(59 * time.Second)
	if _, _, ok := l.Get(1, 7); ok {
		t.Error("the item did not expire")
	}
	if st := l.Stats(); st.Hits != 3 || st.Misses != 4 || st.Entries != 2 || st.Bytes == 0 {
		t.Errorf("got %+v", st)
	}
}

func TestL1BodiesAreTheCallers(t *testing.T) {
	t.Parallel()
	l, _ := smallL1(t)
	given := []byte("body")
	l.Fill(1, l.Begin(1), 1, 1, given)
	given[0] = 'X'
	_, first, _ := l.Get(1, 1)
	first[0] = 'Y'
	if _, second, _ := l.Get(1, 1); string(second) != "body" {
		t.Errorf("got %q", second)
	}
}

func TestL1LateFillStoresNothing(t *testing.T) {
	t.Parallel()
	l, _ := smallL1(t)
	late := l.Begin(1)
	l.Invalidate(1)
	l.Fill(1, late, 1, 5, []byte("old"))
	if _, _, ok := l.Get(1, 1); ok {
		t.Error("a late fill was stored")
	}
	// What a late fill has seen still proves that an older version is outdated.
	l.Fill(1, l.Begin(1), 1, 3, []byte("older"))
	l.Fill(1, late, 1, 5, []byte("old"))
	if _, _, ok := l.Get(1, 1); ok {
		t.Error("an outdated version stayed")
	}
	l.Fill(1, l.Begin(1), 1, 9, []byte("new"))
	l.Fill(1, late, 1, 5, []byte("old"))
	if v, _, ok := l.Get(1, 1); !ok || v != 9 {
		t.Error("a late fill removed a newer version")
	}
}

func TestL1VersionsOnlyRise(t *testing.T) {
	t.Parallel()
	l, clock := smallL1(t)
	fill := func(era uint32, v model.Version) { l.Fill(1, l.Begin(1), era, v, bodyOf(v)) }
	expect := func(era uint32, want model.Version, found bool) {
		t.Helper()
		if v, _, ok := l.Get(1, era); ok != found || v != want {
			t.Errorf("got %v %v, want %v %v", v, ok, want, found)
		}
	}
	fill(1, 5)
	fill(1, 4)
	expect(1, 5, true)
	fill(1, 0)
	expect(1, 5, true)
	fill(1, 6)
	expect(1, 6, true)
	fill(2, 3) // a new era begins anew
	expect(2, 3, true)
	fill(1, 7)
	expect(2, 3, true)
	clock.advance(time.Hour)
	fill(2, 2) // expired, but still a proof that 2 is outdated
	expect(2, 0, false)
	fill(1, 9) // a late reader of the ended era takes that proof away no more
	fill(2, 2)
	expect(2, 0, false)
	fill(2, 0)
	expect(2, 0, true)
	fill(2, 1)
	expect(2, 1, true)
}

func TestL1Off(t *testing.T) {
	t.Parallel()
	l, _ := newTestL1(t, L1Config{})
	gen := l.Begin(1)
	l.Fill(1, gen, 1, 1, []byte("x"))
	l.Invalidate(1)
	if _, _, ok := l.Get(1, 1); ok || l.Begin(1) == gen {
		t.Error("generations must go on, and nothing be kept")
	}
}

func TestL1AbsenceUncached(t *testing.T) {
	t.Parallel()
	l, _ := newTestL1(t, L1Config{MaxBytes: mebibyte, TTL: time.Minute})
	l.Fill(1, l.Begin(1), 1, 0, nil)
	if _, _, ok := l.Get(1, 1); ok {
		t.Error("an absence was kept without a TTL")
	}
}

func TestL1HugeBodyEvictsNobody(t *testing.T) {
	t.Parallel()
	l, _ := newTestL1(t, L1Config{MaxBytes: mebibyte, TTL: time.Minute})
	for id := model.ID(1); id <= 100; id++ {
		l.Fill(id, l.Begin(id), 1, 1, make([]byte, 100))
	}
	l.Fill(101, l.Begin(101), 1, 1, make([]byte, 2*mebibyte))
	l.Fill(1, l.Begin(1), 1, 2, make([]byte, 2*mebibyte))
	if st := l.Stats(); st.Entries != 101 { // of items 1 and 101 only the versions
		t.Errorf("%d entries", st.Entries)
	}
	for _, id := range []model.ID{1, 101} {
		if _, _, ok := l.Get(id, 1); ok {
			t.Errorf("item %d is served", id)
		}
	}
	l.Fill(102, l.Begin(102), 1, 1, make([]byte, 72<<10))
	if _, body, ok := l.Get(102, 1); !ok || len(body) != 72<<10 {
		t.Error("the largest item does not fit the smallest cache")
	}
}

// heap returns the bytes in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first has only made unreachable
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestL1MemoryFollowsTheLimit is not parallel: it measures the heap of the process.
//
//nolint:paralleltest // see above
func TestL1MemoryFollowsTheLimit(t *testing.T) {
	for name, c := range map[string]struct{ limit, size, overfill int }{
		"Items":      {64 * mebibyte, 500, 4},
		"SmallItems": {16 * mebibyte, 100, 2},
		"Absences":   {16 * mebibyte, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			limit, size := int64(c.limit), c.size
			before := heap()
			l, err := NewL1(L1Config{MaxBytes: limit, TTL: time.Hour, AbsentTTL: time.Hour}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if used := heap() - before; used > mebibyte {
				t.Errorf("the empty cache takes %d bytes", used)
			}
			body := make([]byte, size)
			count := model.ID(c.overfill * c.limit / (size + 48))
			for id := model.ID(1); id <= count; id++ {
				l.Fill(id, l.Begin(id), 1, model.Version(min(size, 1)), body)
			}
			st := l.Stats()
			used := heap() - before
			t.Logf("%d entries in %d MiB, heap %d MiB", st.Entries, st.Bytes>>20, used>>20)
			if st.Bytes > limit || used > limit*3/2 || (size > 0 && used > limit*5/4) {
				t.Errorf("%d bytes of entries, %d of heap, limit %d", st.Bytes, used, limit)
			}
			if _, _, ok := l.Get(count, 1); !ok || st.Bytes < limit/2 {
				t.Errorf("the newest is kept: %v, of %d bytes", ok, st.Bytes)
			}
			runtime.KeepAlive(l)
		})
	}
}

//nolint:paralleltest // allocations are counted for the whole process
func TestL1HitAllocates(t *testing.T) {
	l, _ := smallL1(t)
	l.Fill(1, l.Begin(1), 1, 1, make([]byte, 300))
	// bigcache copies the key it compares and the value; the third is the key of eight bytes.
	if n := testing.AllocsPerRun(1000, func() { l.Get(1, 1) }); n > 3 {
		t.Errorf("a hit allocates %v times", n)
	}
}

// TestL1NeverServesWhatWasReplaced lets readers fill from a source that writers change: after an
// invalidation returns, nobody may get what was there before.
func TestL1NeverServesWhatWasReplaced(t *testing.T) {
	t.Parallel()
	l, err := NewL1(L1Config{MaxBytes: mebibyte, TTL: time.Hour}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const items, writes = 4, 10_000
	var source, acknowledged [items + 1]atomic.Int64
	var wg sync.WaitGroup
	var writing atomic.Int64
	for w := range 2 {
		writing.Add(1)
		wg.Go(func() {
			defer writing.Add(-1)
			for i := range writes {
				id := 1 + w + 2*rand.IntN(items/2) // one writer for each item
				source[id].Store(int64(i + 1))
				l.Invalidate(model.ID(id))
				acknowledged[id].Store(int64(i + 1))
				runtime.Gosched()
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for writing.Load() > 0 {
				id := 1 + rand.IntN(items)
				least := acknowledged[id].Load()
				gen := l.Begin(model.ID(id))
				if v, body, ok := l.Get(model.ID(id), 1); ok {
					if int64(v) < least || binary.LittleEndian.Uint64(body) != uint64(v) {
						t.Errorf("item %d: got %d after %d", id, v, least)
						return
					}
					continue
				}
				seen := source[id].Load()
				runtime.Gosched()
				if seen != 0 {
					l.Fill(model.ID(id), gen, 1, model.Version(seen), binary.LittleEndian.AppendUint64(nil, uint64(seen)))
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkL1Hit(b *testing.B) {
	l, err := NewL1(L1Config{MaxBytes: 16 * mebibyte, TTL: time.Hour}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 300)
	for id := model.ID(1); id <= 1000; id++ {
		l.Fill(id, l.Begin(id), 1, 1, body)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for id := model.ID(1); pb.Next(); id = id%1000 + 1 {
			if _, _, ok := l.Get(id, 1); !ok {
				b.Error("miss")
			}
		}
	})
}
