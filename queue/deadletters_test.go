package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zmsg/zmsg/model"
)

// evictor forgets items, after it has failed for a while.
type evictor struct {
	mu       sync.Mutex
	failures int
	evicted  []model.ID
}

func (e *evictor) Evict(_ context.Context, id model.ID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failures > 0 {
		e.failures--
		return model.NewUnavailable("the cache did not answer", nil)
	}
	e.evicted = append(e.evicted, id)
	return nil
}

// newDeadLetters returns the dead letters of a rig that drains, and what they evict with.
func newDeadLetters(t *testing.T, prepare ...func(*memory)) (*rig, *DeadLetters, *evictor) {
	t.Helper()
	r, e := newRig(t, append(prepare, journaled)...), &evictor{}
	r.start()
	return r, NewDeadLetters(DeadLettersDeps{Letters: letters{r.sql}, Space: r.space, Table: r.table, Evictor: e, Counts: r.counts}), e
}

// lastLetter is the last ID given to a dead letter: an ID is never given twice.
var lastLetter atomic.Int64

// bury makes a write a dead letter.
func (r *rig) bury(q model.Queued) int64 {
	r.sql.mu.Lock()
	defer r.sql.mu.Unlock()
	id := lastLetter.Add(1)
	r.sql.letters = append(r.sql.letters, model.DeadLetter{ID: id, Shard: q.Shard, Version: q.Version, Write: q})
	return id
}

func itemLetter(r *rig, s int, v model.Version) model.Queued {
	id := r.inShard(s, 0)
	return model.Queued{Shard: s, Version: v, Item: &model.Item{ID: id, AuthorID: 9, Kind: "post", Version: v, Content: []byte(`"x"`)}}
}

func countLetter(metric string, n int64) model.Queued {
	c := model.Counter{Subject: "a", Metric: metric}
	return model.Queued{Shard: counterShard, Version: model.NewVersion(1, 1), Delta: &model.Delta{Counter: c, N: n}}
}

func TestRetryOfAnItem(t *testing.T) {
	t.Parallel()
	r, d, e := newDeadLetters(t)
	q := itemLetter(r, 0, model.NewVersion(1, 1))
	id := r.bury(q)
	e.failures = evictions - 1
	if err := d.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if row, _ := r.sql.Get(t.Context(), q.Item.ID); row.Version != q.Version || !slices.Equal(e.evicted, []model.ID{q.Item.ID, q.Item.ID}) {
		t.Errorf("stored %+v, evicted %v", row, e.evicted)
	}
	wantError(t, d.Retry(t.Context(), id), model.NotFound, "no such dead letter")

	other := itemLetter(r, 1, model.NewVersion(1, 2))
	id = r.bury(other)
	e.failures = evictions
	wantError(t, d.Retry(t.Context(), id), model.Unavailable, "nothing was done")
	if row, _ := r.sql.Get(t.Context(), other.Item.ID); row.Version != 0 {
		t.Errorf("stored %+v, which the filter would deny", row)
	}
	d.letters = cutter{d.letters, e}
	wantError(t, d.Retry(t.Context(), id), model.Unavailable, "the write is stored, but")
	d.letters = letters{r.sql}

	r.sql.mu.Lock()
	r.sql.rows[q.Item.ID] = model.Item{ID: q.Item.ID, Version: q.Version + 1}
	r.sql.mu.Unlock()
	id = r.bury(q)
	wantError(t, d.Retry(t.Context(), id), model.Conflict, "written since")
	if _, err := d.Get(t.Context(), id); err != nil {
		t.Errorf("the letter is gone: %v", err)
	}
}

// cutter loses the caches once the item is stored.
type cutter struct {
	Letters
	e *evictor
}

func (c cutter) RetryItem(ctx context.Context, id int64) (bool, error) {
	applied, err := c.Letters.RetryItem(ctx, id)
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.failures = evictions
	return applied, err
}

