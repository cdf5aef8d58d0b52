package queue

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Counts queues changes of counters. While the home of a shard is SQL, it makes them there.
type Counts struct {
	cfg       Config
	space     *keyspace.Space
	table     *shards.Table
	pipe      *redisconn.Durable
	drainer   *Drainer
	positions Positions
	direct    Direct
	keys      Keys
	totals    Totals
	journal   *Journal
	backlog   *Backlog
	commits   commits
}

// CountsDeps are what a Counts works with.
type CountsDeps struct {
	Space   *keyspace.Space
	Table   *shards.Table
	Pipe    *redisconn.Durable
	Drainer *Drainer
	Shards  Positions
	Direct  Direct
	Keys    Keys
	Totals  Totals
	Letters Letters
	Journal *Journal
	Backlog *Backlog
}

// NewCounts returns a Counts.
func NewCounts(cfg Config, d CountsDeps) *Counts {
	return &Counts{
		cfg: cfg, space: d.Space, table: d.Table, pipe: d.Pipe, drainer: d.Drainer, positions: d.Shards,
		direct: d.Direct, keys: d.Keys, totals: d.Totals, journal: d.Journal, backlog: d.Backlog,
		commits: commits{
			table: d.Table, drainer: d.Drainer, letters: d.Letters, journal: d.Journal, backlog: d.Backlog, timeout: cfg.AwaitTimeout,
		},
	}
}

// Durability names what a queued change survives.
func (c *Counts) Durability() string { return c.cfg.Durability }

// Ready returns how a change that asks for store is to be stored now, or refuses it: see Backlog.
func (c *Counts) Ready(store model.Store) (model.Store, error) { return c.backlog.Ready(store) }

const (
	countChunk    = 200 // changes in one call of the script, or in one transaction
	countParallel = 8   // shards, or keys, asked at the same time
)

// Count makes the changes: queued, or committed if their results say so. It returns one result or error for each,
// in their order; those of one subject are made in it. An error of kind Unavailable means that the outcome
// is unknown, unless it says otherwise.
func (c *Counts) Count(ctx context.Context, counts []model.Count) ([]model.CountResult, []error) {
	results, errs := make([]model.CountResult, len(counts)), make([]error, len(counts))
	byShard := make(map[int]*tally)
	for i := range counts {
		s := c.space.ShardOfSubject(counts[i].Subject)
		t := byShard[s]
		if t == nil {
			t = &tally{Counts: c, shard: s, counts: counts, results: results, errs: errs}
			byShard[s] = t
		}
		t.all = append(t.all, i)
	}
	if len(byShard) == 1 {
		for _, t := range byShard {
			t.run(ctx)
		}
		return results, errs
	}
	var group errgroup.Group
	group.SetLimit(countParallel)
	for _, t := range byShard {
		group.Go(func() error {
			t.run(ctx)
			return nil
		})
	}
	_ = group.Wait() // each change keeps its own error
	return results, errs
}

// AwaitCount returns when the change of the subject with version v is committed in SQL. If it became a dead
// letter, the error is of kind Invalid.
func (c *Counts) AwaitCount(ctx context.Context, subject string, v model.Version) error {
	s := c.space.ShardOfSubject(subject)
	own := c.journal.holds(s, v)
	return c.commits.await(ctx, s, v, func(ctx context.Context) (bool, error) {
		if own && c.journal.stored(s, v) {
			return true, nil
		}
		all, err := c.positions.All(ctx)
		if err != nil || s >= len(all) {
			return false, err
		}
		// A position of a later epoch may be past a change that was lost.
		position := all[s].Position
		return position >= v && position.Epoch() == v.Epoch(), nil
	})
}
