package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

const (
	shardCount = 16 // of items; fewer than the default: a replica opens them sooner
	allShards  = 20 // with those of counters
	takeover   = 10 * time.Second
)

// world is the database and the Redis that a test's processes share.
type world struct {
	dsn   string
	redis *testenv.Redis
	sql   *pgx.Conn
	cache *redis.Client
}

func newWorld(t *testing.T, redisArgs ...string) *world {
	t.Helper()
	return newWorldOn(t, testenv.RedisOptions{Args: redisArgs})
}

func newWorldOn(t *testing.T, opts testenv.RedisOptions) *world {
	t.Helper()
	w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, opts)}
	var err error
	if w.sql, err = pgx.Connect(t.Context(), w.dsn); err != nil {
		t.Fatal(err)
	}
	w.cache = redis.NewClient(&redis.Options{Addr: w.redis.Addr()})
	t.Cleanup(func() {
		_ = w.cache.Close()
		_ = w.sql.Close(context.WithoutCancel(t.Context()))
	})
	return w
}

// env is what a process of this world needs, and settings besides.
func (w *world) env(settings ...string) []string {
	return append([]string{
		"ZMSG_POSTGRES_DSN=" + w.dsn, "ZMSG_REDIS_ADDR=" + w.redis.Addr(), "ZMSG_PERMISSION_TTL=1s",
		"ZMSG_QUEUE_SHARDS=" + strconv.Itoa(shardCount), "ZMSG_DRAIN_DELAY=0s", "ZMSG_COUNTER_FLUSH_INTERVAL=200ms",
	}, settings...)
}

func (w *world) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := w.sql.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// number returns the result of a statement that yields one.
func (w *world) number(t *testing.T, statement string, args ...any) (n int64) {
	t.Helper()
	if err := w.sql.QueryRow(t.Context(), statement, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return n
}

func queueKey(shard int) string { return "zmsg:{" + strconv.Itoa(shard) + "}:q" }

// backlog is up to which entry each shard's stream is filled, "" where it is empty.
func (w *world) backlog(t *testing.T) []string {
	t.Helper()
	ends := make([]string, allShards)
	for s := range ends {
		last, err := w.cache.XRevRangeN(t.Context(), queueKey(s), "+", "-", 1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range last {
			ends[s] = m.ID
		}
	}
	return ends
}

// drained reports whether nothing of a backlog is left: committed, released and trimmed.
func (w *world) drained(t *testing.T, backlog []string) bool {
	t.Helper()
	for s, end := range backlog {
		if end == "" {
			continue
		}
		left, err := w.cache.XRangeN(t.Context(), queueKey(s), "-", end, 1).Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			return false
		}
	}
	return true
}

// awaitEmptyQueue waits until all streams are empty and no entry is pinned any more.
func (w *world) awaitEmptyQueue(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the queue is empty", func() bool {
		var n int64
		for s := range allShards {
			n += w.cache.XLen(t.Context(), queueKey(s)).Val()
		}
		return n == 0
	})
	entries := w.cache.Scan(t.Context(), 0, "zmsg:*:f:*", 1000).Iterator()
	for entries.Next(t.Context()) {
		if head := w.cache.GetRange(t.Context(), entries.Val(), 0, 0).Val(); head == "p" {
			t.Errorf("%s is pinned although the queue is empty", entries.Val())
		}
	}
	if err := entries.Err(); err != nil {
		t.Fatal(err)
	}
}

// client is HTTP with connections of its own.
type client struct{ http.Client }

func newClient(t *testing.T) *client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{http.Client{Transport: tr, Timeout: 25 * time.Second}}
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request; headers are names and values in turn.
func (c *client) call(ctx context.Context, method, url, body string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}, err
}

// must is call where only the wanted status will do.
func (c *client) must(t *testing.T, want int, method, url, body string) answer {
	t.Helper()
	a, err := c.call(t.Context(), method, url, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if a.status != want {
		t.Fatalf("%s %s: %d %s, want %d", method, url, a.status, a.body, want)
	}
	return a
}
