package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

// Clients write until readiness fails, as behind a load balancer. What they have sent is answered as
// if nothing were happening, and nothing is left behind.
func TestShutdownUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env("ZMSG_DRAIN_DELAY=5s")...) // the two waits below and to spare
	node := nodeOf(t, p, newMinted())
	ctx, balancerNotices := context.WithCancel(t.Context())
	var sent, afterSignal atomic.Int64
	var signalled atomic.Bool
	var clients sync.WaitGroup
	for i := range 8 {
		c := newClient(t)
		path := p.URL + "/feeds" + []string{"?store=sync", "?store=delayed"}[i%2]
		clients.Go(func() {
			for ctx.Err() == nil {
				late := signalled.Load()
				a, err := c.call(context.WithoutCancel(ctx), http.MethodPost, path, fmt.Sprintf(`{"author_id":"%d","content":0}`, 1+i))
				if err != nil || a.status >= 300 {
					t.Errorf("%d %s, %v (sent after the signal: %v)", a.status, a.body, err, late)
					return
				}
				sent.Add(1)
				if late {
					afterSignal.Add(1)
				}
			}
		})
	}
	eventually(t, 10*time.Second, "requests are served", func() bool { return sent.Load() > 200 })
	p.Terminate(t)
	signalled.Store(true)
	c := newClient(t)
	eventually(t, 2*time.Second, "readiness fails", func() bool {
		a, err := c.call(t.Context(), http.MethodGet, p.URL+"/readyz?verbose", "")
		return err == nil && a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "stopping")
	})
	eventually(t, 2*time.Second, "requests are served after readiness has failed", func() bool { return afterSignal.Load() > 50 })
	balancerNotices()
	clients.Wait()
	if code := p.wait(t, 25*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !w.drained(t, w.backlog(t)) {
		t.Error("the queue was not drained")
	}
	if n := w.number(t, "SELECT count(*) FROM feeds"); n != sent.Load() {
		t.Errorf("%d rows of %d acknowledged items", n, sent.Load())
	}
	if n := w.number(t, "SELECT count(*) FROM replicas"); n != 0 {
		t.Errorf("%d replicas are left", n)
	}
	w.checkNodeIsFree(t, node)
}

func (w *world) checkNodeIsFree(t *testing.T, node int64) {
	t.Helper()
	next := launch(t, w.env()...)
	if got := nodeOf(t, next, newMinted()); got != node {
		t.Errorf("the next process has node %d, not %d: it was not given back", got, node)
	}
}

// A request that is under way when the listener closes is answered, however long it takes within the
// grace.
func TestShutdownWaitsForRequestsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env()...)
	lock, err := w.sql.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "LOCK TABLE feeds IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	answers := make(chan answer, 1)
	c := newClient(t)
	go func() {
		a, err := c.call(t.Context(), http.MethodPost, p.URL+"/feeds?store=sync", `{"author_id":"1","content":"slow"}`)
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	eventually(t, 10*time.Second, "the write is queued", func() bool { return !w.drained(t, w.backlog(t)) })
	p.Terminate(t)
	other := newClient(t)
	eventually(t, 10*time.Second, "the listener is closed", func() bool {
		_, err := other.call(t.Context(), http.MethodGet, p.URL+"/livez", "")
		return err != nil
	})
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.status != http.StatusCreated {
		t.Errorf("the request under way: %d %s", a.status, a.body)
	}
	if code := p.wait(t, 25*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Who does not want to wait for a shutdown sends the signal again.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := launch(t, w.env("ZMSG_DRAIN_DELAY=60s")...)
	p.Terminate(t)
	eventually(t, 10*time.Second, "the shutdown begins", func() bool { return strings.Contains(p.logs.String(), `"msg":"stopping"`) })
	p.Terminate(t)
	if code := p.wait(t, 10*time.Second); code == 0 {
		t.Error("an interrupted shutdown looks like a complete one")
	}
}

func TestTwoProcessesStartOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := testenv.Program(t, program)
	both := []*process{spawn(t, path, w.env()...), spawn(t, path, w.env()...)}
	migrated := 0
	for _, p := range both {
		p.awaitServing(t)
		p.awaitReady(t)
		migrated += strings.Count(p.logs.String(), `"msg":"database migrated"`)
	}
	if migrated != 1 {
		t.Errorf("the database was migrated %d times", migrated)
	}
	if n := w.number(t, "SELECT count(*) FROM shards WHERE ready"); n != allShards {
		t.Errorf("%d shards are ready", n)
	}
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	launch(t, w.env()...).Kill(t)
	w.exec(t, "UPDATE schema_migrations SET version = version + 1000")
	r := execute(t, nil, w.env()...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "run a newer program") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

func TestAnotherNumberOfShardsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	launch(t, w.env()...).Kill(t)
	r := execute(t, nil, w.env("ZMSG_QUEUE_SHARDS=32")...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "zmsg: ZMSG_QUEUE_SHARDS: ") || !strings.Contains(r.stderr, "is 32 (and 8 for counters), but this database was set up with 16 (and 4 for counters)") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
