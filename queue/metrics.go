package queue

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// metrics of the drain.
type metrics struct {
	commits  prometheus.Counter
	rows     prometheus.Counter
	writes   prometheus.Counter
	failures prometheus.Counter
	refused  prometheus.Counter
	size     prometheus.Histogram
	seconds  prometheus.Histogram
	backlog  prometheus.Gauge
	lag      prometheus.Gauge
	owned    prometheus.Gauge

	drained atomic.Int64
	stats   atomic.Pointer[Stats]
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "zmsg", Subsystem: "queue", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "zmsg", Subsystem: "queue", Name: name, Help: help})
	}
	m := &metrics{
		commits:  prometheus.NewCounter(opts("commits_total", "Transactions of the drain that committed.")),
		rows:     prometheus.NewCounter(opts("rows_total", "Rows upserted by the drain.")),
		writes:   prometheus.NewCounter(opts("writes_total", "Queued writes that the drain committed.")),
		failures: prometheus.NewCounter(opts("failures_total", "Rounds of the drain that failed and were repeated.")),
		refused:  prometheus.NewCounter(opts("refused_total", "Shards whose position had been moved by another drainer.")),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "zmsg", Subsystem: "queue", Name: "batch_writes",
			Help: "Queued writes in one round of the drain.", Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "zmsg", Subsystem: "queue", Name: "round_seconds",
			Help: "Duration of a round of the drain, from reading to trimming.", Buckets: prometheus.ExponentialBuckets(.0005, 2, 14),
		}),
		backlog: gauge("backlog_writes", "Writes in the streams of the shards that fall to this replica."),
		lag:     gauge("lag_seconds", "Age of the oldest queued write of the shards that fall to this replica."),
		owned:   gauge("owned_shards", "Shards that fall to this replica."),
	}
	m.stats.Store(&Stats{})
	reg.MustRegister(m.commits, m.rows, m.writes, m.failures, m.refused, m.size, m.seconds, m.backlog, m.lag, m.owned)
	return m
}

func (m *metrics) observe(writes int, took time.Duration) {
	m.drained.Add(int64(writes))
	m.writes.Add(float64(writes))
	m.size.Observe(float64(writes))
	m.seconds.Observe(took.Seconds())
}

// Stats is the queue as one replica sees it. Only shards that fall to the replica count.
type Stats struct {
	OwnedShards int     `json:"owned_shards"`
	Backlog     int64   `json:"backlog_writes"`
	LagSeconds  float64 `json:"lag_seconds"`
	Drained     int64   `json:"drained_writes"`
}

// Stats returns the figures of the last sweep.
func (d *Drainer) Stats() Stats {
	st := *d.metrics.stats.Load()
	st.Drained = d.metrics.drained.Load()
	return st
}

// measure looks at the backlog of this replica's shards: their lengths, and their oldest entries.
func (d *Drainer) measure(ctx context.Context) {
	var lengths []*redis.IntCmd
	var oldest []*redis.XMessageSliceCmd
	pipe := d.redis.Client().Pipeline()
	for s := range d.table.Shards() {
		if d.table.Owns(s) && d.table.Grant(s) != nil {
			lengths = append(lengths, pipe.XLen(ctx, d.space.Queue(s)))
			oldest = append(oldest, pipe.XRangeN(ctx, d.space.Queue(s), "-", "+", 1))
		}
	}
	if len(lengths) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return // the drain itself tells of such trouble
		}
	}
	st := Stats{OwnedShards: len(lengths)}
	first := time.Now()
	for i := range lengths {
		st.Backlog += lengths[i].Val()
		for _, m := range oldest[i].Val() {
			if it, err := parseWrite(m); err == nil && it.UpdatedAt.Before(first) {
				first = it.UpdatedAt
			}
		}
	}
	st.LagSeconds = time.Since(first).Seconds()
	d.metrics.stats.Store(&st)
	d.metrics.backlog.Set(float64(st.Backlog))
	d.metrics.lag.Set(st.LagSeconds)
	d.metrics.owned.Set(float64(st.OwnedShards))
}
