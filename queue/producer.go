package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
	if result, same := model.ResultIn(record, c.Fingerprint); same {
		return keyspace.Reply{"replay", result}, nil
	}
	return keyspace.Reply{"reused"}, nil
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
			p.journal.adopt(r, 3, g.Shard)
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
			p.journal.adopt(r, 2, g.Shard)
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
		q.Record = model.Record(w.Fingerprint, res.Encode())
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
