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

// leftoverBatch is how many writes of an ended epoch one transaction brings to SQL.
const leftoverBatch = 1000

// DrainLeftovers brings to SQL what the stream of a claimed shard holds beyond its position, before
// the claimed epoch is opened. It returns the position reached. Writes that SQL has already, because they
// were repeated there or their replica has flushed them while Redis was away, are left out.
func (d *Drainer) DrainLeftovers(ctx context.Context, sh model.Shard) (model.Version, error) {
	if sh.Home == model.HomeSQL {
		return sh.Position, nil // the stream that was lost is drained when its Redis is the home again
	}
	for {
		// First, for an opener before this one may have left the release to do. The opening script would
		// do it too, but in one call, which blocks Redis for as long as that takes, and it evicts nothing.
		if err := d.releaseLeftovers(ctx, sh); err != nil {
			return 0, err
		}
		messages, err := d.redis.Client().XRangeN(ctx, d.space.Queue(sh.Shard),
			"("+keyspace.StreamID(sh.Position), "+", leftoverBatch).Result()
		if err != nil {
			return 0, fmt.Errorf("read the queue: %w", err)
		}
		if len(messages) == 0 {
			return sh.Position, nil
		}
		if err := d.applyLeftovers(ctx, &sh, messages); err != nil {
			return 0, err
		}
	}
}

// applyLeftovers brings some entries of the stream to SQL, and leaves in sh what SQL says of it then.
func (d *Drainer) applyLeftovers(ctx context.Context, sh *model.Shard, messages []redis.XMessage) error {
	p := part{grant: &shards.Grant{Shard: sh.Shard, Epoch: sh.Epoch}, from: sh.Position}
	for _, m := range messages {
		p.add(m.ID, keyspace.ParseQueued(sh.Shard, m.ID, m.Values))
	}
	if err := failpoint.Hit("leftovers.before_commit"); err != nil {
		return err
	}
	applied, err := d.apply(ctx, &model.Batch{Writes: p.writes, Advances: []model.Advance{{
		Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home, Opening: true, From: p.from, To: p.to,
	}}})
	if err != nil {
		return err
	}
	if len(applied.Refused) > 0 {
		return fmt.Errorf("shard %d: the position has moved or a later epoch was claimed", sh.Shard)
	}
	if err := failpoint.Hit("leftovers.after_commit"); err != nil {
		return err
	}
	sh.Position = p.to
	if applied.LeftOut > 0 || len(applied.DeadLetters) > 0 {
		sh.Skipped = p.to
	}
	if len(p.strays) > 0 {
		return d.redis.Client().XDel(ctx, d.space.Queue(sh.Shard), p.strays...).Err()
	}
	return nil
}

// releaseLeftovers releases what is in SQL, under the epoch that Redis still holds.
func (d *Drainer) releaseLeftovers(ctx context.Context, sh model.Shard) error {
	epoch, err := d.redis.Client().HGet(ctx, d.space.Meta(sh.Shard), "epoch").Int64()
	if errors.Is(err, redis.Nil) {
		return nil // it has lost its state: there is nothing to release
	}
	if err != nil {
		return fmt.Errorf("epoch of shard %d: %w", sh.Shard, err)
	}
	scripts, err := keyspace.NewScripts(sh.Home)
	if err != nil {
		return err
	}
	g := &shards.Grant{Shard: sh.Shard, Epoch: epoch, Scripts: scripts}
	if err := d.Complete(ctx, g, sh.Position, sh.Skipped); err != nil {
		return fmt.Errorf("release shard %d: %w", sh.Shard, err)
	}
	return d.redis.Client().Process(ctx, d.trimCmd(ctx, g))
}
