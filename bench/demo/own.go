package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/model"
)

// ownCounters is how many counters each worker has to itself.
const ownCounters = 4

// syncShare is how many percent of the changes of one's own counters are synchronous.
const syncShare = 5

func newOwn(prefix string, worker int) []*ownCounter {
	var own []*ownCounter
	for i := range ownCounters {
		own = append(own, &ownCounter{Counter: model.Counter{
			Subject: fmt.Sprintf("%sworker-%d", prefix, worker), Metric: "score-" + strconv.Itoa(i),
		}})
	}
	return own
}

func deltaJSON(delta int64) []byte { return fmt.Appendf(nil, `{"delta":%d}`, delta) }

// changeOwn sets, increments or removes one of the worker's own counters, or reads it. Nobody else writes
// it, so that every answer is known beforehand.
func (c *counting) changeOwn(ctx context.Context) error {
	own := c.own[c.rng.IntN(len(c.own))]
	if own.wrong {
		return nil
	}
	req := request{path: path(own.Counter)}
	value := own.value
	switch n := c.rng.IntN(8); {
	case n < 3:
		value = c.rng.Int64N(2001) - 1000
		req.method, req.body = http.MethodPut, fmt.Appendf(nil, `{"value":%d}`, value)
	case n < 4:
		value = 0
		req.method = http.MethodDelete
	default:
		delta := 1 + c.rng.Int64N(50)
		value += delta
		req.method, req.path, req.body = http.MethodPost, req.path+"/increments", deltaJSON(delta)
		req.header = map[string]string{"Idempotency-Key": c.key()}
	}
	committed := c.rng.IntN(100) < syncShare
	if committed {
		req.path += "?store=sync"
	}
	start := time.Now()
	ans, err := c.api.settle(ctx, c.nextReplica(), req)
	if err != nil {
		return err
	}
	c.report.written(req.method+" counter", time.Since(start))
	own.value = value
	c.checkOwnAnswer(own, req, ans, committed)
	return c.readOwn(ctx, own)
}

// checkOwnAnswer compares the answer to a change with what it must be.
func (c *counting) checkOwnAnswer(own *ownCounter, req request, ans answer, committed bool) {
	if req.method == http.MethodDelete {
		if ans.status != http.StatusNoContent && ans.status != http.StatusAccepted {
			c.wrongOwn(own, "removal", "%v", unexpected(req, ans))
		}
		return
	}
	body, ok := parseCount(ans)
	switch {
	case !ok:
		c.wrongOwn(own, "change", "%v", unexpected(req, ans))
	case body.Value != nil && *body.Value != own.value:
		c.wrongOwn(own, "answer to a change", "%s %s: the value is %d, want %d", req.method, req.body, *body.Value, own.value)
	case committed && body.Durability != "committed":
		c.wrongOwn(own, "answer to a synchronous change", "the durability is %q", body.Durability)
	}
}

// readOwn reads the counter, or all counters of its subject, from any replica: counters are exact on all.
func (c *counting) readOwn(ctx context.Context, own *ownCounter) error {
	req := request{method: http.MethodGet, path: path(own.Counter)}
	whole := c.rng.IntN(4) == 0
	if whole {
		req.path = "/counters/" + own.Subject
	}
	ans, err := c.api.settle(ctx, c.rng.IntN(len(c.api.bases)), req)
	if err != nil {
		return err
	}
	body, ok := parseCount(ans)
	if !ok || !whole && body.Value == nil {
		c.wrongOwn(own, "read", "%v", unexpected(req, ans))
		return nil
	}
	if !whole {
		body.Values = map[string]int64{own.Metric: *body.Value}
	}
	for _, o := range c.own {
		if got := body.Values[o.Metric]; (whole || o == own) && !o.wrong && got != o.value {
			c.wrongOwn(o, fmt.Sprintf("read from replica %d", ans.replica), "is %d, want %d", got, o.value)
		}
	}
	return nil
}

// wrongOwn reports that a counter is not as it must be, once.
func (c *counting) wrongOwn(own *ownCounter, where, format string, args ...any) {
	own.wrong = true
	c.report.wrong(where, "counter "+own.String(), format, args...)
}

// show prints a value that may be missing.
func show(v *int64) string {
	if v == nil {
		return "no value"
	}
	return strconv.FormatInt(*v, 10)
}
