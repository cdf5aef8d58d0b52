package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/zmsg/zmsg/model"
)

// metricNames are the counters of one subject. The first half of them only grow.
var metricNames = []string{"views", "likes", "votes", "balance"}

// sums add up increments by their sign.
type sums struct{ up, down atomic.Int64 }

func (s *sums) add(delta int64) {
	if delta > 0 {
		s.up.Add(delta)
	} else {
		s.down.Add(delta)
	}
}

// counter is the record of one counter that all workers increment.
//
// Every increment is in sent before it leaves, and in acked once it was acknowledged. Whatever order they
// take effect in, a value that was read holds all that were acked when the read began, and none that was
// not sent when it ended. Those whose outcome stays unknown may be in it or not, for ever.
type counter struct {
	model.Counter
	grows bool
	sent  sums
	acked sums
	// Highest value read so far, if it grows. Another one takes its place when Redis is lost; see forget.
	seen atomic.Pointer[atomic.Int64]
}

// earlier is what is known of a counter when a read begins.
type earlier struct {
	up, down int64 // acknowledged
	seen     int64
	sight    *atomic.Int64 // where the read will note its value
}

func (c *counter) now() earlier {
	sight := c.seen.Load()
	return earlier{up: c.acked.up.Load(), down: c.acked.down.Load(), seen: sight.Load(), sight: sight}
}

// forget begins anew with what was seen. An increment that Redis has made is seen at once. If Redis is lost
// before its replica has the reply, nobody else knows of it until Redis is back: it is not acknowledged, and
// is not seen meanwhile.
func (c *counter) forget() { c.seen.Store(new(atomic.Int64)) }

// possible returns the lowest and the highest value that a read may return which began at e and has
// ended. A counter that grows never goes back behind a value that was read, unless Redis was lost.
func (c *counter) possible(e earlier) (low, high int64) {
	low, high = e.up+c.sent.down.Load(), c.sent.up.Load()+e.down
	if c.grows && c.seen.Load() == e.sight { // else Redis was lost while the read was under way
		low = max(low, e.seen)
	}
	return low, high
}

// check reports a value that cannot be, of a read that began at e.
func (c *counter) check(r *report, where string, e earlier, value int64) {
	if low, high := c.possible(e); value < low || value > high {
		r.wrong(where, "counter "+c.String(), "is %d, must be from %d to %d (acknowledged before: %d, seen before: %d)",
			value, low, high, e.up+e.down, e.seen)
		return
	}
	for seen := e.sight.Load(); c.grows && value > seen && !e.sight.CompareAndSwap(seen, value); {
		seen = e.sight.Load()
	}
}

// delta draws an increment: mostly +1.
func (c *counter) delta(rng *rand.Rand) int64 {
	switch n := rng.IntN(100); {
	case n >= 95:
		n := 2 + rng.Int64N(99)
		if !c.grows && rng.IntN(2) == 0 {
			return -n
		}
		return n
	case n >= 75 && !c.grows:
		return -1
	}
	return 1
}

// ownCounter is the record of a counter that a single worker changes, so that its value is known exactly.
type ownCounter struct {
	model.Counter
	value int64
	wrong bool // an answer did not agree, which was reported
}

// tally is the record of all counters.
type tally struct {
	prefix string // of the subjects of this run
	shared []*counter

	mu  sync.Mutex
	own []*ownCounter
}

// newTally returns the record of n counters whose names no other seed has.
func newTally(seed uint64, n int) *tally {
	t := &tally{prefix: fmt.Sprintf("demo-%016x:", seed)}
	for i := range n {
		subject, metric := i/len(metricNames), i%len(metricNames)
		c := &counter{
			Counter: model.Counter{Subject: fmt.Sprintf("%s%d", t.prefix, subject), Metric: metricNames[metric]},
			grows:   metric < len(metricNames)/2,
		}
		c.forget()
		t.shared = append(t.shared, c)
	}
	return t
}

// forget is said when Redis is lost.
func (t *tally) forget() {
	for _, c := range t.shared {
		c.forget()
	}
}

// add records counters that a worker owned.
func (t *tally) add(own []*ownCounter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own = append(t.own, own...)
}

// final is what a counter must be when all is done.
type final struct {
	model.Counter
	low, high int64
}

// finals returns what every counter must be.
func (t *tally) finals() []final {
	var all []final
	for _, c := range t.shared {
		low, high := c.possible(c.now())
		all = append(all, final{c.Counter, low, high})
	}
	for _, c := range t.own {
		f := final{c.Counter, c.value, c.value}
		if c.wrong {
			f.low, f.high = -model.MaxCount, model.MaxCount // Its worker has given it up.
		}
		all = append(all, f)
	}
	return all
}
