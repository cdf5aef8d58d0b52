package postgres

import "context"

// ExplainList returns the plan of ListByAuthors, a line each, as a prepared statement gets it for
// any parameters.
func (f *Feeds) ExplainList(ctx context.Context) (plan []string, err error) {
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
	if _, err := conn.Exec(ctx, "PREPARE list (bigint[], bigint, bigint) AS "+listByAuthors); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, "EXPLAIN EXECUTE list('{1,2,3}', 9223372036854775807, 20)")
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
