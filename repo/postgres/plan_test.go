package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/postgres"
)

// Each author of a list costs one descent of the index, however many items there are.
func TestListUsesTheIndex(t *testing.T) {
	t.Parallel()
	lines, err := filled(t).Feeds().ExplainList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "Index Only Scan using feeds_author") || strings.Contains(plan, "Seq Scan") {
		t.Errorf("the plan of a list is\n%s", plan)
	}
}

// A page of the scan costs as much as the page is long, wherever it begins.
func TestScanUsesThePrimaryKey(t *testing.T) {
	t.Parallel()
	lines, err := filled(t).Feeds().ExplainScan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "Index Only Scan using feeds_pkey") || strings.Contains(plan, "Sort") {
		t.Errorf("the plan of a scan is\n%s", plan)
	}
}

// However many rounds have left keys, a search goes by the index.
func TestKeysUseTheIndex(t *testing.T) {
	t.Parallel()
	db := open(t)
	db.Number(t, `INSERT INTO idempotency (shard, keys, records)
		SELECT n % 8, array_agg(n || '.' || k), array_agg('record'::text) FROM generate_series(1, 20000) n, generate_series(1, 5) k GROUP BY n`)
	for name, explain := range map[string]func(context.Context) ([]string, error){
		"Recall": db.Keys().ExplainRecall, "known keys": db.Keys().ExplainKnown,
		"direct writes": db.Direct().ExplainRecall,
	} {
		lines, err := explain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.Join(lines, "\n")
		if !strings.Contains(plan, "idempotency_keys") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("the plan of %s is\n%s", name, plan)
		}
	}
}

func TestTotalsUseThePrimaryKey(t *testing.T) {
	t.Parallel()
	db := open(t)
	db.Number(t, "INSERT INTO counters SELECT 'post:' || n, 'likes', n FROM generate_series(1, 20000) n")
	lines, err := db.Counters().ExplainTotals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if !strings.Contains(plan, "counters_pkey") || strings.Contains(plan, "Seq Scan on counters") {
		t.Errorf("the plan of Totals is\n%s", plan)
	}
}

// filled returns a database with many items, some of them deleted.
func filled(t *testing.T) *postgres.DB {
	t.Helper()
	db := open(t)
	batch := &model.Batch{}
	for id := model.ID(1); id <= 20_000; id++ {
		it := liveItem(id)
		it.Deleted = id%50 == 0
		batch.Writes = append(batch.Writes, puts(it)...)
	}
	if _, err := db.Drain().Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return db
}
