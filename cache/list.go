package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// List returns a page of the authors' live items, newest first. It reads the overlay of queued writes,
// then their entries in L2, then SQL, in that order: whatever leaves the queue meanwhile is in SQL by
// the time SQL is asked. The newer version of an item wins.
//
// The overlay is whole only while the replica follows every shard, so the list starts over when a
// permission ends meanwhile. Shards whose Redis is out of reach are listed from SQL alone, unless the list
// is to be exact, or this replica knows of queued writes there: then it waits until the shard has moved to
// SQL with them.
func (r *Reader) List(ctx context.Context, authors []model.ID, before model.ID, limit int, exact bool) (model.Page, error) {
	deadline := time.Now().Add(shards.Patience)
	for n := 0; n < attempts && time.Now().Before(deadline); {
		grants, err := r.permissions(ctx)
		if err != nil {
			return model.Page{}, err
		}
		page, err := r.listOnce(ctx, grants, authors, before, limit, exact)
		switch {
		case !r.holdAll(grants):
			n++
		case isDown(err) && r.table.SQLDown():
			return model.Page{}, model.NewUnavailable("neither the queue nor the database can be reached", err)
		case isDown(err):
			r.table.Poke()
			pause(ctx, downPause)
		default:
			return page, err
		}
	}
	return model.Page{}, model.NewUnavailable("the shards keep moving", nil)
}

// listOnce is List under some grants, which must be in force when it returns. An error that isDown knows
// means that there are queued writes that cannot be read.
func (r *Reader) listOnce(ctx context.Context, grants []*shards.Grant, authors []model.ID, before model.ID, limit int, exact bool) (page model.Page, err error) {
	if exact {
		err = r.catchUp(ctx, grants)
	}
	if err == nil {
		page, err = r.listUnder(ctx, grants, authors, before, limit)
	}
	if isDown(err) && !exact && len(r.overlay.ByAuthors(authors, before)) == 0 {
		page, err = r.listUnder(ctx, nil, authors, before, limit)
		page.Bypass = true
	}
	page.Bypass = page.Bypass || slices.ContainsFunc(grants, r.isAway)
	return page, err
}

// permissions returns the grants of all shards of items.
func (r *Reader) permissions(ctx context.Context) ([]*shards.Grant, error) {
	grants := make([]*shards.Grant, r.space.ItemShards())
	for s := range grants {
		var err error
		if grants[s], err = r.permission(ctx, s, nil); err != nil {
			return nil, err
		}
	}
	return grants, nil
}

func (r *Reader) holdAll(grants []*shards.Grant) bool {
	return !slices.ContainsFunc(grants, func(g *shards.Grant) bool { return !r.table.Holds(g) })
}

func (r *Reader) listUnder(ctx context.Context, grants []*shards.Grant, authors []model.ID, before model.ID, limit int) (model.Page, error) {
	for {
		p, err := r.pending(ctx, grants, authors, before, limit)
		if err != nil {
			return model.Page{}, err
		}
		items, err := r.mergePage(ctx, authors, before, limit, p)
		if err != nil {
			return model.Page{}, err
		}
		if p.floor == 0 {
			return model.Page{Items: items[:min(limit, len(items))], More: len(items) > limit}, nil
		}
		// Only a part of the queue was looked at: below its floor nothing is certain.
		items = slices.DeleteFunc(items, func(it model.Item) bool { return it.ID < p.floor })
		if len(items) > 0 {
			return model.Page{Items: items[:min(limit, len(items))], More: true}, nil
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

// pending reads the authors' queued writes: their IDs from the overlay, then their entries from L2, of
// all shards in one pipeline.
func (r *Reader) pending(ctx context.Context, grants []*shards.Grant, authors []model.ID, before model.ID, limit int) (pendingPage, error) {
	page := pendingPage{newest: make(map[model.ID]model.Item)}
	if grants == nil {
		return page, nil
	}
	list := r.overlay.ByAuthors(authors, before)
	if most := pendingFactor * (limit + 1); len(list) > most {
		list = list[:most]
		page.floor = list[most-1].ID
	}
	byShard := make(map[*shards.Grant][]model.ID)
	for _, p := range list {
		switch g := grants[r.space.Shard(p.ID)]; {
		case g.SQL: // it has left the queue
		case p.Deleted:
			page.newest[p.ID] = model.Item{ID: p.ID, AuthorID: p.AuthorID, Version: p.Version, Deleted: true}
		case r.isAway(g):
			return page, errAway
		default:
			byShard[g] = append(byShard[g], p.ID)
		}
	}
	entries, err := r.entries(ctx, byShard)
	for _, e := range entries {
		if !e.Absent && (e.Pinned || e.Stamp == grants[r.space.Shard(e.Item.ID)].Epoch) {
			page.newest[e.Item.ID] = e.Item
		}
	}
	return page, err
}

// entries reads the entries that are there, of all shards in one pipeline.
func (r *Reader) entries(ctx context.Context, byShard map[*shards.Grant][]model.ID) ([]*keyspace.Entry, error) {
	var grants []*shards.Grant
	var cmds []redis.Cmder
	for g, ids := range byShard {
		grants = append(grants, g)
		cmds = append(cmds, r.readCmd(ctx, g, ids))
	}
	if err := r.pipe.DoMany(ctx, cmds); err != nil {
		return nil, r.redisError(err)
	}
	var all []*keyspace.Entry
	for i, g := range grants {
		cmd, _ := cmds[i].(*redis.Cmd)
		_, entries, err := parseRead(cmd, byShard[g])
		if keyspace.Refused(err) {
			r.table.Doubt(g)
		}
		if err != nil {
			return nil, r.redisError(err)
		}
		for _, e := range entries {
			if e != nil {
				all = append(all, e)
			}
		}
	}
	return all, nil
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
	slices.SortFunc(items, func(a, b model.Item) int { return cmp.Compare(b.ID, a.ID) })
}

// catchUp waits until this replica has seen every event that happened before the call.
func (r *Reader) catchUp(ctx context.Context, grants []*shards.Grant) error {
	var cmds []redis.Cmder
	var asked []*shards.Grant
	for _, g := range grants {
		if !g.SQL && !r.isAway(g) {
			asked = append(asked, g)
			cmds = append(cmds, r.readCmd(ctx, g, nil))
		}
	}
	if err := r.pipe.DoMany(ctx, cmds); err != nil {
		return r.redisError(err)
	}
	for i, g := range asked {
		cmd, _ := cmds[i].(*redis.Cmd)
		tip, _, err := parseRead(cmd, nil)
		if keyspace.Refused(err) {
			r.table.Doubt(g)
		}
		if err != nil {
			return r.redisError(err)
		}
		if err := r.tailer.await(ctx, g, tip); err != nil {
			return err
		}
	}
	return nil
}
