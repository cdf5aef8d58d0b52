package cache

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Deps are what the caches work with.
type Deps struct {
	Space  *keyspace.Space
	Table  *shards.Table
	Redis  *redisconn.Conn
	Pipe   *redisconn.Pipeline
	Store  Store
	Totals TotalsStore
	// Wake tells the drain that a shard has queued writes.
	Wake func(shard int)
	// Complete finishes the release of a shard up to a position that SQL has reached.
	Complete   func(ctx context.Context, g *shards.Grant, position, skipped model.Version) error
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Caches are the parts of this package, assembled: Reader answers, Tailer and Builder keep it true.
type Caches struct {
	*Reader
	Counters *Counters
	Tailer   *Tailer
	Builder  *Builder
}

// New assembles the caches. Nothing runs before Tailer and Builder are started.
func New(cfg Config, d Deps) (*Caches, error) {
	l1, err := NewL1(L1Config{MaxBytes: cfg.L1MaxBytes, TTL: cfg.L1TTL, AbsentTTL: cfg.L1AbsentTTL}, time.Now)
	if err != nil {
		return nil, err
	}
	filter, err := NewFilter(d.Space.ItemShards(), cfg.FilterItems, cfg.FilterError)
	if err != nil {
		return nil, err
	}
	overlay := NewOverlay(d.Space.ItemShards())
	m := newMetrics(d.Registerer)
	builder := newBuilder(d, filter, overlay)
	tailer := &Tailer{
		space: d.Space, table: d.Table, redis: d.Redis, log: d.Log, l1: l1, filter: filter, overlay: overlay,
		metrics: m, wake: d.Wake, builder: builder, cursors: make([]cursor, d.Space.Shards()), progress: make(chan struct{}),
	}
	tailer.Loop = tailer.loop()
	reader := &Reader{
		cfg: cfg, space: d.Space, table: d.Table, pipe: d.Pipe, store: sqlReads{d.Store, d.Table, cfg.FlightTimeout, m.sqlReads}, l1: l1, filter: filter,
		overlay: overlay, flight: NewFlight(cfg.FlightTimeout, flightLimit), metrics: m, tailer: tailer,
	}
	m.follow(d.Registerer, l1, filter, overlay)
	counters := &Counters{
		space: d.Space, table: d.Table, pipe: d.Pipe, complete: d.Complete, ttl: cfg.L2TTL, metrics: m,
		store: sqlTotals{d.Totals, d.Table, cfg.FlightTimeout, m.sqlReads},
	}
	return &Caches{Reader: reader, Counters: counters, Tailer: tailer, Builder: builder}, nil
}

// flightLimit bounds the shared reads under way; past it, readers wait for one to end.
const flightLimit = 1024

// Close ends the reads that requests share, and waits for them.
func (c *Caches) Close() { c.flight.Close() }

// Stats are the caches' figures for a person to read.
type Stats struct {
	L1      L1Stats          `json:"l1"`
	Filter  FilterStats      `json:"bloom"`
	Queued  int              `json:"queued_items_known"`
	Answers map[string]int64 `json:"answers"`
}

// Stats returns the present figures.
func (c *Caches) Stats() Stats {
	return Stats{L1: c.l1.Stats(), Filter: c.filter.Stats(), Queued: c.overlay.Len(), Answers: c.metrics.counts()}
}
