package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// The mix of the increments, in percent: of batches that one key covers, of other increments that have a
// key of their own, of increments that go by a request of their own, and of repeats that are sent with
// every turn.
const (
	coveredShare = 5
	keyedShare   = 5
	singleShare  = 2
	repeatShare  = 50
)

// batchSpread is the size of batches: from 100 to 299, 200 on average.
const batchSpread = 200

// covered is a batch that one key covers.
type covered struct {
	key     string
	incs    []*increment
	replica int
}

// counting sends increments and keeps the tally of them. It is for one goroutine.
type counting struct {
	*writer
	tally   *tally
	zipf    *rand.Zipf
	own     []*ownCounter
	repeats []*increment // to be sent again
	batches []covered    // likewise
}

func (d *demo) newCounting(worker int) *counting {
	w := d.newWriter(1<<35 + uint64(worker))
	return &counting{
		writer: w, tally: d.tally, zipf: zipf(w.rng, max(2, len(d.tally.shared))), own: newOwn(d.tally.prefix, worker),
	}
}

// draw returns a new increment.
func (c *counting) draw() *increment {
	rank := int(c.zipf.Uint64()) % len(c.tally.shared)
	inc := &increment{counter: c.tally.shared[rank]}
	inc.delta = inc.counter.delta(c.rng)
	inc.began = inc.counter.now()
	inc.counter.sent.add(inc.delta)
	return inc
}

// next sends a batch of at most quota increments, some by requests of their own, repeats of earlier ones,
// and a change of a counter of its own. It returns how many increments were new.
func (c *counting) next(ctx context.Context, quota int) (int, error) {
	n := min(quota, 100+c.rng.IntN(batchSpread))
	singles := n * singleShare / 100
	for range singles {
		if err := c.single(ctx, c.keyed(c.draw(), 50)); err != nil {
			return 0, err
		}
	}
	if err := c.sendBatch(ctx, n-singles); err != nil {
		return 0, err
	}
	if err := c.sendRepeats(ctx); err != nil {
		return 0, err
	}
	return n, c.changeOwn(ctx)
}

// finish sends the repeats that are left.
func (c *counting) finish(ctx context.Context) error {
	for len(c.repeats)+len(c.batches) > 0 {
		if err := c.sendBatch(ctx, 0); err != nil {
			return err
		}
		if err := c.sendRepeats(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keyed gives so many percent of increments a key.
func (c *counting) keyed(inc *increment, percent int) *increment {
	if !inc.repeat && inc.key == "" && c.rng.IntN(100) < percent {
		inc.key = c.key()
	}
	return inc
}

// sendBatch sends a batch of n new increments and of some repeats. One key covers it all in times of
// trouble, when many outcomes are unknown at first and all repeats must be harmless.
func (c *counting) sendBatch(ctx context.Context, n int) error {
	var incs []*increment
	for range n {
		incs = append(incs, c.draw())
	}
	if n > 0 && (c.rng.IntN(100) < coveredShare || !c.api.calm()) {
		b := covered{key: c.key(), incs: incs, replica: c.nextReplica()}
		if err := c.sendCovered(ctx, b); err != nil {
			return err
		}
		c.batches = append(c.batches, b)
		return nil
	}
	for _, inc := range incs {
		c.keyed(inc, keyedShare)
	}
	later := c.repeats[:0]
	for _, inc := range c.repeats {
		if c.rng.IntN(100) < repeatShare {
			incs = append(incs, inc)
		} else {
			later = append(later, inc)
		}
	}
	c.repeats = later
	return c.sendAlone(ctx, incs)
}

// sendRepeats repeats some batches that a key covered, half of them at the other replica.
func (c *counting) sendRepeats(ctx context.Context) error {
	var later []covered
	for _, b := range c.batches {
		if c.rng.IntN(100) >= repeatShare {
			later = append(later, b)
			continue
		}
		if c.rng.IntN(2) == 0 {
			b.replica = c.api.after(b.replica)
		}
		if err := c.sendCovered(ctx, b); err != nil {
			return err
		}
	}
	c.batches = later
	return nil
}

// sendCovered sends a batch until the outcome of every increment is known.
func (c *counting) sendCovered(ctx context.Context, b covered) error {
	req := request{
		method: http.MethodPost, path: "/counters:batchIncrement",
		header: map[string]string{"Idempotency-Key": b.key}, body: incrementsJSON(b.incs),
	}
	var results []countResult
	start := time.Now()
	ans, err := c.api.settleIf(ctx, b.replica, req, func(ans *answer) bool {
		var ok bool
		if results, ok = parseCounts(*ans, len(b.incs)); !ok {
			return !isUnknown(ans.status)
		}
		for i := range results {
			if results[i].unknown() {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if results == nil {
		return unexpected(req, ans)
	}
	c.report.written("batchIncrement, one key", time.Since(start))
	for i, inc := range b.incs {
		c.settled(inc, &results[i])
	}
	return nil
}

// sendAlone sends a batch of increments each of which stands for itself, until the outcome of those that
// have a key is known. The rest is never repeated.
func (c *counting) sendAlone(ctx context.Context, incs []*increment) error {
	patience, replica, start := newPatience(), c.nextReplica(), time.Now()
	for len(incs) > 0 {
		req := request{method: http.MethodPost, path: "/counters:batchIncrement", body: incrementsJSON(incs)}
		ans, err := c.api.send(ctx, replica, req)
		results, ok := parseCounts(ans, len(incs))
		if err == nil && !ok && !isUnknown(ans.status) {
			return unexpected(req, ans)
		}
		if !notSent(err) {
			incs = c.settleSome(incs, results)
		}
		if ok && len(incs) == 0 {
			c.report.written("batchIncrement", time.Since(start))
			return nil
		}
		c.api.unknown(req, ans, err)
		if err := patience.wait(ctx, req, ans, err); err != nil {
			return err
		}
		replica = c.api.after(replica)
	}
	return nil
}

// settleSome records the results of increments, nil if the outcome of all is unknown, and returns those
// that must be sent again.
func (c *counting) settleSome(incs []*increment, results []countResult) []*increment {
	var again []*increment
	for i, inc := range incs {
		switch {
		case results != nil && !results[i].unknown():
			if inc.key != "" && !inc.repeat {
				c.repeats = append(c.repeats, inc)
			}
			c.settled(inc, &results[i])
		case inc.key != "":
			again = append(again, inc)
		default:
			c.uncertain()
		}
	}
	return again
}

// uncertain records an increment whose outcome will never be known.
func (c *counting) uncertain() {
	c.api.trouble.Store(time.Now().UnixNano())
	c.report.uncertain()
}
