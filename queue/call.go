package queue

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// call is a write on its way, with what is known of an item that L2 does not hold, and of its key.
type call struct {
	*model.Write
	keys     []string
	tip      string
	snapshot []byte
	lookedUp bool // the key was looked up in SQL
	known    bool // and found there
}

func (c *call) remember(g *shards.Grant, tip uint64, it *model.Item) {
	c.tip, c.snapshot = strconv.FormatUint(tip, 10), keyspace.AppendSnapshot(nil, it, g.Epoch)
}

func (p *Producer) run(ctx context.Context, g *shards.Grant, c *call) (keyspace.Reply, error) {
	op := "v"
	if c.Op == model.OpDelete {
		op = "d"
	}
	cmd := g.Scripts.Cmd(ctx, keyspace.Write, c.keys,
		g.Epoch, op, keyspace.Stripe(c.ID), int64(c.ID), int64(c.AuthorID), c.Kind, []byte(c.Content), c.At.UnixMilli(),
		condition(c.Cond), c.tip, c.snapshot, p.space.Prefix(g.Shard),
		c.IdempotencyKey, c.Fingerprint, int64(p.cfg.IdempotencyTTL/time.Second), flag(c.lookedUp))
	if err := send(ctx, p.pipe, c.Delayed, c.keys[0], cmd); err != nil {
		return nil, err
	}
	if err := failpoint.Hit("write.after_script"); err != nil {
		return nil, err
	}
	return keyspace.ReplyOf(cmd)
}

// send runs a script of the queue. What is not delayed is answered when SQL has it, which is more than any Redis
// can promise before: so it does not wait for the disk or the replicas of Redis.
func send(ctx context.Context, pipe *redisconn.Durable, delayed bool, key string, cmd redis.Cmder) error {
	if delayed {
		return pipe.Do(ctx, key, cmd)
	}
	return pipe.DoPlain(ctx, cmd)
}

// flag is a condition as the scripts read it.
func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// condition is a write's precondition as the script reads it.
func condition(c model.Cond) string {
	switch {
	case c.Absent:
		return "a"
	case len(c.Match) > 0:
		var b strings.Builder
		b.WriteByte('m')
		for i, v := range c.Match {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(keyspace.Hex(v))
		}
		return b.String()
	case c.Exists:
		return "x"
	default:
		return ""
	}
}

// needsLoad reports whether the script must know the item, and at which event tip it missed it.
func needsLoad(r keyspace.Reply) (tip uint64, ok bool) {
	return uint64(r.Number(1)), r.Text(0) == "load"
}
