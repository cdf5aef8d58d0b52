package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// tally is the changes of one shard on their way. What it counts with are numbers of changes.
type tally struct {
	*Counts
	shard   int
	counts  []model.Count
	results []model.CountResult
	errs    []error
	all     []int // the shard's
	todo    []int // those of the present chunk that have no result yet
}

// run makes all changes, chunk by chunk. What follows one whose outcome is unknown is not attempted.
func (t *tally) run(ctx context.Context) {
	for len(t.all) > 0 {
		n := min(len(t.all), countChunk)
		t.todo, t.all = t.all[:n:n], t.all[n:]
		err := t.table.Under(ctx, t.shard, func(g *shards.Grant) error {
			if g.SQL {
				return t.commit(ctx, g)
			}
			return t.queue(ctx, g)
		})
		if err != nil {
			t.fail(t.todo, err)
			t.fail(t.all, model.NewUnavailable("not attempted: the outcome of an earlier change is unknown", err))
			return
		}
	}
}

func (t *tally) fail(list []int, err error) {
	for _, i := range list {
		t.errs[i] = err
	}
}

// commit makes the changes in SQL.
func (t *tally) commit(ctx context.Context, g *shards.Grant) error {
	done, err := t.backlog.admit()
	if err != nil {
		return err
	}
	defer done()
	list := make([]model.Count, len(t.todo))
	for k, i := range t.todo {
		list[k] = t.counts[i]
	}
	results, err := t.direct.Count(ctx, t.shard, g.Epoch, list)
	if err == nil && len(results) != len(list) {
		err = fmt.Errorf("%d results of %d changes", len(results), len(list))
	}
	if err != nil {
		return err
	}
	for k, i := range t.todo {
		t.results[i] = results[k]
	}
	return nil
}

// queue runs the count script until every change has a result, an error, or none can be had.
func (t *tally) queue(ctx context.Context, g *shards.Grant) error {
	lookedUp, blind := false, t.table.SQLDown()
	for range loads {
		a, err := t.call(ctx, g, lookedUp, blind)
		if err != nil || len(t.todo) == 0 {
			return err
		}
		if a.keys {
			t.recall(ctx, g)
			lookedUp = true
		}
		switch {
		case len(a.cold) == 0:
		case blind:
			t.giveUpCold(a.cold)
		default:
			err := t.totals.Load(ctx, g, a.cold)
			if blind = errors.Is(err, model.ErrDatabase); err != nil && !blind {
				return err
			}
		}
	}
	t.fail(t.todo, model.NewUnavailable("not attempted: the counter does not stay in the cache", nil))
	return nil
}

// answers is what is left to do after a call of the script.
type answers struct {
	cold []string // subjects whose totals must be loaded
	keys bool     // keys must be looked up
}

// call runs the script once for what is to do, and keeps the results. Changes without one stay to do.
func (t *tally) call(ctx context.Context, g *shards.Grant, lookedUp, blind bool) (a answers, err error) {
	meta, now := t.space.Meta(t.shard), time.Now().UnixMilli()
	args := make([]any, 0, 6+6*len(t.todo))
	args = append(args, g.Epoch, t.space.Prefix(t.shard), now, int64(t.cfg.IdempotencyTTL/time.Second), flag(lookedUp), flag(blind))
	delayed := false
	for _, i := range t.todo {
		args = keyspace.AppendCount(args, &t.counts[i])
		delayed = delayed || t.counts[i].Delayed
	}
	cmd := g.Scripts.Cmd(ctx, keyspace.Count, []string{meta, t.space.Queue(t.shard), t.space.Events(t.shard)}, args...)
	if err := send(ctx, t.pipe, delayed, meta, cmd); err != nil {
		return a, failed(err, "the queue did not answer; the outcome is unknown")
	}
	if err := failpoint.Hit("count.after_script"); err != nil {
		return a, err
	}
	replies, err := keyspace.ReplyOf(cmd)
	if err == nil && len(replies) != len(t.todo) {
		err = fmt.Errorf("%d replies of the count script to %d changes", len(replies), len(t.todo))
	}
	if err != nil {
		return a, err
	}
	asked := t.todo
	t.todo = nil
	for k, i := range asked {
		one, _ := replies[k].([]any)
		t.take(ctx, g, i, one, now, &a)
	}
	if !t.table.Holds(g) {
		t.fail(asked, model.NewUnavailable("the shard moved while it was written; the outcome is unknown", nil))
		t.todo = nil
	}
	return a, nil
}

