package zmsg_test

import (
	"context"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

// rareFlush lets no increment be stored before the end of a test.
const rareFlush = "ZMSG_COUNTER_FLUSH_INTERVAL=30s"

// A replica that ends just when Redis is lost is the only one that knows what it had queued there: it stores
// that before it goes, whether Redis stays away or is back at once without it.
func TestP9_CloseWhileRedisIsLostStoresWhatWasQueued(t *testing.T) {
	t.Parallel()
	gone := func(t *testing.T, w *world) {
		t.Helper()
		must(t, w.redis.Kill())
	}
	for name, tt := range map[string]struct {
		lose  func(t *testing.T, w *world)
		other bool // another replica goes on
	}{
		"Alone":     {gone, false},
		"OneOfTwo":  {gone, true},
		"Restarted": {func(t *testing.T, w *world) { t.Helper(); gone(t, w); must(t, w.redis.Start(t.Context())) }, false},
		"Emptied":   {func(t *testing.T, w *world) { t.Helper(); must(t, w.client(t).FlushAll(t.Context()).Err()) }, false},
		"Hanging":   {func(t *testing.T, w *world) { t.Helper(); must(t, w.redis.Pause()) }, false},
		"RefusesWrites": {func(t *testing.T, w *world) {
			t.Helper()
			must(t, w.client(t).ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.open(t, rareFlush)
			if tt.other {
				w.open(t, rareFlush)
			}
			author := newID()
			var ids []model.ID
			var counters []model.Counter
			for i := range 100 {
				ids = append(ids, newID())
				r.mustPut(t, ids[i], author, textN(i), delayed)
				counters = append(counters, model.Counter{Subject: "post:" + ids[i].String(), Metric: "likes"})
				r.mustAdd(t, counters[i], 3, model.StoreDelayed)
			}
			tt.lose(t, w)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := r.Close(ctx); err != nil {
				t.Logf("close: %v", err) // of the drain, which finds no Redis
			}
			t.Logf("closed within %v", time.Since(began))
			for i, id := range ids {
				if row := w.sql(t, id); row.content != `"`+textN(i)+`"` {
					t.Errorf("item %d is %+v", i, row)
				}
			}
			if n := w.count(t, "SELECT count(*) FROM counters WHERE value = 3"); n != int64(len(counters)) {
				t.Errorf("%d of %d increments are stored", n, len(counters))
			}
		})
	}
}

// While Redis answers nobody waits, even for writes that others store much later: it holds them.
func TestCloseDoesNotWaitWhileRedisAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	settings := []string{rareFlush, "ZMSG_PERMISSION_TTL=30s"}
	r := w.open(t, settings...)
	other := w.open(t, settings...)
	w.awaitEvenShares(t, time.Minute, r, other) // one that is handed over later is drained for that
	const subjects = 100
	for range subjects {
		r.mustAdd(t, model.Counter{Subject: "post:" + newID().String(), Metric: "likes"}, 3, model.StoreDelayed)
	}
	began := time.Now()
	must(t, r.Close(t.Context()))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if n := w.count(t, "SELECT count(*) FROM counters"); n == 0 || n == subjects {
		t.Errorf("%d of %d increments are stored, so that nothing was left to others, or all", n, subjects)
	}
}
