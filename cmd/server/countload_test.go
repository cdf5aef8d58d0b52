package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
)

// counter is one counter that only grows, and the bounds of what it may show.
type counter struct {
	subject     string
	acked, sent atomic.Int64
}

// counterSets is how many sets of counters there are, of all loads.
var counterSets atomic.Int64

func newCounters() []*counter {
	set, list := counterSets.Add(1), make([]*counter, 12)
	for i := range list {
		list[i] = &counter{subject: fmt.Sprintf("post:%d-%d", set, i)}
	}
	return list
}

func (c *counter) path() string { return "/counters/" + c.subject + "/likes" }

// count increments a counter, sometimes asks for it again under the same key, and reads another one.
func (w *writer) count(ctx context.Context, n int) error {
	c, delta := w.load.counters[rand.IntN(len(w.load.counters))], 1+rand.Int64N(9)
	c.sent.Add(delta)
	body, key := fmt.Sprintf(`{"delta":%d}`, delta), strconv.FormatInt(w.load.keys.Add(1), 10)
	first, err := w.do(ctx, http.MethodPost, c.path()+"/increments", body, "Idempotency-Key", key)
	if err != nil {
		return err
	}
	c.acked.Add(delta)
	if n%8 == 0 && !w.load.plain {
		again, err := w.do(ctx, http.MethodPost, c.path()+"/increments", body, "Idempotency-Key", key)
		if err != nil {
			return err
		}
		if was, is := valueOf(first), valueOf(again); is != was || again.header.Get("Idempotent-Replayed") != "true" {
			return fmt.Errorf("%s: %s, and %s when repeated with the same key (headers %v)", c.subject, first.body, again.body, again.header)
		}
	}
	return w.readCounter(ctx, w.load.counters[rand.IntN(len(w.load.counters))])
}

// readCounter checks that nothing is missing that was acknowledged before, and that nothing is there that
// was not sent.
func (w *writer) readCounter(ctx context.Context, c *counter) error {
	low := c.acked.Load()
	if w.load.plain {
		low = 0
	}
	a, err := w.do(ctx, http.MethodGet, c.path(), "")
	if err != nil {
		return err
	}
	if got, high := valueOf(a), c.sent.Load(); got < low || got > high {
		return fmt.Errorf("%s is %d, but from %d to %d are possible", c.subject, got, low, high)
	}
	return nil
}

// valueOf returns the value in an answer, -1 if there is none.
func valueOf(a answer) int64 {
	var body struct{ Value *int64 }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Value == nil {
		return -1
	}
	return *body.Value
}

// verifyCounters compares the counters in SQL, whose queue is empty, and those of one process with the books.
func (l *load) verifyCounters(t *testing.T, w *world, survivor *process) {
	t.Helper()
	client, sum := newClient(t), int64(0)
	for _, c := range l.counters {
		want := c.acked.Load()
		sum += want
		inSQL := w.number(t, "SELECT COALESCE(sum(value), 0) FROM counters WHERE subject = $1", c.subject)
		got := valueOf(client.must(t, http.StatusOK, http.MethodGet, survivor.URL+c.path(), ""))
		if inSQL != want || got != want {
			t.Errorf("%s is %d, in SQL %d; acknowledged are %d", c.subject, got, inSQL, want)
		}
	}
	if sum == 0 {
		t.Error("nothing was counted")
	}
}
