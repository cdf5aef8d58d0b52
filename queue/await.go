package queue

import (
	"context"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// commits tells what became of queued writes.
type commits struct {
	table   *shards.Table
	drainer *Drainer
	letters Letters
	journal *Journal
	backlog *Backlog
	timeout time.Duration
}

// The pauses between two looks while nothing tells of a change.
const (
	awaitFirst = 50 * time.Millisecond
	awaitMost  = time.Second
)

// await returns when version v of shard s is committed in SQL. stored asks SQL, about a write whose epoch has
// ended or whose Redis is away.
func (c *commits) await(ctx context.Context, s int, v model.Version, stored func(context.Context) (bool, error)) error {
	defer c.backlog.wait()()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for pause := awaitFirst; ; pause = min(2*pause, awaitMost) {
		g := c.table.Redis(s)
		current := g != nil && g.Epoch == v.Epoch()
		if current {
			c.drainer.Expect(s, v)
			released, err := c.table.AwaitReleased(ctx, g, v)
			if err != nil {
				return err
			}
			if released {
				return c.accepted(ctx, s, v)
			}
			if !c.table.Away(s) {
				continue // the epoch has ended, or is entered anew
			}
		}
		flushing := c.journal.holds(s, v) // looked up before SQL is asked: what it lets go of is there
		if done, err := c.ask(ctx, s, v, stored); done || err != nil {
			return err
		}
		if !current {
			g, err := c.table.AwaitGrant(ctx, s, nil, c.timeout)
			if err != nil {
				return err
			}
			if (g.SQL || g.Epoch > v.Epoch()) && !flushing {
				return c.lastWord(ctx, s, v, stored)
			}
		}
		select {
		case <-ctx.Done():
			return model.NewUnavailable("the queue is out of reach; the outcome of the write is unknown", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// lastWord asks SQL once more, in a later epoch than that of v: whatever was still queued has been brought to SQL
// before it began.
func (c *commits) lastWord(ctx context.Context, s int, v model.Version, stored func(context.Context) (bool, error)) error {
	if done, err := c.ask(ctx, s, v, stored); done || err != nil {
		return err
	}
	return model.NewUnavailable("the queue moved and lost sight of the write; the outcome is unknown", nil)
}

// ask asks SQL whether it has version v, as what it should be or as a dead letter.
func (c *commits) ask(ctx context.Context, s int, v model.Version, stored func(context.Context) (bool, error)) (done bool, err error) {
	dead, err := c.letters.Stored(ctx, s, v)
	if err != nil {
		return false, err
	}
	if dead {
		return true, errRefused()
	}
	return stored(ctx)
}

// accepted returns nil if v, which SQL's position has passed, is not a dead letter.
func (c *commits) accepted(ctx context.Context, s int, v model.Version) error {
	if c.table.Skipped(s) < v {
		return nil
	}
	dead, err := c.letters.Stored(ctx, s, v)
	if dead {
		return errRefused()
	}
	return err
}

func errRefused() error {
	return &model.Error{Kind: model.Invalid, Message: "the database refuses the write; it is kept as a dead letter"}
}

// settled reports whether nobody need wait for version v, which somebody has just learned from Redis under g,
// or from SQL (then known is true): Redis knew of a write of an earlier epoch, and the stream with that write
// was brought to SQL before the epoch of g began. Dead letters are waited for, which tells of them.
func (c *commits) settled(ctx context.Context, g *shards.Grant, v model.Version, known bool) bool {
	if !known && v.Epoch() >= g.Epoch {
		return false
	}
	return c.accepted(ctx, g.Shard, v) == nil
}

// failed makes what a script of the queue was answered an error of the model. Refusals stay as they are, for
// who retries; what says that the memory is full has done nothing; of the rest the outcome is unknown.
func failed(err error, message string) error {
	switch {
	case keyspace.Refused(err):
		return err
	case isFull(err):
		return errFull(err)
	default:
		return model.NewUnavailable(message, err)
	}
}
