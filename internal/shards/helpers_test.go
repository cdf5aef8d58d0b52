package shards

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
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/migrate"
	"github.com/zmsg/zmsg/repo/postgres"
)

const (
	itemShards = 6
	testShards = 7 // with one of counters
	permission = time.Second
	patience   = 20 * time.Second
)

// world is the database and the Redis that the keepers of a test share.
type world struct {
	dsn   string
	db    *postgres.DB
	redis *testenv.Redis
}

func newWorld(t *testing.T, opts testenv.RedisOptions) *world {
	t.Helper()
	w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, opts)}
	if err := migrate.Up(t.Context(), w.dsn, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	w.db = openDB(t, w.dsn)
	if err := w.db.Shards().Init(t.Context(), itemShards, testShards); err != nil {
		t.Fatal(err)
	}
	return w
}

func openDB(t *testing.T, dsn string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{
		DSN: postgres.DSN(dsn), MaxConns: 4, ConnectTimeout: time.Second, IdleInTransaction: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// replica is a Keeper with a Follower and a drain of the test's own.
type replica struct {
	*Keeper
	name   string
	store  *postgres.Shards
	reg    *prometheus.Registry
	claims atomic.Int64 // calls of Claim
	drains atomic.Int64
	// drain, if set, comes before a drain.
	drain func(sh model.Shard) error
	// flushes is how often the replica stored what it had queued under ended epochs; stuck, if set, makes
	// it fail.
	flushes atomic.Int64
	stuck   atomic.Bool

	mu    sync.Mutex
	calls []string
}

// replica makes a Keeper that has not started.
func (w *world) replica(t *testing.T, name string) *replica {
	t.Helper()
	return newReplica(t, name, w.db, w.redis.Addr())
}

func newReplica(t *testing.T, name string, db *postgres.DB, redisAddr string) *replica {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Config{
		Addr: []string{redisAddr}, PoolSize: 8, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	space := keyspace.New(itemShards)
	r := &replica{name: name, store: db.Shards(), reg: prometheus.NewRegistry()}
	r.Keeper = NewKeeper(Config{Shards: itemShards, Permission: permission}, Deps{
		Table: NewTable(space), Space: space, Redis: conn, Store: claimCounter{db.Shards(), &r.claims}, Follower: r, Replica: name, Log: zap.NewNop(),
		Entries: Expiry{Value: time.Hour, Deletion: time.Minute},
		Drain:   func(ctx context.Context, sh model.Shard) (model.Version, error) { return r.leftovers(ctx, db, sh) },
		Flush:   r.flush, Registerer: r.reg,
	})
	return r
}

// claimCounter counts the calls of Claim.
type claimCounter struct {
	Store
	calls *atomic.Int64
}

func (c claimCounter) Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error) {
	c.calls.Add(1)
	return c.Store.Claim(ctx, replica, claims)
}

// metric returns a metric of the Keeper's, of those with a label the one whose label has the value.
func (r *replica) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() // it is one of them
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

// start runs the Keeper until the test ends.
func (r *replica) start(t *testing.T) *replica {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.Stop(ctx) // the database may be away
	})
	return r
}

// Enter follows nothing, but asks Redis as the real one does.
func (r *replica) Enter(ctx context.Context, g *Grant) (model.Version, error) {
	r.note("enter", g.Shard)
	cmd := g.Scripts.Cmd(ctx, keyspace.Pending, []string{r.Space.Meta(g.Shard), r.Space.Queue(g.Shard)}, g.Epoch, "0-0", 1)
	if err := r.Redis.Client().Process(ctx, cmd); err != nil {
		return 0, err
	}
	reply, err := cmd.Slice()
	if err != nil {
		return 0, err
	}
	released, _ := reply[1].(string)
	return keyspace.ParseHex(released)
}

func (r *replica) flush(context.Context, model.Shard) error {
	if r.stuck.Load() {
		return errors.New("the database refuses")
	}
	r.flushes.Add(1)
	return nil
}

