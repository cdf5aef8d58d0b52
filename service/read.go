package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/zmsg/zmsg/model"
)

// Limits of a list.
const (
	MaxListAuthors   = 100
	MaxListLimit     = 100
	DefaultListLimit = 50
)

// Get returns the item id, or a Doc that is not Found. exact asks for the newest acknowledged write of
// any replica.
func (f *Feeds) Get(ctx context.Context, id model.ID, exact bool) (model.Doc, error) {
	return f.deps.Reader.Get(ctx, id, exact)
}

// GetMany returns one Doc or error for each ID, in their order.
func (f *Feeds) GetMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error) {
	return f.deps.Reader.GetMany(ctx, ids, exact)
}

// MayExist tells, without SQL, whether the item id may exist: false is certain.
func (f *Feeds) MayExist(ctx context.Context, id model.ID) (bool, error) {
	return f.deps.Reader.MayExist(ctx, id)
}

// Evict drops the item id from the caches. A write of it that is still queued stays readable.
func (f *Feeds) Evict(ctx context.Context, id model.ID) error {
	return f.deps.Evictor.Evict(ctx, id)
}

// List returns a page of the items of up to MaxListAuthors authors, newest first. Limit 0 means
// DefaultListLimit; above MaxListLimit it is MaxListLimit. A cursor is good for the same set of authors
// only, in any order. Pages do not repeat or skip an item because others are written meanwhile.
func (f *Feeds) List(ctx context.Context, q ListQuery) (Page, error) {
	authors, err := authorSet(q.Authors)
	if err != nil {
		return Page{}, err
	}
	switch {
	case q.Limit < 0:
		return Page{}, model.NewInvalid("limit", fmt.Sprintf("must be from 1 to %d", MaxListLimit))
	case q.Limit == 0:
		q.Limit = DefaultListLimit
	}
	var before model.ID
	if q.Cursor != "" {
		if before, err = parseCursor(q.Cursor, authors); err != nil {
			return Page{}, err
		}
	}
	found, err := f.deps.Reader.List(ctx, authors, before, min(q.Limit, MaxListLimit), q.Exact)
	if err != nil {
		return Page{}, err
	}
	page := Page{Items: found.Items, Bypass: found.Bypass}
	if found.More && len(found.Items) > 0 {
		page.NextCursor = newCursor(found.Items[len(found.Items)-1].ID, authors)
	}
	return page, nil
}

// authorSet returns the authors sorted and each once.
func authorSet(authors []model.ID) ([]model.ID, error) {
	set := slices.Clone(authors)
	slices.Sort(set)
	set = slices.Compact(set)
	switch {
	case len(set) == 0:
		return nil, model.NewInvalid("author_id", "is required")
	case len(set) > MaxListAuthors:
		return nil, model.NewInvalid("author_id", fmt.Sprintf("must name at most %d authors", MaxListAuthors))
	case set[0] <= 0:
		return nil, model.NewInvalid("author_id", "must be positive")
	}
	return set, nil
}
