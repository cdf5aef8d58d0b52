package queue

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Backlog bounds what is queued, in the streams of all shards together. Past the first limits delayed writes
// wait for their commit, so that they come no faster than they are stored; at twice as much they are refused.
type Backlog struct {
	cfg     Config
	space   *keyspace.Space
	table   *shards.Table
	redis   *redisconn.Conn
	journal *Journal
	drainer *Drainer
	memory  func() shards.Memory
	log     *zap.Logger

	seen      atomic.Pointer[survey]
	ownWrites atomic.Int64 // queued by this replica since the last survey
	ownBytes  atomic.Int64
	waiting   atomic.Int64
	loop      *lifecycle.Loop
}

// BacklogDeps are what a Backlog works with. Memory tells how Redis stands with its memory.
type BacklogDeps struct {
	Space      *keyspace.Space
	Table      *shards.Table
	Redis      *redisconn.Conn
	Journal    *Journal
	Drainer    *Drainer // is told what lies in the streams
	Memory     func() shards.Memory
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// NewBacklog returns a Backlog that has not started. Until then it knows of own writes only.
func NewBacklog(cfg Config, d BacklogDeps) *Backlog {
	b := &Backlog{
		cfg: cfg, space: d.Space, table: d.Table, redis: d.Redis, journal: d.Journal, drainer: d.Drainer, memory: d.Memory, log: d.Log,
	}
	b.seen.Store(&survey{shards: make([]pile, d.Space.Shards())})
	b.loop = lifecycle.NewLoop(b.run)
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "zmsg", Subsystem: "queue", Name: name, Help: help}, value)
	}
	d.Registerer.MustRegister(
		gauge("level", "How full the queue is: 0 as it should be, 1 delayed writes wait for their commit, 2 writes are refused.",
			func() float64 { return float64(b.level()) }),
		gauge("waiting_writes", "Synchronous writes of this replica that wait for their commit.",
			func() float64 { return float64(b.waiting.Load()) }))
	return b
}

// Start measures once, and goes on every second until Stop.
func (b *Backlog) Start(ctx context.Context) error {
	b.measure(ctx)
	return b.loop.Start(ctx)
}

// Stop ends the measuring.
func (b *Backlog) Stop(ctx context.Context) error { return b.loop.Stop(ctx) }

const measurePeriod = time.Second

func (b *Backlog) run(ctx context.Context) {
	tick := time.NewTicker(measurePeriod)
	defer tick.Stop()
	told := levelOK
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.journal.Trim()
			b.measure(ctx)
			told = b.tell(told)
		}
	}
}

// tell logs when the level has changed, and returns it.
func (b *Backlog) tell(told level) level {
	now := b.level()
	if now == told {
		return now
	}
	seen := b.seen.Load()
	fields := []zap.Field{
		zap.Stringer("level", now), zap.Int64("writes", seen.total.writes), zap.Int64("bytes", seen.total.bytes),
		zap.Time("oldest", seen.total.oldest), zap.Int64("redis_memory_used", seen.memory.Used), zap.Int64("redis_memory_limit", seen.memory.Limit),
	}
	switch now {
	case levelOK:
		b.log.Info("the queue takes delayed writes again", fields...)
	case levelBusy:
		b.log.Warn("the queue is long: delayed writes wait for their commit", fields...)
	case levelFull:
		b.log.Warn("the queue is full: writes are refused", fields...)
	}
	return now
}

// queued notes an own write.
func (b *Backlog) queued(writes int, bytes int64) {
	b.ownWrites.Add(int64(writes))
	b.ownBytes.Add(bytes)
}

// wait notes that somebody waits for a commit, until the function returned is called.
func (b *Backlog) wait() (done func()) {
	b.waiting.Add(1)
	return func() { b.waiting.Add(-1) }
}

// admit is wait for somebody who writes to SQL itself, where writes wait for each other. It refuses one too many.
func (b *Backlog) admit() (done func(), err error) {
	if b.waiting.Load() >= int64(b.cfg.MaxWaiting) {
		return nil, errFull(nil)
	}
	return b.wait(), nil
}

// Waiting returns how many synchronous writes of this process wait for their commit.
func (b *Backlog) Waiting() int64 { return b.waiting.Load() }

// Level names how full the queue is: "ok", "busy" (delayed writes wait for their commit) or "full" (writes are
// refused).
func (b *Backlog) Level() string { return b.level().String() }

// level is how full the queue is.
type level int

const (
	levelOK level = iota
	levelBusy
	levelFull
)

func (l level) String() string { return [...]string{"ok", "busy", "full"}[l] }

// memoryBusy is the part of Redis's memory past which its queue counts as long.
const memoryBusy = 0.9

func (b *Backlog) level() level {
	seen := b.seen.Load()
	total := seen.total
	total.writes += b.ownWrites.Load()
	total.bytes += b.ownBytes.Load()
	return b.cfg.level(total, time.Now(), seen.memory)
}

func (c *Config) level(p pile, now time.Time, m shards.Memory) level {
	// A Redis that evicts makes use of all of its memory: only one that does not runs full of what is queued.
	tight := m.Full() > memoryBusy && !strings.HasPrefix(m.Policy, "volatile-")
	switch {
	case p.writes/2 >= c.MaxWrites, p.bytes/2 >= c.MaxBytes:
		return levelFull
	case p.writes > c.MaxWrites, p.bytes > c.MaxBytes, !p.oldest.IsZero() && now.Sub(p.oldest) > c.MaxAge, tight:
		return levelBusy
	default:
		return levelOK
	}
}

// retryAfter is when somebody who was refused may come again: by then the queue has been measured anew.
const retryAfter = time.Second

// errFull says that nothing was done because the queue is full.
func errFull(cause error) error {
	return &model.Error{Kind: model.Unavailable, Message: "the queue is full", RetryAfter: retryAfter, Cause: cause}
}

// isFull reports whether Redis refused a script because its memory is full. A script is refused at its first
// write or not at all, so that nothing was done.
func isFull(err error) bool { return redis.HasErrorPrefix(err, "OOM") }

// Ready returns how a write that asks for store is to be stored, before anything is done: a delayed one waits
// for its commit while the queue is busy. It refuses what could not be finished now.
func (b *Backlog) Ready(store model.Store) (model.Store, error) {
	sqlDown := b.table.SQLDown()
	if sqlDown && b.table.RedisDown() == b.space.Shards() {
		return store, model.NewUnavailable("writes are not possible: neither the queue nor the database can be reached", nil)
	}
	switch b.level() {
	case levelFull:
		return store, errFull(nil)
	case levelBusy:
		if sqlDown {
			return store, errFull(nil) // nothing would come of waiting
		}
		store = model.StoreSync
	case levelOK:
	}
	if store == model.StoreDelayed {
		return store, nil
	}
	if sqlDown {
		return store, model.NewUnavailable("synchronous writes are not possible: the database is out of reach; store=delayed is", nil)
	}
	if b.waiting.Load() >= int64(b.cfg.MaxWaiting) {
		return store, errFull(nil)
	}
	return store, nil
}
