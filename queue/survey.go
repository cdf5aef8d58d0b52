package queue

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
)

// survey is what a look at the streams of all shards has found.
type survey struct {
	shards []pile
	total  pile
	memory shards.Memory
}

// pile is what lies in streams.
type pile struct {
	writes int64
	bytes  int64     // about
	oldest time.Time // when the oldest write was made; zero if there is none
}

// age returns how old the oldest write is, 0 if there is none, or its clock was ahead of this one.
func (p *pile) age() time.Duration {
	if p.oldest.IsZero() {
		return 0
	}
	return max(0, time.Since(p.oldest))
}

// measure looks at the streams of all shards: however the replicas share the draining, what lies there is what
// everybody's writes add to.
func (b *Backlog) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, measurePeriod)
	defer cancel()
	// Own writes that arrive meanwhile may be counted twice, but none is missed.
	writes, bytes := b.ownWrites.Load(), b.ownBytes.Load()
	draining := b.drainer.counters.busy.Load()
	now := &survey{shards: slices.Clone(b.seen.Load().shards), memory: b.memory()}
	b.look(ctx, now.shards)
	for _, p := range now.shards {
		now.total.writes += p.writes
		now.total.bytes += p.bytes
		if now.total.oldest.IsZero() || (!p.oldest.IsZero() && p.oldest.Before(now.total.oldest)) {
			now.total.oldest = p.oldest
		}
	}
	b.seen.Store(now)
	b.ownWrites.Add(-writes)
	b.ownBytes.Add(-bytes)
	b.drainer.surveyed(now.shards, draining)
}

// look brings what is known of the shards up to date.
func (b *Backlog) look(ctx context.Context, piles []pile) {
	lengths := make(map[int]*redis.IntCmd)
	pipe := b.redis.Client().Pipeline()
	for s := range piles {
		switch {
		case b.table.Redis(s) == nil:
			piles[s] = pile{} // whatever lies there, nobody adds to it
		case !b.table.Away(s): // else what was seen last counts
			lengths[s] = pipe.XLen(ctx, b.space.Queue(s))
		}
	}
	if len(lengths) == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each reply holds its own error
	loads := make(map[int]load)
	pipe = b.redis.Client().Pipeline()
	for s, length := range lengths {
		switch {
		case length.Err() != nil:
		case length.Val() == 0:
			piles[s] = pile{}
		default:
			key := b.space.Queue(s)
			after := "(" + keyspace.StreamID(b.table.ReleasedUpTo(s)) // what is released may lie there a moment longer
			loads[s] = load{length, pipe.MemoryUsage(ctx, key), pipe.XRangeN(ctx, key, after, "+", 1)}
		}
	}
	if len(loads) > 0 {
		_, _ = pipe.Exec(ctx) // as above
	}
	for s, l := range loads {
		if l.oldest.Err() == nil && l.size.Err() == nil {
			piles[s] = pile{writes: l.length.Val(), bytes: l.size.Val(), oldest: l.since(s)}
		}
	}
}

// load is what a look at the stream of one shard has found.
type load struct {
	length, size *redis.IntCmd
	oldest       *redis.XMessageSliceCmd
}

// since returns when the oldest entry of shard s was made, zero if there is none, or it cannot be read.
func (l load) since(s int) time.Time {
	for _, m := range l.oldest.Val() {
		switch q := keyspace.ParseQueued(s, m.ID, m.Values); {
		case q.Item != nil:
			return q.Item.UpdatedAt
		case q.Delta != nil:
			return q.Delta.At
		}
	}
	return time.Time{}
}
