package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Producer queues writes.
type Producer struct {
	cfg      Config
	space    *keyspace.Space
	table    *shards.Table
	pipe     *redisconn.Pipeline
	loader   Loader
	observer Observer
	drainer  *Drainer
	rows     Rows
}

// ProducerDeps are what a Producer works with.
type ProducerDeps struct {
	Space    *keyspace.Space
	Table    *shards.Table
	Pipe     *redisconn.Pipeline
	Loader   Loader
	Observer Observer
	Drainer  *Drainer
	Rows     Rows
}

// NewProducer returns a Producer.
func NewProducer(cfg Config, d ProducerDeps) *Producer {
	return &Producer{
		cfg: cfg, space: d.Space, table: d.Table, pipe: d.Pipe, loader: d.Loader,
		observer: d.Observer, drainer: d.Drainer, rows: d.Rows,
	}
}

// Durability names what a queued write survives.
func (p *Producer) Durability() string { return p.cfg.Durability }

// Ready refuses what could not be finished now, before anything is done.
func (p *Producer) Ready(store model.Store) error {
	if p.table.RedisDown() == p.space.Shards() {
		return model.NewUnavailable("writes are not possible: the queue is out of reach", nil)
	}
	if store != model.StoreDelayed && p.table.SQLDown() {
		return model.NewUnavailable("synchronous writes are not possible: the database is out of reach; store=delayed is", nil)
	}
	return nil
}

// Write runs the write script until it has an outcome. An error means that the outcome is unknown.
func (p *Producer) Write(ctx context.Context, w *model.Write) (res model.WriteResult, err error) {
	s := p.space.Shard(w.ID)
	keys := []string{p.space.Meta(s), p.space.Entry(s, w.ID), p.space.Queue(s), p.space.Events(s), p.space.Gen(s)}
	err = p.table.Under(ctx, s, func(g *shards.Grant) error {
		c := call{Write: w, keys: keys}
		if tip, ok := p.loader.Guess(g, w.ID); ok {
			c.remember(g, tip, &model.Item{ID: w.ID})
		}
		var reply keyspace.Reply
		if reply, err = p.runLoaded(ctx, g, &c); err != nil {
			return err
		}
		res, err = p.finish(g, w, reply)
		return err
	})
	return res, err
}

// loads bounds how often one write looks in SQL for an item that changes meanwhile.
const loads = 6

// runLoaded runs the script, with what is known of the item where the script must know it.
func (p *Producer) runLoaded(ctx context.Context, g *shards.Grant, c *call) (keyspace.Reply, error) {
	for range loads {
		reply, err := p.run(ctx, g, c)
		switch {
		case keyspace.Refused(err):
			return nil, err
		case err != nil:
			return nil, model.NewUnavailable("the queue did not answer; the outcome is unknown", err)
		}
		tip, load := needsLoad(reply)
		if !load {
			return reply, nil
		}
		it, err := p.loader.Load(ctx, g, c.ID, tip)
		if err != nil {
			return nil, err
		}
		c.remember(g, tip, &it)
	}
	return nil, model.NewUnavailable("the item changes too fast", nil)
}

// call is a write on its way, with what is known of an item that L2 does not hold.
type call struct {
	*model.Write
	keys     []string
	tip      string
	snapshot []byte
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
		c.IdempotencyKey, c.Fingerprint, int64(p.cfg.IdempotencyTTL/time.Second))
	if err := p.pipe.Do(ctx, cmd); err != nil {
		return nil, err
	}
	if err := failpoint.Hit("write.after_script"); err != nil {
		return nil, err
	}
	return keyspace.ReplyOf(cmd)
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

