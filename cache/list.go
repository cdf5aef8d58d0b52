package cache

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// List returns a page of the authors' live items, newest first, and whether more follow. It reads the
// overlay of queued writes, then their entries in L2, then SQL, in that order: whatever leaves the
// queue meanwhile is in SQL by the time SQL is asked. The newer version of an item wins.
func (r *Reader) List(ctx context.Context, authors []model.ID, before model.ID, limit int, exact bool) ([]model.Item, bool, error) {
	if exact {
		if err := r.CatchUp(ctx); err != nil {
			return nil, false, err
		}
	}
	for {
		p := r.pending(ctx, authors, before, limit)
		items, err := r.mergePage(ctx, authors, before, limit, p)
		if err != nil {
			return nil, false, err
		}
		if p.floor == 0 {
			more := len(items) > limit
			return items[:min(limit, len(items))], more, nil
		}
		// Only a part of the queue was looked at: below its floor nothing is certain.
		items = slices.DeleteFunc(items, func(it model.Item) bool { return it.ID < p.floor })
		if len(items) > 0 {
			return items[:min(limit, len(items))], true, nil
		}
		before = p.floor
	}
}

// pendingPage is what the queue says of a page.
type pendingPage struct {
	newest map[model.ID]model.Item // queued writes by item; deletions among them
	floor  model.ID                // if not 0, pending writes of lower IDs were left out
}

// pendingFactor is how many times a page's length of pending writes is looked at: some of them will
// turn out to be deleted.
const pendingFactor = 4

func (r *Reader) pending(ctx context.Context, authors []model.ID, before model.ID, limit int) pendingPage {
	page := pendingPage{newest: make(map[model.ID]model.Item)}
	list := r.overlay.ByAuthors(authors, before)
	if most := pendingFactor * (limit + 1); len(list) > most {
		list = list[:most]
		page.floor = list[most-1].ID
	}
	byShard := make(map[*shards.Grant][]model.ID)
	for _, p := range list {
		if p.Deleted {
			page.newest[p.ID] = model.Item{ID: p.ID, AuthorID: p.AuthorID, Version: p.Version, Deleted: true}
			continue
		}
		if g := r.table.Grant(r.space.Shard(p.ID)); g != nil {
			byShard[g] = append(byShard[g], p.ID)
		}
	}
	for g, ids := range byShard {
		for _, e := range r.entries(ctx, g, ids) {
			if e != nil && !e.Absent && (e.Pinned || e.Stamp == g.Epoch) {
				page.newest[e.Item.ID] = e.Item
			}
		}
	}
	return page
}

// entries reads entries of one shard. Without an answer the list is SQL's alone.
func (r *Reader) entries(ctx context.Context, g *shards.Grant, ids []model.ID) []*keyspace.Entry {
	_, entries, err := r.readL2(ctx, g, ids)
	if err != nil {
		return nil
	}
	return entries
}

// mergePage returns up to limit+1 items or more, sorted; less only if there are no more.
func (r *Reader) mergePage(ctx context.Context, authors []model.ID, before model.ID, limit int, p pendingPage) ([]model.Item, error) {
	var items []model.Item
	for _, it := range p.newest {
		if !it.Deleted {
			items = append(items, it)
		}
	}
	after := before
	for {
		rows, err := r.store.ListByAuthors(ctx, authors, after, limit+1)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			queued, ok := p.newest[row.ID]
			if !ok {
				items = append(items, row)
				continue
			}
			if queued.Version < row.Version { // drained and written again meanwhile
				items = slices.DeleteFunc(items, func(it model.Item) bool { return it.ID == row.ID })
				items = append(items, row)
			}
		}
		sortNewestFirst(items)
		if len(rows) <= limit {
			return items, nil
		}
		after = rows[len(rows)-1].ID
		if n := len(items); n > limit && items[limit].ID >= after {
			return items[:limit+1], nil
		}
	}
}

func sortNewestFirst(items []model.Item) {
	slices.SortFunc(items, func(a, b model.Item) int {
		switch {
		case a.ID > b.ID:
			return -1
		case a.ID < b.ID:
			return 1
		default:
			return 0
		}
	})
}

// CatchUp waits until this replica has seen every event that happened before the call.
func (r *Reader) CatchUp(ctx context.Context) error {
	var err error
	for range attempts {
		var moved bool
		if moved, err = r.catchUp(ctx); !moved {
			return err
		}
	}
	return err
}

// catchUp reports whether a shard has moved meanwhile, so that the call should be repeated.
func (r *Reader) catchUp(ctx context.Context) (moved bool, err error) {
	grants := make([]*shards.Grant, r.space.Shards())
	cmds := make([]redis.Cmder, len(grants))
	for s := range grants {
		g, err := r.permission(ctx, s, nil)
		if g == nil || err != nil {
			return false, err // without Redis a list is SQL's alone
		}
		grants[s], cmds[s] = g, r.readCmd(ctx, g, nil)
	}
	if err := r.pipe.DoMany(ctx, cmds); err != nil {
		return false, model.NewUnavailable("the queue did not answer", err)
	}
	for i, g := range grants {
		cmd, _ := cmds[i].(*redis.Cmd)
		tip, _, err := parseRead(cmd, nil)
		if keyspace.Refused(err) {
			r.table.Doubt(g)
			return true, model.NewUnavailable("the shards keep moving", err)
		}
		if err != nil {
			return false, model.NewUnavailable("the queue did not answer", err)
		}
		if err := r.tailer.await(ctx, g, tip); err != nil {
			return !r.table.Holds(g), err
		}
	}
	return false, nil
}
