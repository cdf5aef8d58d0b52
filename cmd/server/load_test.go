package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load writes through several processes, any of which may die at any time, and keeps book of what was
// acknowledged.
type load struct {
	targets  []*target
	writers  []*writer
	counters []*counter
	keys     atomic.Int64 // made so far
	// plain load asks for nothing that may be undone for a while when a replica ends, or sleeps, in the
	// moment in which Redis is away: then what it has queued is nowhere else until Redis comes back.
	plain bool
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// target is where a process is reached; another one may take its place.
type target struct{ url atomic.Pointer[string] }

func (t *target) set(p *process) { t.url.Store(&p.URL) }

// writer is one client. All its items are its author's, and nobody else writes them.
type writer struct {
	load   *load
	client *client
	author int64
	items  []*item
	acked  atomic.Int64
	err    error
}

// item is what the writer was told.
type item struct {
	id      string
	content string
	deleted bool
}

// patience is how long one request is repeated before it counts as never acknowledged.
const patience = 20 * time.Second

// authors is how many there are, of all loads.
var authors atomic.Int64

// startLoad begins to write items with n clients, and to count with half as many, until finish.
func startLoad(t *testing.T, n int, processes ...*process) *load {
	t.Helper()
	return (&load{}).start(t, n, processes...)
}

// startPlainLoad is startLoad of a plain load.
func startPlainLoad(t *testing.T, n int, processes ...*process) *load {
	t.Helper()
	return (&load{plain: true}).start(t, n, processes...)
}

func (l *load) start(t *testing.T, n int, processes ...*process) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	for _, p := range processes {
		tg := &target{}
		tg.set(p)
		l.targets = append(l.targets, tg)
	}
	l.counters = newCounters()
	for i := range n + (n+1)/2 {
		w := &writer{load: l, client: newClient(t), author: 1000 + authors.Add(1)}
		l.writers = append(l.writers, w)
		step := w.step
		if i >= n {
			step = w.count
		}
		l.done.Go(func() { w.err = w.run(ctx, context.WithoutCancel(ctx), step) })
	}
	t.Cleanup(func() { stop(); l.done.Wait() })
	return l
}

// acked returns how many requests were acknowledged so far.
func (l *load) acked() (n int64) {
	for _, w := range l.writers {
		n += w.acked.Load()
	}
	return n
}

// finish lets every client end what it has begun.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	for _, w := range l.writers {
		if w.err != nil {
			t.Errorf("author %d: %v", w.author, w.err)
		}
	}
}

// run writes until ctx ends. What it has begun it brings to an end under work.
func (w *writer) run(ctx, work context.Context, step func(ctx context.Context, n int) error) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := step(work, n); err != nil {
			return err
		}
	}
	return nil
}

// step creates an item and does something to another one.
func (w *writer) step(ctx context.Context, n int) error {
	if err := w.create(ctx, n); err != nil {
		return err
	}
	it := w.items[rand.IntN(len(w.items))]
	switch {
	case w.load.plain:
		return w.put(ctx, it, n)
	case it.deleted:
		return w.look(ctx, it)
	case n%5 == 0:
		return w.remove(ctx, it)
	case n%5 == 1:
		return w.patch(ctx, it, n)
	case n%5 == 2:
		return w.look(ctx, it)
	default:
		return w.put(ctx, it, n)
	}
}

// store says how a write is stored: mostly delayed, for those depend on the queue alone.
func store() string {
	if rand.IntN(4) == 0 {
		return "?store=sync"
	}
	return "?store=delayed"
}

func (w *writer) draft(content string) string {
	return fmt.Sprintf(`{"author_id":"%d","content":%s}`, w.author, content)
}

// create makes an item, sometimes asks for it again under the same key.
func (w *writer) create(ctx context.Context, n int) error {
	content := fmt.Sprintf(`{"created":%d}`, n)
	key := strconv.FormatInt(w.author, 10) + "-" + strconv.Itoa(n)
	path := "/feeds" + store()
	a, err := w.do(ctx, http.MethodPost, path, w.draft(content), "Idempotency-Key", key)
	if err != nil {
		return err
	}
	id, err := idOf(a)
	if err != nil {
		return err
	}
	w.items = append(w.items, &item{id: id, content: content})
	if n%4 != 0 || w.load.plain {
		return nil
	}
	if a, err = w.do(ctx, http.MethodPost, path, w.draft(content), "Idempotency-Key", key); err != nil {
		return err
	}
	again, err := idOf(a)
	if err != nil {
		return err
	}
	if again != id || a.header.Get("Idempotent-Replayed") != "true" {
		return fmt.Errorf("created %s, and %s when repeated with the same key (headers %v)", id, again, a.header)
	}
	return nil
}

