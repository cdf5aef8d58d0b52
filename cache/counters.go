package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// TotalsStore is what the totals in Redis are loaded from.
type TotalsStore interface {
	// Totals returns what SQL holds of the subjects and of their shard, in one snapshot.
	Totals(ctx context.Context, shard int, subjects []string) (model.Totals, error)
}

// Counters answers reads of counters, exactly: from the live totals in Redis, which every change keeps
// true, or, while a shard's home is SQL, from SQL. A total that is not there is made of what SQL holds
// and of the sum of the changes that are still queued. The two fit only where the queue is released up
// to exactly the position of SQL's snapshot; the script refuses any other.
//
// The process keeps no copy: another replica's change is seen at once.
type Counters struct {
	space    *keyspace.Space
	table    *shards.Table
	pipe     *redisconn.Pipeline
	store    TotalsStore
	complete func(ctx context.Context, g *shards.Grant, position, skipped model.Version) error
	ttl      time.Duration
	metrics  *metrics
	loading  singleflight.Group
}

// Get returns the counters of each subject that are not 0, by metric, or an error in its place.
func (c *Counters) Get(ctx context.Context, subjects []string) ([]map[string]int64, []error) {
	values, errs := make([]map[string]int64, len(subjects)), make([]error, len(subjects))
	byShard := make(map[int][]int)
	for i, subject := range subjects {
		s := c.space.ShardOfSubject(subject)
		byShard[s] = append(byShard[s], i)
	}
	var group errgroup.Group
	group.SetLimit(aloneLimit)
	for s, at := range byShard {
		group.Go(func() error {
			names := make([]string, len(at))
			for k, i := range at {
				names[k] = subjects[i]
			}
			found, err := c.patiently(ctx, s, names)
			for k, i := range at {
				if values[i] = found[k]; found[k] == nil {
					errs[i] = err
				}
			}
			return nil
		})
	}
	_ = group.Wait() // each subject keeps its own error
	return values, errs
}

// downPause is the pause before a read is repeated whose Redis did not answer, while it is found out
// whether it is lost.
const downPause = 100 * time.Millisecond

// patiently reads subjects of one shard. When Redis goes, it waits until the shard has moved to SQL. What
// it has not found when an error ends it is nil.
func (c *Counters) patiently(ctx context.Context, s int, subjects []string) ([]map[string]int64, error) {
	deadline := time.Now().Add(shards.Patience)
	for {
		found, err := c.shard(ctx, s, subjects)
		if !isDown(err) || c.table.SQLDown() || time.Now().After(deadline) {
			return found, err
		}
		pause(ctx, downPause)
		if ctx.Err() != nil {
			return found, err
		}
	}
}

// shard returns the counters of subjects of one shard, with an error those that were found all the same.
func (c *Counters) shard(ctx context.Context, s int, subjects []string) ([]map[string]int64, error) {
	found := make([]map[string]int64, len(subjects))
	err := c.table.Under(ctx, s, func(g *shards.Grant) error {
		clear(found)
		read := c.fromRedis
		if g.SQL {
			read = c.fromSQL
		}
		err := read(ctx, g, subjects, found)
		if !c.table.Holds(g) { // it may have been so no more: nothing is lost by reading again
			clear(found)
			if err == nil {
				return model.ErrMoved
			}
		}
		return err
	})
	return found, err
}

func (c *Counters) fromSQL(ctx context.Context, g *shards.Grant, subjects []string, found []map[string]int64) error {
	totals, err := c.store.Totals(ctx, g.Shard, subjects)
	if err != nil {
		return err
	}
	if totals.Shard.Epoch != g.Epoch || !totals.Shard.AtSQL() {
		return model.ErrMoved
	}
	for i, subject := range subjects {
		found[i] = withoutZeros(totals.Values[subject])
	}
	c.metrics.counters.WithLabelValues(model.TierSQL.String()).Add(float64(len(subjects)))
	return nil
}

// loads bounds how often one read loads a subject that is evicted again before it is read.
const loads = 8

// fromRedis reads live totals, and makes those that are missing. What is hot is found even if they cannot
// be made.
func (c *Counters) fromRedis(ctx context.Context, g *shards.Grant, subjects []string, found []map[string]int64) error {
	missing := make([]int, len(subjects))
	for i := range missing {
		missing[i] = i
	}
	for n := range loads {
		names := make([]string, len(missing))
		for k, i := range missing {
			names[k] = subjects[i]
		}
		hot, err := c.read(ctx, g, names)
		if err != nil {
			return err
		}
		var cold []int
		var load []string
		for k, i := range missing {
			if found[i] = hot[k]; hot[k] == nil {
				cold, load = append(cold, i), append(load, names[k])
			}
		}
		if n == 0 {
			c.metrics.counters.WithLabelValues(model.TierL2.String()).Add(float64(len(subjects) - len(cold)))
			c.metrics.counters.WithLabelValues(model.TierSQL.String()).Add(float64(len(cold)))
		}
		if len(cold) == 0 {
			return nil
		}
		if err := c.Load(ctx, g, load); err != nil {
			return err
		}
		missing = cold
	}
	return model.NewUnavailable("the counters are evicted as soon as they are loaded", nil)
}

