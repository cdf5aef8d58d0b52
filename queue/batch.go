package queue

import (
	"cmp"
	"slices"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// part is what a batch holds of one shard.
type part struct {
	grant    *shards.Grant
	from, to model.Version
	writes   []model.Item // in the order of their versions
}

// batch is one round: parts to commit, and shards whose release was found unfinished.
type batch struct {
	parts   []part
	settled []part // nothing to commit; released up to from
	more    []int
	items   []model.Item // merged: the newest write of every item, sorted by ID
	writes  int
}

// merge keeps the newest write of every item. Sorted rows keep concurrent transactions from
// deadlocking on each other.
func (b *batch) merge() {
	newest := make(map[model.ID]int)
	b.items, b.writes = b.items[:0], 0
	for _, p := range b.parts {
		b.writes += len(p.writes)
		for _, it := range p.writes {
			if i, ok := newest[it.ID]; ok {
				b.items[i] = it
				continue
			}
			newest[it.ID] = len(b.items)
			b.items = append(b.items, it)
		}
	}
	slices.SortFunc(b.items, func(x, y model.Item) int { return cmp.Compare(x.ID, y.ID) })
}

func (b *batch) transaction() *model.Batch {
	tx := &model.Batch{Items: b.items}
	for _, p := range b.parts {
		tx.Advances = append(tx.Advances, model.Advance{
			Shard: p.grant.Shard, Epoch: p.grant.Epoch,
			Home: p.grant.Scripts.Process, From: p.from, To: p.to,
		})
	}
	return tx
}

func (b *batch) drop(refused []int) {
	b.parts = slices.DeleteFunc(b.parts, func(p part) bool { return slices.Contains(refused, p.grant.Shard) })
	b.merge()
}
