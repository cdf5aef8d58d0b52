package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/testenv"
)

// holdTables keeps everybody from writing to the tables, until the function returned is called.
func (w *world) holdTables(t *testing.T, tables string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	t.Cleanup(release)
	for _, s := range []string{"BEGIN", "LOCK TABLE " + tables + " IN SHARE MODE"} {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return release
}

// Redis and the only replica are killed right after the last answer, with nothing in SQL: what was acknowledged
// is in the file of Redis.
func TestP1_Levels_FsyncSurvivesTheDeathOfAll(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]testenv.RedisOptions{
		"Always":  {AppendOnly: true, Args: []string{"--appendfsync", "always"}},
		"WaitAOF": {AppendOnly: true, Valkey: true, Args: []string{"--appendfsync", "everysec"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.redis = testenv.NewRedis(t, opts)
			env := w.env("ZMSG_QUEUE_DURABILITY=fsync", "ZMSG_QUEUE_DURABILITY_TIMEOUT=10s")
			p := launch(t, env...)
			release := w.holdTables(t, "feeds, counters")
			items, total := writeWithLevel(t, p, "fsync")
			if err := w.redis.Kill(); err != nil {
				t.Fatal(err)
			}
			p.Kill(t)
			release()
			if n := w.number(t, "SELECT (SELECT count(*) FROM feeds) + (SELECT count(*) FROM counters)"); n != 0 {
				t.Fatalf("SQL has %d rows already", n)
			}
			if err := w.redis.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			q, c := launch(t, env...), newClient(t)
			for id, content := range items {
				if a := c.must(t, http.StatusOK, http.MethodGet, q.URL+"/feeds/"+id, ""); !strings.Contains(a.body, content) {
					t.Errorf("item %s reads %s", id, a.body)
				}
			}
			if a := c.must(t, http.StatusOK, http.MethodGet, q.URL+"/counters/post:1/likes", ""); !strings.Contains(a.body, fmt.Sprintf(`"value":%d}`, total)) {
				t.Errorf("the counter reads %s, want %d", a.body, total)
			}
		})
	}
}

// writeWithLevel has clients create items and count, all delayed. It returns what was acknowledged.
func writeWithLevel(t *testing.T, p *process, level string) (items map[string]string, total int) {
	t.Helper()
	const clients, each = 16, 10
	items = make(map[string]string)
	var mu sync.Mutex
	var group sync.WaitGroup
	for n := range clients {
		c := newClient(t)
		group.Go(func() {
			for i := range each {
				content := fmt.Sprintf(`"item %d of %d"`, i, n)
				a, err := c.call(t.Context(), http.MethodPost, p.URL+"/feeds?store=delayed", `{"author_id":"7","content":`+content+`}`)
				b, err2 := c.call(t.Context(), http.MethodPost, p.URL+"/counters/post:1/likes/increments", `{"delta":1}`)
				var made struct{ ID, Durability string }
				if err != nil || err2 != nil || a.status != http.StatusAccepted || json.Unmarshal([]byte(a.body), &made) != nil || made.Durability != level {
					t.Errorf("item: %d %s, %v", a.status, a.body, err)
					return
				}
				if b.status != http.StatusOK || !strings.Contains(b.body, `"durability":"`+level+`"`) {
					t.Errorf("increment: %d %s, %v", b.status, b.body, err2)
					return
				}
				mu.Lock()
				items[made.ID] = content
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return items, clients * each
}

// While the replica of Redis is away a delayed write is answered 503, not 202; a synchronous one is stored.
func TestP1_Levels_ReplicaOfRedisIsAway(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, testenv.RedisOptions{Genuine: true})
	second := testenv.NewRedis(t, testenv.RedisOptions{ReplicaOf: w.redis.Addr(), Args: []string{"--repl-diskless-sync-delay", "0"}})
	eventually(t, 20*time.Second, "the replica is in sync", func() bool {
		info, err := second.Do(t.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	p, c := launch(t, w.env("ZMSG_QUEUE_DURABILITY=replicated", "ZMSG_QUEUE_DURABILITY_TIMEOUT=300ms")...), newClient(t)
	const body = `{"author_id":"7","content":1}`
	if a := c.must(t, http.StatusAccepted, http.MethodPost, p.URL+"/feeds?store=delayed", body); !strings.Contains(a.body, `"durability":"replicated"`) {
		t.Errorf("answered %s", a.body)
	}
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	if a := c.must(t, http.StatusServiceUnavailable, http.MethodPost, p.URL+"/feeds?store=delayed", body); !strings.Contains(a.body, "unknown") {
		t.Errorf("answered %s", a.body)
	}
	c.must(t, http.StatusCreated, http.MethodPost, p.URL+"/feeds?store=sync", body)
}
