package cache

import (
	"context"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// MayExist asks L1, L2 and the filter, never SQL.
func (r *Reader) MayExist(ctx context.Context, id model.ID) (bool, error) {
	s := r.space.Shard(id)
	g, err := r.permission(ctx, s, nil)
	if err != nil {
		return false, err
	}
	if g.SQL || r.isAway(g) {
		return true, nil // nobody who could exclude it is there
	}
	if version, _, ok := r.l1.Get(id, g.Era); ok {
		return version != 0, nil
	}
	tip, entries, err := r.readL2(ctx, g, []model.ID{id})
	if err != nil {
		return true, nil // trouble excludes nothing
	}
	if e := entries[0]; e != nil && e.Stamp == g.Epoch {
		return !e.Absent && !e.Item.Deleted, nil
	}
	return !r.filter.Absent(s, id, tip), nil
}

// Evict drops the item from L2 and tells every replica to drop it from L1. A pinned entry stays.
func (r *Reader) Evict(ctx context.Context, id model.ID) error {
	s := r.space.Shard(id)
	err := r.table.Under(ctx, s, func(g *shards.Grant) error {
		if g.SQL {
			return nil // nothing is cached
		}
		return r.pipe.Do(ctx, g.Scripts.Cmd(ctx, keyspace.Evict,
			[]string{r.space.Meta(s), r.space.Entry(s, id), r.space.Events(s), r.space.Gen(s)},
			g.Epoch, int64(id), r.cfg.EventsKept, keyspace.Stripe(id)))
	})
	if err == nil {
		r.l1.Invalidate(id)
		return nil
	}
	if model.KindOf(err) != model.Unavailable {
		err = model.NewUnavailable("the cache did not answer", err)
	}
	return err
}

// Wrote makes this replica forget what it remembers of an item that it has just written, or of which it
// has just learned that it was written.
func (r *Reader) Wrote(g *shards.Grant, it *model.Item) {
	if g.SQL { // there is nothing but reads under way, which nobody may join any more
		r.l1.Invalidate(it.ID)
		return
	}
	// Own drains are heard of without events: while those are cut, the overlay must not grow for ever.
	r.overlay.Released(g.Shard, g.Era, r.table.ReleasedUpTo(g.Shard))
	r.overlay.Add(g.Shard, g.Era, Pending{ID: it.ID, AuthorID: it.AuthorID, Version: it.Version, Deleted: it.Deleted})
	r.filter.Add(g.Shard, it.ID) // after the overlay: see Filter
	r.l1.Invalidate(it.ID)
}

// Guess reports whether memory alone excludes that the item was ever written up to the tip returned.
func (r *Reader) Guess(g *shards.Grant, id model.ID) (uint64, bool) {
	tip, complete := r.filter.Cursor(g.Shard)
	return tip, complete && r.filter.Absent(g.Shard, id, tip)
}

// Load returns what the filter or SQL knows of an item that L2 does not hold.
func (r *Reader) Load(ctx context.Context, g *shards.Grant, id model.ID, tip uint64) (model.Item, error) {
	if r.filter.Absent(g.Shard, id, tip) {
		return model.Item{ID: id}, nil
	}
	it, err := r.store.Get(ctx, id)
	it.ID = id
	return it, err
}
