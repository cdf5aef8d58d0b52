package cache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Store is what the caches stand before.
type Store interface {
	// Get returns the item's row, version 0 if there is none.
	Get(ctx context.Context, id model.ID) (model.Item, error)
	// GetMany returns the rows that exist, in any order.
	GetMany(ctx context.Context, ids []model.ID) ([]model.Item, error)
	// ListByAuthors returns live rows with IDs below before (0: all), newest first.
	ListByAuthors(ctx context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error)
	// ScanIDs returns the IDs of rows after after, ascending, those of deleted items too: an item
	// keeps its author until its row is removed, so a filter must not call it absent before.
	ScanIDs(ctx context.Context, after model.ID, limit int) ([]model.ID, error)
}

// Reader answers reads: L1, then L2, then the Bloom filter, then SQL. It also keeps all of them true:
// see Tailer for what other replicas write, and Wrote for what this one does.
type Reader struct {
	cfg     Config
	space   *keyspace.Space
	table   *shards.Table
	pipe    *redisconn.Pipeline
	store   Store
	l1      *L1
	filter  *Filter
	overlay *Overlay
	flight  *Flight
	tailer  *Tailer
	metrics *metrics
}

// attempts bounds how often a read starts over because its permission ended meanwhile.
const attempts = 4

// Get returns the item as served. exact skips L1 and never joins a read that began earlier.
func (r *Reader) Get(ctx context.Context, id model.ID, exact bool) (model.Doc, error) {
	doc, err := r.get(ctx, id, exact)
	if err == nil {
		r.metrics.answered(doc.Tier)
	}
	return doc, err
}

func (r *Reader) get(ctx context.Context, id model.ID, exact bool) (model.Doc, error) {
	g := r.table.Redis(r.space.Shard(id))
	if exact {
		return r.fetch(ctx, id, true, true)
	}
	var era uint32
	if g != nil {
		era = g.Era
		if version, body, ok := r.l1.Get(id, era); ok {
			return model.Doc{Body: body, Version: version, Tier: model.TierL1}, nil
		}
	}
	doc, _, err := r.flight.Do(ctx, FlightKey{ID: id, Gen: r.l1.Begin(id).count, Era: era}, func(ctx context.Context) (model.Doc, error) {
		return r.fetch(ctx, id, false, false)
	})
	return doc, err
}

// fetch reads past L1 and fills it. exact says that no queued write may be missing, alone that it is no
// flight of others.
func (r *Reader) fetch(ctx context.Context, id model.ID, exact, alone bool) (model.Doc, error) {
	gen := r.l1.Begin(id)
	a, err := r.lookup(ctx, id, exact)
	if err != nil {
		return model.Doc{}, err
	}
	return r.settle(gen, &a, alone), nil
}

// settle makes the document of an answer, keeps it in L1, and sees to it that nobody joins a flight that
// began before this read and may end after it with less.
func (r *Reader) settle(gen Gen, a *answer, alone bool) model.Doc {
	doc, id := a.doc(), a.item.ID
	var era uint32
	if !a.grant.SQL { // else nobody would tell L1 of what others write
		era = a.grant.Era
		if a.fill {
			r.l1.Fill(id, gen, era, a.item.Version, doc.Body)
		}
	}
	if now := r.l1.Begin(id).count; alone || now != gen.count {
		r.flight.Forget(FlightKey{ID: id, Gen: now, Era: era})
	}
	return doc
}

// Current returns the newest item, for a read-modify-write. It is exact: what is decided by an older one, such
// as that a condition does not hold, could be wrong.
func (r *Reader) Current(ctx context.Context, id model.ID) (model.Item, error) {
	a, err := r.lookup(ctx, id, true)
	return a.item, err
}

// answer is what the tiers below L1 say of an item. Its version is 0 if nobody knows of it.
type answer struct {
	item   model.Item
	tier   model.Tier
	grant  *shards.Grant // under which it was read
	fill   bool          // L1 may keep it
	bypass bool          // Redis was out of reach
}

func (a *answer) doc() model.Doc {
	doc := model.Doc{Tier: a.tier, Bypass: a.bypass}
	if a.item.Version != 0 && !a.item.Deleted {
		doc.Version = a.item.Version
		doc.Body = a.item.AppendJSON(make([]byte, 0, len(a.item.Content)+len(a.item.Kind)+224))
	}
	return doc
}

// lookup asks L2, the filter and SQL under one permission, and starts over if that ends meanwhile. While
// Redis does not answer it asks SQL alone, or, if it is to be exact, waits until the shard has moved there.
func (r *Reader) lookup(ctx context.Context, id model.ID, exact bool) (answer, error) {
	s, deadline := r.space.Shard(id), time.Now().Add(shards.Patience)
	var refused *shards.Grant
	for n := 0; n < attempts && time.Now().Before(deadline); {
		g, err := r.permission(ctx, s, refused)
		if err != nil {
			return answer{}, err
		}
		a, err := r.lookupUnder(ctx, g, id)
		switch {
		case keyspace.Refused(err):
			r.table.Doubt(g)
			refused = g
			n++
		case isDown(err):
			r.table.Poke()
			if a, err = r.bypass(ctx, g, id); err != nil || !exact && r.shows(g, &a.item) {
				return a, err
			}
			pause(ctx, downPause)
		case err != nil || r.table.Holds(g):
			return a, err
		default:
			n++
		}
	}
	return answer{}, model.NewUnavailable("the shard keeps moving", nil)
}

// permission returns the grant for a shard, waiting for one other than old while it moves. Its Redis may
// be out of reach: it is until the shard has moved to SQL.
func (r *Reader) permission(ctx context.Context, s int, old *shards.Grant) (*shards.Grant, error) {
	if g := r.table.Grant(s); g != nil && g != old {
		return g, nil
	}
	return r.table.AwaitGrant(ctx, s, old, shards.Patience)
}

