package queue

import (
	"context"
	"fmt"
	"math"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
)

// roundEntries is how many changes of counters are drained without waiting for more, the most that one round reads
// of one shard, and the most that BatchItems may be.
const roundEntries = 1 << 16

// counterSlack lets a round read more than what made it start, as some shards have more of that than others: what
// it left would take a round of its own, with a row for each counter again.
const counterSlack = 2

// read collects what the shards hold after their positions, of all of them in one pipeline. Shards whose
// home is SQL hold nothing.
func (w *worker) read(ctx context.Context, list []int) (*batch, error) {
	var parts []part
	for _, s := range list {
		if g := w.table.Redis(s); g != nil && !w.table.Away(s) {
			from, skipped := w.after(g)
			parts = append(parts, part{grant: g, from: from, skipped: skipped})
		}
	}
	b := &batch{}
	if len(parts) == 0 {
		return b, nil
	}
	asked := len(parts)
	pipe := w.redis.Client().Pipeline()
	replies := make([]*redis.XMessageSliceCmd, asked)
	for i, p := range parts {
		after, count := "("+keyspace.StreamID(p.from), w.count(p.grant.Shard, asked)
		replies[i] = pipe.XRangeN(ctx, w.space.Queue(p.grant.Shard), after, "+", int64(count))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		if parts, replies, err = w.answered(parts, replies); err != nil {
			return nil, fmt.Errorf("read the queue: %w", err)
		}
	}
	for i, p := range parts {
		messages := replies[i].Val()
		if len(messages) == 0 {
			b.settled = append(b.settled, p)
			continue
		}
		if len(messages) == w.count(p.grant.Shard, asked) {
			b.more = append(b.more, p.grant.Shard)
		}
		for _, m := range messages {
			p.add(m.ID, keyspace.ParseQueued(p.grant.Shard, m.ID, m.Values))
		}
		b.parts = append(b.parts, p)
	}
	w.adapt(b)
	return b, nil
}

// count returns how many entries to read of a shard, which is one of so many in the round.
func (w *worker) count(s, shards int) int {
	if w.space.IsCounter(s) {
		return max(1, min(roundEntries, counterSlack*roundEntries/shards))
	}
	return max(1, min(w.perShard*shards, w.cfg.BatchItems)/shards)
}

// answered returns the parts whose stream could be read. Of a Cluster one process may be away: its shards
// are tried again later, and the others must not wait for them. The error says that none was read.
func (w *worker) answered(parts []part, replies []*redis.XMessageSliceCmd) ([]part, []*redis.XMessageSliceCmd, error) {
	var read []part
	var good []*redis.XMessageSliceCmd
	var failed error
	for i, p := range parts {
		if err := replies[i].Err(); err != nil {
			failed = err
			w.wakeLater(p.grant.Shard, math.MaxInt64)
			continue
		}
		read, good = append(read, p), append(good, replies[i])
	}
	if len(read) == 0 {
		return nil, nil, failed
	}
	w.metrics.failures.Inc()
	return read, good, nil
}

// adapt keeps the content of a batch near its limit, going by the sizes just seen.
func (w *worker) adapt(b *batch) {
	var bytes int64
	items := 0
	for _, p := range b.parts {
		for i := range p.writes {
			if it := p.writes[i].Item; it != nil {
				items++
				bytes += int64(len(it.Content))
			}
		}
	}
	switch {
	case bytes > w.cfg.BatchBytes:
		w.perShard = max(1, w.perShard/2)
	case bytes < w.cfg.BatchBytes/4 && items > 0:
		w.perShard = min(w.cfg.BatchItems, w.perShard*2)
	}
}

// trim drops released entries from the streams, also what a crash has left behind. Readers begin after
// the position anyway, so an error here is left to the next round.
func (w *worker) trim(ctx context.Context, b *batch) {
	pipe := w.redis.Client().Pipeline()
	trims := make(map[*redis.Cmd]part)
	for _, p := range b.parts {
		if len(p.strays) > 0 {
			pipe.XDel(ctx, w.space.Queue(p.grant.Shard), p.strays...)
		}
	}
	for _, list := range [][]part{b.parts, b.settled} {
		for _, p := range list {
			if up := w.table.ReleasedUpTo(p.grant.Shard); w.untrimmed(p.grant, up) {
				p.to = up
				cmd := w.trimCmd(ctx, p.grant)
				trims[cmd] = p
				_ = pipe.Process(ctx, cmd) // only queues
			}
		}
	}
	if pipe.Len() == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each reply holds its own error
	for cmd, p := range trims {
		if cmd.Err() == nil {
			w.trimmed(p.grant, p.to)
		}
	}
}
