package service_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestCounters_BatchGet(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	fake.values = map[model.Counter]int64{likes: 4, counter("post:17", "shares"): 1, counter("post:18", "likes"): -2}
	reads := newCounters(fake).BatchGet(t.Context(), []model.Counter{
		likes, counter("post:17", ""), counter("post:18", "likes"), counter("post:17", "none"), counter("nobody", ""),
		counter("a b", ""), counter("post:17", "a b"), counter("away", "likes"), counter("away", ""),
	})
	want := []service.CountRead{
		{Value: 4},
		{Values: map[string]int64{"likes": 4, "shares": 1}},
		{Value: -2},
		{Value: 0},
		{Values: map[string]int64{}},
	}
	if !reflect.DeepEqual(reads[:len(want)], want) {
		t.Errorf("read %+v", reads)
	}
	wantErr(t, reads[5].Err, model.Invalid, "/subject")
	wantErr(t, reads[6].Err, model.Invalid, "/metric")
	wantErr(t, reads[7].Err, model.Unavailable, "")
	wantErr(t, reads[8].Err, model.Unavailable, "")
	if len(fake.reads) != 1 || !slices.Equal(fake.reads[0], []string{"post:17", "post:18", "nobody", "away"}) {
		t.Errorf("asked for %v", fake.reads)
	}
}

func TestCounters_BatchGetOfNothingReadable(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	reads := newCounters(fake).BatchGet(t.Context(), []model.Counter{counter("", "x")})
	wantErr(t, reads[0].Err, model.Invalid, "/subject")
	if len(fake.reads) != 0 {
		t.Error("somebody was asked")
	}
}

func TestCounters_BatchEqualsItsIncrementsInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		increments := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) service.Increment {
			return service.Increment{
				Counter: counter(rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "subject"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "metric")),
				Delta:   rapid.Int64Range(-3, 3).Draw(t, "delta"), IdempotencyKey: rapid.SampledFrom([]string{"", "", "k", "l"}).Draw(t, "key"),
			}
		}), 0, 40).Draw(t, "increments")
		batched, single := newCounting(), newCounting()
		results, err := newCounters(batched).BatchIncrement(t.Context(), increments, service.CountOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c := newCounters(single)
		for i, in := range increments {
			w, err := c.Increment(t.Context(), in.Counter, in.Delta, service.CountOptions{IdempotencyKey: in.IdempotencyKey})
			if model.KindOf(err) != model.KindOf(results[i].Err) || (err == nil) != (results[i].Err == nil) || w != results[i].Written {
				t.Fatalf("increment %d: %+v in the batch, %+v, %v alone", i, results[i], w, err)
			}
		}
		if !maps.Equal(batched.values, single.values) {
			t.Fatalf("the batch left %v, its increments alone %v", batched.values, single.values)
		}
	})
}

func TestCounters_BatchQueuesAllBeforeItWaits(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	increments := make([]service.Increment, 300)
	for i := range increments {
		increments[i] = service.Increment{Counter: likes, Delta: 1}
	}
	results, err := newCounters(fake).BatchIncrement(t.Context(), increments, countSync)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || r.Written.Durability != service.Committed || r.Written.Value != int64(i+1) {
			t.Errorf("increment %d: %+v", i, r)
		}
	}
	if len(fake.calls) != 1 || fake.awaited != 1 || fake.committed != 300 {
		t.Errorf("%d calls, %d when the first was awaited, committed up to %d", len(fake.calls), fake.awaited, fake.committed)
	}
}

func TestCounters_RepeatedBatchAnswersTheFirstResults(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	c := newCounters(fake)
	increments := []service.Increment{
		{Counter: likes, Delta: 1},
		{Counter: likes, Delta: 1},
		{Counter: counter("", "x"), Delta: 1},
		{Counter: counter("user:1", "posts"), Delta: 5, IdempotencyKey: "own"},
	}
	opts := service.CountOptions{IdempotencyKey: "k", Fingerprint: "f"}
	first, err := c.BatchIncrement(t.Context(), increments, opts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.BatchIncrement(t.Context(), increments, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range again {
		if !again[i].Written.Replayed && again[i].Err == nil {
			t.Errorf("increment %d counted again", i)
		}
		again[i].Written.Replayed = false
	}
	if !reflect.DeepEqual(first, again) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	w, err := c.Increment(t.Context(), counter("user:1", "posts"), 5, service.CountOptions{IdempotencyKey: "own"})
	if err != nil || !w.Replayed {
		t.Errorf("the increment alone with its own key: %+v, %v", w, err)
	}
	wantCounters(t, fake, map[model.Counter]int64{likes: 2, counter("user:1", "posts"): 5})
}

func TestCounters_KeyOfAnotherBatchFailsAllOfIt(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	c := newCounters(fake)
	opts := service.CountOptions{IdempotencyKey: "k", Fingerprint: "one"}
	if _, err := c.BatchIncrement(t.Context(), []service.Increment{{Counter: likes, Delta: 1}}, opts); err != nil {
		t.Fatal(err)
	}
	opts.Fingerprint = "two"
	_, err := c.BatchIncrement(t.Context(), []service.Increment{{Counter: counter("x", "y"), Delta: 1}}, opts)
	wantErr(t, err, model.KeyReused, "Idempotency-Key")
	fake.rememberErr = context.DeadlineExceeded
	_, err = c.BatchIncrement(t.Context(), []service.Increment{{Counter: likes, Delta: 1}}, opts)
	wantErr(t, err, model.Unavailable, "")
	wantCounters(t, fake, map[model.Counter]int64{likes: 1})
}

func TestCounters_OwnKeyOfAnotherIncrementFailsAlone(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	results, err := newCounters(fake).BatchIncrement(t.Context(), []service.Increment{
		{Counter: likes, Delta: 1, IdempotencyKey: "k"}, {Counter: likes, Delta: 2, IdempotencyKey: "k"}, {Counter: likes, Delta: 4},
	}, service.CountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, results[1].Err, model.KeyReused, "/idempotency_key")
	wantCounters(t, fake, map[model.Counter]int64{likes: 5})
}

func TestCounters_BatchFailsIncrementsAlone(t *testing.T) {
	t.Parallel()
	fake := newCounting()
	fake.outcome = func(n model.Count) (model.Outcome, error) {
		switch n.Subject {
		case "full":
			return model.OutcomeOutOfRange, nil
		case "lost":
			return 0, context.DeadlineExceeded
		}
		return 0, nil
	}
	results, err := newCounters(fake).BatchIncrement(t.Context(), []service.Increment{
		{Counter: counter("full", "x"), Delta: 1},
		{Counter: likes, Delta: 1},
		{Counter: counter("lost", "x"), Delta: 1},
		{Counter: likes, Delta: model.MaxCount + 1},
	}, countSync)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, results[0].Err, model.Invalid, "/delta")
	if r := results[1]; r.Err != nil || r.Written.Value != 1 {
		t.Errorf("increment 1: %+v", r)
	}
	wantErr(t, results[2].Err, model.Unavailable, "")
	wantErr(t, results[3].Err, model.Invalid, "/delta")
}
