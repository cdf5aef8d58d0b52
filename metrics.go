package zmsg

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/repo/postgres"
	"github.com/zmsg/zmsg/snowflake"
)

// snapshot is the state of the parts that keep figures of their own, at one scrape.
type snapshot struct {
	engine *Engine
	sql    postgres.Stat
	redis  *redis.PoolStats
	ids    snowflake.Stats
}

// figure is one series, read from a snapshot.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label []string
	value func(*snapshot) float64
}

// collector exports connection pools, the ID lease and the permissions. It asks nobody: a scrape costs
// the same while servers are away.
type collector struct {
	engine  *Engine
	figures []figure
}

func newCollector(e *Engine) *collector {
	c := &collector{engine: e}
	c.addPostgres()
	c.addRedis()
	c.addIDs()
	c.addShards()
	return c
}

func (c *collector) gauge(name, help string, value func(*snapshot) float64) {
	c.add(prometheus.GaugeValue, prometheus.NewDesc(name, help, nil, nil), nil, value)
}

func (c *collector) counter(name, help string, value func(*snapshot) float64) {
	c.add(prometheus.CounterValue, prometheus.NewDesc(name, help, nil, nil), nil, value)
}

func (c *collector) add(kind prometheus.ValueType, desc *prometheus.Desc, label []string, value func(*snapshot) float64) {
	c.figures = append(c.figures, figure{desc: desc, kind: kind, label: label, value: value})
}

func (c *collector) addPostgres() {
	conns := prometheus.NewDesc("zmsg_postgres_connections", "Connections to the database, by what they do.", []string{"state"}, nil)
	c.add(prometheus.GaugeValue, conns, []string{"used"}, func(s *snapshot) float64 { return float64(s.sql.AcquiredConns()) })
	c.add(prometheus.GaugeValue, conns, []string{"idle"}, func(s *snapshot) float64 { return float64(s.sql.IdleConns()) })
	c.add(prometheus.GaugeValue, conns, []string{"opening"}, func(s *snapshot) float64 { return float64(s.sql.ConstructingConns()) })
	c.gauge("zmsg_postgres_connections_limit", "Most connections to the database.",
		func(s *snapshot) float64 { return float64(s.sql.MaxConns()) })
	c.counter("zmsg_postgres_acquires_total", "Times that a connection to the database was taken from the pool.",
		func(s *snapshot) float64 { return float64(s.sql.AcquireCount()) })
	c.counter("zmsg_postgres_waits_total", "Times that none was idle, so that the taker had to wait.",
		func(s *snapshot) float64 { return float64(s.sql.EmptyAcquireCount()) })
	c.counter("zmsg_postgres_wait_seconds_total", "Time waited for a connection to the database.",
		func(s *snapshot) float64 { return s.sql.EmptyAcquireWaitTime().Seconds() })
	c.counter("zmsg_postgres_abandoned_waits_total", "Waits for a connection to the database that were given up.",
		func(s *snapshot) float64 { return float64(s.sql.CanceledAcquireCount()) })
}

func (c *collector) addRedis() {
	conns := prometheus.NewDesc("zmsg_redis_connections", "Connections to Redis, by what they do.", []string{"state"}, nil)
	c.add(prometheus.GaugeValue, conns, []string{"used"}, func(s *snapshot) float64 {
		return float64(s.redis.TotalConns) - float64(s.redis.IdleConns)
	})
	c.add(prometheus.GaugeValue, conns, []string{"idle"}, func(s *snapshot) float64 { return float64(s.redis.IdleConns) })
	c.counter("zmsg_redis_reuses_total", "Times that an idle connection to Redis was found.",
		func(s *snapshot) float64 { return float64(s.redis.Hits) })
	c.counter("zmsg_redis_dials_total", "Times that no idle connection to Redis was found.",
		func(s *snapshot) float64 { return float64(s.redis.Misses) })
	c.counter("zmsg_redis_waits_total", "Times that all connections to Redis were in use, so that the taker had to wait.",
		func(s *snapshot) float64 { return float64(s.redis.WaitCount) })
	c.counter("zmsg_redis_wait_seconds_total", "Time waited for a connection to Redis.",
		func(s *snapshot) float64 { return float64(s.redis.WaitDurationNs) / 1e9 })
	c.counter("zmsg_redis_abandoned_waits_total", "Waits for a connection to Redis that were given up.",
		func(s *snapshot) float64 { return float64(s.redis.Timeouts) })
}

func (c *collector) addIDs() {
	c.gauge("zmsg_ids_lease_held", "1 while a node of IDs is held, else 0.",
		func(s *snapshot) float64 { return oneIf(s.ids.Held) })
	c.gauge("zmsg_ids_lease_expiry_timestamp_seconds", "Time at which no further ID may be made unless the lease is extended; 0 while none is held.",
		func(s *snapshot) float64 {
			if !s.ids.Held {
				return 0
			}
			return float64(s.ids.Until.UnixMilli()) / 1e3
		})
	c.gauge("zmsg_ids_node", "Node in the IDs made now; -1 while none is held.", func(s *snapshot) float64 {
		if !s.ids.Held {
			return -1
		}
		return float64(s.ids.Node)
	})
	c.gauge("zmsg_ids_end_timestamp_seconds", "Time at which the space of IDs is used up.",
		func(*snapshot) float64 { return float64(snowflake.ExpiresAt().UnixMilli()) / 1e3 })
	c.counter("zmsg_ids_made_total", "IDs made.", func(s *snapshot) float64 { return float64(s.ids.Minted) })
	c.counter("zmsg_ids_waits_total", "Requests for IDs that could not be served at once.",
		func(s *snapshot) float64 { return float64(s.ids.Waits) })
	c.counter("zmsg_ids_leases_total", "Nodes of IDs taken.", func(s *snapshot) float64 { return float64(s.ids.Acquired) })
	c.counter("zmsg_ids_leases_lost_total", "Nodes of IDs lost, or given back because the clock stepped back.",
		func(s *snapshot) float64 { return float64(s.ids.Lost) })
	c.counter("zmsg_ids_lease_failures_total", "Failed calls of the database about the lease.",
		func(s *snapshot) float64 { return float64(s.ids.Failures) })
}

func (c *collector) addShards() {
	c.gauge("zmsg_shards", "Shards there are.", func(s *snapshot) float64 { return float64(s.engine.table.Shards()) })
	c.gauge("zmsg_shards_granted", "Shards that this replica may use now, in Redis or in SQL.",
		func(s *snapshot) float64 { return float64(s.engine.table.Granted()) })
	c.gauge("zmsg_replicas", "Replicas that hold permissions, as last heard.",
		func(s *snapshot) float64 { return float64(len(s.engine.table.Alive())) })
	c.gauge("zmsg_postgres_up", "0 while the database is out of reach, else 1.",
		func(s *snapshot) float64 { return oneIf(!s.engine.table.SQLDown()) })
	c.gauge("zmsg_redis_up", "0 while Redis is out of reach, else 1.",
		func(s *snapshot) float64 { return oneIf(s.engine.table.RedisDown() == 0) })
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe sends the descriptions of all series.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for i := range c.figures {
		ch <- c.figures[i].desc
	}
}

// Collect sends the present values.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := &snapshot{engine: c.engine, sql: c.engine.db.Stat(), redis: c.engine.redis.Client().PoolStats(), ids: c.engine.ids.Stats()}
	for i := range c.figures {
		f := &c.figures[i]
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(s), f.label...)
	}
}
