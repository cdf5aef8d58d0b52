package cache

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// However its changes are spread over the queue and SQL, and whatever of it Redis has evicted.
func TestCounters_ExactWhereverTheChangesAre(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const subject = "post:1"
	s := c.space.ShardOfSubject(subject)
	c.sqlSays(subject, map[string]int64{"most": model.MaxCount, "least": -model.MaxCount, "none": 0})
	base := map[string]int64{"most": model.MaxCount, "least": -model.MaxCount}
	c.want(subject, base)
	c.want("post:none", map[string]int64{})
	for range 10 {
		c.add(subject, "likes", 3)
		c.add(subject, "likes", -1)
		c.add(subject, "most", -1)
		c.add(subject, "balance", -5)
		c.add(subject, "balance", 5)
		base["likes"] += 2
		base["most"]--
	}
	for left := 50; left > 0; left -= 7 {
		c.want(subject, base)
		c.evict(subject)
		c.want(subject, base)
		c.settle(s, 7)
	}
	c.want(subject, base)
	c.evict(subject)
	c.want(subject, base)
	if ttl := c.conn.Client().PTTL(t.Context(), c.totalsKey(subject)).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("the totals stay for %v: they must be free to be evicted", ttl)
	}
	if n := c.conn.Client().Exists(t.Context(), c.space.PendingKey(s, subject)).Val(); n != 0 {
		t.Error("pending sums are left of what SQL has")
	}
}

// SQL has committed a round that nobody has released: its process has died.
func TestCounters_SnapshotAheadOfTheQueueCompletesTheRelease(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const subject = "post:1"
	s := c.space.ShardOfSubject(subject)
	for range 5 {
		c.add(subject, "likes", 1)
	}
	v := c.drain(s, 3)
	c.want(subject, map[string]int64{"likes": 5})
	if c.completed.Load() != 1 || c.sql.taker.Load() != 1 {
		t.Errorf("%d releases, %d snapshots", c.completed.Load(), c.sql.taker.Load())
	}
	if rel := c.conn.Client().HGet(t.Context(), c.space.Meta(s), "rel").Val(); rel != keyspace.Hex(v) {
		t.Errorf("released up to %s, want %s", rel, keyspace.Hex(v))
	}
}

func TestCounters_SnapshotBehindTheQueueIsTakenAnew(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const subject = "post:1"
	s := c.space.ShardOfSubject(subject)
	for range 5 {
		c.add(subject, "likes", 1)
	}
	c.after(func() {
		if c.sql.taker.Load() == 1 {
			c.settle(s, 2)
		}
	})
	c.want(subject, map[string]int64{"likes": 5})
	if c.completed.Load() != 0 || c.sql.taker.Load() != 2 {
		t.Errorf("%d releases, %d snapshots", c.completed.Load(), c.sql.taker.Load())
	}

	c.evict(subject)
	c.after(func() { // no snapshot ever fits
		c.add(subject, "likes", 1)
		c.settle(s, 1<<30)
	})
	before := c.sql.taker.Load()
	if got, err := c.one(subject); model.KindOf(err) != model.Unavailable || c.sql.taker.Load()-before != snapshots {
		t.Errorf("got %v, %v after %d snapshots", got, err, c.sql.taker.Load()-before)
	}
	if c.hot(subject) {
		t.Error("what does not fit was kept")
	}
	c.after(nil)
	c.want(subject, map[string]int64{"likes": 5 + snapshots})
}

// What SQL has refused was counted by the live totals: none of them holds any more.
func TestCounters_TotalsOfWhatSQLLeftOutAreMadeAnew(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const good, bad = "post:1", "post:1:bad"
	sql := func(subject string) (n int64) {
		c.sql.mu.Lock()
		defer c.sql.mu.Unlock()
		return c.sql.counters[subject]["likes"]
	}
	for _, subject := range []string{good, bad} {
		c.want(subject, map[string]int64{})
		c.add(subject, "likes", 1)
		c.want(subject, map[string]int64{"likes": 1})
	}
	for s := range c.space.Shards() {
		if c.space.IsCounter(s) {
			c.settle(s, 1<<30, bad)
		}
	}
	c.want(good, map[string]int64{"likes": 1})
	c.want(bad, map[string]int64{})
	if sql(good) != 1 || sql(bad) != 0 {
		t.Errorf("SQL has %d and %d", sql(good), sql(bad))
	}
}

