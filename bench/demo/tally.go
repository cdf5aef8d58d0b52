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
	seen  atomic.Int64 // highest value read so far, if it grows
}

// earlier is what is known of a counter when a read begins.
type earlier struct{ up, down, seen int64 }

func (c *counter) now() earlier {
	return earlier{up: c.acked.up.Load(), down: c.acked.down.Load(), seen: c.seen.Load()}
}

// possible returns the lowest and the highest value that a read may return which began at e and has
// ended. A counter that grows never goes back behind a value that was read.
func (c *counter) possible(e earlier) (low, high int64) {
	low, high = e.up+c.sent.down.Load(), c.sent.up.Load()+e.down
	if c.grows {
		low = max(low, e.seen)
	}
	return low, high
}

// check reports a value that cannot be, of a read that began at e.
func (c *counter) check(r *report, where string, e earlier, value int64) {
	if low, high := c.possible(e); value < low || value > high {
		r.wrong(where, "counter "+c.String(), "is %d, must be from %d (seen before: %d) to %d", value, low, e.seen, high)
		return
	}
	for seen := c.seen.Load(); c.grows && value > seen && !c.seen.CompareAndSwap(seen, value); {
		seen = c.seen.Load()
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
		t.shared = append(t.shared, &counter{
			Counter: model.Counter{Subject: fmt.Sprintf("%s%d", t.prefix, subject), Metric: metricNames[metric]},
			grows:   metric < len(metricNames)/2,
		})
	}
	return t
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
