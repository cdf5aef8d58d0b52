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
	return f.explain(ctx, "p (bigint[], bigint, bigint) AS "+listByAuthors, "p('{1,2,3}', 9223372036854775807, 20)")
}

// ExplainScan returns the plan of ScanIDs.
func (f *Feeds) ExplainScan(ctx context.Context) (plan []string, err error) {
	return f.explain(ctx, "p (bigint, bigint) AS "+scanIDs, "p(0, 100)")
}

// explain returns the plan of a statement, a line each, as a prepared statement gets it for any
// parameters.
func (f *Feeds) explain(ctx context.Context, prepare, execute string) (plan []string, err error) {
	conn, err := f.db.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "ANALYZE feeds"); err != nil {
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
