package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// leftoverBatch is how many writes of an ended epoch one transaction brings to SQL.
const leftoverBatch = 1000

// DrainLeftovers brings to SQL what the stream of a claimed shard holds beyond its position, before
// the claimed epoch is opened. It returns the position reached.
func (d *Drainer) DrainLeftovers(ctx context.Context, sh model.Shard) (model.Version, error) {
	for {
		messages, err := d.redis.Client().XRangeN(ctx, d.space.Queue(sh.Shard),
			"("+keyspace.StreamID(sh.Position), "+", leftoverBatch).Result()
		if err != nil {
			return 0, fmt.Errorf("read the queue: %w", err)
		}
		if len(messages) == 0 {
			return sh.Position, nil
		}
		p := part{grant: &shards.Grant{Shard: sh.Shard, Epoch: sh.Epoch}}
		for _, m := range messages {
			it, err := parseWrite(m)
			if err != nil {
				return 0, err
			}
			p.writes = append(p.writes, it)
		}
		b := &batch{parts: []part{p}}
		b.merge()
		to := p.writes[len(p.writes)-1].Version
		refused, err := d.commits.Apply(ctx, &model.Batch{Items: b.items, Advances: []model.Advance{{
			Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home, Opening: true, From: sh.Position, To: to,
		}}})
		if err != nil {
			return 0, err
		}
		if len(refused) > 0 {
			return 0, fmt.Errorf("shard %d: the position has moved or a later epoch was claimed", sh.Shard)
		}
		sh.Position = to
		if err := d.releaseLeftovers(ctx, sh); err != nil {
			return 0, err
		}
	}
}

// releaseLeftovers releases what has just been brought to SQL, under the epoch that Redis still holds.
// The opening script would do so too, but in one call, which blocks Redis for as long as that takes.
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
	p := part{grant: &shards.Grant{Shard: sh.Shard, Epoch: epoch, Scripts: scripts}, to: sh.Position}
	for more := true; more; {
		cmd := d.releaseCmd(ctx, p)
		if err := d.redis.Client().Process(ctx, cmd); err != nil {
			return fmt.Errorf("release shard %d: %w", sh.Shard, err)
		}
		if more, err = d.released(p, cmd); err != nil {
			return err
		}
	}
	return d.redis.Client().Process(ctx, d.trimCmd(ctx, p.grant))
}
