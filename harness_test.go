package zmsg_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/internal/envconfig"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestMain(m *testing.M) {
	logging.Disable() // the Redis client's own words about servers that die, which is what tests are about
	testenv.Main(m)
}

// world is the database and the Redis that a test's replicas share.
type world struct {
	dsn   string
	redis *testenv.Redis
	plain *redis.Client // see client
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{dsn: testenv.DB(tb), redis: testenv.NewRedis(tb, testenv.RedisOptions{})}
}

// replica is one engine, with its metrics.
type replica struct {
	*zmsg.Engine
	reg *prometheus.Registry
	// cutEvents breaks the connections on which events are read, and no others.
	cutEvents *atomic.Bool
	closed    sync.Once
}

// open starts a replica and waits until it may use every shard.
func (w *world) open(tb testing.TB, settings ...string) *replica {
	tb.Helper()
	r := w.start(tb, settings...)
	r.awaitReady(tb)
	return r
}

// start starts a replica.
func (w *world) start(tb testing.TB, settings ...string) *replica {
	tb.Helper()
	var cfg zmsg.Config
	environ := append([]string{"ZMSG_POSTGRES_DSN=" + w.dsn, "ZMSG_REDIS_ADDR=" + w.redis.Addr(), "ZMSG_PERMISSION_TTL=1s"}, settings...)
	if err := envconfig.Load(&cfg, environ); err != nil {
		tb.Fatal(err)
	}
	r := &replica{reg: prometheus.NewRegistry(), cutEvents: new(atomic.Bool)}
	cfg.Redis.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		return &eventConn{Conn: conn, cut: r.cutEvents}, err
	}
	engine, err := zmsg.Open(tb.Context(), cfg, zmsg.Options{Log: zaptest.NewLogger(tb, zaptest.Level(zap.WarnLevel)), Registerer: r.reg})
	if err != nil {
		tb.Fatal(err)
	}
	r.Engine = engine
	tb.Cleanup(func() { r.close(tb) })
	return r
}

func (r *replica) close(tb testing.TB) {
	tb.Helper()
	r.closed.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			tb.Logf("close: %v", err) // tests that take a server away end so
		}
	})
}

// eventConn is a connection that breaks when events are read on it while cut is set.
type eventConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c *eventConn) Write(b []byte) (int, error) {
	if c.cut.Load() && bytes.Contains(b, []byte("xread")) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (r *replica) awaitReady(tb testing.TB) {
	tb.Helper()
	eventually(tb, 20*time.Second, "the replica is ready", r.ready)
}

func (r *replica) ready() bool {
	return !slices.ContainsFunc(r.Checks(), func(c zmsg.Check) bool { return !c.OK })
}

// eventually polls until f holds.
func eventually(tb testing.TB, patience time.Duration, what string, f func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// await receives from c.
func await[T any](tb testing.TB, c <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		tb.Fatalf("not within 20s: %s", what)
		panic("unreachable")
	}
}

// metric returns the sum of a counter's or gauge's series.
func (r *replica) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		return sum
	}
	tb.Fatalf("no metric %s", name)
	return 0
}

var (
	delayed = service.WriteOptions{Store: model.StoreDelayed}
	stored  = service.WriteOptions{Store: model.StoreSync}
)

var lastID atomic.Int64

// newID returns an ID that no other test uses.
func newID() model.ID { return model.ID(1_000_000 + lastID.Add(1)) }

func draft(id, author model.ID, text string) service.Draft {
	content, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return service.Draft{ID: id, AuthorID: author, Content: content}
}

func (r *replica) mustPut(t *testing.T, id, author model.ID, text string, o service.WriteOptions) service.Written {
	t.Helper()
	w, err := r.Feeds.Put(t.Context(), draft(id, author, text), o)
	if err != nil {
		t.Fatalf("put %s: %v", id, err)
	}
	return w
}

func (r *replica) mustDelete(t *testing.T, id model.ID, o service.WriteOptions) {
	t.Helper()
	if _, err := r.Feeds.Delete(t.Context(), id, o); err != nil {
		t.Fatalf("delete %s: %v", id, err)
	}
}

// text returns the item's content, "" if there is no item.
func (r *replica) text(t *testing.T, id model.ID, exact bool) string {
	t.Helper()
	doc, err := r.Feeds.Get(t.Context(), id, exact)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return textOf(t, doc)
}

func textOf(t *testing.T, doc model.Doc) string {
	t.Helper()
	if !doc.Found() {
		return ""
	}
	var item struct{ Content string }
	if err := json.Unmarshal(doc.Body, &item); err != nil {
		t.Fatalf("%s: %v", doc.Body, err)
	}
	return item.Content
}

// listed returns the IDs of all pages of the authors' list.
func (r *replica) listed(t *testing.T, exact bool, authors ...model.ID) []model.ID {
	t.Helper()
	var ids []model.ID
	q := service.ListQuery{Authors: authors, Limit: 100, Exact: exact}
	for {
		page, err := r.Feeds.List(t.Context(), q)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		for _, it := range page.Items {
			ids = append(ids, it.ID)
		}
		if page.NextCursor == "" {
			return ids
		}
		q.Cursor = page.NextCursor
	}
}

// row is an item's row in SQL.
type row struct {
	version model.Version
	content string
	deleted bool
}

// sql returns the item's row, version 0 if there is none.
func (w *world) sql(t *testing.T, id model.ID) row {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var r row
	err = conn.QueryRow(t.Context(), "SELECT version, content, deleted FROM feeds WHERE id = $1", int64(id)).
		Scan(&r.version, &r.content, &r.deleted)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return r
}

// count returns the result of a statement that counts.
func (w *world) count(t *testing.T, statement string) int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var n int64
	if err := conn.QueryRow(t.Context(), statement).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// client returns a plain client of the world's Redis. The test's goroutine alone may call it.
func (w *world) client(tb testing.TB) *redis.Client {
	tb.Helper()
	if addr := w.redis.Addr(); w.plain == nil || w.plain.Options().Addr != addr { // a failover changes it
		c := redis.NewClient(&redis.Options{Addr: addr})
		tb.Cleanup(func() { _ = c.Close() })
		w.plain = c
	}
	return w.plain
}

// evictAll removes every key that Redis may evict: those with a TTL.
func (w *world) evictAll(t *testing.T) {
	t.Helper()
	c := w.client(t)
	iter := c.Scan(t.Context(), 0, "*", 1000).Iterator()
	for iter.Next(t.Context()) {
		ttl, err := c.TTL(t.Context(), iter.Val()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if ttl > 0 {
			must(t, c.Del(t.Context(), iter.Val()).Err())
		}
	}
	if err := iter.Err(); err != nil {
		t.Fatal(err)
	}
}

// queued returns how many writes are in the streams.
func (w *world) queued(tb testing.TB) (n int64, err error) {
	tb.Helper()
	pipe := w.client(tb).Pipeline()
	lengths := make([]*redis.IntCmd, allShards)
	for s := range lengths {
		lengths[s] = pipe.XLen(tb.Context(), "zmsg:{"+strconv.Itoa(s)+"}:q")
	}
	if _, err := pipe.Exec(tb.Context()); err != nil {
		return 0, err
	}
	for _, l := range lengths {
		n += l.Val()
	}
	return n, nil
}

// awaitDrained waits until the queue is known to be empty: while Redis does not answer, it is not.
func (w *world) awaitDrained(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the queue is drained", func() bool {
		n, err := w.queued(t)
		return err == nil && n == 0
	})
}

func textN(n int) string { return fmt.Sprintf("text %d", n) }
