package snowflake

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is a few processes that share one or two nodes, each with a clock that goes, stands still and
// steps, over a database whose clock does so too. Windows are short, so that timestamps meet often.
type world struct {
	db      *fakeNodes
	millis  int64 // the database's clock
	elapsed []time.Duration
	procs   []*Generator
	made    map[ID]bool
	users   map[ID]string // of each node and millisecond: the grant's holder
}

const shortWindow = 100 * time.Millisecond

func newWorld(t *rapid.T) *world {
	w := &world{millis: epochMillis + 1e9, made: make(map[ID]bool), users: make(map[ID]string)}
	w.db = newFake(rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "nodes"), func() int64 { return w.millis })
	w.elapsed = make([]time.Duration, 3)
	w.procs = make([]*Generator, 3)
	for i := range w.procs {
		w.start(t, i)
	}
	return w
}

func (w *world) start(t *rapid.T, i int) {
	g, err := New(Config{Window: shortWindow, Elapsed: func() time.Duration { return w.elapsed[i] }}, w.db)
	if err != nil {
		t.Fatal(err)
	}
	w.procs[i] = g
}

func (w *world) draw(t *rapid.T) (int, *Generator) {
	i := rapid.IntRange(0, len(w.procs)-1).Draw(t, "process")
	return i, w.procs[i]
}

// mint lets every process take IDs.
func (w *world) mint(t *rapid.T) {
	for _, g := range w.procs {
		w.mintBy(t, g)
	}
}

// mintBy checks that nobody has made the IDs before, nor any with their node and millisecond under
// another grant.
func (w *world) mintBy(t *rapid.T, g *Generator) {
	ids, _, _ := g.take(nil, rapid.SampledFrom([]int{1, 50, PerMillisecond + 1}).Draw(t, "n"))
	if !slices.IsSorted(ids) {
		t.Fatal("a batch is not in order")
	}
	holder := g.slots.grant.Holder
	for _, id := range ids {
		if w.made[id] {
			t.Fatalf("%d is made twice: %+v", id, id.Parts())
		}
		w.made[id] = true
		slot := id >> sequenceBits
		if user, ok := w.users[slot]; ok && user != holder {
			t.Fatalf("two grants made IDs with %+v", id.Parts())
		}
		w.users[slot] = holder
	}
}

func (w *world) passTime(t *rapid.T) {
	d := rapid.Int64Range(0, 120).Draw(t, "ms")
	w.millis += d
	for i := range w.elapsed {
		if rapid.Bool().Draw(t, "the process runs") { // else it is paused, or its machine sleeps
			w.elapsed[i] += time.Duration(d) * time.Millisecond
		}
	}
}

// P5: pauses, steps of any clock, outages, crashes and lost nodes never repeat an ID.
func TestP5_NoIDTwice(t *testing.T) {
	t.Parallel()
	for range 20 {
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			renew := func(t *rapid.T) {
				_, g := w.draw(t)
				_ = g.renew(t.Context()) // may fail: then the grant in hand counts
			}
			t.Repeat(map[string]func(*rapid.T){
				"mint": w.mint, "mint again": w.mint,
				"renew": renew, "renew another": renew, "renew a third": renew,
				"time passes":            w.passTime,
				"database's clock steps": func(t *rapid.T) { w.millis += rapid.Int64Range(-120, 60).Draw(t, "ms") },
				"crash": func(t *rapid.T) {
					i, _ := w.draw(t)
					w.start(t, i)
				},
				"graceful end": func(t *rapid.T) {
					i, g := w.draw(t)
					_ = g.giveBack(t.Context()) // fails while the database is away: a crash
					w.start(t, i)
				},
				"outage": func(t *rapid.T) { w.db.setAway(rapid.IntRange(0, 3).Draw(t, "away") == 0) },
			})
		})
	}
}

// P5 with goroutines: singles and batches, over grants that come and go.
func TestP5_Concurrent(t *testing.T) {
	t.Parallel()
	db := newFake(3, realTime)
	var mu sync.Mutex
	seen := make(map[ID]bool)
	var wg sync.WaitGroup
	for p := range 3 {
		g := started(t, Config{Window: 100 * time.Millisecond, MaxWait: 10 * time.Second}, db)
		for w := range 8 {
			wg.Go(func() {
				for round := range 40 {
					ids, err := mintSorted(t, g, 1+(w*round*97)%3000)
					if err != nil {
						t.Errorf("process %d: %v", p, err)
						return
					}
					mu.Lock()
					for _, id := range ids {
						if seen[id] {
							t.Errorf("%d is made twice", id)
						}
						seen[id] = true
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
}

func mintSorted(t *testing.T, g *Generator, n int) ([]ID, error) {
	t.Helper()
	ids, err := g.Mint(t.Context(), n)
	if err == nil && (len(ids) != n || !slices.IsSorted(ids)) {
		err = fmt.Errorf("asked for %d IDs, got %d, sorted %v", n, len(ids), slices.IsSorted(ids))
	}
	return ids, err
}
