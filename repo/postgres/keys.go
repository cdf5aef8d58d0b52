package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

// Keys remembers the idempotency keys of committed writes. Drain and Direct add to them.
type Keys struct {
	db *DB
}

// Keys returns the idempotency keys of the database.
func (db *DB) Keys() *Keys { return &Keys{db: db} }

// recall prefers the newest record, should there be several: a key that Redis has forgotten may have been
// used again. The aggregate keeps the planner from walking the table in the order of IDs.
const recall = `
SELECT (array_agg(records[array_position(keys, $2)] ORDER BY id DESC))[1]
FROM idempotency WHERE shard = $1 AND keys @> ARRAY[$2::text]`

// Recall returns what was remembered under the key: fingerprint|result of a write. ok is false if SQL does
// not know the key. A client whose write is delayed is told why it needs the database.
func (k *Keys) Recall(ctx context.Context, shard int, key string) (record string, ok bool, err error) {
	var found *string
	err = translate(k.db.pool.QueryRow(ctx, recall, shard, text(key)).Scan(&found))
	if err != nil && model.KindOf(err) == model.Unavailable {
		err = model.NewUnavailable("only the database can tell whether the idempotency key was used, and it is out of reach", err)
	}
	if err != nil || found == nil {
		return "", false, err
	}
	return string(decodeRecord(*found)), true, nil
}

// expirePage is small, so that the locks of one statement are few.
const expirePage = 1000

const expire = `
DELETE FROM idempotency WHERE id IN (
	SELECT id FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
)`

// forgetFlushed may go by the position: whatever stream holds such a write has been drained past it.
const forgetFlushed = "DELETE FROM flushed USING shards WHERE flushed.shard = shards.shard AND version <= position"

// overridden is the version before which changes count no more. Replicas of an earlier version tell the epoch.
const overridden = "GREATEST(o.version, o.epoch << 40)"

// forgetOverrides may so too: no change of a version that the position covers is read again. It waits for nobody
// who writes such rows.
const forgetOverrides = `
DELETE FROM overrides WHERE (shard, subject, metric) IN (
	SELECT o.shard, o.subject, o.metric FROM overrides AS o JOIN shards AS s USING (shard)
	WHERE ` + overridden + ` <= s.position FOR UPDATE OF o SKIP LOCKED
)`

// Expire forgets the keys that were committed before olderThan, and the notes of those writes that a
// replica brought to SQL itself, or that were overridden, and that no stream can bring again. It tells how many
// rows they were.
func (k *Keys) Expire(ctx context.Context, olderThan time.Time) (int64, error) {
	total := int64(0)
	for _, forget := range []string{forgetFlushed, forgetOverrides} {
		tag, err := k.db.pool.Exec(ctx, forget)
		if err != nil {
			return total, translate(err)
		}
		total += tag.RowsAffected()
	}
	for {
		tag, err := k.db.pool.Exec(ctx, expire, olderThan, expirePage)
		if err != nil {
			return total, translate(err)
		}
		if total += tag.RowsAffected(); tag.RowsAffected() < expirePage {
			return total, nil
		}
	}
}

const knownKeys = `
SELECT DISTINCT i.shard, w.key
FROM idempotency AS i CROSS JOIN LATERAL unnest(i.keys) AS k (key) JOIN unnest($2::text[]) AS w (key) ON w.key = k.key
WHERE i.shard = ANY ($1) AND i.keys && $2`

const knownOverrides = `
SELECT o.shard, o.subject, o.metric, ` + overridden + `
FROM overrides AS o JOIN unnest($2::text[], $3::text[]) AS w (subject, metric) USING (subject, metric)
WHERE o.shard = ANY ($1)`

const knownFlushed = `
SELECT f.shard, f.version
FROM flushed AS f JOIN unnest($1::integer[], $2::bigint[]) AS w (shard, version) USING (shard, version)`