func (r *replica) Leave(g *Grant) { r.note("leave", g.Shard) }

func (r *replica) note(call string, shard int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprint(call, " ", shard))
}

// lastCall returns what the Follower was told last of a shard.
func (r *replica) lastCall(shard int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, call := range slices.Backward(r.calls) {
		var name string
		var s int
		if _, err := fmt.Sscan(call, &name, &s); err == nil && s == shard {
			return name
		}
	}
	return ""
}

// leftovers moves the position to the end of the stream, as if its writes had been stored.
func (r *replica) leftovers(ctx context.Context, db *postgres.DB, sh model.Shard) (model.Version, error) {
	r.drains.Add(1)
	if r.drain != nil {
		if err := r.drain(sh); err != nil {
			return 0, err
		}
	}
	last, err := r.Redis.Client().XRevRangeN(ctx, r.Space.Queue(sh.Shard), "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return sh.Position, err
	}
	to, ok := keyspace.ParseStreamID(last[0].ID)
	if !ok || to <= sh.Position {
		return sh.Position, nil
	}
	applied, err := db.Drain().Apply(ctx, &model.Batch{Advances: []model.Advance{{
		Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home, Opening: true, From: sh.Position, To: to,
	}}})
	if err == nil && len(applied.Refused) > 0 {
		err = errors.New("the position has moved")
	}
	return to, err
}

// write queues a write of a shard's under a permission.
func (r *replica) write(t *testing.T, g *Grant) error {
	t.Helper()
	s := g.Shard
	keys := []string{r.Space.Meta(s), r.Space.Entry(s, 7), r.Space.Queue(s), r.Space.Events(s), r.Space.Gen(s)}
	cmd := g.Scripts.Cmd(t.Context(), keyspace.Write, keys, g.Epoch, "v", "0", 7, 9, "post", "x", 1, "",
		1<<40, keyspace.AppendSnapshot(nil, &model.Item{ID: 7}, g.Epoch), r.Space.Prefix(s), "", "", 1000, "")
	return r.Redis.Client().Process(t.Context(), cmd)
}

// doubtAll uses every shard, and doubts those where a write is refused. It returns how many, those
// included that the Keeper has given up meanwhile.
func (r *replica) doubtAll(t *testing.T) (refused int) {
	t.Helper()
	for s := range testShards {
		g := r.Table.Grant(s)
		if g == nil {
			refused++
			continue
		}
		err := r.write(t, g)
		if keyspace.Refused(err) {
			r.Table.Doubt(g)
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return refused
}

// beat is the heartbeat of a replica that sees a Redis process for every shard, and works under no epoch.
func beat(name string, ttl time.Duration, process string) model.Beat {
	return model.Beat{
		Replica: name, TTL: ttl, Sees: slices.Repeat([]string{process}, testShards), Settled: make([]int64, testShards),
	}
}

// process returns the identity of the world's Redis.
func (r *replica) process(t *testing.T) string {
	t.Helper()
	id, err := r.Redis.Identity(t.Context(), r.Space.Meta(0))
	if err != nil {
		t.Fatal(err)
	}
	return id.Process
}

// all returns what SQL says of the shards.
func (w *world) all(t *testing.T) []model.Shard {
	t.Helper()
	list, err := w.db.Shards().All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantEpoch checks that all shards are ready in an epoch.
func (w *world) wantEpoch(t *testing.T, epoch int64) {
	t.Helper()
	for _, sh := range w.all(t) {
		if sh.Epoch != epoch || !sh.Ready {
			t.Errorf("%+v, want epoch %d", sh, epoch)
		}
	}
}

// awaitEpoch waits until the replica may use every shard under an epoch.
func (r *replica) awaitEpoch(t *testing.T, epoch int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is in epoch %d", r.name, epoch), func() bool { return r.inEpoch(epoch) })
}

func (r *replica) inEpoch(epoch int64) bool {
	for s := range testShards {
		if g := r.Table.Grant(s); g == nil || g.Epoch != epoch {
			return false
		}
	}
	return true
}

// eventually polls until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}
