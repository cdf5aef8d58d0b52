package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/zmsg/zmsg/model"
)

const upsert = `
INSERT INTO feeds (` + itemColumns + `)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::boolean[])
ON CONFLICT (id) DO UPDATE SET
	author_id = excluded.author_id, kind = excluded.kind, content = excluded.content,
	created_at = excluded.created_at, updated_at = excluded.updated_at,
	version = excluded.version, deleted = excluded.deleted
WHERE feeds.version < excluded.version`

const insertKeys = `
INSERT INTO idempotency (shard, keys, records)
SELECT shard, array_agg(key ORDER BY n), array_agg(record ORDER BY n)
FROM unnest($1::integer[], $2::text[], $3::text[]) WITH ORDINALITY AS k (shard, key, record, n)
GROUP BY shard ORDER BY shard`

// store writes what was queued in tx: of each item the newest version, of each counter the sum, the
// idempotency keys, and what cannot be read as dead letters. If SQL refuses something, the bad writes
// are found and become dead letters too, and all others are stored. So an error is one of the
// transaction as a whole.
//
// The order of writes does not matter: versions tell it.
func store(ctx context.Context, tx pgx.Tx, writes []model.Queued) (model.Applied, error) {
	p := newPlan(writes)
	var done model.Applied
	err := attempt(ctx, tx, func(b *pgx.Batch) { p.queue(b, &done) })
	if dataError(err) {
		return p.storeCarefully(ctx, tx)
	}
	if err != nil {
		return model.Applied{}, err
	}
	return done, nil
}

// plan is what a transaction has to write, merged.
type plan struct {
	items  [][]*model.Queued // the writes of one item each, newest first; in the order of IDs
	counts [][]*model.Queued // the changes of one counter each; in the order of counters
	keys   []*model.Queued
	// damaged are the entries that cannot be read.
	damaged []*model.Queued
}

// newPlan sorts writes by what they write. All transactions write in the same order, so that they cannot
// deadlock.
func newPlan(writes []model.Queued) *plan {
	p := &plan{}
	var items, counts []*model.Queued
	for i := range writes {
		w := &writes[i]
		switch {
		case w.Item != nil:
			items = append(items, w)
		case w.Delta != nil:
			counts = append(counts, w)
		default:
			p.damaged = append(p.damaged, w)
		}
		if w.Key != "" {
			p.keys = append(p.keys, w)
		}
	}
	p.items = group(items,
		func(a, b *model.Queued) int { return cmp.Compare(a.Item.ID, b.Item.ID) },
		func(a, b *model.Queued) int { return cmp.Compare(b.Item.Version, a.Item.Version) })
	p.counts = group(counts,
		func(a, b *model.Queued) int { return compareCounters(a.Delta.Counter, b.Delta.Counter) },
		func(a, b *model.Queued) int { return cmp.Compare(a.Version, b.Version) })
	return p
}

func compareCounters(a, b model.Counter) int {
	return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Metric, b.Metric))
}

// group sorts rows, and cuts them where key changes; order is that within a group.
func group(rows []*model.Queued, key, order func(a, b *model.Queued) int) [][]*model.Queued {
	sorted := func(a, b *model.Queued) int {
		if c := key(a, b); c != 0 {
			return c
		}
		return order(a, b)
	}
	if !slices.IsSortedFunc(rows, sorted) {
		slices.SortStableFunc(rows, sorted)
	}
	groups := make([][]*model.Queued, 0, len(rows))
	for from, i := 0, 1; i <= len(rows); i++ {
		if i == len(rows) || key(rows[from], rows[i]) != 0 {
			groups = append(groups, rows[from:i:i])
			from = i
		}
	}
	return groups
}

// queue appends the statements that write all of the plan. done is filled in when they are answered, and
// says nothing if one of them fails.
func (p *plan) queue(b *pgx.Batch, done *model.Applied) {
	queueItems(b, p.items, &done.ItemRows)
	queueCounts(b, p.counts, &done.CounterRows)
	queueKeys(b, p.keys)
	for _, w := range p.damaged {
		done.DeadLetters = append(done.DeadLetters, newLetter(w, nil))
	}
	queueLetters(b, done.DeadLetters)
}

// queueItems sends the first of each group, as one array for each column. It adds the number of rows that
// were written to rows.
func queueItems(b *pgx.Batch, groups [][]*model.Queued, rows *int) {
	n := len(groups)
	if n == 0 {
		return
	}
	ids, authors, versions := make([]int64, n), make([]int64, n), make([]int64, n)
	kinds, contents := make([]string, n), make(pgtype.FlatArray[[]byte], n)
	created, updated, deleted := make([]time.Time, n), make([]time.Time, n), make([]bool, n)
	for i, g := range groups {
		it := g[0].Item
		ids[i], authors[i], versions[i] = int64(it.ID), int64(it.AuthorID), int64(it.Version)
		kinds[i], contents[i] = it.Kind, it.Content
		if it.Content == nil {
			contents[i] = []byte{} // nil would be NULL
		}
		created[i], updated[i], deleted[i] = it.CreatedAt, it.UpdatedAt, it.Deleted
	}
	b.Queue(upsert, ids, authors, kinds, contents, created, updated, versions, deleted).Exec(addRows(rows))
}

// queueKeys stores the keys of each shard as one row.
func queueKeys(b *pgx.Batch, writes []*model.Queued) {
	n := len(writes)
	if n == 0 {
		return
	}
	shards, keys, records := make([]int32, n), make([]string, n), make([]string, n)
	for i, w := range writes {
		shards[i], keys[i], records[i] = int32(w.Shard), text(w.Key), text(w.Record)
	}
	b.Queue(insertKeys, shards, keys, records)
}

// text makes a string one that SQL stores: without NUL, and valid UTF-8.
func text(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
