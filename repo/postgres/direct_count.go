package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

const countersOf = "SELECT subject, metric, value FROM counters WHERE subject = ANY($1)"

const setCounters = `
INSERT INTO counters (subject, metric, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (subject, metric) DO UPDATE SET value = excluded.value`

// override says of counters that what was queued under lower versions counts no more: the Redis that is lost may
// come back with changes that nobody knew of when the counter was set.
const override = `
INSERT INTO overrides (shard, subject, metric, version, epoch)
SELECT $1, subject, metric, version, version >> 40
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS o (subject, metric, version)
ORDER BY subject, metric
ON CONFLICT (shard, subject, metric) DO UPDATE SET
	version = GREATEST(overrides.version, excluded.version), epoch = GREATEST(overrides.epoch, excluded.epoch)`

const removeCounters = `
DELETE FROM counters USING unnest($1::text[], $2::text[]) AS gone (subject, metric)
WHERE counters.subject = gone.subject AND counters.metric = gone.metric`

// Count makes changes of counters of one shard, in the order given, each on what the ones before it
// left. A change that is refused changes nothing, and does not concern the others.
func (d *Direct) Count(ctx context.Context, shard int, epoch int64, counts []model.Count) ([]model.CountResult, error) {
	var l locks
	var keys, subjects []string
	for i := range counts {
		if counts[i].IdempotencyKey != "" {
			keys = append(keys, counts[i].IdempotencyKey)
		}
		subjects = append(subjects, counts[i].Subject)
	}
	l.add(lockKey, keys...)
	l.add(lockSubject, subjects...)
	t := newTally()
	results := make([]model.CountResult, len(counts))
	err := d.transact(ctx, shard, epoch, l, func(b *pgx.Batch) {
		queueRecall(b, shard, keys, t.known)
		b.Queue(countersOf, subjects).Query(t.load)
	}, func(b *pgx.Batch) (err error) {
		for i := range counts {
			if results[i], err = t.count(&counts[i]); err != nil {
				return err
			}
			results[i].Committed = true
		}
		t.queue(b, shard, epoch)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// tally is the counters of some subjects while changes are made to them, and what is to be written.
type tally struct {
	values        map[model.Counter]int64
	metrics       map[string]int // how many counters a subject has
	changed       map[model.Counter]struct{}
	absolute      map[model.Counter]struct{} // set or removed, whatever they were
	known         map[string]string          // records by idempotency key
	keys, records []string                   // the new ones
}

func newTally() *tally {
	return &tally{
		values: make(map[model.Counter]int64), metrics: make(map[string]int),
		changed: make(map[model.Counter]struct{}), absolute: make(map[model.Counter]struct{}), known: make(map[string]string),
	}
}

func (t *tally) load(rows pgx.Rows) error {
	var c model.Counter
	var value int64
	_, err := pgx.ForEachRow(rows, []any{&c.Subject, &c.Metric, &value}, func() error {
		t.set(c, value)
		return nil
	})
	return err
}

func (t *tally) set(c model.Counter, value int64) {
	if _, ok := t.values[c]; !ok {
		t.metrics[c.Subject]++
	}
	t.values[c] = value
}

func (t *tally) remove(c model.Counter) {
	if _, ok := t.values[c]; ok {
		t.metrics[c.Subject]--
	}
	delete(t.values, c)
}

// count makes one change, and remembers it under its key. It answers as the script does that queues
// changes.
func (t *tally) count(c *model.Count) (model.CountResult, error) {
	if record, ok := t.known[c.IdempotencyKey]; ok {
		result, same := model.ResultIn(record, c.Fingerprint)
		if !same {
			return model.CountResult{Outcome: model.OutcomeKeyReused}, nil
		}
		return model.ParseCountResult(result)
	}
	res := t.change(c)
	if res.Outcome == model.OutcomeApplied && c.Op != model.CountAdd {
		t.absolute[c.Counter] = struct{}{}
	}
	if res.Outcome == model.OutcomeApplied && c.IdempotencyKey != "" {
		record := model.Record(c.Fingerprint, res.Encode())
		t.known[c.IdempotencyKey] = record
		t.keys, t.records = append(t.keys, c.IdempotencyKey), append(t.records, record)
	}
	return res, nil
}

func (t *tally) change(c *model.Count) model.CountResult {
	value, exists := t.values[c.Counter]
	res := model.CountResult{Outcome: model.OutcomeApplied, Known: true}
	if c.Op == model.CountRemove {
		t.remove(c.Counter)
		t.changed[c.Counter] = struct{}{}
		return res
	}
	after, ok := c.N, within(c.N, model.MaxCount)
	if c.Op == model.CountAdd {
		// A sum of two in range cannot overflow, nor can one with twice as much.
		after, ok = value+c.N, within(c.N, 2*model.MaxCount) && within(value+c.N, model.MaxCount)
	}
	switch {
	case !ok:
		res.Outcome, res.Value = model.OutcomeOutOfRange, value
	case !exists && t.metrics[c.Subject] >= model.MaxMetrics:
		res.Outcome = model.OutcomeTooManyMetrics
	default:
		res.Value = after
		t.set(c.Counter, after)
		t.changed[c.Counter] = struct{}{}
	}
	return res
}

func within(n, limit int64) bool { return -limit <= n && n <= limit }

// queue queues what the changes have left: the transaction holds the subjects' locks, so that nobody
// else has written these rows since they were read.
func (t *tally) queue(b *pgx.Batch, shard int, epoch int64) {
	var set, gone struct {
		subjects, metrics []string
		values            []int64
	}
	for c := range t.changed {
		to := &gone
		value, ok := t.values[c]
		if ok {
			to = &set
		}
		to.subjects, to.metrics, to.values = append(to.subjects, c.Subject), append(to.metrics, c.Metric), append(to.values, value)
	}
	if len(set.subjects) > 0 {
		b.Queue(setCounters, set.subjects, set.metrics, set.values)
	}
	if len(gone.subjects) > 0 {
		b.Queue(removeCounters, gone.subjects, gone.metrics)
	}
	if len(t.absolute) > 0 {
		var subjects, metrics []string
		for c := range t.absolute {
			subjects, metrics = append(subjects, c.Subject), append(metrics, c.Metric)
		}
		versions := slices.Repeat([]int64{int64(model.NewVersion(epoch, 0))}, len(subjects))
		b.Queue(override, shard, subjects, metrics, versions)
	}
	if len(t.keys) > 0 {
		b.Queue(rememberKeys, shard, t.keys, t.records)
	}
}
