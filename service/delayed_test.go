package service_test

import (
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// What is queued says whether it is answered at once, however it was asked for: only then must Redis promise
// that it lasts.
func TestWritesSayWhetherTheyAreDelayed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts service.WriteOptions
		busy bool
		want bool
	}{
		"Delayed": {delayed, false, true}, "Sync": {sync1, false, false}, "DelayedWhileBusy": {delayed, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			s.busy = tt.busy
			f := newFeeds(s)
			w, err := f.Create(t.Context(), draft(5, 1, `1`), tt.opts)
			must(t, w, err)
			w, err = f.Put(t.Context(), draft(5, 1, `2`), tt.opts)
			must(t, w, err)
			w, err = f.Delete(t.Context(), 5, tt.opts)
			must(t, w, err)
			for _, r := range f.Batch(t.Context(), []service.BatchOp{put(6, 1, `1`)}, tt.opts) {
				must(t, r.Written, r.Err)
			}
			if len(s.writes) != 4 {
				t.Fatalf("%d writes", len(s.writes))
			}
			for i := range s.writes {
				if s.writes[i].Delayed != tt.want {
					t.Errorf("write %d: delayed is %v", i, s.writes[i].Delayed)
				}
			}
			checkCountsAreDelayed(t, tt.opts.Store, tt.busy, tt.want)
		})
	}
}

func checkCountsAreDelayed(t *testing.T, store model.Store, busy, want bool) {
	t.Helper()
	fake := newCounting()
	fake.busy = busy
	c, o := newCounters(fake), service.CountOptions{Store: store}
	_, err := c.Increment(t.Context(), likes, 1, o)
	_, err2 := c.Remove(t.Context(), likes, o)
	results, err3 := c.BatchIncrement(t.Context(), []service.Increment{{Counter: likes, Delta: 1}, {Counter: likes, Delta: 2}}, o)
	if err != nil || err2 != nil || err3 != nil || results[0].Err != nil || results[1].Err != nil {
		t.Fatalf("%v, %v, %v, %+v", err, err2, err3, results)
	}
	if len(fake.calls) != 3 {
		t.Fatalf("%d calls", len(fake.calls))
	}
	for i, call := range fake.calls {
		for _, n := range call {
			if n.Delayed != want {
				t.Errorf("call %d: delayed is %v", i, n.Delayed)
			}
		}
	}
}
