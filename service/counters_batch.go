package service

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

// CountRead is what a counter of a batch reads: Err, or Value, or Values if no metric was named.
type CountRead struct {
	Value  int64
	Values map[string]int64 // without those that are 0
	Err    error
}

// BatchGet reads counters, or all those of a subject where the metric is "", and returns one result for
// each, in their order. What is read of one subject is of one moment.
func (c *Counters) BatchGet(ctx context.Context, counters []model.Counter) []CountRead {
	reads := make([]CountRead, len(counters))
	placeOf := make(map[string]int, len(counters)) // of a subject among those that are asked for
	var subjects []string
	for i, counter := range counters {
		if counter.Metric == "" {
			reads[i].Err = checkSubject(counter.Subject)
		} else {
			reads[i].Err = checkCounter(counter)
		}
		if _, known := placeOf[counter.Subject]; reads[i].Err == nil && !known {
			placeOf[counter.Subject] = len(subjects)
			subjects = append(subjects, counter.Subject)
		}
	}
	if len(subjects) == 0 {
		return reads
	}
	values, errs := c.deps.Reader.Get(ctx, subjects)
	for i, counter := range counters {
		if reads[i].Err != nil {
			continue
		}
		place := placeOf[counter.Subject]
		switch {
		case errs[place] != nil:
			reads[i].Err = errs[place]
		case counter.Metric == "":
			reads[i].Values = values[place]
		default:
			reads[i].Value = values[place][counter.Metric]
		}
	}
	return reads
}

// Increment is one of a batch. Its idempotency key, "" for none, is that of the same increment alone.
type Increment struct {
	model.Counter
	Delta          int64
	IdempotencyKey string
}

// IncrementResult is what became of one Increment: Err, or Written.
type IncrementResult struct {
	Written CountWritten
	Err     error
}

// BatchIncrement does increments and returns their results in the same order, which is also that of
// those of one counter. Each stands for itself: one that fails fails alone.
//
// The idempotency key of the options covers every increment that has none of its own. An error says
// that it belongs to another batch, or that this could not be told; nothing is done then.
//
// All changes are queued before the first is waited for, so that synchronous ones share commits.
func (c *Counters) BatchIncrement(ctx context.Context, increments []Increment, o CountOptions) ([]IncrementResult, error) {
	results := make([]IncrementResult, len(increments))
	counts := make([]model.Count, 0, len(increments))
	places := make([]int, 0, len(increments)) // of the counts among the increments
	for i := range increments {
		n := increments[i].count(i, o.IdempotencyKey)
		if results[i].Err = checkCount(&n); results[i].Err == nil {
			counts, places = append(counts, n), append(places, i)
		}
	}
	if len(counts) == 0 {
		return results, nil
	}
	store, err := c.store(o.Store)
	if err != nil {
		for _, i := range places {
			results[i].Err = err
		}
		return results, nil
	}
	if o.IdempotencyKey != "" {
		// The changes keep their keys with their counters, so that those of another batch with the
		// key may meet none of them.
		if err = markKey(ctx, c.deps.Results, storedKey("count.batch", o.IdempotencyKey), o.Fingerprint); err != nil {
			return nil, err
		}
	}
	for k := range counts {
		counts[k].Delayed = store == model.StoreDelayed
	}
	done, errs := c.deps.Writer.Count(ctx, counts)
	for k, i := range places {
		if errs[k] == nil {
			errs[k] = refusedCount(&counts[k], &done[k])
		}
		results[i].Err = increments[i].nameKey(unknownIfEnded(errs[k]))
	}
	c.settleAll(ctx, counts, places, done, store, results)
	return results, nil
}

// settleAll settles the changes that were made.
func (c *Counters) settleAll(ctx context.Context, counts []model.Count, places []int, done []model.CountResult,
	store model.Store, results []IncrementResult,
) {
	var workers errgroup.Group
	workers.SetLimit(batchWorkers)
	for k, i := range places {
		r := &results[i]
		if r.Err != nil {
			continue
		}
		if store != model.StoreSync { // nothing waits, so that no worker is worth it
			r.Written, r.Err = c.settle(ctx, &counts[k], &done[k], store)
			continue
		}
		workers.Go(func() error {
			r.Written, r.Err = c.settle(ctx, &counts[k], &done[k], store)
			return nil
		})
	}
	_ = workers.Wait() // each increment keeps its own error
}

// count returns the change that the n-th increment of a batch with a key asks for.
func (in *Increment) count(n int, batch string) model.Count {
	c := model.Count{Counter: in.Counter, Op: model.CountAdd, N: in.Delta}
	if in.IdempotencyKey == "" && batch != "" {
		c.IdempotencyKey, c.Fingerprint = batchKey(n, batch), countFingerprint(&c)
		return c
	}
	identify(&c, in.IdempotencyKey)
	return c
}

// nameKey says of a reused key whose it is: the header's, unless the increment has one of its own.
func (in *Increment) nameKey(err error) error {
	var e *model.Error
	if in.IdempotencyKey == "" || !errors.As(err, &e) || e.Kind != model.KeyReused {
		return err
	}
	named := *e
	named.Field = "/idempotency_key"
	return &named
}
