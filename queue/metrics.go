package queue

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg/model"
)

// metrics of the drain.
type metrics struct {
	commits     prometheus.Counter
	rows        prometheus.Counter
	counterRows prometheus.Counter
	writes      prometheus.Counter
	increments  prometheus.Counter
	letters     prometheus.Counter
	leftOut     prometheus.Counter
	failures    prometheus.Counter
	refused     prometheus.Counter
	size        prometheus.Histogram
	commit      prometheus.Histogram
	seconds     prometheus.Histogram
	backlog     *prometheus.GaugeVec
	lag         *prometheus.GaugeVec
	owned       prometheus.Gauge

	drained atomic.Int64
	stats   atomic.Pointer[Stats]
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "zmsg", Subsystem: "queue", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "zmsg", Subsystem: "queue", Name: name, Help: help}
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "zmsg", Subsystem: "queue", Name: name, Help: help, Buckets: buckets,
		})
	}
	durations := prometheus.ExponentialBuckets(.0005, 2, 14)
	m := &metrics{
		commits:     counter("commits_total", "Transactions of the drain that committed."),
		rows:        counter("rows_total", "Rows of items upserted by the drain."),
		counterRows: counter("increment_rows_total", "Rows of counters updated by the drain."),
		writes:      counter("writes_total", "Queued writes of items that the drain committed."),
		increments:  counter("increments_total", "Queued changes of counters that the drain committed."),
		letters:     counter("dead_letters_total", "Queued writes that the drain put among the dead letters."),
		leftOut:     counter("left_out_total", "Queued writes of earlier epochs that the drain left out, because SQL had them."),
		failures:    counter("failures_total", "Rounds of the drain that failed and were repeated."),
		refused:     counter("refused_total", "Shards whose position had been moved by another drainer."),
		size: histogram("batch_writes", "Queued writes and changes in one round of the drain.",
			prometheus.ExponentialBuckets(1, 4, 9)),
		commit:  histogram("commit_seconds", "Duration of a transaction of the drain.", durations),
		seconds: histogram("round_seconds", "Duration of a round of the drain, from reading to trimming.", durations),
		backlog: prometheus.NewGaugeVec(gauge("backlog_writes",
			"Entries in the stream of a shard that falls to this replica."), []string{"shard"}),
		lag: prometheus.NewGaugeVec(gauge("lag_seconds",
			"Age of the oldest entry in the stream of a shard that falls to this replica."), []string{"shard"}),
		owned: prometheus.NewGauge(gauge("owned_shards", "Shards in Redis that fall to this replica.")),
	}
	m.stats.Store(&Stats{})
	reg.MustRegister(m.commits, m.rows, m.counterRows, m.writes, m.increments, m.letters, m.leftOut, m.failures, m.refused,
		m.size, m.commit, m.seconds, m.backlog, m.lag, m.owned)
	return m
}

// apply counts what a transaction did.
func (m *metrics) apply(a *model.Applied, took time.Duration) {
	if len(a.Refused) > 0 {
		m.refused.Add(float64(len(a.Refused)))
		return
	}
	m.commits.Inc()
	m.commit.Observe(took.Seconds())
	m.rows.Add(float64(a.ItemRows))
	m.counterRows.Add(float64(a.CounterRows))
	m.leftOut.Add(float64(a.LeftOut))
	m.letters.Add(float64(len(a.DeadLetters)))
}

// observe counts a round.
func (m *metrics) observe(items, changes int, took time.Duration) {
	m.drained.Add(int64(items + changes))
	m.writes.Add(float64(items))
	m.increments.Add(float64(changes))
	m.size.Observe(float64(items + changes))
	m.seconds.Observe(took.Seconds())
}

// Stats is the queue as one replica sees it. Only shards that fall to the replica count.
type Stats struct {
	OwnedShards int     `json:"owned_shards"`
	Backlog     int64   `json:"backlog_writes"`
	LagSeconds  float64 `json:"lag_seconds"`
	Drained     int64   `json:"drained_writes"`
}

// Stats returns the figures of the last survey.
func (d *Drainer) Stats() Stats {
	st := *d.metrics.stats.Load()
	st.Drained = d.metrics.drained.Load()
	return st
}

// surveyed tells what lies in the streams, of which this replica's are shown. When there are many changes of
// counters that nobody has told of, they are drained without waiting for more, unless draining says that a round
// of them was under way when the survey began: what it takes along was still in the streams.
func (d *Drainer) surveyed(piles []pile, draining bool) {
	st := Stats{}
	changes := int64(0)
	for s, p := range piles {
		shard := strconv.Itoa(s)
		if !d.table.Owns(s) || d.table.Redis(s) == nil || d.table.Away(s) {
			d.metrics.backlog.DeleteLabelValues(shard)
			d.metrics.lag.DeleteLabelValues(shard)
			continue
		}
		lag := p.age().Seconds()
		d.metrics.backlog.WithLabelValues(shard).Set(float64(p.writes))
		d.metrics.lag.WithLabelValues(shard).Set(lag)
		st.OwnedShards++
		st.Backlog += p.writes
		st.LagSeconds = max(st.LagSeconds, lag)
		if d.space.IsCounter(s) {
			changes += p.writes
		}
	}
	if changes > roundEntries && !draining {
		d.counters.flush()
	}
	d.metrics.stats.Store(&st)
	d.metrics.owned.Set(float64(st.OwnedShards))
}
