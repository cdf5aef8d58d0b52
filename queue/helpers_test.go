package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// memory is a database in memory. Its commits compare and set positions as the real one's do; before and
// after, if set, are what happens around them, and refuse says which writes it does not take.
type memory struct {
	mu            sync.Mutex
	shards        []model.Shard
	rows          map[model.ID]model.Item
	arrived       map[model.ID][]model.Version // in the order of their commits
	counters      map[model.Counter]int64
	counted       map[model.Version]int // how often each change of a counter arrived
	records       map[string]string     // of idempotency keys
	flushed       map[model.Version]bool
	letters       []model.DeadLetter
	batches       []model.Batch
	removed       []model.Tombstone
	expired       []time.Time
	refuse        func(q *model.Queued) bool
	before, after func() error
	away          atomic.Bool // no heartbeat is answered
	journaled     bool        // what a lost Redis held comes from the journal
}

func newMemory(shards int) *memory {
	m := &memory{
		shards: make([]model.Shard, shards), rows: make(map[model.ID]model.Item), arrived: make(map[model.ID][]model.Version),
		counters: make(map[model.Counter]int64), counted: make(map[model.Version]int),
		records: make(map[string]string), flushed: make(map[model.Version]bool),
	}
	for s := range m.shards {
		m.shards[s].Shard = s
	}
	return m
}

func (m *memory) Heartbeat(ctx context.Context, b model.Beat) (model.Heartbeat, error) {
	if m.away.Load() {
		return model.Heartbeat{}, model.NewUnavailable("the database is away", model.ErrDatabase)
	}
	all, err := m.All(ctx)
	return model.Heartbeat{Shards: all, Alive: []string{b.Replica}}, err
}

func (m *memory) Leave(context.Context, string) error { return nil }

func (m *memory) Claim(_ context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var claimed []model.Shard
	for _, c := range claims {
		if sh := &m.shards[c.Shard]; sh.Epoch == c.Epoch {
			*sh = model.Shard{
				Shard: c.Shard, Epoch: c.Epoch + 1, Home: c.Home, Opener: replica, Position: sh.Position, Skipped: sh.Skipped,
			}
			claimed = append(claimed, *sh)
		}
	}
	return claimed, 0, nil
}

func (m *memory) Unsettled(context.Context, string, []model.Shard) (bool, error) { return false, nil }

func (m *memory) Confirm(_ context.Context, claimed []model.Shard) ([]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ready []int
	for _, c := range claimed {
		if sh := &m.shards[c.Shard]; sh.Epoch == c.Epoch && sh.Position == c.Position {
			sh.Ready = true
			ready = append(ready, c.Shard)
		}
	}
	return ready, nil
}

func (m *memory) All(context.Context) ([]model.Shard, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.shards), nil
}

func (m *memory) Apply(_ context.Context, b *model.Batch) (model.Applied, error) {
	if m.before != nil {
		if err := m.before(); err != nil {
			return model.Applied{}, err
		}
	}
	applied := m.commit(b)
	if len(applied.Refused) == 0 && m.after != nil {
		return applied, m.after()
	}
	return applied, nil
}

