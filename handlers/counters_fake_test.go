package handlers_test

import (
	"context"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

const seededCounterPath = "/counters/post:17/likes"

// fakeQueue takes changes of the fake's counters. The rules above it are those of the real service.
type fakeQueue struct{ *fake }

func newCounters(f *fake) *service.Counters {
	q := fakeQueue{f}
	return service.NewCounters(service.CountersDeps{Reader: fakeTotals{f}, Writer: q, Results: q})
}

func (q fakeQueue) Count(ctx context.Context, counts []model.Count) ([]model.CountResult, []error) {
	results, errs := make([]model.CountResult, len(counts)), make([]error, len(counts))
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range counts {
		if errs[i] = q.begin(ctx); errs[i] == nil {
			results[i] = q.change(&counts[i])
		}
	}
	return results, errs
}

func (q fakeQueue) change(n *model.Count) model.CountResult {
	if k, known := q.counted[n.IdempotencyKey]; known {
		if k.fingerprint != n.Fingerprint {
			return model.CountResult{Outcome: model.OutcomeKeyReused}
		}
		k.count.Replayed = true
		return k.count
	}
	old, listed := q.counts[n.Counter]
	next := n.N
	if n.Op == model.CountAdd {
		next += old
	}
	metrics := 0
	for c := range q.counts {
		if c.Subject == n.Subject {
			metrics++
		}
	}
	switch {
	case next > model.MaxCount || next < -model.MaxCount:
		return model.CountResult{Outcome: model.OutcomeOutOfRange, Value: old, Known: true}
	case !listed && metrics == model.MaxMetrics:
		return model.CountResult{Outcome: model.OutcomeTooManyMetrics}
	case n.Op == model.CountRemove:
		delete(q.counts, n.Counter)
	default:
		q.counts[n.Counter] = next
	}
	q.seq++
	q.writes++
	res := model.CountResult{Outcome: model.OutcomeApplied, Known: !q.blind, Version: model.NewVersion(1, q.seq), Committed: q.atSQL}
	if res.Known {
		res.Value = next
	}
	if n.IdempotencyKey != "" {
		q.counted[n.IdempotencyKey] = keyed{fingerprint: n.Fingerprint, count: res}
	}
	return res
}

func (q fakeQueue) AwaitCount(ctx context.Context, _ string, _ model.Version) error { return ctx.Err() }

func (q fakeQueue) Ready(store model.Store) (model.Store, error) { return store, nil }

func (q fakeQueue) Durability() string { return "memory" }

func (q fakeQueue) Remember(_ context.Context, key string, result []byte) ([]byte, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if stored, known := q.marks[key]; known {
		return []byte(stored), true, nil
	}
	q.marks[key] = string(result)
	return result, false, nil
}

// fakeTotals reads the fake's counters.
type fakeTotals struct{ f *fake }

func (t fakeTotals) Get(ctx context.Context, subjects []string) ([]map[string]int64, []error) {
	values, errs := make([]map[string]int64, len(subjects)), make([]error, len(subjects))
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	for i, s := range subjects {
		if errs[i] = t.f.begin(ctx); errs[i] != nil {
			continue
		}
		values[i] = map[string]int64{}
		for c, n := range t.f.counts {
			if c.Subject == s && n != 0 {
				values[i][c.Metric] = n
			}
		}
	}
	return values, errs
}
