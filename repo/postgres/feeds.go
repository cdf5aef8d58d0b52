package postgres

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

// Feeds reads feed items, and removes old tombstones. Items are written by Drain.
type Feeds struct {
	db *DB
}

// Feeds returns the feed items of the database.
func (db *DB) Feeds() *Feeds { return &Feeds{db: db} }

const itemColumns = "id, author_id, kind, content, created_at, updated_at, version, deleted"

// Get returns the item, a tombstone with Deleted set, or an item of Version 0 when there is no row.
func (f *Feeds) Get(ctx context.Context, id model.ID) (model.Item, error) {
	rows, err := f.db.pool.Query(ctx, "SELECT "+itemColumns+" FROM feeds WHERE id = $1", id)
	if err != nil {
		return model.Item{}, translate(err)
	}
	it, err := pgx.CollectExactlyOneRow(rows, scanItem)
	if errors.Is(err, pgx.ErrNoRows) {
		return model.Item{}, nil
	}
	return it, translate(err)
}

// GetMany returns the items and tombstones that exist, in any order.
func (f *Feeds) GetMany(ctx context.Context, ids []model.ID) ([]model.Item, error) {
	return f.items(ctx, "SELECT "+itemColumns+" FROM feeds WHERE id = ANY($1)", ids)
}

// listByAuthors finds the page's IDs in the index, limit of each author at most, and fetches rows
// for the page alone.
const listByAuthors = `
SELECT ` + itemColumns + `
FROM feeds
JOIN (
	SELECT f.id AS page_id
	FROM unnest($1::bigint[]) AS a (author_id)
	CROSS JOIN LATERAL (
		SELECT id FROM feeds
		WHERE feeds.author_id = a.author_id AND NOT deleted AND id <= $2
		ORDER BY id DESC LIMIT $3
	) AS f
	ORDER BY f.id DESC LIMIT $3
) AS page ON page_id = id
ORDER BY id DESC`

// ListByAuthors returns at most limit live items of the authors (distinct) with IDs below before
// (0: from the newest), newest first.
func (f *Feeds) ListByAuthors(ctx context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error) {
	newest := before - 1
	if before == 0 {
		newest = math.MaxInt64
	}
	return f.items(ctx, listByAuthors, authors, newest, limit)
}

const scanIDs = "SELECT id FROM feeds WHERE id > $1 ORDER BY id LIMIT $2"

// ScanIDs returns the next at most limit IDs above after, in ascending order: those of all rows, for an
// item keeps its author until its tombstone is removed.
func (f *Feeds) ScanIDs(ctx context.Context, after model.ID, limit int) ([]model.ID, error) {
	rows, err := f.db.pool.Query(ctx, scanIDs, after, limit)
	if err != nil {
		return nil, translate(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[model.ID])
	return ids, translate(err)
}

// Tombstones returns the next at most limit tombstones above after, in ascending order, that were
// last written before olderThan.
func (f *Feeds) Tombstones(ctx context.Context, olderThan time.Time, after model.ID, limit int) ([]model.Tombstone, error) {
	rows, err := f.db.pool.Query(ctx,
		"SELECT id, version FROM feeds WHERE deleted AND id > $1 AND updated_at < $2 ORDER BY id LIMIT $3",
		after, olderThan, limit)
	if err != nil {
		return nil, translate(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[model.Tombstone])
	return found, translate(err)
}

// removeTombstones locks in the order of IDs, as the drain does, so that the two cannot deadlock. The tombstone of
// an item that has a dead letter stays: a retry of that older write must find that it was deleted since.
const removeTombstones = `
WITH old AS (
	SELECT feeds.id
	FROM feeds JOIN unnest($1::bigint[], $2::bigint[]) AS t (id, version) USING (id, version)
	WHERE deleted AND NOT EXISTS (SELECT FROM dead_letters AS l WHERE l.kind = 'item' AND l.key = feeds.id::text)
	ORDER BY feeds.id
	FOR UPDATE OF feeds
)
DELETE FROM feeds USING old WHERE feeds.id = old.id`

// RemoveTombstones removes those rows that have not been written since and whose items have no dead letters,
// and tells how many.
func (f *Feeds) RemoveTombstones(ctx context.Context, tombstones []model.Tombstone) (int64, error) {
	ids := make([]int64, len(tombstones))
	versions := make([]int64, len(tombstones))
	for i, t := range tombstones {
		ids[i], versions[i] = int64(t.ID), int64(t.Version)
	}
	tag, err := f.db.pool.Exec(ctx, removeTombstones, ids, versions)
	return tag.RowsAffected(), translate(err)
}

func (f *Feeds) items(ctx context.Context, sql string, args ...any) ([]model.Item, error) {
	rows, err := f.db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, translate(err)
	}
	items, err := pgx.CollectRows(rows, scanItem)
	return items, translate(err)
}

func scanItem(row pgx.CollectableRow) (model.Item, error) {
	var it model.Item
	err := row.Scan(&it.ID, &it.AuthorID, &it.Kind, (*[]byte)(&it.Content), &it.CreatedAt, &it.UpdatedAt, &it.Version, &it.Deleted)
	it.CreatedAt, it.UpdatedAt = it.CreatedAt.UTC(), it.UpdatedAt.UTC()
	return it, err
}