// take keeps what the script says of change i.
func (t *tally) take(ctx context.Context, g *shards.Grant, i int, r keyspace.Reply, now int64, a *answers) {
	c, res := &t.counts[i], &t.results[i]
	var err error
	switch r.Text(0) {
	case "ok":
		err = t.made(g, c, res, r, now)
	case "cold":
		t.todo = append(t.todo, i)
		if !slices.Contains(a.cold, c.Subject) {
			a.cold = append(a.cold, c.Subject)
		}
	case "key":
		t.todo = append(t.todo, i)
		a.keys = true
	case "replay":
		if q, ok := r.Queued(2, t.shard); ok && q.Delta != nil {
			q.Delta.Absolute, q.Delta.To = c.Op != model.CountAdd, c.N
			t.journal.Add(q)
		}
		*res, err = t.replay(ctx, g, r.Text(1), false)
	case "reused":
		res.Outcome = model.OutcomeKeyReused
	case "range":
		res.Outcome, res.Known = model.OutcomeOutOfRange, true
		res.Value, err = strconv.ParseInt(r.Text(1), 10, 64)
	case "many":
		res.Outcome = model.OutcomeTooManyMetrics
	default:
		err = fmt.Errorf("reply of the count script: %q", r.Text(0))
	}
	t.errs[i] = err
}

// made keeps the result of a change that was made, and tells the journal and the drain.
func (t *tally) made(g *shards.Grant, c *model.Count, res *model.CountResult, r keyspace.Reply, now int64) (err error) {
	*res = model.CountResult{Outcome: model.OutcomeApplied, Version: model.NewVersion(g.Epoch, r.Number(1))}
	if total := r.Text(2); total != "" {
		res.Known = true
		if res.Value, err = strconv.ParseInt(total, 10, 64); err != nil {
			return fmt.Errorf("reply of the count script: %w", err)
		}
	}
	delta, err := strconv.ParseInt(r.Text(3), 10, 64)
	if err != nil {
		return fmt.Errorf("reply of the count script: %w", err)
	}
	q := model.Queued{
		Shard: t.shard, Version: res.Version, Key: c.IdempotencyKey,
		Delta: &model.Delta{
			Counter: c.Counter, N: delta, At: time.UnixMilli(now).UTC(), Remove: c.Op == model.CountRemove,
			Absolute: c.Op != model.CountAdd, To: c.N,
		},
	}
	if q.Key != "" {
		q.Record = model.Record(c.Fingerprint, res.Encode())
	}
	t.journal.Add(q)
	t.backlog.queued(1, sizeOf(&q))
	t.drainer.WakeCounter(t.shard)
	return nil
}

// replay is the result of a change whose key is known, in SQL (known) or in Redis.
func (t *tally) replay(ctx context.Context, g *shards.Grant, stored string, known bool) (model.CountResult, error) {
	res, err := model.ParseCountResult(stored)
	if err == nil {
		res.Committed = t.commits.settled(ctx, g, res.Version, known)
	}
	return res, err
}

// recall looks in SQL for the keys of what is to do: Redis does not know them because the shard has changed its
// home since. What is known has a result then; what could not be looked up an error.
func (t *tally) recall(ctx context.Context, g *shards.Grant) {
	found := make([]bool, len(t.todo))
	var group errgroup.Group
	group.SetLimit(countParallel)
	for k, i := range t.todo {
		c := &t.counts[i]
		if c.IdempotencyKey == "" {
			continue
		}
		group.Go(func() error {
			record, known, err := t.keys.Recall(ctx, t.shard, c.IdempotencyKey)
			if found[k] = known || err != nil; !found[k] {
				return nil
			}
			if err == nil {
				if result, same := model.ResultIn(record, c.Fingerprint); same {
					t.results[i], err = t.replay(ctx, g, result, true)
				} else {
					t.results[i].Outcome = model.OutcomeKeyReused
				}
			}
			t.errs[i] = err
			return nil
		})
	}
	_ = group.Wait() // each change keeps its own error
	var rest []int
	for k, i := range t.todo {
		if !found[k] {
			rest = append(rest, i)
		}
	}
	t.todo = rest
}

// giveUpCold refuses what needs a total that cannot be loaded. What may be added without stays to do, as it may
// only have stood behind the others. If nothing did, so much is pending that adding needs the total, too.
func (t *tally) giveUpCold(cold []string) {
	before := len(t.todo)
	t.refuse(func(c *model.Count) bool { return c.Op != model.CountAdd && slices.Contains(cold, c.Subject) })
	if len(t.todo) == before {
		t.refuse(func(c *model.Count) bool { return slices.Contains(cold, c.Subject) })
	}
}

// refuse gives up those changes for which f holds.
func (t *tally) refuse(f func(c *model.Count) bool) {
	t.todo = slices.DeleteFunc(t.todo, func(i int) bool {
		if !f(&t.counts[i]) {
			return false
		}
		t.errs[i] = model.NewUnavailable("not attempted: the counter is in no cache, and the database is out of reach", nil)
		return true
	})
}
