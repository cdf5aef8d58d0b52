package queue

import (
	"context"
	"errors"
	"fmt"
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

// Producer queues writes. While the home of a shard is SQL, it makes them there.
type Producer struct {
	cfg      Config
	space    *keyspace.Space
	table    *shards.Table
	pipe     *redisconn.Durable
	loader   Loader
	observer Observer
	drainer  *Drainer
	rows     Rows
	direct   Direct
	keys     Keys
	journal  *Journal
	backlog  *Backlog
	commits  commits
}

// ProducerDeps are what a Producer works with.
type ProducerDeps struct {
	Space    *keyspace.Space
	Table    *shards.Table
	Pipe     *redisconn.Durable
	Loader   Loader
	Observer Observer
	Drainer  *Drainer
	Rows     Rows
	Direct   Direct
	Keys     Keys
	Letters  Letters
	Journal  *Journal
	Backlog  *Backlog
}

// NewProducer returns a Producer.
func NewProducer(cfg Config, d ProducerDeps) *Producer {
	return &Producer{
		cfg: cfg, space: d.Space, table: d.Table, pipe: d.Pipe, loader: d.Loader,
		observer: d.Observer, drainer: d.Drainer, rows: d.Rows,
		direct: d.Direct, keys: d.Keys, journal: d.Journal, backlog: d.Backlog,
		commits: commits{
			table: d.Table, drainer: d.Drainer, letters: d.Letters, journal: d.Journal, backlog: d.Backlog, timeout: cfg.AwaitTimeout,
		},
	}
}

// Durability names what a queued write survives.
func (p *Producer) Durability() string { return p.cfg.Durability }

// Ready returns how a write that asks for store is to be stored now, or refuses it: see Backlog.
func (p *Producer) Ready(store model.Store) (model.Store, error) { return p.backlog.Ready(store) }

// Write makes a write: queued, or committed if its result says so. An error means that the outcome is unknown,
// unless it says otherwise.
func (p *Producer) Write(ctx context.Context, w *model.Write) (res model.WriteResult, err error) {
	s := p.space.Shard(w.ID)
	err = p.table.Under(ctx, s, func(g *shards.Grant) error {
		if g.SQL {
			res, err = p.commit(ctx, g, w)
		} else {
			res, err = p.queue(ctx, g, w)
		}
		return err
	})
	return res, err
}

// commit makes a write in SQL.
func (p *Producer) commit(ctx context.Context, g *shards.Grant, w *model.Write) (model.WriteResult, error) {
	done, err := p.backlog.admit()
	if err != nil {
		return model.WriteResult{}, err
	}
	defer done()
	res, err := p.direct.Write(ctx, g.Shard, g.Epoch, w)
	if err == nil {
		p.observer.Wrote(g, &model.Item{ID: w.ID, Version: res.Version})
	}
	return res, err
}

// queue runs the write script until it has an outcome.
func (p *Producer) queue(ctx context.Context, g *shards.Grant, w *model.Write) (model.WriteResult, error) {
	s := g.Shard
	c := call{
		Write: w,
		keys:  []string{p.space.Meta(s), p.space.Entry(s, w.ID), p.space.Queue(s), p.space.Events(s), p.space.Gen(s)},
	}
	if tip, ok := p.loader.Guess(g, w.ID); ok {
		c.remember(g, tip, &model.Item{ID: w.ID})
	}
	reply, err := p.runLoaded(ctx, g, &c)
	if err != nil {
		return model.WriteResult{}, err
	}
	return p.finish(ctx, g, &c, reply)
}

// loads bounds how often one write looks in SQL for an item that changes meanwhile.
const loads = 6

// runLoaded runs the script, with what is known of the item where the script must know it.
func (p *Producer) runLoaded(ctx context.Context, g *shards.Grant, c *call) (keyspace.Reply, error) {
	for range loads {
		reply, err := p.run(ctx, g, c)
		if err != nil {
			return nil, failed(err, "the queue did not answer; the outcome is unknown")
		}
		if reply.Text(0) == "key" {
			if reply, err = p.recall(ctx, g, c); reply != nil || err != nil {
				return reply, err
			}
			continue
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

// recall looks in SQL for the key of a write that Redis does not know, because the shard has changed its home
// since. It returns nil if SQL does not know it either, else what the script would reply.
func (p *Producer) recall(ctx context.Context, g *shards.Grant, c *call) (keyspace.Reply, error) {
	record, known, err := p.keys.Recall(ctx, g.Shard, c.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	c.lookedUp, c.known = true, known
	if !known {
		return nil, nil
	}
	if result, same := strings.CutPrefix(record, c.Fingerprint+"|"); same {
		return keyspace.Reply{"replay", result}, nil
	}
	return keyspace.Reply{"reused"}, nil
}

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

// finish turns a reply into a result. A write that was made is told to the journal and the caches first.
func (p *Producer) finish(ctx context.Context, g *shards.Grant, c *call, r keyspace.Reply) (model.WriteResult, error) {
	w := c.Write
	res := model.WriteResult{ID: w.ID}
	var err error
	switch r.Text(0) {
	case "ok":
		res, err = p.made(g, w, r)
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
		if res, err = model.ParseWriteResult(r.Text(1)); err == nil { // another replica may have made the write
			p.observer.Wrote(g, &model.Item{ID: res.ID, AuthorID: w.AuthorID, Version: res.Version, Deleted: w.Op == model.OpDelete})
			res.Committed = p.commits.settled(ctx, g, res.Version, c.known)
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

// made is the result of a write that was made.
func (p *Producer) made(g *shards.Grant, w *model.Write, r keyspace.Reply) (model.WriteResult, error) {
	created, err := strconv.ParseInt(r.Text(2), 10, 64)
	author, err2 := strconv.ParseInt(r.Text(4), 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return model.WriteResult{}, fmt.Errorf("reply of the write script: %w", err)
	}
	res := model.WriteResult{
		ID: w.ID, Outcome: model.OutcomeApplied, Version: model.NewVersion(g.Epoch, r.Number(1)),
		CreatedAt: time.UnixMilli(created).UTC(), UpdatedAt: w.At, Created: r.Number(3) == 0,
	}
	it := &model.Item{
		ID: w.ID, AuthorID: model.ID(author), CreatedAt: res.CreatedAt, UpdatedAt: w.At,
		Version: res.Version, Deleted: w.Op == model.OpDelete,
	}
	if !it.Deleted {
		it.Kind, it.Content = w.Kind, w.Content
	}
	q := model.Queued{Shard: g.Shard, Version: res.Version, Item: it, Key: w.IdempotencyKey}
	if q.Key != "" {
		q.Record = w.Fingerprint + "|" + res.Encode()
	}
	p.journal.Add(q)
	p.backlog.queued(1, sizeOf(&q))
	p.observer.Wrote(g, it)
	p.drainer.Wake(g.Shard)
	return res, nil
}

// Await returns when SQL holds version v of the item, or a later one. If v became a dead letter, the error is of
// kind Invalid.
func (p *Producer) Await(ctx context.Context, id model.ID, v model.Version) error {
	return p.commits.await(ctx, p.space.Shard(id), v, func(ctx context.Context) (bool, error) { return p.stored(ctx, id, v) })
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
