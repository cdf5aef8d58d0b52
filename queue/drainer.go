package queue

import (
	"context"
	"errors"
	"maps"
	"slices"
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

// Drainer brings the queued writes of the shards that fall to this replica to SQL. Of items it starts at
// once when a write arrives while it is idle; what arrives while it works is one batch of the next round.
// Changes of counters wait for each other, unless somebody waits for one of them.
type Drainer struct {
	cfg        Config
	space      *keyspace.Space
	table      *shards.Table
	redis      *redisconn.Conn
	commits    Committer
	positions  Positions
	rows       Rows
	keys       Expirer
	log        *zap.Logger
	entries    shards.Expiry
	eventsKept int64
	metrics    *metrics

	workers  []*worker // of items
	counters *worker
	loop     *lifecycle.Loop
	started  atomic.Bool

	mu    sync.Mutex
	marks map[int]mark // up to where SQL is known to hold each shard's writes
}

// mark is a position, the position of the last round that left something out, up to where the stream was
// trimmed, and the epoch in which they were learned.
type mark struct {
	epoch    int64
	position model.Version
	skipped  model.Version
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
	Keys       Expirer
	Log        *zap.Logger
	Entries    shards.Expiry
	EventsKept int64 // of each shard
	Registerer prometheus.Registerer
}

// NewDrainer returns a Drainer that has not started.
func NewDrainer(cfg Config, d DrainerDeps) *Drainer {
	dr := &Drainer{
		cfg: cfg, space: d.Space, table: d.Table, redis: d.Redis,
		commits: d.Commits, positions: d.Shards, rows: d.Rows, keys: d.Keys, log: d.Log,
		entries: d.Entries, eventsKept: d.EventsKept, marks: make(map[int]mark),
	}
	dr.metrics = newMetrics(d.Registerer)
	runs := []func(context.Context){dr.sweep, dr.collect}
	dr.counters = newWorker(dr)
	for range cfg.Workers {
		dr.workers = append(dr.workers, newWorker(dr))
	}
	for _, w := range dr.all() {
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
	for _, w := range d.all() {
		errs = append(errs, w.finish(ctx))
	}
	return errors.Join(errs...)
}

// all returns the workers, that of the counters too.
func (d *Drainer) all() []*worker { return append(slices.Clone(d.workers), d.counters) }

// Wake tells that shard s has new writes. It does nothing if the shard falls to another replica, which
// learns of them from the shard's events. Of counters it does not say how many: they are looked at every second.
func (d *Drainer) Wake(s int) {
	switch {
	case !d.table.Owns(s):
	case d.space.IsCounter(s):
		d.counters.gather(s, 0)
	default:
		d.worker(s).wake(s)
	}
}

// WakeCounter is Wake for one own change in a shard of counters: it is drained together with what follows within
// a while, or as soon as there is much of it. Its event, which wakes too, must not count it again.
func (d *Drainer) WakeCounter(s int) {
	if d.table.Owns(s) {
		d.counters.gather(s, 1)
	}
}

// Expect is Wake by somebody who waits for the release of v: should the shard's own drainer not come,
// this replica drains it. That of counters does not come soon. Two drainers of one shard cannot harm each
// other.
func (d *Drainer) Expect(s int, v model.Version) {
	if d.table.Owns(s) || d.space.IsCounter(s) {
		d.worker(s).wake(s)
		return
	}
	d.worker(s).wakeLater(s, v)
}

func (d *Drainer) worker(s int) *worker {
	if d.space.IsCounter(s) {
		return d.counters
	}
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
		deserted := d.table.Deserted()
		for s := range d.table.Shards() {
			if deserted && d.table.Owns(s) {
				d.worker(s).wake(s) // counters too: of what the one who is gone has queued, Redis holds the only copy
			} else {
				d.Wake(s)
			}
		}
	}
}

// after returns the position to read shard g.Shard after, and that of the last round up to it which left
// something out. It may be behind SQL's: then the batch is refused, and refresh finds the true one.
func (d *Drainer) after(g *shards.Grant) (position, skipped model.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.marks[g.Shard]
	if m.epoch != g.Epoch {
		m = mark{epoch: g.Epoch}
	}
	m.position = max(m.position, d.table.Position(g.Shard))
	m.skipped = max(m.skipped, d.table.Skipped(g.Shard)) // not before the position: it must not be older
	d.marks[g.Shard] = m
	return m.position, m.skipped
}

// committed keeps how far SQL has come, as a round or a look at SQL has told.
func (d *Drainer) committed(s int, epoch int64, position, skipped model.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := d.marks[s]; m.epoch == epoch {
		m.position, m.skipped = max(m.position, position), max(m.skipped, skipped)
		d.marks[s] = m
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
	d.mu.Lock()
	before := maps.Clone(d.marks)
	d.mu.Unlock()
	all, err := d.positions.All(ctx)
	if err != nil {
		return err
	}
	for _, sh := range all {
		if m := before[sh.Shard]; m.epoch == sh.Epoch && sh.Position < m.position {
			d.log.Error("the database stands before where it stood: it has lost commits; the shard is opened anew",
				zap.Int("shard", sh.Shard), zap.Stringer("stood", m.position), zap.Stringer("stands", sh.Position))
			d.table.Forgot(sh.Shard, sh.Epoch)
		}
		d.committed(sh.Shard, sh.Epoch, sh.Position, sh.Skipped)
	}
	d.table.Poke()
	return nil
}