func idOf(a answer) (string, error) {
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.ID == "" {
		return "", fmt.Errorf("no ID in %q: %w", a.body, err)
	}
	return made.ID, nil
}

func (w *writer) put(ctx context.Context, it *item, n int) error {
	content := fmt.Sprintf(`{"put":%d}`, n)
	_, err := w.do(ctx, http.MethodPut, "/feeds/"+it.id+store(), w.draft(content))
	it.content = content
	return err
}

func (w *writer) patch(ctx context.Context, it *item, n int) error {
	_, err := w.do(ctx, http.MethodPatch, "/feeds/"+it.id+store(), fmt.Sprintf(`{"created":null,"put":null,"patched":%d}`, n))
	it.content = fmt.Sprintf(`{"patched":%d}`, n)
	return err
}

func (w *writer) remove(ctx context.Context, it *item) error {
	_, err := w.do(ctx, http.MethodDelete, "/feeds/"+it.id+store(), "")
	it.deleted = true
	return err
}

// look reads an item from wherever it is once the caches have forgotten it.
func (w *writer) look(ctx context.Context, it *item) error {
	if _, err := w.do(ctx, http.MethodDelete, "/feeds/"+it.id+"/cache", ""); err != nil {
		return err
	}
	a, err := w.do(ctx, http.MethodGet, "/feeds/"+it.id, "", "Cache-Control", "no-cache")
	if err != nil {
		return err
	}
	return it.check(a)
}

// check compares an exact read with what was acknowledged.
func (it *item) check(a answer) error {
	if it.deleted != (a.status == http.StatusNotFound) {
		return fmt.Errorf("item %s, deleted: %v, is answered by %d %s", it.id, it.deleted, a.status, a.body)
	}
	if it.deleted {
		return nil
	}
	var got struct{ Content json.RawMessage }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		return err
	}
	if string(got.Content) != it.content {
		return fmt.Errorf("item %s holds %s, acknowledged was %s (%s)", it.id, got.Content, it.content, a.header.Get("Cache-Status"))
	}
	return nil
}

// do sends a request until it is answered: to another process after 503 and broken connections.
func (w *writer) do(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := "nothing"
	for n := rand.IntN(len(w.load.targets)); ; n++ {
		url := *w.load.targets[n%len(w.load.targets)].url.Load()
		a, err := w.client.call(ctx, method, url+path, body, headers...)
		switch {
		case err != nil:
			last = err.Error()
		case a.status < 300, a.status == http.StatusNotFound && method == http.MethodGet:
			w.acked.Add(1)
			return a, nil
		case a.status != http.StatusServiceUnavailable:
			return a, fmt.Errorf("%s %s: %d %s (before: %s)", method, path, a.status, a.body, last)
		default:
			last = a.body
		}
		select {
		case <-ctx.Done():
			return answer{}, fmt.Errorf("%s %s was not acknowledged within %v: %s", method, path, patience, last)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// verify compares SQL, and one process, with the books, once the load is finished.
func (l *load) verify(t *testing.T, w *world, survivor *process) {
	t.Helper()
	w.awaitEmptyQueue(t)
	c := newClient(t)
	for _, wr := range l.writers {
		rows := w.rowsOf(t, wr.author)
		if len(rows) != len(wr.items) {
			t.Errorf("author %d: %d rows of %d created items", wr.author, len(rows), len(wr.items))
		}
		for n, it := range wr.items {
			r, ok := rows[it.id]
			switch {
			case !ok:
				t.Errorf("item %s is not in SQL", it.id)
			case r.deleted != it.deleted:
				t.Errorf("item %s, deleted: %v, in SQL: %v", it.id, it.deleted, r.deleted)
			case !it.deleted && r.content != it.content:
				t.Errorf("item %s is %s in SQL, acknowledged was %s", it.id, r.content, it.content)
			}
			if n%10 != 0 {
				continue
			}
			a, err := c.call(t.Context(), http.MethodGet, survivor.URL+"/feeds/"+it.id, "", "Cache-Control", "no-cache")
			if err == nil {
				err = it.check(a)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	l.verifyCounters(t, w, survivor)
}

// row is an item's row in SQL.
type row struct {
	content string
	deleted bool
}

// rowsOf returns the author's rows by ID.
func (w *world) rowsOf(t *testing.T, author int64) map[string]row {
	t.Helper()
	rows, err := w.sql.Query(t.Context(), "SELECT id::text, content, deleted FROM feeds WHERE author_id = $1", author)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := make(map[string]row)
	for rows.Next() {
		var id string
		var r row
		if err := rows.Scan(&id, &r.content, &r.deleted); err != nil {
			t.Fatal(err)
		}
		found[id] = r
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
