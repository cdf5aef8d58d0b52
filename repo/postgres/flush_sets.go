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

// storeReaching stores the writes of a flush: the last set or removal of each counter as the difference to
// what SQL holds, but for the additions that came after it; what came before it adds nothing. It returns
// the writes as they were stored.
//
// A set that SQL refuses has overridden nothing: all is done again, with that set as the difference that it was
// queued as. Nor does one of the epoch direct or before, the last in which SQL was the home: what was done there
// came later, and stays.
func storeReaching(ctx context.Context, tx pgx.Tx, shard int, direct int64, writes []model.Queued) ([]model.Queued, model.Applied, error) {
	refused := make(map[model.Version]bool)
	for {
		last := lastSets(writes, direct, refused)
		if len(last) == 0 {
			done, err := store(ctx, tx, writes)
			return writes, done, err
		}
		goal, err := goals(ctx, tx, shard, last)
		if err != nil {
			return nil, model.Applied{}, err
		}
		changed := reaching(writes, last, goal)
		done, err := store(ctx, tx, changed)
		if err != nil {
			return nil, model.Applied{}, err
		}
		before := len(refused)
		for i := range done.DeadLetters {
			if w := &done.DeadLetters[i].Write; isLast(last, w) {
				refused[w.Version] = true
			}
		}
		if len(refused) == before {
			return changed, done, nil
		}
		if _, err := tx.Exec(ctx, undoSets, pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, model.Applied{}, err
		}
	}
}

const undoSets = "rollback to savepoint sets; release savepoint sets"

// lastSets returns the last set or removal of each counter that is to be led to its value.
func lastSets(writes []model.Queued, direct int64, refused map[model.Version]bool) map[model.Counter]*model.Queued {
	last := make(map[model.Counter]*model.Queued)
	for i := range writes {
		w := &writes[i]
		if d := w.Delta; d == nil || !d.Absolute || w.Version.Epoch() <= direct || refused[w.Version] {
			continue
		}
		if c := w.Delta.Counter; last[c] == nil || last[c].Version < w.Version {
			last[c] = w
		}
	}
	return last
}

func isLast(last map[model.Counter]*model.Queued, w *model.Queued) bool {
	set := lastOf(last, w)
	return set != nil && set.Version == w.Version
}

// reaching returns the writes with what each is to add.
func reaching(writes []model.Queued, last map[model.Counter]*model.Queued, goal map[model.Counter]int64) []model.Queued {
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
	return changed
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
	b.Queue("savepoint sets")
	b.Queue(presentCounters, subjects, metrics).Query(sum(-1))
	b.Queue(addedSince, shard, subjects, metrics, versions).Query(sum(1))
	b.Queue(override, shard, subjects, metrics, versions)
	return goal, tx.SendBatch(ctx, b).Close()
}