// isAway reports whether the Redis of a grant is known not to answer.
func (r *Reader) isAway(g *shards.Grant) bool { return !g.SQL && r.table.Away(g.Shard) }

// downError marks trouble with the connection to Redis, after which SQL is asked alone.
type downError struct{ error }

func (e downError) Unwrap() error { return e.error }

// errAway says that Redis was not even asked.
var errAway = downError{errors.New("cache: Redis is out of reach")}

func isDown(err error) bool {
	var down downError
	return errors.As(err, &down)
}

// bypass reads around Redis, in the moments before its shards move to SQL. Writes that are still queued
// are invisible to it, so L1 keeps nothing.
func (r *Reader) bypass(ctx context.Context, g *shards.Grant, id model.ID) (answer, error) {
	it, err := r.store.Get(ctx, id)
	if err != nil {
		return answer{}, err
	}
	it.ID = id
	return answer{item: it, tier: model.TierSQL, grant: g, bypass: true}, nil
}

// shows reports whether a row that was read around Redis shows every queued write that this replica knows
// of. If it does not it is no answer: the write will be in SQL once the shard has moved. What the replica
// knew of is forgotten when the permission ends.
func (r *Reader) shows(g *shards.Grant, row *model.Item) bool {
	p, queued := r.overlay.Get(g.Shard, row.ID)
	return (!queued || p.Version <= row.Version) && r.table.Holds(g)
}

func (r *Reader) lookupUnder(ctx context.Context, g *shards.Grant, id model.ID) (answer, error) {
	if g.SQL {
		row, err := r.store.Get(ctx, id)
		row.ID = id
		return answer{item: row, tier: model.TierSQL, grant: g}, err
	}
	if r.isAway(g) {
		return answer{}, errAway
	}
	tip, entries, err := r.readL2(ctx, g, []model.ID{id})
	if err != nil {
		return answer{}, err
	}
	a := answer{grant: g, fill: true}
	if e := entries[0]; e != nil {
		a.item, a.tier = e.Item, model.TierL2
		if e.Stamp == g.Epoch {
			return a, nil
		}
		if e.Pinned { // queued in an ended epoch: SQL may be newer, and nobody may fill meanwhile
			row, err := r.store.Get(ctx, id)
			if row.Version >= a.item.Version {
				a.item, a.tier = row, model.TierSQL
			}
			return a, err
		}
	}
	if r.filter.Absent(g.Shard, id, tip) {
		return answer{item: model.Item{ID: id}, tier: model.TierFilter, grant: g}, nil
	}
	row, err := r.store.Get(ctx, id)
	if err != nil {
		return answer{}, err
	}
	row.ID = id
	a.item, a.tier = row, model.TierSQL
	if err := failpoint.Hit("read.before_fill"); err != nil {
		return answer{}, err
	}
	r.fillL2(ctx, g, tip, []model.Item{row})
	return a, nil
}

// readL2 returns the shard's event tip and the entries of the IDs, nil where there is none.
func (r *Reader) readL2(ctx context.Context, g *shards.Grant, ids []model.ID) (uint64, []*keyspace.Entry, error) {
	cmd := r.readCmd(ctx, g, ids)
	if err := r.pipe.Do(ctx, cmd); err != nil {
		return 0, nil, r.redisError(err)
	}
	return parseRead(cmd, ids)
}

func (r *Reader) readCmd(ctx context.Context, g *shards.Grant, ids []model.ID) *redis.Cmd {
	keys := make([]string, 0, 1+len(ids))
	keys = append(keys, r.space.Meta(g.Shard))
	for _, id := range ids {
		keys = append(keys, r.space.Entry(g.Shard, id))
	}
	return g.Scripts.Cmd(ctx, keyspace.Read, keys, g.Epoch)
}

func parseRead(cmd *redis.Cmd, ids []model.ID) (uint64, []*keyspace.Entry, error) {
	reply, err := keyspace.ReplyOf(cmd)
	if err != nil {
		return 0, nil, err
	}
	tip, ok := reply[0].(int64)
	if !ok || len(reply) > 1+len(ids) {
		return 0, nil, errors.New("cache: reply of the read script is damaged")
	}
	entries := make([]*keyspace.Entry, len(ids))
	for i, v := range reply[1:] {
		text, ok := v.(string)
		if !ok {
			continue
		}
		e, err := keyspace.ParseEntry(ids[i], []byte(text))
		if err != nil {
			return 0, nil, err
		}
		entries[i] = &e
	}
	return uint64(tip), entries, nil
}

// redisError tells a refusal, and the caller's own end, from trouble with the connection.
func (r *Reader) redisError(err error) error {
	if keyspace.Refused(err) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return model.NewUnavailable("the request was given up", err)
	}
	return downError{err}
}

// fillL2 stores in L2 what SQL said. The script refuses what may be late. Errors cost only a later miss.
func (r *Reader) fillL2(ctx context.Context, g *shards.Grant, tip uint64, rows []model.Item) {
	cmds := make([]redis.Cmder, len(rows))
	for i := range rows {
		row := &rows[i]
		ttl := r.cfg.L2TTL
		if row.Version == 0 || row.Deleted {
			ttl = r.cfg.AbsentTTL
		}
		cmds[i] = g.Scripts.Cmd(ctx, keyspace.Fill,
			[]string{r.space.Meta(g.Shard), r.space.Entry(g.Shard, row.ID), r.space.Gen(g.Shard)},
			g.Epoch, keyspace.Stripe(row.ID), tip, keyspace.AppendEntry(nil, row, g.Epoch), ttl.Milliseconds())
	}
	_ = r.pipe.DoMany(ctx, cmds)
}
