package main

import (
	"context"
	"net/http"
	"time"
)

// increment is one increment of a counter that all workers share.
type increment struct {
	counter *counter
	delta   int64
	key     string // idempotency key, "" for none
	began   earlier
	// A repeat has no effect, and is answered as the first time.
	repeat bool
	first  *int64 // the answer to the first time, nil if it named no value
}

// single sends one increment by a request of its own, and if it has a key once more: at any replica, or
// as a part of a later batch.
func (c *counting) single(ctx context.Context, inc *increment) error {
	req := request{method: http.MethodPost, path: path(inc.counter.Counter) + "/increments", body: deltaJSON(inc.delta)}
	start := time.Now()
	if inc.key == "" && c.api.calm() {
		ans, err := c.api.send(ctx, c.nextReplica(), req)
		if !notSent(err) {
			if err != nil || isUnknown(ans.status) {
				c.api.unknown(req, ans, err)
				c.uncertain()
				return nil
			}
			return c.settleSingle(inc, req, ans, start)
		}
	}
	inc.key = c.keyed(inc, 100).key // It may have to be repeated.
	req.header = map[string]string{"Idempotency-Key": inc.key}
	ans, err := c.api.settle(ctx, c.nextReplica(), req)
	if err != nil {
		return err
	}
	if err := c.settleSingle(inc, req, ans, start); err != nil {
		return err
	}
	if c.rng.IntN(4) == 0 {
		c.repeats = append(c.repeats, inc)
		return nil
	}
	if c.rng.IntN(2) == 0 {
		c.nextReplica() // so that the same one is asked
	}
	start = time.Now()
	if ans, err = c.api.settle(ctx, c.nextReplica(), req); err != nil {
		return err
	}
	return c.settleSingle(inc, req, ans, start)
}

// settleSingle records the answer to the increment's own request.
func (c *counting) settleSingle(inc *increment, req request, ans answer, start time.Time) error {
	body, ok := parseCount(ans)
	if !ok {
		return unexpected(req, ans)
	}
	c.report.written("increment", time.Since(start))
	c.settled(inc, &countResult{Status: ans.status, Value: body.Value})
	return nil
}

// settled records the result of an increment. A repeat must have the first one.
func (c *counting) settled(inc *increment, res *countResult) {
	name := "counter " + inc.counter.String()
	switch {
	case res.Status >= 300:
		c.report.wrong("increment", name, "%+d (repeated: %v) was answered with %d %s", inc.delta, inc.repeat, res.Status, res.Problem)
	case inc.repeat:
		c.report.repeated()
		if (inc.first == nil) != (res.Value == nil) || res.Value != nil && *res.Value != *inc.first {
			c.report.wrong("repeat", name, "was answered with %s, at first with %s", show(res.Value), show(inc.first))
		}
	default:
		inc.counter.acked.add(inc.delta)
		c.report.acknowledged()
		if res.Value != nil {
			inc.counter.check(c.report, "answer to an increment", inc.began, *res.Value)
		}
	}
	if !inc.repeat {
		inc.repeat, inc.first = true, res.Value
	}
}
