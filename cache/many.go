package cache

import (
	"context"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// GetMany returns one Doc or error for each ID: one pass over L1, one pipeline to Redis, one
// statement to SQL for what is left.
func (r *Reader) GetMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error) {
	m := &many{Reader: r, exact: exact, ids: ids, docs: make([]model.Doc, len(ids)), errs: make([]error, len(ids)), gens: make([]Gen, len(ids))}
	byShard := make(map[*shards.Grant][]int)
	for i, id := range ids {
		m.gens[i] = r.l1.Begin(id)
		g := r.table.Grant(r.space.Shard(id))
		if g == nil {
			m.alone = append(m.alone, i)
			continue
		}
		if g.SQL {
			m.sql = append(m.sql, missed{i: i, grant: g})
			continue
		}
		if !exact {
			if version, body, ok := r.l1.Get(id, g.Era); ok {
				m.docs[i] = model.Doc{Body: body, Version: version, Tier: model.TierL1}
				continue
			}
		}
		if r.isAway(g) {
			m.around = append(m.around, missed{i: i, grant: g})
			continue
		}
		byShard[g] = append(byShard[g], i)
	}
	m.askL2(ctx, byShard)
	m.readSQL(ctx)
	m.readAround(ctx)
	m.readAlone(ctx)
	for i := range m.docs {
		if m.errs[i] == nil {
			r.metrics.answered(m.docs[i].Tier)
		}
	}
	return m.docs, m.errs
}

// many is one GetMany under way.
type many struct {
	*Reader
	exact bool // no queued write may be missing
	ids   []model.ID
	docs  []model.Doc
	errs  []error
	gens  []Gen

	alone  []int    // positions to be read one by one, because something was out of the ordinary
	around []missed // positions whose Redis is out of reach
	sql    []missed // positions that only SQL can answer
}

// missed is a position whose item L2 does not hold.
type missed struct {
	i     int
	grant *shards.Grant
	tip   uint64
}

// aloneLimit is how many positions are read one by one at the same time.
const aloneLimit = 16

func (m *many) readAlone(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(aloneLimit)
	for _, i := range m.alone {
		group.Go(func() error {
			m.docs[i], m.errs[i] = m.fetch(ctx, m.ids[i], m.exact, true)
			return nil
		})
	}
	_ = group.Wait() // each position keeps its own error
}

// readAround reads what Redis cannot be asked about in one statement, as bypass does.
func (m *many) readAround(ctx context.Context) {
	if len(m.around) == 0 {
		return
	}
	found, err := m.rows(ctx, m.around)
	for _, x := range m.around {
		if m.errs[x.i] = err; err != nil {
			continue
		}
		a := answer{item: found[m.ids[x.i]], tier: model.TierSQL, grant: x.grant, bypass: true}
		a.item.ID = m.ids[x.i]
		if m.exact || !m.shows(x.grant, &a.item) {
			m.alone = append(m.alone, x.i)
			continue
		}
		m.docs[x.i] = m.settle(m.gens[x.i], &a, true)
	}
}

// rows returns the rows of the positions' items by ID.
func (m *many) rows(ctx context.Context, positions []missed) (map[model.ID]model.Item, error) {
	ids := make([]model.ID, len(positions))
	for k, x := range positions {
		ids[k] = m.ids[x.i]
	}
	rows, err := m.store.GetMany(ctx, ids)
	found := make(map[model.ID]model.Item, len(rows))
	for _, row := range rows {
		found[row.ID] = row
	}
	return found, err
}

func (m *many) askL2(ctx context.Context, byShard map[*shards.Grant][]int) {
	if len(byShard) == 0 {
		return
	}
	var grants []*shards.Grant
	var asked [][]model.ID
	var cmds []redis.Cmder
	for g, at := range byShard {
		ids := make([]model.ID, len(at))
		for k, i := range at {
			ids[k] = m.ids[i]
		}
		grants, asked = append(grants, g), append(asked, ids)
		cmds = append(cmds, m.readCmd(ctx, g, ids))
	}
	if err := m.pipe.DoMany(ctx, cmds); err != nil {
		for g, at := range byShard {
			for _, i := range at {
				m.around = append(m.around, missed{i: i, grant: g})
			}
		}
		return
	}
	for k, g := range grants {
		cmd, _ := cmds[k].(*redis.Cmd)
		m.classify(g, byShard[g], asked[k], cmd)
	}
}

// classify tells what L2 answered from what the filter excludes and what SQL must be asked.
func (m *many) classify(g *shards.Grant, at []int, ids []model.ID, cmd *redis.Cmd) {
	tip, entries, err := parseRead(cmd, ids)
	if err != nil || !m.table.Holds(g) {
		m.alone = append(m.alone, at...)
		return
	}
	for k, i := range at {
		e := entries[k]
		switch {
		case e != nil && e.Stamp == g.Epoch:
			m.docs[i] = m.settle(m.gens[i], &answer{item: e.Item, tier: model.TierL2, grant: g, fill: true}, true)
		case e != nil && e.Pinned:
			m.alone = append(m.alone, i)
		case m.filter.Absent(g.Shard, ids[k], tip):
			m.docs[i] = m.settle(m.gens[i], &answer{item: model.Item{ID: ids[k]}, tier: model.TierFilter, grant: g}, true)
		default:
			m.sql = append(m.sql, missed{i, g, tip})
		}
	}
}

func (m *many) readSQL(ctx context.Context) {
	if len(m.sql) == 0 {
		return
	}
	found, err := m.rows(ctx, m.sql)
	type moment struct {
		grant *shards.Grant
		tip   uint64
	}
	fills := make(map[moment][]model.Item)
	for _, x := range m.sql {
		id := m.ids[x.i]
		row := found[id]
		row.ID = id
		switch {
		case err != nil:
			m.errs[x.i] = err
		case !m.table.Holds(x.grant):
			m.alone = append(m.alone, x.i)
		default:
			m.docs[x.i] = m.settle(m.gens[x.i], &answer{item: row, tier: model.TierSQL, grant: x.grant, fill: true}, true)
			if at := (moment{x.grant, x.tip}); !x.grant.SQL {
				fills[at] = append(fills[at], row)
			}
		}
	}
	for at, rows := range fills {
		m.fillL2(ctx, at.grant, at.tip, rows)
	}
}