func TestCounters_ManySubjectsOfAllShards(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	var subjects []string
	want := make(map[string]map[string]int64)
	used := make(map[int]bool)
	for i := range 300 {
		subject := fmt.Sprint("user:", i)
		subjects = append(subjects, subject)
		used[c.space.ShardOfSubject(subject)] = true
		want[subject] = map[string]int64{}
		switch i % 4 {
		case 0: // nothing is known of it
		case 1:
			c.sqlSays(subject, map[string]int64{"a": int64(i)})
			want[subject]["a"] = int64(i)
		case 2:
			c.add(subject, "b", int64(-i))
			want[subject]["b"] = int64(-i)
		case 3:
			c.sqlSays(subject, map[string]int64{"a": 1, "b": 2})
			c.add(subject, "b", -2)
			want[subject]["a"] = 1
		}
	}
	if len(used) != tallyItems/4 {
		t.Fatalf("%d shards are used", len(used))
	}
	for round := range 3 { // cold, hot, and some of each
		list := append(slices.Clone(subjects), subjects[:50]...) // the same twice
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		values, errs := c.Get(t.Context(), list)
		if len(values) != len(list) || len(errs) != len(list) {
			t.Fatalf("%d values, %d errors", len(values), len(errs))
		}
		for i, subject := range list {
			if errs[i] != nil || !maps.Equal(values[i], want[subject]) {
				t.Errorf("round %d: %s: %v, %v, want %v", round, subject, values[i], errs[i], want[subject])
			}
		}
		for _, subject := range subjects[:100*round] {
			c.evict(subject)
		}
	}
}

// While counters change, are drained, released late or not, and evicted at any moment, a read shows every
// change that was done before it began, and none that began after it.
func TestP4_CountersAreExactAtEveryMoment(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const subjects, changes = 8, 200
	var begun, done [subjects]atomic.Int64
	name := func(i int) string { return fmt.Sprint("video:", i) }
	ctx, stop := context.WithCancel(t.Context())
	var writers, others sync.WaitGroup
	for i := range subjects {
		writers.Go(func() {
			for range changes {
				begun[i].Add(1)
				c.add(name(i), "views", 1)
				done[i].Add(1)
				<-time.After(time.Duration(rand.IntN(int(2 * time.Millisecond))))
			}
		})
	}
	everyNow := func(f func()) {
		others.Go(func() {
			for ctx.Err() == nil {
				f()
				<-time.After(time.Duration(rand.IntN(int(5 * time.Millisecond))))
			}
		})
	}
	everyNow(func() { c.evict(name(rand.IntN(subjects))) })
	everyNow(func() {
		s := c.space.ShardOfSubject(name(rand.IntN(subjects)))
		if most := rand.IntN(20); rand.IntN(2) == 0 {
			c.settle(s, most)
		} else {
			c.drain(s, most)
		}
	})
	reads := 0
	everyNow(func() {
		list := make([]string, subjects)
		var least [subjects]int64
		for i := range list {
			list[i], least[i] = name(i), done[i].Load()
		}
		values, errs := c.Get(t.Context(), list)
		for i, got := range values {
			if most := begun[i].Load(); errs[i] != nil || got["views"] < least[i] || got["views"] > most {
				t.Errorf("%s: %v, %v, want from %d to %d", list[i], got, errs[i], least[i], most)
			}
		}
		reads++
	})
	writers.Wait()
	stop()
	others.Wait()
	for i := range subjects {
		c.want(name(i), map[string]int64{"views": changes})
		c.settle(c.space.ShardOfSubject(name(i)), 1<<30)
		c.evict(name(i))
		c.want(name(i), map[string]int64{"views": changes})
	}
	if reads < 10 || c.completed.Load() == 0 {
		t.Errorf("%d reads, %d releases completed", reads, c.completed.Load())
	}
}

