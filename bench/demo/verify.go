package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
)

const (
	drainLimit = 5 * time.Minute
	drainPoll  = 50 * time.Millisecond
	verifySize = 1000 // items of one batch read
)

// awaitDrained waits until SQL holds as many live items, with the same sum of versions, as the record.
// If that does not come, verifySQL tells what is different.
func (d *demo) awaitDrained(ctx context.Context) (_ int, err error) {
	conn, err := pgx.Connect(ctx, d.opts.dsn)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	want := new(big.Int)
	live := 0
	for _, it := range d.book.items {
		if !it.Deleted {
			live++
			want.Add(want, big.NewInt(int64(it.Version)))
		}
	}
	deadline := time.Now().Add(drainLimit)
	for {
		var n int
		var sum string
		err := conn.QueryRow(ctx, `SELECT count(*), coalesce(sum(version), 0)::text FROM feeds
			WHERE NOT deleted AND author_id >= $1 AND author_id < $2`, d.authors.first, d.authors.end()).Scan(&n, &sum)
		if err != nil {
			return 0, err
		}
		if n == live && sum == want.String() {
			return live, nil
		}
		if time.Now().After(deadline) {
			d.report.mismatch("drain", 0, "after %v SQL holds %d live items with versions of sum %s, want %d and %s",
				drainLimit, n, sum, live, want)
			return n, nil
		}
		if err := pause(ctx, drainPoll); err != nil {
			return 0, err
		}
	}
}

// end returns the first ID after those of the authors.
func (a authors) end() model.ID { return a.first + model.ID(a.n) }

// verifySQL compares SQL with the record, and takes over the times of items, which the answers to
// batches do not tell, so that what is served is compared with them too.
func (d *demo) verifySQL(ctx context.Context) (int, error) {
	rows, err := loadRows(ctx, d.opts.dsn, d.authors)
	if err != nil {
		return 0, err
	}
	n := len(rows)
	compareRows(d.report, d.book, rows)
	return n, nil
}

// loadRows returns what SQL holds of the authors, tombstones included.
func loadRows(ctx context.Context, dsn string, a authors) (_ map[model.ID]*model.Item, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, `SELECT id, author_id, kind, content, version, created_at, updated_at, deleted
		FROM feeds WHERE author_id >= $1 AND author_id < $2`, a.first, a.end())
	if err != nil {
		return nil, err
	}
	all := map[model.ID]*model.Item{}
	it, content := model.Item{}, ""
	into := []any{&it.ID, &it.AuthorID, &it.Kind, &content, &it.Version, &it.CreatedAt, &it.UpdatedAt, &it.Deleted}
	_, err = pgx.ForEachRow(rows, into, func() error {
		row := it
		row.Content = []byte(content)
		all[row.ID] = &row
		return nil
	})
	return all, err
}

// compareRows reports rows that differ from the record, are missing or should not be there, and empties
// rows.
func compareRows(r *report, b *book, rows map[model.ID]*model.Item) {
	for _, want := range b.items {
		got, found := rows[want.ID]
		delete(rows, want.ID)
		if !found {
			got = &model.Item{}
		}
		live := found && !got.Deleted
		compare(r, "SQL", want, got, live)
		if live && !want.Deleted {
			want.CreatedAt, want.UpdatedAt = got.CreatedAt.UTC(), got.UpdatedAt.UTC()
			if want.UpdatedAt.Before(want.CreatedAt) {
				r.mismatch("SQL", want.ID, "was updated at %v, before it was created at %v", want.UpdatedAt, want.CreatedAt)
			}
		}
	}
	for id, row := range rows {
		r.mismatch("SQL", id, "was never acknowledged: %+v with content %s", *row, row.Content)
	}
}

// verifyItems reads every item from every replica.
func (d *demo) verifyItems(ctx context.Context) (int, error) {
	items := d.book.items
	batches := (len(items) + verifySize - 1) / verifySize
	err := inParallel(ctx, d.opts.workers, batches*len(d.api.bases), func(ctx context.Context, i int) error {
		first := i % batches * verifySize
		return d.batchGet(ctx, i/batches, items[first:min(first+verifySize, len(items))])
	})
	return len(items) * len(d.api.bases), err
}

// verifyLists reads every author's list to its end, the replicas in turn.
func (d *demo) verifyLists(ctx context.Context) (int, error) {
	lists := d.book.byAuthor()
	err := inParallel(ctx, d.opts.workers, d.opts.authors, func(ctx context.Context, i int) error {
		author := d.authors.id(uint64(i))
		return d.verifyList(ctx, i%len(d.api.bases), author, lists[author])
	})
	return d.opts.authors, err
}

// verifyList compares an author's list with the items that it must hold.
func (d *demo) verifyList(ctx context.Context, replica int, author model.ID, want []*model.Item) error {
	var got []*model.Item
	for cursor := ""; ; {
		p, err := d.api.list(ctx, replica, author, cursor)
		if err != nil {
			return err
		}
		for i := range p.Items {
			it, err := p.Items[i].item()
			if err != nil {
				return err
			}
			got = append(got, &it)
		}
		if p.NextCursor == "" || len(got) > len(want) {
			break
		}
		cursor = p.NextCursor
	}
	compareList(d.report, fmt.Sprintf("list of author %d from replica %d", author, replica), want, got)
	return nil
}

// compareList reports the first place in which two lists differ.
func compareList(r *report, where string, want, got []*model.Item) {
	for i := range min(len(want), len(got)) {
		if diff := difference(want[i], got[i]); diff != "" {
			r.mismatch(where, want[i].ID, "place %d: %s", i, diff)
			return
		}
	}
	switch {
	case len(got) < len(want):
		r.mismatch(where, want[len(got)].ID, "the list ends after %d items and lacks it; want %d items", len(got), len(want))
	case len(got) > len(want):
		r.mismatch(where, got[len(want)].ID, "place %d: the list must end before it", len(want))
	}
}
