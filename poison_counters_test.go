package zmsg_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// wantCount checks a counter on the replicas.
func wantCount(t *testing.T, c model.Counter, want int64, replicas ...*replica) {
	t.Helper()
	for i, r := range replicas {
		if got, err := r.Counters.Get(t.Context(), c); err != nil || got != want {
			t.Errorf("%s is %d at replica %d, %v; want %d", c, got, i, err, want)
		}
	}
}

func (r *replica) mustAdd(t *testing.T, c model.Counter, delta int64, store model.Store) {
	t.Helper()
	if _, err := r.Counters.Increment(t.Context(), c, delta, service.CountOptions{Store: store}); err != nil {
		t.Fatalf("increment of %s: %v", c, err)
	}
}

// A change that SQL refuses is taken back everywhere, those around it stay. Retried it counts once, however
// many operators do it at the same time.
func TestP7_BadChangeOfACounterIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t, fastFlush), w.open(t, fastFlush)
	bad, good := model.Counter{Subject: "post:7", Metric: capped}, model.Counter{Subject: "post:7", Metric: "good"}
	others := newTallies(30)
	a.mustAdd(t, bad, 90, model.StoreSync)
	w.exec(t, refuseAbove)
	release := w.hold(t, "counters")
	for i, tl := range others {
		[]*replica{a, b}[i%2].mustAdd(t, tl.Counter, int64(i+1), model.StoreDelayed)
	}
	a.mustAdd(t, bad, 5, model.StoreDelayed)
	b.mustAdd(t, good, 3, model.StoreDelayed)
	b.mustAdd(t, bad, 20, model.StoreDelayed)
	a.mustAdd(t, bad, 1, model.StoreDelayed)
	wantCount(t, bad, 116, a, b)
	release()
	w.awaitDrained(t)
	letter := b.onlyLetter(t)
	if letter.Kind != "counter" || letter.Key != bad.String() || letter.Code != checkViolation || letter.Write.Delta.N != 20 {
		t.Errorf("dead letter %+v of %+v", letter, letter.Write.Delta)
	}
	check := func(total int64) {
		t.Helper()
		wantCount(t, bad, total, a, b)
		wantCount(t, good, 3, a, b)
		inSQL := w.counters(t)
		if inSQL[bad] != total || inSQL[good] != 3 {
			t.Errorf("SQL holds %d and %d, want %d and 3", inSQL[bad], inSQL[good], total)
		}
		for i, tl := range others {
			wantCount(t, tl.Counter, int64(i+1), a, b)
			if inSQL[tl.Counter] != int64(i+1) {
				t.Errorf("%s is %d in SQL, want %d", tl.Counter, inSQL[tl.Counter], i+1)
			}
		}
	}
	check(96)
	w.exec(t, takeAll)
	retryAtTheSameTime(t, letter.ID, a, b, a, b)
	w.awaitDrained(t)
	check(116)
	if list := b.letters(t); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}

// retryAtTheSameTime retries one dead letter at each of the replicas. Whoever comes late finds it gone.
func retryAtTheSameTime(t *testing.T, letter int64, replicas ...*replica) {
	t.Helper()
	var group sync.WaitGroup
	var done atomic.Int64
	for _, r := range replicas {
		group.Go(func() {
			switch err := r.DeadLetters.Retry(t.Context(), letter); {
			case err == nil:
				done.Add(1)
			case model.KindOf(err) != model.NotFound:
				t.Errorf("retry: %v", err)
			}
		})
	}
	group.Wait()
	if done.Load() == 0 {
		t.Error("nobody has retried it")
	}
}

// A counter that SQL still refuses when it is retried has a dead letter again, and one only.
func TestP7_RetryOfACounterThatIsStillRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t, fastFlush), w.open(t, fastFlush)
	bad := model.Counter{Subject: "post:8", Metric: capped}
	w.exec(t, refuseAbove)
	a.mustAdd(t, bad, 2*cappedAt, model.StoreDelayed)
	w.awaitDrained(t)
	first := a.onlyLetter(t)
	wantKind(t, "retry", b.DeadLetters.Retry(t.Context(), first.ID), model.Invalid)
	second := a.onlyLetter(t)
	wantCount(t, bad, 0, a, b)
	w.exec(t, takeAll)
	if err := a.DeadLetters.Retry(t.Context(), second.ID); err != nil {
		t.Errorf("retry: %v", err)
	}
	w.awaitDrained(t)
	wantCount(t, bad, 2*cappedAt, a, b)
	if list := b.letters(t); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}