func TestCounters_HomeInSQL(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const subject = "post:1"
	s := c.space.ShardOfSubject(subject)
	c.add(subject, "likes", 5)
	c.want(subject, map[string]int64{"likes": 5})
	if err := c.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	c.want(subject, map[string]int64{"likes": 5}) // it waits for the move
	if !c.grant(s).SQL {
		t.Fatal("answered before the shard has moved")
	}
	c.sqlSays(subject, map[string]int64{"likes": 9, "shares": 0})
	c.want(subject, map[string]int64{"likes": 9})

	// A snapshot of another epoch is no answer: the shard has been in Redis meanwhile, perhaps.
	c.sql.taker.Store(0)
	began := c.grant(s).Epoch
	c.sql.mu.Lock()
	c.sql.shards[s].Epoch++
	c.sql.mu.Unlock()
	c.want(subject, map[string]int64{"likes": 9})
	if c.grant(s).Epoch == began || c.sql.taker.Load() < 1 {
		t.Errorf("answered under epoch %d", began)
	}

	if err := c.redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.eventually("all shards are in Redis", func() bool {
		return c.table.Granted() == c.space.Shards() && c.table.AtSQL() == 0
	})
	c.want(subject, map[string]int64{"likes": 9})
	c.add(subject, "likes", 1)
	c.want(subject, map[string]int64{"likes": 10})
}

// Who gives up leaves the others their load.
func TestCounters_CallersShareALoadAndLeaveItAlone(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	const subject = "post:1"
	c.sqlSays(subject, map[string]int64{"likes": 7})
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	c.after(func() {
		asked <- struct{}{}
		<-answer
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone := make(chan error, 1)
	go func() {
		_, errs := c.Get(ctx, []string{subject})
		gone <- errs[0]
	}()
	<-asked
	type result struct {
		values map[string]int64
		err    error
	}
	stay := make(chan result, 10)
	for range cap(stay) {
		go func() {
			values, err := c.one(subject)
			stay <- result{values, err}
		}()
	}
	c.eventually("all have found it cold", func() bool {
		return testutil.ToFloat64(c.metrics.counters.WithLabelValues(model.TierSQL.String())) == float64(1+cap(stay))
	})
	cancel()
	if err := <-gone; model.KindOf(err) != model.Unavailable {
		t.Errorf("the one that gave up got %v", err)
	}
	close(answer)
	for range cap(stay) {
		if r := <-stay; r.err != nil || r.values["likes"] != 7 {
			t.Errorf("one that stayed got %v, %v", r.values, r.err)
		}
	}
	if n := int(c.sql.taker.Load()); n > cap(stay)/2 { // who comes as the load ends begins another
		t.Errorf("SQL was asked %d times", n)
	}
}

// Without SQL hot counters are answered, also those that are asked for together with cold ones.
func TestCounters_ErrorsOfSQLAreThoseOfColdSubjects(t *testing.T) {
	t.Parallel()
	c := newTally(t)
	hot := "post:1"
	cold := ""
	for i := 2; cold == ""; i++ {
		if name := fmt.Sprint("post:", i); c.space.ShardOfSubject(name) == c.space.ShardOfSubject(hot) {
			cold = name
		}
	}
	c.sqlSays(hot, map[string]int64{"likes": 1})
	c.sqlSays(cold, map[string]int64{"likes": 2})
	c.want(hot, map[string]int64{"likes": 1})
	c.sql.setFail(model.NewUnavailable("the database is out of reach", nil))
	values, errs := c.Get(t.Context(), []string{cold, hot, cold})
	if errs[1] != nil || values[1]["likes"] != 1 {
		t.Errorf("hot: %v, %v", values[1], errs[1])
	}
	for _, i := range []int{0, 2} {
		if model.KindOf(errs[i]) != model.Unavailable || values[i] != nil {
			t.Errorf("cold: %v, %v", values[i], errs[i])
		}
	}
	if c.hot(cold) {
		t.Error("something was kept of a failed load")
	}
	c.sql.setFail(nil)
	c.want(cold, map[string]int64{"likes": 2})
}
