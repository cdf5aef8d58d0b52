package zmsg_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// BenchmarkDrain brings 100,000 queued items to SQL and compares the time with PostgreSQL's own: the same
// rows, from memory, by upserts of the same size over one connection. Both run in turns.
func BenchmarkDrain(b *testing.B) {
	const items = 100_000
	w := newWorld(b)
	r := w.open(b)
	var gate atomic.Pointer[chan struct{}]
	failpoint.Set(b, "drain.before_commit", func() error {
		if g := gate.Load(); g != nil {
			<-*g
		}
		return nil
	})
	var drain, bulk time.Duration
	for b.Loop() {
		closed := make(chan struct{})
		gate.Store(&closed)
		fillQueue(b, r, items)
		began, before := time.Now(), r.metric(b, "zmsg_queue_writes_total")
		close(closed)
		for r.metric(b, "zmsg_queue_writes_total")-before < items {
			<-time.After(20 * time.Millisecond) // gathering metrics is work, too
		}
		drain += time.Since(began)
		bulk += w.timeBulk(b, items)
	}
	n := float64(b.N * items)
	b.ReportMetric(n/drain.Seconds(), "drained/s")
	b.ReportMetric(n/bulk.Seconds(), "bulk/s")
	b.ReportMetric(bulk.Seconds()/drain.Seconds(), "of-bulk")
	b.ReportMetric(0, "ns/op")
}

var benchContent = json.RawMessage(`{"text":"` + strings.Repeat("lorem ipsum ", 12) + `"}`)

// fillQueue queues new items.
func fillQueue(b *testing.B, r *replica, items int) {
	b.Helper()
	var group sync.WaitGroup
	const clients = 64
	for c := range clients {
		group.Go(func() {
			for i := c; i < items; i += clients {
				d := service.Draft{ID: newID(), AuthorID: model.ID(1 + i%5000), Content: benchContent}
				if _, err := r.Feeds.Put(b.Context(), d, delayed); err != nil {
					b.Errorf("put: %v", err)
				}
			}
		})
	}
	group.Wait()
}

const bulkUpsert = `
INSERT INTO feeds (id, author_id, kind, content, created_at, updated_at, version, deleted)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::boolean[])
ON CONFLICT (id) DO UPDATE SET content = excluded.content, version = excluded.version WHERE feeds.version < excluded.version`

// timeBulk upserts as many new rows as were drained.
func (w *world) timeBulk(b *testing.B, items int) time.Duration {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), w.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.Context())) }()
	const batch = 4096
	began := time.Now()
	for items > 0 {
		n := min(batch, items)
		ids, authors, versions := make([]int64, n), make([]int64, n), make([]int64, n)
		kinds, contents := make([]string, n), make([]string, n)
		times, deleted := make([]time.Time, n), make([]bool, n)
		for i := range n {
			ids[i], authors[i], versions[i] = int64(newID()), int64(1+i%5000), 1
			kinds[i], contents[i], times[i] = "post", string(benchContent), began
		}
		if _, err := conn.Exec(b.Context(), bulkUpsert, ids, authors, kinds, contents, times, times, versions, deleted); err != nil {
			b.Fatal(err)
		}
		items -= n
	}
	return time.Since(began)
}
