package cache

import (
	"context"
	"maps"
	"slices"
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

// bank is a database in memory whose snapshots of counters can be followed by something.
type bank struct {
	*memory
	taken atomic.Pointer[func()] // if set, called after a snapshot is taken, before it is returned
	taker atomic.Int64           // snapshots taken
}

func (b *bank) Totals(ctx context.Context, shard int, subjects []string) (model.Totals, error) {
	t, err := b.memory.Totals(ctx, shard, subjects)
	b.taker.Add(1)
	if f := b.taken.Load(); f != nil {
		(*f)()
	}
	return t, err
}

// tally is Counters over a real Redis and that database.
type tally struct {
	*Counters
	t         *testing.T
	redis     *testenv.Redis
	conn      *redisconn.Conn
	sql       *bank
	completed atomic.Int64 // releases that Counters asked for

	mu     sync.Mutex
	queued map[int][]change // by shard, by version
}

type change struct {
	model.Counter
	delta   int64
	version model.Version
}

// tallyItems makes four shards of counters.
const tallyItems = 16

func newTally(t *testing.T) *tally {
	t.Helper()
	c := &tally{
		t: t, redis: testenv.NewRedis(t, testenv.RedisOptions{}), queued: make(map[int][]change),
		sql: &bank{memory: &memory{counters: make(map[string]map[string]int64)}},
	}
	space := keyspace.New(tallyItems)
	for s := range space.Shards() {
		c.sql.shards = append(c.sql.shards, model.Shard{Shard: s})
	}
	var err error
	c.conn, err = redisconn.Open(redisconn.Config{
		Addr: []string{c.redis.Addr()}, PoolSize: 16, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	pipe := redisconn.NewPipeline(c.conn.Client(), redisconn.PipelineConfig{})
	m := newMetrics(prometheus.NewRegistry())
	table := shards.NewTable(space)
	c.Counters = &Counters{
		space: space, table: table, pipe: pipe, complete: c.finish, ttl: time.Hour, metrics: m,
		store: sqlTotals{c.sql, table, 5 * time.Second, m.sqlReads},
	}
	keeper := shards.NewKeeper(shards.Config{Shards: tallyItems, Permission: time.Second}, shards.Deps{
		Table: table, Space: space, Redis: c.conn, Store: c.sql, Follower: c, Replica: "a", Log: zap.NewNop(),
		Drain: func(_ context.Context, sh model.Shard) (model.Version, error) { return sh.Position, nil },
		Flush: c.flush, Registerer: prometheus.NewRegistry(),
	})
	if err := keeper.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keeper.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		pipe.Close()
		if err := c.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	c.eventually("all shards are open", func() bool { return table.Granted() == space.Shards() })
	return c
}

// Enter follows nothing: counters are not in L1.
func (c *tally) Enter(context.Context, *shards.Grant) (model.Version, error) { return 0, nil }

func (c *tally) Leave(*shards.Grant) {}

func (c *tally) eventually(what string, f func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			c.t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func (c *tally) grant(s int) *shards.Grant {
	c.t.Helper()
	g, err := c.table.AwaitGrant(c.t.Context(), s, nil, 20*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

// add changes a counter by the script, as any replica does, whether its totals are hot or not.
func (c *tally) add(subject, metric string, delta int64) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.space.ShardOfSubject(subject)
	g := c.grant(s)
	cmd := g.Scripts.Cmd(c.t.Context(), keyspace.Count, []string{c.space.Meta(s), c.space.Queue(s), c.space.Events(s)},
		g.Epoch, c.space.Prefix(s), 1, 1000, "1", "1", subject, metric, "a", delta, "", "")
	_ = c.conn.Client().Process(c.t.Context(), cmd) // the reply holds the error
	reply, err := cmd.Slice()
	if err != nil || len(reply) != 1 {
		c.t.Errorf("change of %s: %v, %v", subject, reply, err)
		return
	}
	answer, _ := reply[0].([]any)
	if len(answer) < 2 || answer[0] != "ok" {
		c.t.Errorf("change of %s: %v", subject, reply)
		return
	}
	seq, _ := answer[1].(int64)
	c.queued[s] = append(c.queued[s], change{model.Counter{Subject: subject, Metric: metric}, delta, model.NewVersion(g.Epoch, seq)})
}

// drain brings up to most queued changes of a shard to SQL, and returns its position. lost says of which
// SQL takes nothing.
func (c *tally) drain(s, most int, lost ...string) model.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sql.mu.Lock()
	defer c.sql.mu.Unlock()
	n := min(most, len(c.queued[s]))
	for _, ch := range c.queued[s][:n] {
		c.sql.shards[s].Position = ch.version
		if slices.Contains(lost, ch.Subject) {
			c.sql.shards[s].Skipped = ch.version
			continue
		}
		row := c.sql.counters[ch.Subject]
		if row == nil {
			row = make(map[string]int64)
			c.sql.counters[ch.Subject] = row
		}
		row[ch.Metric] += ch.delta
	}
	c.queued[s] = c.queued[s][n:]
	return c.sql.shards[s].Position
}

// flush brings everything to SQL that was queued in ended epochs.
func (c *tally) flush(_ context.Context, sh model.Shard) error {
	c.drain(sh.Shard, 1<<30)
	return nil
}

func (c *tally) finish(ctx context.Context, g *shards.Grant, position, skipped model.Version) error {
	c.completed.Add(1)
	return c.release(ctx, g, position, skipped)
}

func (c *tally) release(ctx context.Context, g *shards.Grant, v, skipped model.Version) error {
	s := g.Shard
	cmd := g.Scripts.Cmd(ctx, keyspace.Release, []string{c.space.Meta(s), c.space.Queue(s), c.space.Events(s)},
		g.Epoch, keyspace.Hex(v), keyspace.StreamID(v), c.space.Prefix(s), 1000, 1000, 100_000, 1000, "", keyspace.Hex(skipped), 0)
	return c.conn.Client().Process(ctx, cmd)
}

// settle drains some changes of a shard, and releases them.
func (c *tally) settle(s, most int, lost ...string) {
	c.t.Helper()
	v := c.drain(s, most, lost...)
	c.sql.mu.Lock()
	skipped := c.sql.shards[s].Skipped
	c.sql.mu.Unlock()
	if err := c.release(c.t.Context(), c.grant(s), v, skipped); err != nil {
		c.t.Errorf("release: %v", err)
	}
}

// evict removes the live totals of a subject, as Redis may at any time.
func (c *tally) evict(subject string) {
	c.t.Helper()
	if err := c.conn.Client().Del(c.t.Context(), c.totalsKey(subject)).Err(); err != nil {
		c.t.Error(err)
	}
}

func (c *tally) totalsKey(subject string) string {
	return c.space.TotalsKey(c.space.ShardOfSubject(subject), subject)
}

// hot reports whether Redis has totals of a subject.
func (c *tally) hot(subject string) bool {
	c.t.Helper()
	n, err := c.conn.Client().Exists(c.t.Context(), c.totalsKey(subject)).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	return n > 0
}

// after lets f follow every snapshot of SQL; nil ends that.
func (c *tally) after(f func()) {
	if f == nil {
		c.sql.taken.Store(nil)
		return
	}
	c.sql.taken.Store(&f)
}

func (c *tally) one(subject string) (map[string]int64, error) {
	values, errs := c.Get(c.t.Context(), []string{subject})
	return values[0], errs[0]
}

func (c *tally) want(subject string, want map[string]int64) {
	c.t.Helper()
	if got, err := c.one(subject); err != nil || !maps.Equal(got, want) {
		c.t.Errorf("%s: %v, %v, want %v", subject, got, err, want)
	}
}

// sqlSays sets a subject's counters in SQL, where no change of them is queued.
func (c *tally) sqlSays(subject string, row map[string]int64) {
	c.sql.mu.Lock()
	defer c.sql.mu.Unlock()
	c.sql.counters[subject] = row
}
