package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

// Counters reads counters. They are written by Drain and Direct.
type Counters struct {
	db *DB
}

// Counters returns the counters of the database.
func (db *DB) Counters() *Counters { return &Counters{db: db} }

// totals is one statement, and so sees the shard and its counters as of one moment.
const totals = `
SELECT s.epoch, s.home, s.ready, s.opener, s.position, s.skipped, c.subject, c.metric, c.value
FROM shards AS s LEFT JOIN counters AS c ON c.subject = ANY ($2)
WHERE s.shard = $1`

// Totals returns the counters of the subjects, which are the shard's, and its state at the same moment.
// Counters that are 0 are among them unless they were removed.
func (c *Counters) Totals(ctx context.Context, shard int, subjects []string) (model.Totals, error) {
	if subjects == nil {
		subjects = []string{} // nil would be NULL
	}
	rows, err := c.db.pool.Query(ctx, totals, shard, subjects)
	if err != nil {
		return model.Totals{}, translate(err)
	}
	t := model.Totals{Shard: model.Shard{Shard: shard}, Values: make(map[string]map[string]int64)}
	var subject, metric *string
	var value *int64
	s := &t.Shard
	tag, err := pgx.ForEachRow(rows, []any{&s.Epoch, &s.Home, &s.Ready, &s.Opener, &s.Position, &s.Skipped, &subject, &metric, &value}, func() error {
		if subject == nil {
			return nil
		}
		if t.Values[*subject] == nil {
			t.Values[*subject] = make(map[string]int64)
		}
		t.Values[*subject][*metric] = *value
		return nil
	})
	if err != nil {
		return model.Totals{}, translate(err)
	}
	if tag.RowsAffected() == 0 {
		return model.Totals{}, &model.Error{Kind: model.Internal, Message: fmt.Sprintf("the database has no shard %d", shard)}
	}
	return t, nil
}

// ensureCounters makes the rows that are missing and locks the others, in the order of counters: an
// update alone would lock them in any order. A change is not inserted as a value: it may be twice as large
// as a value can be.
const ensureCounters = `
INSERT INTO counters (subject, metric, value)
SELECT subject, metric, 0 FROM unnest($1::text[], $2::text[]) AS c (subject, metric)
ON CONFLICT (subject, metric) DO UPDATE SET value = 0 WHERE false`

const addToCounters = `
UPDATE counters AS c SET value = c.value + d.delta
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d (subject, metric, delta)
WHERE c.subject = d.subject AND c.metric = d.metric`

const dropRemoved = `
DELETE FROM counters AS c USING unnest($1::text[], $2::text[]) AS r (subject, metric)
WHERE c.subject = r.subject AND c.metric = r.metric AND c.value = 0`

// queueCounts sends the sum of each group, and adds the number of counters to rows.
func queueCounts(b *pgx.Batch, groups [][]*model.Queued, rows *int) {
	n := len(groups)
	if n == 0 {
		return
	}
	subjects, metrics, sums := make([]string, n), make([]string, n), make([]int64, n)
	var goneSubjects, goneMetrics []string
	for i, g := range groups {
		c := g[0].Delta.Counter
		subjects[i], metrics[i], sums[i] = c.Subject, c.Metric, sum(g)
		if removes(g) {
			goneSubjects, goneMetrics = append(goneSubjects, c.Subject), append(goneMetrics, c.Metric)
		}
	}
	b.Queue(ensureCounters, subjects, metrics)
	b.Queue(addToCounters, subjects, metrics, sums).Exec(addRows(rows))
	if len(goneSubjects) > 0 {
		b.Queue(dropRemoved, goneSubjects, goneMetrics)
	}
}

// sum adds up the changes of one counter. A sum beyond the range of its type is the largest there is, which
// SQL refuses of any counter.
func sum(deltas []*model.Queued) int64 {
	var total int64
	for _, w := range deltas {
		n := w.Delta.N
		next := total + n
		if (next > total) != (n > 0) && n != 0 {
			return math.MaxInt64
		}
		total = next
	}
	return total
}

func removes(deltas []*model.Queued) bool {
	for _, w := range deltas {
		if w.Delta.Remove {
			return true
		}
	}
	return false
}
