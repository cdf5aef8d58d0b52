package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
)

// Remember stores result under key unless the key is known, and returns what is stored.
func (p *Producer) Remember(ctx context.Context, key string, result []byte) (stored []byte, replayed bool, err error) {
	s := p.space.ShardOfKey(key)
	err = p.table.Under(ctx, s, func(g *shards.Grant) error {
		if g.SQL {
			var done func()
			if done, err = p.backlog.admit(); err != nil {
				return err
			}
			defer done()
			stored, replayed, err = p.direct.Remember(ctx, s, g.Epoch, key, result)
			return err
		}
		stored, replayed, err = p.remember(ctx, g, key, result)
		return err
	})
	return stored, replayed, err
}

// remember is Remember in Redis.
func (p *Producer) remember(ctx context.Context, g *shards.Grant, key string, result []byte) (stored []byte, replayed bool, err error) {
	for lookedUp := false; ; lookedUp = true {
		meta := p.space.Meta(g.Shard)
		cmd := g.Scripts.Cmd(ctx, keyspace.Recall, []string{meta},
			g.Epoch, p.space.Prefix(g.Shard), key, result, int64(p.cfg.IdempotencyTTL/time.Second), flag(lookedUp))
		// Nothing that is promised to survive Redis rests on what is remembered here: the writes that it
		// belongs to carry their keys themselves.
		if err := p.pipe.DoPlain(ctx, cmd); err != nil {
			return nil, false, failed(err, "the answer could not be stored under its key")
		}
		reply, err := keyspace.ReplyOf(cmd)
		switch {
		case err != nil:
			return nil, false, fmt.Errorf("recall script: %w", err)
		case reply.Number(0) == 0:
			return result, false, nil
		case reply.Number(0) == 1:
			return []byte(reply.Text(1)), true, nil
		case lookedUp:
			return nil, false, errors.New("recall script: the key was looked up already")
		}
		record, known, err := p.keys.Recall(ctx, g.Shard, key)
		if known || err != nil {
			return []byte(record), known, err
		}
	}
}
