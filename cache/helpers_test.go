package cache

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// memory is a database in memory: rows, and the state of the shards. fail, if set, is the answer to
// every question about rows.
type memory struct {
	mu       sync.Mutex
	shards   []model.Shard
	rows     map[model.ID]model.Item
	counters map[string]map[string]int64
	fail     error
	stay     bool   // no shard moves to SQL
	listed   func() // if set, called before a list is read
	found    func() // if set, called after an item is read, once
	reads    int    // statements that read items by ID
}

func (m *memory) Heartbeat(_ context.Context, b model.Beat) (model.Heartbeat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return model.Heartbeat{Shards: slices.Clone(m.shards), Alive: []string{b.Replica}}, nil
}

func (m *memory) Unsettled(context.Context, string, []model.Shard) (bool, error) { return false, nil }

func (m *memory) Totals(_ context.Context, shard int, subjects []string) (model.Totals, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	t := model.Totals{Shard: m.shards[shard], Values: make(map[string]map[string]int64)}
	for _, subject := range subjects {
		t.Values[subject] = maps.Clone(m.counters[subject])
	}
	return t, m.fail
}

func (m *memory) Leave(context.Context, string) error { return nil }

func (m *memory) Claim(_ context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var claimed []model.Shard
	for _, c := range claims {
		if sh := &m.shards[c.Shard]; sh.Epoch == c.Epoch && (c.Home != model.HomeSQL || !m.stay) {
			*sh = model.Shard{Shard: c.Shard, Epoch: c.Epoch + 1, Home: c.Home, Opener: replica, Position: sh.Position}
			claimed = append(claimed, *sh)
		}
	}
	return claimed, 0, nil
}

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

func (m *memory) Get(_ context.Context, id model.ID) (model.Item, error) {
	m.mu.Lock()
	m.reads++
	row, err, found := m.rows[id], m.fail, m.found
	m.found = nil
	m.mu.Unlock()
	if found != nil {
		found()
	}
	return row, err
}

func (m *memory) GetMany(_ context.Context, ids []model.ID) ([]model.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	var found []model.Item
	for _, id := range ids {
		if row, ok := m.rows[id]; ok {
			found = append(found, row)
		}
	}
	return found, m.fail
}

