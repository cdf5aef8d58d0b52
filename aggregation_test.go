package zmsg_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// spread is many increments over few counters.
type spread struct {
	counters []model.Counter
	sums     []atomic.Int64 // that were answered
}

func newSpread(counters int) *spread {
	s := &spread{counters: make([]model.Counter, counters), sums: make([]atomic.Int64, counters)}
	first := newID()
	for i := range s.counters {
		s.counters[i] = model.Counter{Subject: fmt.Sprintf("post:%s-%d", first, i/2), Metric: [...]string{"likes", "shares"}[i%2]}
	}
	return s
}

// run has clients send n increments in batches as large as they may be, and returns how long that took.
func (s *spread) run(tb testing.TB, r *replica, n int) time.Duration {
	tb.Helper()
	const clients, size = 8, 1000
	began := time.Now()
	var batches atomic.Int64
	batches.Store(int64(n / size))
	var group sync.WaitGroup
	for c := range clients {
		random := rand.New(rand.NewPCG(5, uint64(c)))
		group.Go(func() {
			for batches.Add(-1) >= 0 && s.batch(tb, r, size, random) {
			}
		})
	}
	group.Wait()
	return time.Since(began)
}

func (s *spread) batch(tb testing.TB, r *replica, size int, random *rand.Rand) bool {
	tb.Helper()
	increments, which := make([]service.Increment, size), make([]int, size)
	for i := range increments {
		which[i] = random.IntN(len(s.counters))
		increments[i] = service.Increment{Counter: s.counters[which[i]], Delta: 1 + random.Int64N(5)}
	}
	results, err := r.Counters.BatchIncrement(tb.Context(), increments, service.CountOptions{})
	if err != nil {
		tb.Errorf("batch: %v", err)
		return false
	}
	for i := range results {
		if results[i].Err != nil {
			tb.Errorf("increment: %v", results[i].Err)
			return false
		}
		s.sums[which[i]].Add(increments[i].Delta)
	}
	return true
}

// verify checks all counters once everything is drained.
func (s *spread) verify(tb testing.TB, w *world, r *replica) {
	tb.Helper()
	eventually(tb, time.Minute, "the queue is drained", func() bool {
		n, err := w.queued(tb)
		return err == nil && n == 0
	})
	for i, c := range s.counters {
		if got, err := r.Counters.Get(tb.Context(), c); err != nil || got != s.sums[i].Load() {
			tb.Errorf("%s is %d, %v; %d were answered", c, got, err, s.sums[i].Load())
		}
	}
}

// However many increments there are, SQL gets one row for each counter now and then: of these, as of the million
// of the benchmark, at most one for 50 increments. The interval is twice the default, as the race detector makes
// clients slow: below 50 increments of each counter in an interval there are more rows, whatever the drain does.
func TestP4_Aggregation(t *testing.T) {
	t.Parallel()
	const increments, counters = 250_000, 1000
	w := newWorld(t)
	r := w.open(t, "ZMSG_COUNTER_FLUSH_INTERVAL=10s")
	s := newSpread(counters)
	took := s.run(t, r, increments)
	s.verify(t, w, r)
	inSQL := w.counters(t)
	for i, c := range s.counters {
		if got := inSQL[c]; got != s.sums[i].Load() {
			t.Errorf("%s is %d in SQL, %d were answered", c, got, s.sums[i].Load())
		}
	}
	rows := r.metric(t, "zmsg_queue_increment_rows_total")
	t.Logf("%d increments of %d counters in %v: %v rows, %v transactions", increments, counters, took, rows, r.metric(t, "zmsg_queue_commits_total"))
	if n := r.metric(t, "zmsg_queue_increments_total"); n != increments {
		t.Errorf("%v increments were drained", n)
	}
	if rows > increments/50 {
		t.Errorf("%v rows", rows)
	}
}

// BenchmarkAggregation does a million increments of a thousand counters with the default settings. It fails if
// they take more than 20,000 rows in SQL.
func BenchmarkAggregation(b *testing.B) {
	const increments, counters, most = 1_000_000, 1000, 20_000
	w := newWorld(b)
	r := w.open(b)
	var took time.Duration
	rows := 0.0
	for b.Loop() {
		s := newSpread(counters)
		before := r.metric(b, "zmsg_queue_increment_rows_total")
		took += s.run(b, r, increments)
		s.verify(b, w, r)
		written := r.metric(b, "zmsg_queue_increment_rows_total") - before
		if rows += written; written > most {
			b.Errorf("%v rows of %d increments", written, increments)
		}
	}
	b.ReportMetric(rows/float64(b.N), "rows")
	b.ReportMetric(float64(b.N)*increments/took.Seconds(), "increments/s")
	b.ReportMetric(0, "ns/op")
}
