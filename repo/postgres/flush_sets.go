package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

// A set and a removal are queued as the difference that they make to what Redis holds. Some of that may go with
// Redis: a change whose answer was lost, so that nobody brings it here. Then the difference leads elsewhere. The
// replica that has answered the set knows where it led to, and a flush goes there.

// presentCounters locks the rows, in the order of counters as all others do.
const presentCounters = `
SELECT c.subject, c.metric, c.value
FROM counters AS c JOIN unnest($1::text[], $2::text[]) AS s (subject, metric) USING (subject, metric)
ORDER BY c.subject, c.metric FOR UPDATE OF c`

// addedSince returns what flushes have brought that came after the sets.
const addedSince = `
SELECT s.subject, s.metric, sum(f.delta)::bigint
FROM flushed AS f JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS s (subject, metric, version)
	ON f.subject = s.subject AND f.metric = s.metric AND f.version > s.version
WHERE f.shard = $1
GROUP BY s.subject, s.metric`

// reaching returns the writes as they are to be stored: the last set or removal of each counter becomes the difference to what
// SQL holds, but for the additions that came after it, and what came before it adds nothing. Only those are
// taken so that were queued after the epoch direct, the last one in which SQL was the home: what was done
// there came later than they, and stays.
func reaching(ctx context.Context, tx pgx.Tx, shard int, direct int64, writes []model.Queued) ([]model.Queued, error) {
	last := make(map[model.Counter]*model.Queued)
	for i := range writes {
		w := &writes[i]
		if d := w.Delta; d != nil && d.Absolute && w.Version.Epoch() > direct && (last[d.Counter] == nil || last[d.Counter].Version < w.Version) {
			last[d.Counter] = w
		}
	}
	if len(last) == 0 {
		return writes, nil
	}
	goal, err := goals(ctx, tx, shard, last)
	if err != nil {
		return nil, err
	}
	changed := make([]model.Queued, len(writes))
	for i, w := range writes {
		if set := lastOf(last, &w); set != nil && w.Version <= set.Version {
			delta := *w.Delta
			if delta.N = 0; w.Version == set.Version {
				delta.N = goal[delta.Counter]
			}
			w.Delta = &delta
		}
		changed[i] = w
	}
	return changed, nil
}

func lastOf(last map[model.Counter]*model.Queued, w *model.Queued) *model.Queued {
	if w.Delta == nil {
		return nil
	}
	return last[w.Delta.Counter]
}

// goals returns what must be added to each counter, and notes that older changes of it count no more.
func goals(ctx context.Context, tx pgx.Tx, shard int, last map[model.Counter]*model.Queued) (map[model.Counter]int64, error) {
	goal := make(map[model.Counter]int64, len(last))
	var subjects, metrics []string
	var versions []int64
	for c, w := range last {
		goal[c] = w.Delta.To
		subjects, metrics, versions = append(subjects, c.Subject), append(metrics, c.Metric), append(versions, int64(w.Version))
	}
	sum := func(sign int64) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			var c model.Counter
			var n int64
			_, err := pgx.ForEachRow(rows, []any{&c.Subject, &c.Metric, &n}, func() error { goal[c] += sign * n; return nil })
			return err
		}
	}
	b := &pgx.Batch{}
	b.Queue(presentCounters, subjects, metrics).Query(sum(-1))
	b.Queue(addedSince, shard, subjects, metrics, versions).Query(sum(1))
	b.Queue(override, shard, subjects, metrics, versions)
	return goal, tx.SendBatch(ctx, b).Close()
}
