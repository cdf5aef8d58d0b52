package queue

import (
	"slices"
	"testing"

	"github.com/zmsg/zmsg/model"
)

// What starts a round before its time is counted once: own changes when they are made and not by their events
// again, and those of others when they are found in the stream, unless a round is about to take them out.
func TestChangesStartOneRoundOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t) // flushes every hour
	w := r.counters
	for range 3 {
		r.WakeCounter(counterShard)
		r.Wake(counterShard)
	}
	if w.changes != 3 || len(w.take()) > 0 {
		t.Errorf("%d changes are counted of 3", w.changes)
	}
	counts := make([]model.Count, 1000)
	for i := range counts {
		counts[i] = model.Count{Counter: model.Counter{Subject: "post:1", Metric: "likes"}, N: 1}
	}
	for range roundEntries/1000 + 1 {
		r.change(counts...)
	}
	w.busy.Store(true)
	r.backlog.measure(t.Context())
	if list := w.take(); len(list) > 0 {
		t.Errorf("%v are drained again while a round is under way", list)
	}
	w.busy.Store(false)
	r.backlog.measure(t.Context())
	if list := w.take(); !slices.Equal(list, []int{counterShard}) {
		t.Errorf("%v are drained at once", list)
	}
}
