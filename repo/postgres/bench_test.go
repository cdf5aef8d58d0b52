package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/migrate"
)

const benchRows = 1000

// BenchmarkApply is a round of the drain: 16 shards, 1000 items, a half of them new.
func BenchmarkApply(b *testing.B) {
	db := open(b)
	if err := db.Shards().Init(b.Context(), 16, 16); err != nil {
		b.Fatal(err)
	}
	batch := &model.Batch{Advances: make([]model.Advance, 16)}
	for s := range batch.Advances {
		batch.Advances[s] = model.Advance{Shard: s, Opening: true}
	}
	for n := 0; b.Loop(); n++ {
		batch.Writes = puts(benchItems(n)...)
		for s := range batch.Advances {
			a := &batch.Advances[s]
			a.From, a.To = model.Version(n), model.Version(n+1)
		}
		if applied, err := db.Drain().Apply(b.Context(), batch); err != nil || applied.Refused != nil {
			b.Fatal(applied, err)
		}
	}
	b.ReportMetric(float64(b.N*benchRows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkApplyCounts is a round of the drain: 4 shards, 1000 increments of 100 counters, each with its
// idempotency key.
func BenchmarkApplyCounts(b *testing.B) {
	db := open(b)
	if err := db.Shards().Init(b.Context(), 4, 4); err != nil {
		b.Fatal(err)
	}
	openShards(b, db, 0, 1, 2, 3)
	batch := &model.Batch{}
	for s := range 4 {
		batch.Advances = append(batch.Advances, model.Advance{Shard: s, Epoch: 1, Home: "h"})
	}
	for i := range benchRows {
		counter := model.Counter{Subject: fmt.Sprintf("post:%d", i%100), Metric: "likes"}
		batch.Writes = append(batch.Writes, model.Queued{Shard: i % 4, Delta: &model.Delta{Counter: counter, N: 1}})
	}
	for n := 0; b.Loop(); n++ {
		for i := range batch.Writes {
			w := &batch.Writes[i]
			w.Version = model.Version(n + 1)
			w.Key, w.Record = fmt.Sprintf("%060x%04d", n, i), fmt.Sprintf("%064x|%d|1|%d", i, n, n)
		}
		for s := range batch.Advances {
			a := &batch.Advances[s]
			a.From, a.To = model.Version(n), model.Version(n+1)
		}
		if applied, err := db.Drain().Apply(b.Context(), batch); err != nil || applied.CounterRows != 100 {
			b.Fatal(applied, err)
		}
	}
	b.ReportMetric(float64(b.N*benchRows)/b.Elapsed().Seconds(), "increments/s")
}

// BenchmarkBulkUpsert is the limit: the same rows by one bare statement, already in order.
func BenchmarkBulkUpsert(b *testing.B) {
	dsn := testenv.DB(b)
	if err := migrate.Up(b.Context(), dsn, zap.NewNop()); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	for n := 0; b.Loop(); n++ {
		if err := bulkUpsert(b, conn, benchItems(n)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*benchRows)/b.Elapsed().Seconds(), "rows/s")
}

func bulkUpsert(b *testing.B, conn *pgx.Conn, items []model.Item) error {
	b.Helper()
	n := len(items)
	ids, authors, versions := make([]int64, n), make([]int64, n), make([]int64, n)
	kinds, contents, deleted := make([]string, n), make([]string, n), make([]bool, n)
	created, updated := make([]time.Time, n), make([]time.Time, n)
	for i, it := range items {
		ids[i], authors[i], versions[i] = int64(it.ID), int64(it.AuthorID), int64(it.Version)
		kinds[i], contents[i], deleted[i] = it.Kind, string(it.Content), it.Deleted
		created[i], updated[i] = it.CreatedAt, it.UpdatedAt
	}
	_, err := conn.Exec(b.Context(), `
		INSERT INTO feeds (id, author_id, kind, content, created_at, updated_at, version, deleted)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::boolean[])
		ON CONFLICT (id) DO UPDATE SET author_id = excluded.author_id, kind = excluded.kind, content = excluded.content,
			created_at = excluded.created_at, updated_at = excluded.updated_at, version = excluded.version, deleted = excluded.deleted
		WHERE feeds.version < excluded.version`,
		ids, authors, kinds, contents, created, updated, versions, deleted)
	return err
}

// benchItems returns round n: in the order of IDs, every second ID new, the others those of the round
// before.
func benchItems(n int) []model.Item {
	items := make([]model.Item, benchRows)
	for i := range items {
		items[i] = liveItem(model.ID(n*benchRows/2 + i + 1))
		items[i].Version = model.Version(n + 1)
	}
	return items
}