func (m *memory) ListByAuthors(_ context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error) {
	if m.listed != nil {
		m.listed()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []model.Item
	for _, row := range m.rows {
		if !row.Deleted && slices.Contains(authors, row.AuthorID) && (before == 0 || row.ID < before) {
			page = append(page, row)
		}
	}
	sortNewestFirst(page)
	return page[:min(limit, len(page))], m.fail
}

func (m *memory) ScanIDs(_ context.Context, after model.ID, limit int) ([]model.ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []model.ID
	for id, row := range m.rows {
		if id > after && !row.Deleted {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(limit, len(ids))], m.fail
}

func (m *memory) setStay(stay bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stay = stay
}

func (m *memory) setFound(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found = f
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// node is the caches of one replica over a real Redis.
type node struct {
	*Caches
	t     testing.TB
	redis *testenv.Redis
	sql   *memory
	table *shards.Table
	conn  *redisconn.Conn
	space *keyspace.Space

	mu     sync.Mutex
	queued [testShards][]model.Item // what the test has written and not settled
}

const testShards = 2

// newNode starts a node. Without tail nobody reads events but the test.
func newNode(t *testing.T, tail bool) *node {
	t.Helper()
	n := &node{
		t: t, redis: testenv.NewRedis(t, testenv.RedisOptions{}), space: keyspace.New(testShards),
		sql: &memory{rows: make(map[model.ID]model.Item), counters: make(map[string]map[string]int64)},
	}
	n.sql.shards = make([]model.Shard, n.space.Shards())
	for s := range n.sql.shards {
		n.sql.shards[s].Shard = s
	}
	var err error
	n.conn, err = redisconn.Open(redisconn.Config{
		Addr: []string{n.redis.Addr()}, PoolSize: 16, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	pipe := redisconn.NewPipeline(n.conn.Client(), redisconn.PipelineConfig{})
	n.table = shards.NewTable(n.space)
	cfg := Config{
		L1MaxBytes: 4 * mebibyte, L1TTL: time.Minute, L1AbsentTTL: time.Minute, L2TTL: time.Hour, AbsentTTL: time.Minute,
		EventsKept: 1000, FilterItems: 2 * minFilterCapacity, FilterError: 0.001, FlightTimeout: 5 * time.Second,
	}
	n.Caches, err = New(cfg, Deps{
		Space: n.space, Table: n.table, Redis: n.conn, Pipe: pipe, Store: n.sql, Totals: n.sql, Wake: func(int) {},
		Complete: n.complete, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	keeper := shards.NewKeeper(shards.Config{Shards: testShards, Permission: 2 * time.Second}, shards.Deps{
		Table: n.table, Space: n.space, Redis: n.conn, Store: n.sql, Follower: n.Tailer, Replica: "a", Log: zap.NewNop(),
		Drain: func(_ context.Context, sh model.Shard) (model.Version, error) { return sh.Position, nil },
		Flush: n.flush, Registerer: prometheus.NewRegistry(),
	})
	parts := []interface {
		Start(ctx context.Context) error
		Stop(ctx context.Context) error
	}{n.Builder, keeper}
	if tail {
		parts = append(parts, n.Tailer)
	}
	for _, p := range parts {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, p := range slices.Backward(parts) {
			if err := p.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
		n.Close()
		pipe.Close()
		if err := n.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	n.awaitReady()
	return n
}

// awaitReady waits until every shard may be used and its filter is complete.
func (n *node) awaitReady() {
	n.t.Helper()
	n.eventually("the node is ready", func() bool {
		return n.table.Granted() == n.space.Shards() && n.filter.Stats().Complete == testShards
	})
}

// eventually polls until f holds.
func (n *node) eventually(what string, f func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			n.t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// item is what tests write: an item of text by an author, or a deletion.
func item(id, author model.ID, text string) model.Item {
	return model.Item{
		ID: id, AuthorID: author, Kind: "post", Content: []byte(strconv.Quote(text)),
		CreatedAt: time.UnixMilli(1000).UTC(), UpdatedAt: time.UnixMilli(1000).UTC(),
	}
}

// queue runs the write script as another replica would, and returns the item as it stands then.
func (n *node) queue(it model.Item) model.Item {
	n.t.Helper()
	s := n.space.Shard(it.ID)
	g := n.grant(s)
	op := "v"
	if it.Deleted {
		op = "d"
	}
	keys := []string{n.space.Meta(s), n.space.Entry(s, it.ID), n.space.Queue(s), n.space.Events(s), n.space.Gen(s)}
	known := n.sql.row(it.ID) // nobody writes behind the test's back, so SQL is right where L2 is silent
	cmd := g.Scripts.Cmd(n.t.Context(), keyspace.Write, keys, g.Epoch, op, keyspace.Stripe(it.ID), int64(it.ID), int64(it.AuthorID),
		it.Kind, []byte(it.Content), it.UpdatedAt.UnixMilli(), "", int64(1)<<39, keyspace.AppendSnapshot(nil, &known, g.Epoch),
		n.space.Prefix(s), "", "", 1000, "")
	if err := n.conn.Client().Process(n.t.Context(), cmd); err != nil {
		n.t.Fatalf("write of %s: %v", it.ID, err)
	}
	reply, err := cmd.Slice()
	if err != nil || len(reply) < 2 || reply[0] != "ok" {
		n.t.Fatalf("write of %s: %v, %v", it.ID, reply, err)
	}
	seq, _ := reply[1].(int64)
	it.Version = model.NewVersion(g.Epoch, seq)
	n.mu.Lock()
	n.queued[s] = append(n.queued[s], it)
	n.mu.Unlock()
	return it
}

// flush brings to SQL what was queued in an ended epoch.
func (n *node) flush(_ context.Context, sh model.Shard) error {
	if !n.space.IsCounter(sh.Shard) {
		n.store(sh.Shard, model.NewVersion(sh.Epoch, 0))
	}
	return nil
}

// store brings what was queued up to v to SQL.
func (n *node) store(s int, v model.Version) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queued[s]) > 0 && n.queued[s][0].Version <= v {
		n.sql.store(n.queued[s][0])
		n.queued[s] = n.queued[s][1:]
	}
}

// grant returns the permission for a shard, waiting for it.
func (n *node) grant(s int) *shards.Grant {
	n.t.Helper()
	g, err := n.table.AwaitGrant(n.t.Context(), s, nil, 20*time.Second)
	if err != nil {
		n.t.Fatal(err)
	}
	return g
}

func (m *memory) row(id model.ID) model.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	row := m.rows[id]
	row.ID = id
	return row
}

// store puts a row into SQL, unless a newer one is there.
func (m *memory) store(it model.Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows[it.ID].Version < it.Version {
		m.rows[it.ID] = it
	}
}

// release tells Redis that SQL has the shard's writes up to v.
func (n *node) release(s int, v model.Version) {
	n.t.Helper()
	if err := n.complete(n.t.Context(), n.grant(s), v, 0); err != nil {
		n.t.Fatalf("release: %v", err)
	}
}

// complete releases a shard up to a position, in one call.
func (n *node) complete(ctx context.Context, g *shards.Grant, v, skipped model.Version) error {
	s := g.Shard
	cmd := g.Scripts.Cmd(ctx, keyspace.Release, []string{n.space.Meta(s), n.space.Queue(s), n.space.Events(s)},
		g.Epoch, keyspace.Hex(v), keyspace.StreamID(v), n.space.Prefix(s), time.Hour.Milliseconds(), time.Hour.Milliseconds(), 1000, 1000,
		"", keyspace.Hex(skipped), 0)
	return n.conn.Client().Process(ctx, cmd)
}

// settle brings an item to SQL, and what was written to its shard before, and releases it.
func (n *node) settle(it model.Item) {
	n.t.Helper()
	s := n.space.Shard(it.ID)
	n.store(s, it.Version)
	n.release(s, it.Version)
}

// forget removes an item's entry from L2 if Redis might evict it, and says nothing to anybody.
func (n *node) forget(id model.ID) {
	n.t.Helper()
	key := n.space.Entry(n.space.Shard(id), id)
	ttl, err := n.conn.Client().TTL(n.t.Context(), key).Result()
	if err == nil && ttl > 0 {
		err = n.conn.Client().Del(n.t.Context(), key).Err()
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// catchUp waits until the node has heard of everything.
func (n *node) catchUp() {
	n.t.Helper()
	if _, err := n.List(n.t.Context(), nil, 0, 1, true); err != nil { // an exact list of nobody's items
		n.t.Fatal(err)
	}
}

var lastID atomic.Int64

// newID returns an ID that no other test uses.
func newID() model.ID { return model.ID(1_000_000 + lastID.Add(1)) }

func textN(n int) string { return fmt.Sprintf("text %d", n) }
