package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// release unpins what is committed, and takes it out of the pending sums, in as few pipelines as it takes.
// A shard that had nothing to commit may still have a release that its predecessor did not finish.
func (w *worker) release(ctx context.Context, b *batch) error {
	var todo []chunk
	for _, p := range b.parts {
		todo = append(todo, p.chunks()...)
	}
	for _, p := range b.settled {
		if p.from > w.table.ReleasedUpTo(p.grant.Shard) {
			p.to = p.from
			todo = append(todo, chunk{part: p})
		}
	}
	for len(todo) > 0 {
		rest, err := w.releaseSome(ctx, todo)
		if err != nil {
			return err
		}
		if todo = rest; len(todo) > 0 {
			if err := failpoint.Hit("release.unfinished"); err != nil {
				return err
			}
		}
	}
	return nil
}

// releaseSome calls the script for each chunk, and returns those of which it has not done everything.
func (w *worker) releaseSome(ctx context.Context, todo []chunk) (rest []chunk, err error) {
	pipe := w.redis.Client().Pipeline()
	replies := make([]*redis.Cmd, len(todo))
	for i, c := range todo {
		replies[i] = w.releaseCmd(ctx, c)
		_ = pipe.Process(ctx, replies[i]) // only queues
	}
	_, _ = pipe.Exec(ctx) // each reply holds its own error
	var errs []error
	for i, c := range todo {
		more, err := w.released(c.grant, replies[i])
		switch {
		case keyspace.Refused(err):
			w.table.Doubt(c.grant) // the opening of the next epoch completes the release
		case err != nil:
			errs = append(errs, fmt.Errorf("release shard %d: %w", c.grant.Shard, err))
		case more:
			rest = append(rest, c)
		}
	}
	return rest, errors.Join(errs...)
}

// Complete releases what SQL holds up to position, as far as nobody has done so yet, for somebody who must
// see it in Redis. skipped is the position of the last round that left something out, as SQL told it together
// with position. An error that keyspace.Refused knows means that g is not in force any more.
func (d *Drainer) Complete(ctx context.Context, g *shards.Grant, position, skipped model.Version) error {
	c := chunk{part: part{grant: g, to: position, skipped: skipped}}
	for more := true; more; {
		cmd := d.releaseCmd(ctx, c)
		_ = d.redis.Client().Process(ctx, cmd) // the reply holds the error
		var err error
		if more, err = d.released(g, cmd); err != nil {
			return err
		}
		if more {
			if err := failpoint.Hit("release.unfinished"); err != nil {
				return err
			}
		}
	}
	return nil
}

// releaseCmd returns the call of the release script.
func (d *Drainer) releaseCmd(ctx context.Context, c chunk) *redis.Cmd {
	s := c.grant.Shard
	from := ""
	if len(c.items)+len(c.sums) > 0 {
		from = keyspace.Hex(c.from)
	}
	args := make([]any, 0, 11+len(c.items)+3*len(c.sums))
	args = append(args, c.grant.Epoch, keyspace.Hex(c.to), keyspace.StreamID(c.to), d.space.Prefix(s),
		d.entries.Value.Milliseconds(), d.entries.Deletion.Milliseconds(), releaseChunk, d.eventsKept,
		from, keyspace.Hex(c.skipped), len(c.items))
	for _, id := range c.items {
		args = append(args, int64(id))
	}
	for counter, sum := range c.sums {
		args = append(args, counter.Subject, counter.Metric, sum)
	}
	return c.grant.Scripts.Cmd(ctx, keyspace.Release, []string{d.space.Meta(s), d.space.Queue(s), d.space.Events(s)}, args...)
}

// released takes in what the script says. What was left out is known before waiters learn of the release:
// they ask for it.
func (d *Drainer) released(g *shards.Grant, cmd *redis.Cmd) (more bool, err error) {
	r, err := keyspace.ReplyOf(cmd)
	if err != nil {
		return false, err
	}
	up, err := keyspace.ParseHex(r.Text(0))
	if err != nil {
		return false, err
	}
	skipped, err := keyspace.ParseHex(r.Text(2))
	if err != nil {
		return false, err
	}
	d.table.Skip(g.Shard, skipped)
	d.table.Released(g, up)
	return r.Number(1) == 1, nil
}

// trimCmd returns the call of the script that drops what is released from the stream.
func (d *Drainer) trimCmd(ctx context.Context, g *shards.Grant) *redis.Cmd {
	return g.Scripts.Cmd(ctx, keyspace.Trim, []string{d.space.Meta(g.Shard), d.space.Queue(g.Shard)}, g.Epoch)
}
