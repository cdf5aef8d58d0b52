package shards

import "github.com/prometheus/client_golang/prometheus"

// metrics of the moves of shards.
type metrics struct {
	toRedis, toSQL prometheus.Counter
	takeovers      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, t *Table) *metrics {
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "zmsg", Name: "home_changes_total",
		Help: "Shards that this replica has moved to another home, by the home: a Redis process, or SQL while Redis is lost.",
	}, []string{"to"})
	m := &metrics{
		toRedis: changes.WithLabelValues("redis"), toSQL: changes.WithLabelValues("sql"),
		takeovers: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "zmsg", Name: "takeovers_total", Help: "Times that shards of a replica that is gone fell to this one.",
		}),
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "zmsg", Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	reg.MustRegister(changes, m.takeovers,
		gauge("breaker_open_shards", "Shards whose Redis does not answer this replica: nothing is sent to it but the looks for its return.", t.RedisDown),
		gauge("shards_at_sql", "Shards that this replica uses in SQL, because Redis is lost.", t.AtSQL))
	return m
}
