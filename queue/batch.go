package queue

import (
	"slices"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// part is what a batch holds of one shard.
type part struct {
	grant    *shards.Grant
	from, to model.Version
	writes   []model.Queued // in the order of their versions
	// skipped is the position of the shard's last round, up to to, that left something out: what Redis
	// shows of that round is not what SQL holds, so its release evicts instead of unpinning.
	skipped model.Version
	// strays are entries that no write can have made: their stream ID is no version, so that no position
	// ever passes them.
	strays []string
}

// add appends an entry of the shard's stream.
func (p *part) add(id string, q model.Queued) {
	if q.Version == 0 {
		p.strays = append(p.strays, id)
	}
	p.to = max(p.to, p.from, q.Version)
	p.writes = append(p.writes, q)
}

// batch is one round: parts to commit, and shards whose release was found unfinished.
type batch struct {
	parts   []part
	settled []part // nothing to commit; released up to from
	more    []int  // shards that hold more than the round took
}

// size returns how many item writes and changes of counters the batch has.
func (b *batch) size() (items, changes int) {
	for _, p := range b.parts {
		for i := range p.writes {
			if p.writes[i].Delta != nil {
				changes++
			} else {
				items++
			}
		}
	}
	return items, changes
}

// transaction returns the batch as SQL gets it.
func (b *batch) transaction() *model.Batch {
	tx := &model.Batch{}
	for _, p := range b.parts {
		tx.Advances = append(tx.Advances, model.Advance{
			Shard: p.grant.Shard, Epoch: p.grant.Epoch,
			Home: p.grant.Scripts.Process, From: p.from, To: p.to,
		})
		tx.Writes = append(tx.Writes, p.writes...)
	}
	return tx
}

// drop takes out the shards that do not stand where they were read.
func (b *batch) drop(refused []int) {
	b.parts = slices.DeleteFunc(b.parts, func(p part) bool { return slices.Contains(refused, p.grant.Shard) })
}

// skip marks the parts of which SQL holds less than they say.
func (b *batch) skip(letters []model.DeadLetter) {
	for i := range b.parts {
		p := &b.parts[i]
		if slices.ContainsFunc(letters, func(l model.DeadLetter) bool { return l.Shard == p.grant.Shard }) {
			p.skipped = p.to
		}
	}
}

// releaseChunk is how many items and counters one call of the release script handles: it blocks Redis
// meanwhile.
const releaseChunk = 512

// chunk is what one call of the release script is told of the writes that it releases. Without items and
// sums the script reads them from the stream itself.
type chunk struct {
	part
	items []model.ID
	sums  map[model.Counter]int64
}

// chunks splits a part so that each call of the release script is short. However many entries they have,
// items and counters are told once, and counters as the sum of their changes.
func (p part) chunks() []chunk {
	if p.skipped > p.from {
		return []chunk{{part: p}} // the script looks itself at what it has to evict
	}
	var list []chunk
	from := p.from
	for rest := p.writes; len(rest) > 0; {
		c, n := nextChunk(rest)
		c.part = part{grant: p.grant, from: from, to: rest[n-1].Version, skipped: p.skipped}
		list = append(list, c)
		from, rest = c.to, rest[n:]
	}
	return list
}

// nextChunk gathers what one call can take of the writes, and returns how many they are.
func nextChunk(writes []model.Queued) (c chunk, n int) {
	items := make(map[model.ID]struct{})
	c.sums = make(map[model.Counter]int64)
	for i := range writes {
		switch q := &writes[i]; {
		case q.Item != nil:
			if _, known := items[q.Item.ID]; !known {
				if len(items)+len(c.sums) == releaseChunk {
					return c, i
				}
				items[q.Item.ID] = struct{}{}
				c.items = append(c.items, q.Item.ID)
			}
		case q.Delta != nil:
			sum, known := c.sums[q.Delta.Counter]
			if !known && len(items)+len(c.sums) == releaseChunk {
				return c, i
			}
			c.sums[q.Delta.Counter] = sum + q.Delta.N // what is pending of a counter is far from overflowing
		}
	}
	return c, len(writes)
}
