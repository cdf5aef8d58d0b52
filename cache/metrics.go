package cache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg/model"
)

const tiers = int(model.TierSQL) + 1

// metrics of the caches. Answers are counted without a lock, for they include every L1 hit.
type metrics struct {
	answers     [tiers]atomic.Int64
	sqlReads    prometheus.Counter
	events      prometheus.Counter
	eventErrors prometheus.Counter
	gaps        prometheus.Counter
	lag         prometheus.Histogram
	counters    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "zmsg", Subsystem: "cache", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		sqlReads:    counter("sql_reads_total", "Statements sent to SQL for requests: reads of one item, of many, and of lists."),
		events:      counter("events_total", "Events of all shards that were applied."),
		eventErrors: counter("event_errors_total", "Reads of the event streams that failed."),
		gaps:        counter("event_gaps_total", "Times that a shard had to be followed anew because events were missed."),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "zmsg", Subsystem: "cache", Name: "event_lag_seconds",
			Help: "From a write to its event being applied here, by the two replicas' clocks.", Buckets: prometheus.ExponentialBuckets(.0005, 2, 14),
		}),
	}
	m.counters = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "zmsg", Subsystem: "cache", Name: "subject_answers_total",
		Help: "Reads of the counters of a subject, by the tier that answered.",
	}, []string{"tier"})
	reg.MustRegister(m.lag, m.counters)
	return m
}

func (m *metrics) answered(t model.Tier) { m.answers[t].Add(1) }

func (m *metrics) counts() map[string]int64 {
	counts := make(map[string]int64, tiers)
	for t := range tiers {
		if n := m.answers[t].Load(); n > 0 {
			counts[model.Tier(t).String()] = n
		}
	}
	return counts
}

// follow exports what the parts count themselves.
func (m *metrics) follow(reg prometheus.Registerer, l1 *L1, filter *Filter, overlay *Overlay) {
	for t := range tiers {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "zmsg", Subsystem: "cache", Name: "answers_total",
			Help: "Reads of items by the tier that answered.", ConstLabels: prometheus.Labels{"tier": model.Tier(t).String()},
		},
			func() float64 { return float64(m.answers[t].Load()) }))
	}
	gauge := func(name, help string, f func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "zmsg", Subsystem: "cache", Name: name, Help: help}, f))
	}
	gauge("l1_bytes", "Bytes that L1 holds.", func() float64 { return float64(l1.Stats().Bytes) })
	gauge("l1_entries", "Entries that L1 holds.", func() float64 { return float64(l1.Stats().Entries) })
	gauge("overlay_writes", "Queued writes that this replica knows of.", func() float64 { return float64(overlay.Len()) })
	gauge("bloom_complete_shards", "Shards whose Bloom filter is complete.", func() float64 { return float64(filter.Stats().Complete) })
}