// read returns the live totals of the subjects, nil where they are not in Redis.
func (c *Counters) read(ctx context.Context, g *shards.Grant, subjects []string) ([]map[string]int64, error) {
	keys := make([]string, 0, 1+len(subjects))
	keys = append(keys, c.space.Meta(g.Shard))
	for _, subject := range subjects {
		keys = append(keys, c.space.TotalsKey(g.Shard, subject))
	}
	cmd := g.Scripts.Cmd(ctx, keyspace.Totals, keys, g.Epoch)
	if err := c.pipe.Do(ctx, cmd); err != nil {
		return nil, scriptError(err)
	}
	reply, err := keyspace.ReplyOf(cmd)
	if err != nil {
		return nil, err
	}
	if len(reply) > 1+len(subjects) {
		return nil, errors.New("cache: reply of the totals script is damaged")
	}
	hot := make([]map[string]int64, len(subjects))
	for i, v := range reply[1:] {
		fields, ok := v.([]any)
		if !ok {
			continue
		}
		if hot[i], err = parseTotals(fields); err != nil {
			return nil, err
		}
	}
	return hot, nil
}

// parseTotals reads metrics and values in turn, and leaves out what is 0.
func parseTotals(fields []any) (map[string]int64, error) {
	values := make(map[string]int64, len(fields)/2)
	for pair := range slices.Chunk(fields, 2) {
		metric, ok := pair[0].(string)
		text, ok2 := pair[len(pair)-1].(string)
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || !ok2 || err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("cache: total %v is damaged", pair)
		}
		if n != 0 {
			values[metric] = n
		}
	}
	return values, nil
}

func withoutZeros(all map[string]int64) map[string]int64 {
	values := make(map[string]int64, len(all))
	for metric, n := range all {
		if n != 0 {
			values[metric] = n
		}
	}
	return values
}

// scriptError keeps a refusal as it is, so that the caller finds the shard's new home.
func scriptError(err error) error {
	if keyspace.Refused(err) {
		return err
	}
	return model.NewUnavailable("the counters are out of reach", downError{err})
}

// Load makes the live totals of the subjects. One load of a subject is under way at a time.
func (c *Counters) Load(ctx context.Context, g *shards.Grant, subjects []string) error {
	var group errgroup.Group
	group.SetLimit(aloneLimit)
	for _, subject := range subjects {
		group.Go(func() error {
			flight := c.loading.DoChan(strconv.FormatUint(uint64(g.Era), 10)+" "+subject, func() (any, error) {
				bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
				defer cancel()
				return nil, c.load(bounded, g, subject)
			})
			select {
			case <-ctx.Done():
				return model.NewUnavailable("gave up waiting for a counter", ctx.Err())
			case res := <-flight:
				return res.Err
			}
		})
	}
	return group.Wait()
}

const (
	loadTimeout = 5 * time.Second
	// snapshots bounds how often one load looks in SQL while its shard is drained.
	snapshots = 50
	// snapshotPause is the longest pause between two looks: that of the n-th is n milliseconds.
	snapshotPause = 10
)

// load takes snapshots of SQL until one fits. While the shard is drained, most come just too early or
// just too late.
func (c *Counters) load(ctx context.Context, g *shards.Grant, subject string) error {
	for n := range snapshots {
		totals, err := c.store.Totals(ctx, g.Shard, []string{subject})
		if err != nil {
			return err
		}
		sh := totals.Shard
		if sh.Epoch != g.Epoch || !sh.Ready || sh.Home != g.Scripts.Process {
			return model.ErrMoved
		}
		fits, err := c.offer(ctx, g, subject, &totals)
		if fits || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return model.NewUnavailable("a counter could not be loaded in time", ctx.Err())
		case <-time.After(time.Duration(min(n, snapshotPause)) * time.Millisecond):
		}
	}
	return model.NewUnavailable("the counter's queue moves too fast", nil)
}

// offer gives a snapshot to Redis. If the queue is not released that far, because the drain's process has
// died or is about to do it, this one does.
func (c *Counters) offer(ctx context.Context, g *shards.Grant, subject string, totals *model.Totals) (fits bool, err error) {
	for range 2 {
		answer, err := c.runLoad(ctx, g, subject, totals)
		if err != nil || answer != "behind" {
			return answer == "ok", err
		}
		if err := c.complete(ctx, g, totals.Shard.Position, totals.Shard.Skipped); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (c *Counters) runLoad(ctx context.Context, g *shards.Grant, subject string, totals *model.Totals) (string, error) {
	keys := []string{c.space.Meta(g.Shard), c.space.TotalsKey(g.Shard, subject), c.space.PendingKey(g.Shard, subject)}
	args := []any{g.Epoch, keyspace.Hex(totals.Shard.Position), c.ttl.Milliseconds()}
	for metric, n := range totals.Values[subject] {
		args = append(args, metric, n)
	}
	cmd := g.Scripts.Cmd(ctx, keyspace.LoadTotals, keys, args...)
	if err := c.pipe.Do(ctx, cmd); err != nil {
		return "", scriptError(err)
	}
	reply, err := keyspace.ReplyOf(cmd)
	return reply.Text(0), err
}