// leaveOut parts writes of the given shards that came to SQL by another way, known by their idempotency
// key or by the note of a flush, from the rest; and changes of counters that were set here since. Items have
// no such note, unless they became dead letters: their versions tell. The caller holds the locks of the
// shards' rows, so that nobody adds to what is known.
//
// A change that was overridden has had its effect, which has just been undone: its key is remembered all the same,
// or a repeat would do it anew.
func leaveOut(ctx context.Context, tx pgx.Tx, writes []model.Queued, shards map[int]bool) (rest []model.Queued, known []*model.Queued, err error) {
	seen, err := look(ctx, tx, writes, shards)
	if err != nil || len(seen.keys)+len(seen.flushed)+len(seen.sets) == 0 {
		return writes, nil, err
	}
	var keyed []*model.Queued
	for i := range writes {
		w := &writes[i]
		switch {
		case !shards[w.Shard]:
			rest = append(rest, *w)
		case seen.has(w):
			known = append(known, w)
		case seen.overrides(w):
			known = append(known, w)
			if w.Key != "" {
				keyed = append(keyed, w)
			}
		default:
			rest = append(rest, *w)
		}
	}
	return rest, known, (&carefully{tx: tx}).keys(ctx, keyed)
}

type keyOf struct {
	shard int
	key   string
}

type versionOf struct {
	shard   int
	version model.Version
}

type counterOf struct {
	shard int
	model.Counter
}

// knowledge is what SQL knows of some writes.
type knowledge struct {
	keys    map[keyOf]bool
	flushed map[versionOf]bool
	sets    map[counterOf]model.Version
}

func (k *knowledge) has(w *model.Queued) bool {
	return w.Key != "" && k.keys[keyOf{w.Shard, text(w.Key)}] || k.flushed[versionOf{w.Shard, w.Version}]
}

func (k *knowledge) overrides(w *model.Queued) bool {
	return w.Delta != nil && w.Version < k.sets[counterOf{w.Shard, w.Delta.Counter}]
}

func look(ctx context.Context, tx pgx.Tx, writes []model.Queued, shards map[int]bool) (*knowledge, error) {
	var keys, subjects, metrics []string
	var keyShards, shardOf []int32
	var versions []int64
	for s := range shards {
		keyShards = append(keyShards, int32(s))
	}
	for i := range writes {
		w := &writes[i]
		if !shards[w.Shard] {
			continue
		}
		if w.Key != "" {
			keys = append(keys, text(w.Key))
		}
		if w.Delta != nil {
			subjects, metrics = append(subjects, w.Delta.Subject), append(metrics, w.Delta.Metric)
		}
		shardOf, versions = append(shardOf, int32(w.Shard)), append(versions, int64(w.Version))
	}
	k := &knowledge{keys: make(map[keyOf]bool), flushed: make(map[versionOf]bool), sets: make(map[counterOf]model.Version)}
	b := &pgx.Batch{}
	if len(keys) > 0 {
		b.Queue(knownKeys, keyShards, keys).Query(func(rows pgx.Rows) error {
			var key keyOf
			_, err := pgx.ForEachRow(rows, []any{&key.shard, &key.key}, func() error { k.keys[key] = true; return nil })
			return err
		})
	}
	if len(subjects) > 0 {
		b.Queue(knownOverrides, keyShards, subjects, metrics).Query(func(rows pgx.Rows) error {
			var c counterOf
			var v model.Version
			_, err := pgx.ForEachRow(rows, []any{&c.shard, &c.Subject, &c.Metric, &v}, func() error { k.sets[c] = v; return nil })
			return err
		})
	}
	if len(versions) > 0 {
		b.Queue(knownFlushed, shardOf, versions).Query(func(rows pgx.Rows) error {
			var v versionOf
			_, err := pgx.ForEachRow(rows, []any{&v.shard, &v.version}, func() error { k.flushed[v] = true; return nil })
			return err
		})
	}
	if b.Len() == 0 {
		return k, nil
	}
	return k, tx.SendBatch(ctx, b).Close()
}