func (m *memory) commit(b *model.Batch) (applied model.Applied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	opening := make(map[int]bool)
	for _, a := range b.Advances {
		opening[a.Shard] = a.Opening
		if sh := m.shards[a.Shard]; sh.Epoch != a.Epoch || sh.Home != a.Home || sh.Ready == a.Opening || sh.Position != a.From {
			applied.Refused = append(applied.Refused, a.Shard)
		}
	}
	if len(applied.Refused) > 0 {
		return applied
	}
	for _, a := range b.Advances {
		m.shards[a.Shard].Position = a.To
	}
	m.batches = append(m.batches, *b)
	items, changed := make(map[model.ID]model.Item), make(map[model.Counter]bool)
	for i := range b.Writes {
		q := &b.Writes[i]
		switch {
		case opening[q.Shard] && (m.records[q.Key] != "" || q.Delta != nil && m.flushed[q.Version]):
			applied.LeftOut++
			m.shards[q.Shard].Skipped = m.shards[q.Shard].Position
			continue // its key is known, or was flushed with it
		case q.Raw != "" || m.refuse != nil && m.refuse(q):
			letter := model.DeadLetter{Shard: q.Shard, Version: q.Version, Reason: q.Damage, Write: *q}
			applied.DeadLetters = append(applied.DeadLetters, letter)
			m.shards[q.Shard].Skipped = m.shards[q.Shard].Position
		case q.Item != nil:
			items[q.Item.ID] = *q.Item
		default:
			m.counters[q.Delta.Counter] += q.Delta.N
			m.counted[q.Version]++
			changed[q.Delta.Counter] = true
		}
		if q.Key != "" {
			m.records[q.Key] = q.Record
		}
	}
	for id, it := range items {
		m.arrived[id] = append(m.arrived[id], it.Version)
		if m.rows[id].Version < it.Version {
			m.rows[id] = it
		}
	}
	m.letters = append(m.letters, applied.DeadLetters...)
	applied.ItemRows, applied.CounterRows = len(items), len(changed)
	return applied
}

func (m *memory) Get(_ context.Context, id model.ID) (model.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.rows[id]
	it.ID = id
	return it, nil
}

func (m *memory) Tombstones(_ context.Context, olderThan time.Time, after model.ID, limit int) ([]model.Tombstone, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []model.Tombstone
	for id, it := range m.rows {
		if it.Deleted && id > after && it.UpdatedAt.Before(olderThan) {
			page = append(page, model.Tombstone{ID: id, Version: it.Version})
		}
	}
	slices.SortFunc(page, func(a, b model.Tombstone) int { return int(a.ID - b.ID) })
	return page[:min(limit, len(page))], nil
}

func (m *memory) RemoveTombstones(_ context.Context, list []model.Tombstone) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range list {
		delete(m.rows, t.ID)
	}
	m.removed = append(m.removed, list...)
	return int64(len(list)), nil
}

// Expire keeps what it was asked to forget.
func (m *memory) Expire(_ context.Context, olderThan time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expired = append(m.expired, olderThan)
	return 0, nil
}

// position returns how far a shard has come.
func (m *memory) position(s int) model.Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shards[s].Position
}

// Guess never guesses: memory's rows are asked.
func (m *memory) Guess(*shards.Grant, model.ID) (uint64, bool) { return 0, false }

func (m *memory) Load(ctx context.Context, _ *shards.Grant, id model.ID, _ uint64) (model.Item, error) {
	return m.Get(ctx, id)
}

func (m *memory) Wrote(*shards.Grant, *model.Item) {}

// The shards of a rig: those of items come first.
const (
	itemShards   = 4
	testShards   = 5
	counterShard = 4 // the shard of all counters
)

// rig is a Drainer and a Producer over a real Redis, with SQL in memory.
type rig struct {
	*Drainer
	t        *testing.T
	sql      *memory
	redis    *testenv.Redis
	conn     *redisconn.Conn
	producer *Producer
	counts   *Counts
	journal  *Journal
	backlog  *Backlog
	direct   *direct
	registry *prometheus.Registry
	keeper   *shards.Keeper
}