// Without Redis an item may be retried once SQL stands in for it: until then it is not known who serves it.
func TestRetryOfAnItemWhileRedisIsLost(t *testing.T) {
	t.Parallel()
	r, d, e := newDeadLetters(t)
	q := itemLetter(r, 0, model.NewVersion(1, 1))
	id := r.bury(q)
	r.sql.away.Store(true) // so that nothing moves
	r.eventually("the database is away", r.table.SQLDown)
	if err := r.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	r.eventually("Redis is away", func() bool { return r.table.Away(0) })
	wantError(t, d.Retry(t.Context(), id), model.Unavailable, "nothing was done")
	r.sql.away.Store(false)
	r.eventually("SQL is the home", func() bool { return r.table.AtSQL() == testShards })
	if err := d.Retry(t.Context(), id); err != nil || len(e.evicted) != 0 {
		t.Errorf("%v, evicted %v", err, e.evicted)
	}
	if row, _ := r.sql.Get(t.Context(), q.Item.ID); row.Version != q.Version {
		t.Errorf("stored %+v", row)
	}
}

func TestRetryOfACount(t *testing.T) {
	t.Parallel()
	r, d, _ := newDeadLetters(t, func(sql *memory) {
		sql.counters[model.Counter{Subject: "a", Metric: "likes"}] = 40
		sql.refuse = func(q *model.Queued) bool { return q.Delta != nil && q.Delta.Metric == "poison" }
	})
	id := r.bury(countLetter("likes", -2))
	if err := d.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if n := r.stored("likes"); n != 38 {
		t.Errorf("stored as %d", n)
	}
	wantError(t, d.Retry(t.Context(), id), model.NotFound, "no such dead letter")

	wantError(t, d.Retry(t.Context(), r.bury(countLetter("likes", model.MaxCount))), model.Invalid, "leave its range")
	wantError(t, d.Retry(t.Context(), r.bury(countLetter("likes", model.MaxCount+1))), model.Invalid, "greater than any")
	if n := r.stored("likes"); n != 38 {
		t.Errorf("stored as %d", n)
	}
}

// stored returns what SQL holds of a counter of a.
func (r *rig) stored(metric string) int64 {
	r.sql.mu.Lock()
	defer r.sql.mu.Unlock()
	return r.sql.counters[model.Counter{Subject: "a", Metric: metric}]
}

// An earlier retry was made, and its answer lost: the change counts once.
func TestP1_RetryOfACountIsMadeOnce(t *testing.T) {
	t.Parallel()
	r, d, _ := newDeadLetters(t)
	id := r.bury(countLetter("likes", 5))
	first := withKey(add("a", "likes", 5), fmt.Sprint("dead:", id), model.NewVersion(1, 1).String())
	r.wantCounts([]string{"5"}, first)
	if err := d.Retry(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if n := r.stored("likes"); n != 5 {
		t.Errorf("stored as %d", n)
	}
}

// SQL refuses it again: there is a letter of the new change, so the old one goes.
func TestRetryOfACountThatIsRefusedAgainLeavesOneLetter(t *testing.T) {
	t.Parallel()
	r, d, _ := newDeadLetters(t, func(sql *memory) {
		sql.refuse = func(q *model.Queued) bool { return q.Delta != nil && q.Delta.Metric == "poison" }
	})
	id := r.bury(countLetter("poison", 1))
	wantError(t, d.Retry(t.Context(), id), model.Invalid, "dead letter")
	r.sql.mu.Lock()
	defer r.sql.mu.Unlock()
	if len(r.sql.letters) != 1 || r.sql.letters[0].ID == id {
		t.Errorf("letters %+v", r.sql.letters)
	}
}

func TestDeadLettersAreListedAndDiscarded(t *testing.T) {
	t.Parallel()
	r, d, _ := newDeadLetters(t)
	raw := r.bury(model.Queued{Raw: "junk", Damage: "cannot be read"})
	r.bury(countLetter("likes", 1))
	if page, err := d.List(t.Context(), 0, 1); err != nil || len(page) != 1 || page[0].ID != raw {
		t.Errorf("%+v, %v", page, err)
	}
	if page, err := d.List(t.Context(), raw, 10); err != nil || len(page) != 1 || page[0].Write.Delta == nil {
		t.Errorf("%+v, %v", page, err)
	}
	wantError(t, d.Retry(t.Context(), raw), model.Invalid, "can only be discarded")
	if err := d.Discard(t.Context(), raw); err != nil {
		t.Error(err)
	}
	wantError(t, d.Discard(t.Context(), raw), model.NotFound, "no such dead letter")
	_, err := d.Get(t.Context(), raw)
	wantError(t, err, model.NotFound, "no such dead letter")
}