// finish turns a reply into a result. A write that was made is told to the caches first.
func (p *Producer) finish(g *shards.Grant, w *model.Write, r keyspace.Reply) (model.WriteResult, error) {
	res := model.WriteResult{ID: w.ID}
	var err error
	switch r.Text(0) {
	case "ok":
		created, perr := strconv.ParseInt(r.Text(2), 10, 64)
		author, perr2 := strconv.ParseInt(r.Text(4), 10, 64)
		if err = errors.Join(perr, perr2); err != nil {
			return res, fmt.Errorf("reply of the write script: %w", err)
		}
		res.Outcome = model.OutcomeApplied
		res.Version = model.NewVersion(g.Epoch, r.Number(1))
		res.CreatedAt, res.UpdatedAt = time.UnixMilli(created).UTC(), w.At
		res.Created = r.Number(3) == 0
		p.observer.Wrote(g, &model.Item{ID: w.ID, AuthorID: model.ID(author), Version: res.Version, Deleted: w.Op == model.OpDelete})
		p.drainer.Wake(g.Shard)
	case "none":
		res.Outcome = model.OutcomeUnchanged
		version, verr := keyspace.ParseHex(r.Text(1))
		author, perr := strconv.ParseInt(r.Text(2), 10, 64)
		if res.Version, err = version, errors.Join(verr, perr); err == nil && version != 0 {
			// Another replica may have deleted it, unheard of by this one. What never was needs no memory.
			p.observer.Wrote(g, &model.Item{ID: w.ID, AuthorID: model.ID(author), Version: version, Deleted: true})
		}
	case "cond":
		res.Outcome = model.OutcomeCondFailed
		res.Version, err = keyspace.ParseHex(r.Text(1))
	case "author":
		res.Outcome = model.OutcomeAuthorConflict
	case "reused":
		res.Outcome = model.OutcomeKeyReused
	case "replay":
		if res, err = parseReplay(r.Text(1)); err == nil { // another replica may have made the write
			p.observer.Wrote(g, &model.Item{ID: res.ID, AuthorID: w.AuthorID, Version: res.Version, Deleted: w.Op == model.OpDelete})
		}
	default:
		err = fmt.Errorf("reply of the write script: %q", r.Text(0))
	}
	if err != nil {
		return res, err
	}
	if !p.table.Holds(g) {
		return res, model.NewUnavailable("the shard moved while it was written; the outcome is unknown", nil)
	}
	return res, nil
}

// parseReplay reads what the script stored with an idempotency key: id|epoch|seq|created|updated|existed.
func parseReplay(s string) (model.WriteResult, error) {
	var n [6]int64
	f := strings.Split(s, "|")
	if len(f) != len(n) {
		return model.WriteResult{}, fmt.Errorf("stored result %q is damaged", s)
	}
	for i := range f {
		var err error
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return model.WriteResult{}, fmt.Errorf("stored result is damaged: %w", err)
		}
	}
	return model.WriteResult{
		Outcome: model.OutcomeApplied, ID: model.ID(n[0]), Version: model.NewVersion(n[1], n[2]),
		CreatedAt: time.UnixMilli(n[3]).UTC(), UpdatedAt: time.UnixMilli(n[4]).UTC(),
		Created: n[5] == 0, Replayed: true,
	}, nil
}

// Await returns when SQL holds version v of the item, or a later one.
func (p *Producer) Await(ctx context.Context, id model.ID, v model.Version) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AwaitTimeout)
	defer cancel()
	s := p.space.Shard(id)
	for {
		if g := p.table.Grant(s); g != nil && g.Epoch == v.Epoch() {
			p.drainer.Expect(s, v)
			if released, err := p.table.AwaitReleased(ctx, g, v); released || err != nil {
				return err
			}
			if !p.table.Away(s) {
				continue
			}
		}
		// The epoch of the write has ended, is being entered anew, or Redis has gone: SQL tells.
		stored, err := p.stored(ctx, id, v)
		if stored || err != nil {
			return err
		}
		if p.table.Away(s) {
			return model.NewUnavailable("the queue is out of reach; the outcome of the write is unknown", nil)
		}
		g, err := p.table.AwaitGrant(ctx, s, nil, p.cfg.AwaitTimeout)
		if err != nil {
			return err
		}
		if g.Epoch <= v.Epoch() {
			continue
		}
		// Whatever was still queued has been drained before this epoch was opened.
		if stored, err = p.stored(ctx, id, v); stored || err != nil {
			return err
		}
		return model.NewUnavailable("the queue moved and lost sight of the write; the outcome is unknown", nil)
	}
}

// stored reports whether SQL holds version v of the item, or a later one.
func (p *Producer) stored(ctx context.Context, id model.ID, v model.Version) (bool, error) {
	it, err := p.rows.Get(ctx, id)
	return it.Version >= v, err
}

// Remember stores result under key unless the key is known, and returns what is stored.
func (p *Producer) Remember(ctx context.Context, key string, result []byte) (stored []byte, replayed bool, err error) {
	s := p.space.ShardOfKey(key)
	err = p.table.Under(ctx, s, func(g *shards.Grant) error {
		cmd := g.Scripts.Cmd(ctx, keyspace.Recall, []string{p.space.Meta(s)},
			g.Epoch, p.space.Prefix(s), key, result, int64(p.cfg.IdempotencyTTL/time.Second))
		err := p.pipe.Do(ctx, cmd)
		switch {
		case keyspace.Refused(err):
			return err
		case err != nil:
			return model.NewUnavailable("the answer could not be stored under its key", err)
		}
		reply, err := keyspace.ReplyOf(cmd)
		if err != nil {
			return fmt.Errorf("recall script: %w", err)
		}
		if stored, replayed = result, reply.Number(0) == 1; replayed {
			stored = []byte(reply.Text(1))
		}
		return nil
	})
	return stored, replayed, err
}