// newRig returns a rig whose shards may be used. Its drainer has not started.
func newRig(t *testing.T, prepare ...func(sql *memory)) *rig {
	t.Helper()
	r := &rig{t: t, redis: testenv.NewRedis(t, testenv.RedisOptions{}), registry: prometheus.NewRegistry()}
	r.sql = newMemory(testShards)
	for _, f := range prepare {
		f(r.sql)
	}
	var err error
	r.conn, err = redisconn.Open(redisconn.Config{
		Addr: []string{r.redis.Addr()}, PoolSize: 8, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	pipe := redisconn.NewDurable(r.conn, redisconn.PipelineConfig{}, redisconn.Durability{})
	t.Cleanup(func() {
		pipe.Close()
		if err := r.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	space := keyspace.New(itemShards)
	table := shards.NewTable(space)
	cfg := Config{
		Workers: 2, BatchItems: 1000, BatchBytes: 1 << 20, CounterFlush: time.Hour, AwaitTimeout: 10 * time.Second,
		IdempotencyTTL: time.Hour, TombstoneRetention: time.Hour, TombstonePeriod: time.Hour,
		MaxWrites: 1000, MaxBytes: 1 << 20, MaxAge: 2 * time.Hour, MaxWaiting: 100,
	}
	entries := shards.Expiry{Value: time.Hour, Deletion: time.Minute}
	r.Drainer = NewDrainer(cfg, DrainerDeps{
		Space: space, Table: table, Redis: r.conn, Commits: r.sql, Shards: r.sql, Rows: r.sql, Keys: r.sql, Log: zap.NewNop(),
		Entries: entries, EventsKept: 1000, Registerer: r.registry,
	})
	r.newProducers(cfg, pipe)
	r.keeper = shards.NewKeeper(shards.Config{Shards: itemShards, Permission: 2 * time.Second}, shards.Deps{
		Table: table, Space: space, Redis: r.conn, Store: r.sql, Follower: follower{r.conn, space}, Replica: "a",
		Drain: r.DrainLeftovers, Log: zap.NewNop(), Entries: entries,
		Flush: r.flush, KeyCheck: time.Hour, Registerer: prometheus.NewRegistry(),
	})
	if err := r.keeper.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.keeper.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	r.eventually("the shards may be used", func() bool { return table.Granted() == testShards })
	return r
}

// follower follows no events: waiters are served by this replica's own drain.
type follower struct {
	conn  *redisconn.Conn
	space *keyspace.Space
}

func (f follower) Enter(ctx context.Context, g *shards.Grant) (model.Version, error) {
	released, err := f.conn.Client().HGet(ctx, f.space.Meta(g.Shard), "rel").Result()
	if err != nil {
		return 0, err
	}
	return keyspace.ParseHex(released)
}

func (f follower) Leave(*shards.Grant) {}

// start drains, and measures what there is to drain, in the background until the test ends.
func (r *rig) start() {
	r.t.Helper()
	if err := errors.Join(r.backlog.Start(r.t.Context()), r.Start(r.t.Context())); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx := context.WithoutCancel(r.t.Context())
		if err := errors.Join(r.Stop(ctx), r.backlog.Stop(ctx)); err != nil {
			r.t.Error(err)
		}
	})
}

// eventually polls until f holds.
func (r *rig) eventually(what string, f func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// put queues a write and returns its version.
func (r *rig) put(id model.ID, text string) model.Version {
	r.t.Helper()
	return r.write(model.Write{ID: id, AuthorID: 9, Kind: "post", Content: []byte(text)})
}

func (r *rig) write(w model.Write) model.Version {
	r.t.Helper()
	w.At = time.UnixMilli(1000).UTC()
	res, err := r.producer.Write(r.t.Context(), &w)
	if err != nil || res.Outcome != model.OutcomeApplied {
		r.t.Fatalf("write: %+v, %v", res, err)
	}
	return res.Version
}

// inShard returns the n-th ID of a shard.
func (r *rig) inShard(s, n int) model.ID {
	for id := model.ID(1); ; id++ {
		if r.space.Shard(id) == s {
			if n--; n < 0 {
				return id
			}
		}
	}
}

// round drains the shards once, with the first worker.
func (r *rig) round(list ...int) error { return r.workers[0].round(r.t.Context(), list) }

// entry returns an item's entry.
func (r *rig) entry(id model.ID) keyspace.Entry {
	r.t.Helper()
	text, err := r.conn.Client().Get(r.t.Context(), r.space.Entry(r.space.Shard(id), id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return keyspace.Entry{}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := keyspace.ParseEntry(id, text)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// queued returns the IDs of a shard's stream.
func (r *rig) queued(s int) []string {
	r.t.Helper()
	messages, err := r.conn.Client().XRange(r.t.Context(), r.space.Queue(s), "-", "+").Result()
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func textN(n int) string { return fmt.Sprintf("%q", fmt.Sprint("text ", n)) }
