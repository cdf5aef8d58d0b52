package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What tests of this package see of it.
var (
	Translate     = translate
	EncodePayload = encodePayload
	DecodePayload = decodePayload
)

// LockSubject is the class of the locks of subjects.
const LockSubject = lockSubject

// Queued returns how many turns of direct transactions are taken or waited for.
func (db *DB) Queued() (n int) {
	db.turns.mu.Lock()
	defer db.turns.mu.Unlock()
	for _, w := range db.turns.queue {
		n += w.count
	}
	return n
}

// Number runs a statement, and returns the number in its first row, 0 if there is none.
func (db *DB) Number(t *testing.T, statement string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := db.pool.QueryRow(t.Context(), statement, args...).Scan(&n); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return n
}

// ExplainList returns the plan of ListByAuthors.
func (f *Feeds) ExplainList(ctx context.Context) (plan []string, err error) {
	return explain(ctx, f.db, "feeds", "p (bigint[], bigint, bigint) AS "+listByAuthors, "p('{1,2,3}', 9223372036854775807, 20)")
}

// ExplainScan returns the plan of ScanIDs.
func (f *Feeds) ExplainScan(ctx context.Context) (plan []string, err error) {
	return explain(ctx, f.db, "feeds", "p (bigint, bigint) AS "+scanIDs, "p(0, 100)")
}

// ExplainRecall returns the plan of Recall.
func (k *Keys) ExplainRecall(ctx context.Context) (plan []string, err error) {
	return explain(ctx, k.db, "idempotency", "p (integer, text) AS "+recall, "p(0, 'key')")
}

// ExplainKnown returns the plan by which an opener finds the keys that are known.
func (k *Keys) ExplainKnown(ctx context.Context) (plan []string, err error) {
	return explain(ctx, k.db, "idempotency", "p (integer[], text[]) AS "+knownKeys, "p('{0}', '{key}')")
}

// ExplainRecall returns the plan by which direct writes find the keys that are known.
func (d *Direct) ExplainRecall(ctx context.Context) (plan []string, err error) {
	return explain(ctx, d.db, "idempotency", "p (integer, text[]) AS "+recallKeys, "p(0, '{key}')")
}

// ExplainTotals returns the plan of Totals.
func (c *Counters) ExplainTotals(ctx context.Context) (plan []string, err error) {
	return explain(ctx, c.db, "counters", "p (integer, text[]) AS "+totals, "p(0, '{s}')")
}

// explain returns the plan of a statement, a line each, as a prepared statement gets it for any
// parameters.
func explain(ctx context.Context, db *DB, table, prepare, execute string) (plan []string, err error) {
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "ANALYZE "+table); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan"); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "PREPARE "+prepare); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, "EXPLAIN EXECUTE "+execute)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		plan = append(plan, line)
	}
	return plan, rows.Err()
}
