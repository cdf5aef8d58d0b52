package queue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Drainer brings the queued writes of the shards that fall to this replica to SQL. It starts at once
// when a write arrives while it is idle; what arrives while it works is one batch of the next round.
type Drainer struct {
	cfg        Config
	space      *keyspace.Space
	table      *shards.Table
	redis      *redisconn.Conn
	commits    Committer
	positions  Positions
	rows       Rows
	log        *zap.Logger
	entries    shards.Expiry
	eventsKept int64
	metrics    *metrics

	workers []*worker
	loop    *lifecycle.Loop
	started atomic.Bool

	mu    sync.Mutex
	marks map[int]mark // up to where SQL is known to hold each shard's writes
}

// mark is a position, up to where the stream was trimmed, and the epoch in which they were learned.
type mark struct {
	epoch    int64
	position model.Version
	trimmed  model.Version
}

// DrainerDeps are what a Drainer works with.
type DrainerDeps struct {
	Space      *keyspace.Space
	Table      *shards.Table
	Redis      *redisconn.Conn
	Commits    Committer
	Shards     Positions
	Rows       Rows
	Log        *zap.Logger
	Entries    shards.Expiry
	EventsKept int64 // of each shard
	Registerer prometheus.Registerer
}

// NewDrainer returns a Drainer that has not started.
func NewDrainer(cfg Config, d DrainerDeps) *Drainer {
	dr := &Drainer{
		cfg: cfg, space: d.Space, table: d.Table, redis: d.Redis,
		commits: d.Commits, positions: d.Shards, rows: d.Rows, log: d.Log,
		entries: d.Entries, eventsKept: d.EventsKept, marks: make(map[int]mark),
	}
	dr.metrics = newMetrics(d.Registerer)
	runs := []func(context.Context){dr.sweep, dr.collectTombstones}
	for range cfg.Workers {
		w := newWorker(dr)
		dr.workers = append(dr.workers, w)
		runs = append(runs, w.run)
	}
	dr.loop = lifecycle.NewLoop(runs...)
	return dr
}

// Start begins to drain in the background, until Stop.
func (d *Drainer) Start(ctx context.Context) error {
	d.started.Store(true)
	return d.loop.Start(ctx)
}

// Stop drains once more what falls to this replica, as far as ctx allows, and ends.
func (d *Drainer) Stop(ctx context.Context) error {
	if !d.started.Load() {
		return nil
	}
	if err := d.loop.Stop(ctx); err != nil {
		return err
	}
	var errs []error
	for _, w := range d.workers {
		errs = append(errs, w.finish(ctx))
	}
	return errors.Join(errs...)
}

// Wake tells that shard s has new writes. It does nothing if the shard falls to another replica, which
// learns of them from the shard's events.
func (d *Drainer) Wake(s int) {
	if d.table.Owns(s) {
		d.worker(s).wake(s)
	}
}

// Expect is Wake by somebody who waits for the release of v: should the shard's own drainer not come,
// this replica drains it. Two drainers of one shard cannot harm each other.
func (d *Drainer) Expect(s int, v model.Version) {
	if d.table.Owns(s) {
		d.worker(s).wake(s)
		return
	}
	d.worker(s).wakeLater(s, v)
}

func (d *Drainer) worker(s int) *worker {
	// Shards fall to replicas by s mod replicas, so neighbours of one replica must not share a worker.
	return d.workers[s/max(1, len(d.table.Alive()))%len(d.workers)]
}

// sweepPeriod bounds how long a write waits whose event was missed by everybody.
const sweepPeriod = time.Second

// sweep wakes every shard of this replica now and then, so that no lost message delays a write for
// long and unfinished releases of others are completed.
func (d *Drainer) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-d.table.Moved():
		}
		for s := range d.table.Shards() {
			d.Wake(s)
		}
		d.measure(ctx)
	}
}

// after returns the position to read shard g.Shard after. It may be behind SQL's: then the batch is
// refused, and refresh finds the true one.
func (d *Drainer) after(g *shards.Grant) model.Version {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.marks[g.Shard]
	if m.epoch != g.Epoch {
		m = mark{epoch: g.Epoch}
	}
	m.position = max(m.position, d.table.Position(g.Shard))
	d.marks[g.Shard] = m
	return m.position
}

func (d *Drainer) committed(g *shards.Grant, v model.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.marks[g.Shard]; m.epoch == g.Epoch && m.position < v {
		m.position = v
		d.marks[g.Shard] = m
	}
}

// untrimmed reports whether the stream may hold entries up to v, which are released.
func (d *Drainer) untrimmed(g *shards.Grant, v model.Version) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.marks[g.Shard]
	return m.epoch == g.Epoch && m.trimmed < v
}

func (d *Drainer) trimmed(g *shards.Grant, v model.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.marks[g.Shard]; m.epoch == g.Epoch {
		m.trimmed = max(m.trimmed, v)
		d.marks[g.Shard] = m
	}
}

// refresh reads the positions of shards whose batch was refused: another drainer was there, or the
// epoch has changed, which the Keeper will notice too.
func (d *Drainer) refresh(ctx context.Context) error {
	all, err := d.positions.All(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sh := range all {
		if m := d.marks[sh.Shard]; m.epoch == sh.Epoch && m.position < sh.Position {
			m.position = sh.Position
			d.marks[sh.Shard] = m
		}
	}
	d.table.Poke()
	return nil
}
