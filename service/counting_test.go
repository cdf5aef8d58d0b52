package service_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// counting is what Counters works with, in memory: totals, keys and a queue that is committed only when
// somebody awaits it.
type counting struct {
	*store // of what is remembered

	mu        sync.Mutex
	values    map[model.Counter]int64
	keys      map[string]counted
	seq       model.Version
	committed model.Version
	calls     [][]model.Count
	reads     [][]string
	awaited   int // calls that were made when the first Await came

	blind   bool // values are not known
	outcome func(model.Count) (model.Outcome, error)
}

type counted struct {
	fingerprint string
	result      model.CountResult
}

func newCounting() *counting {
	return &counting{store: newStore(), values: map[model.Counter]int64{}, keys: map[string]counted{}}
}

func newCounters(c *counting) *service.Counters {
	return service.NewCounters(service.CountersDeps{Reader: counterReader{c}, Writer: c, Results: c})
}

func (c *counting) Count(_ context.Context, counts []model.Count) ([]model.CountResult, []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, counts)
	results, errs := make([]model.CountResult, len(counts)), make([]error, len(counts))
	for i, n := range counts {
		results[i], errs[i] = c.count(n)
	}
	return results, errs
}

func (c *counting) count(n model.Count) (model.CountResult, error) {
	if k, known := c.keys[n.IdempotencyKey]; known {
		if k.fingerprint != n.Fingerprint {
			return model.CountResult{Outcome: model.OutcomeKeyReused}, nil
		}
		k.result.Replayed = true
		return k.result, nil
	}
	if c.outcome != nil {
		if o, err := c.outcome(n); o != 0 || err != nil {
			return model.CountResult{Outcome: o, Value: c.values[n.Counter], Known: !c.blind}, err
		}
	}
	c.seq++
	res := model.CountResult{Outcome: model.OutcomeApplied, Known: !c.blind, Version: c.seq, Committed: c.atSQL}
	switch n.Op {
	case model.CountAdd:
		c.values[n.Counter] += n.N
	case model.CountSet:
		c.values[n.Counter] = n.N
	case model.CountRemove:
		delete(c.values, n.Counter)
	}
	if res.Known {
		res.Value = c.values[n.Counter]
	}
	if n.IdempotencyKey != "" {
		c.keys[n.IdempotencyKey] = counted{n.Fingerprint, res}
	}
	return res, nil
}

func (c *counting) AwaitCount(ctx context.Context, _ string, v model.Version) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaited == 0 {
		c.awaited = len(c.calls)
	}
	if c.awaitErr != nil {
		return c.awaitErr
	}
	c.committed = max(c.committed, v)
	return ctx.Err()
}

// counterReader reads what counting holds.
type counterReader struct{ *counting }

func (r counterReader) Get(_ context.Context, subjects []string) ([]map[string]int64, []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, subjects)
	values, errs := make([]map[string]int64, len(subjects)), make([]error, len(subjects))
	for i, s := range subjects {
		if errs[i] = r.notReadable(s); errs[i] != nil {
			continue
		}
		values[i] = map[string]int64{}
		for c, n := range r.values {
			if c.Subject == s && n != 0 {
				values[i][c.Metric] = n
			}
		}
	}
	return values, errs
}

// notReadable lets reads of one subject fail.
func (c *counting) notReadable(subject string) error {
	if subject == "away" {
		return model.NewUnavailable("no database", nil)
	}
	return nil
}

func counter(subject, metric string) model.Counter {
	return model.Counter{Subject: subject, Metric: metric}
}

var likes = counter("post:17", "likes")

// wantCounters compares all values.
func wantCounters(t *testing.T, c *counting, want map[model.Counter]int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !maps.Equal(c.values, want) {
		t.Errorf("counters %v, want %v", c.values, want)
	}
}
