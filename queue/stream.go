package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// read collects what the shards hold after their positions, of all of them in one pipeline.
func (w *worker) read(ctx context.Context, list []int) (*batch, error) {
	b := &batch{}
	var parts []part
	for _, s := range list {
		if g := w.table.Grant(s); g != nil && !w.table.Away(s) {
			parts = append(parts, part{grant: g, from: w.after(g)})
		}
	}
	if len(parts) == 0 {
		return b, nil
	}
	count := max(1, min(w.perShard, w.cfg.BatchItems/len(parts)))
	pipe := w.redis.Client().Pipeline()
	replies := make([]*redis.XMessageSliceCmd, len(parts))
	for i, p := range parts {
		replies[i] = pipe.XRangeN(ctx, w.space.Queue(p.grant.Shard), "("+keyspace.StreamID(p.from), "+", int64(count))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		if parts, replies, err = w.answered(parts, replies); err != nil {
			return nil, fmt.Errorf("read the queue: %w", err)
		}
	}
	var bytes int64
	for i, p := range parts {
		messages := replies[i].Val()
		if len(messages) == 0 {
			b.settled = append(b.settled, p)
			continue
		}
		if len(messages) == count {
			b.more = append(b.more, p.grant.Shard)
		}
		for _, m := range messages {
			it, err := parseWrite(m)
			if err != nil {
				return nil, fmt.Errorf("shard %d: %w", p.grant.Shard, err)
			}
			bytes += int64(len(it.Content))
			p.writes = append(p.writes, it)
		}
		p.to = p.writes[len(p.writes)-1].Version
		b.parts = append(b.parts, p)
	}
	b.merge()
	w.adapt(bytes, b.writes)
	return b, nil
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
func (w *worker) adapt(bytes int64, writes int) {
	switch {
	case bytes > w.cfg.BatchBytes:
		w.perShard = max(1, w.perShard/2)
	case bytes < w.cfg.BatchBytes/4 && writes > 0:
		w.perShard = min(w.cfg.BatchItems, w.perShard*2)
	}
}

// parseWrite decodes an entry of a shard's stream: one field, named by operation and item.
func parseWrite(m redis.XMessage) (model.Item, error) {
	var it model.Item
	v, ok := keyspace.ParseStreamID(m.ID)
	if !ok {
		return it, fmt.Errorf("stream entry %s: its ID is no version", m.ID)
	}
	for field, value := range m.Values {
		record, isText := value.(string)
		if len(m.Values) > 1 || !isText || field == "" || (field[0] != 'v' && field[0] != 'd') {
			break
		}
		id, err := model.ParseID(field[1:])
		if err != nil {
			break
		}
		it.ID = id
		if err := keyspace.ParseRecord([]byte(record), &it); err != nil {
			return it, fmt.Errorf("stream entry %s: %w", m.ID, err)
		}
		it.Version, it.Deleted = v, field[0] == 'd'
		return it, nil
	}
	return it, fmt.Errorf("stream entry %s is damaged", m.ID)
}

// releaseChunk is how many entries one call of the release script handles: it blocks Redis meanwhile.
const releaseChunk = 512

// release unpins what is committed, in as few pipelines as it takes. A shard that had nothing to commit
// may still have a release that its predecessor did not finish.
func (w *worker) release(ctx context.Context, b *batch) error {
	var todo []part
	for _, p := range b.parts {
		todo = append(todo, p.chunks()...)
	}
	for _, p := range b.settled {
		if p.from > w.table.ReleasedUpTo(p.grant.Shard) {
			p.to = p.from
			todo = append(todo, p)
		}
	}
	for len(todo) > 0 {
		pipe := w.redis.Client().Pipeline()
		replies := make([]*redis.Cmd, len(todo))
		for i, p := range todo {
			replies[i] = w.releaseCmd(ctx, p)
			_ = pipe.Process(ctx, replies[i]) // only queues
		}
		_, _ = pipe.Exec(ctx) // each reply holds its own error
		var rest []part
		var errs []error
		for i, p := range todo {
			more, err := w.released(p, replies[i])
			switch {
			case keyspace.Refused(err):
				w.table.Doubt(p.grant) // the opening of the next epoch completes the release
			case err != nil:
				errs = append(errs, fmt.Errorf("release shard %d: %w", p.grant.Shard, err))
			case more:
				rest = append(rest, p)
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
		todo = rest
	}
	return nil
}

// chunks splits a part so that each call of the release script is short.
func (p part) chunks() []part {
	var list []part
	from := p.from
	for some := range slices.Chunk(p.writes, releaseChunk) {
		to := some[len(some)-1].Version
		list = append(list, part{grant: p.grant, from: from, to: to, writes: some})
		from = to
	}
	return list
}

func (d *Drainer) releaseCmd(ctx context.Context, p part) *redis.Cmd {
	s := p.grant.Shard
	args := make([]any, 0, 9+len(p.writes))
	args = append(args, p.grant.Epoch, keyspace.Hex(p.to), keyspace.StreamID(p.to), d.space.Prefix(s),
		d.entries.Value.Milliseconds(), d.entries.Deletion.Milliseconds(), releaseChunk, d.eventsKept)
	if len(p.writes) > 0 {
		args = append(args, keyspace.Hex(p.from))
	} else {
		args = append(args, "")
	}
	for i := range p.writes {
		args = append(args, int64(p.writes[i].ID))
	}
	return p.grant.Scripts.Cmd(ctx, keyspace.Release, []string{d.space.Meta(s), d.space.Queue(s), d.space.Events(s)}, args...)
}

func (d *Drainer) released(p part, cmd *redis.Cmd) (more bool, err error) {
	r, err := keyspace.ReplyOf(cmd)
	if err != nil {
		return false, err
	}
	up, err := keyspace.ParseHex(r.Text(0))
	if err != nil {
		return false, err
	}
	d.table.Released(p.grant, up)
	return r.Number(1) == 1, nil
}

// trim drops released entries from the streams, also what a crash has left behind. Readers begin after
// the position anyway, so an error here is left to the next round.
func (w *worker) trim(ctx context.Context, b *batch) {
	var todo []part
	for _, p := range slices.Concat(b.parts, b.settled) {
		if up := w.table.ReleasedUpTo(p.grant.Shard); w.untrimmed(p.grant, up) {
			p.to = up
			todo = append(todo, p)
		}
	}
	if len(todo) == 0 {
		return
	}
	pipe := w.redis.Client().Pipeline()
	replies := make([]*redis.Cmd, len(todo))
	for i, p := range todo {
		replies[i] = w.trimCmd(ctx, p.grant)
		_ = pipe.Process(ctx, replies[i]) // only queues
	}
	_, _ = pipe.Exec(ctx) // each reply holds its own error
	for i, p := range todo {
		if replies[i].Err() == nil {
			w.trimmed(p.grant, p.to)
		}
	}
}

func (d *Drainer) trimCmd(ctx context.Context, g *shards.Grant) *redis.Cmd {
	return g.Scripts.Cmd(ctx, keyspace.Trim, []string{d.space.Meta(g.Shard), d.space.Queue(g.Shard)}, g.Epoch)
}
