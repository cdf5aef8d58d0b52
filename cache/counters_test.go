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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// bank is a database in memory whose snapshots of counters can be followed by something.
type bank struct {
	*memory
	taken atomic.Pointer[func()] // if set, called after a snapshot is taken, before it is returned
	taker atomic.Int64           // snapshots taken
}

func (b *bank) Totals(ctx context.Context, shard int, subjects []string) (model.Totals, error) {
	t, err := b.memory.Totals(ctx, shard, subjects)
	b.taker.Add(1)
	if f := b.taken.Load(); f != nil {
		(*f)()
	}
	return t, err
}

// tally is Counters over a real Redis and that database.
type tally struct {
	*Counters
	t         *testing.T
	redis     *testenv.Redis
	conn      *redisconn.Conn
	sql       *bank
	completed atomic.Int64 // releases that Counters asked for

	mu     sync.Mutex
	queued map[int][]change // by shard, by version
}

type change struct {
	model.Counter
	delta   int64
	version model.Version
}

// tallyItems makes four shards of counters.
const tallyItems = 16

func newTally(t *testing.T) *tally {
	t.Helper()
	c := &tally{
		t: t, redis: testenv.NewRedis(t, testenv.RedisOptions{}), queued: make(map[int][]change),
		sql: &bank{memory: &memory{counters: make(map[string]map[string]int64)}},
	}
	space := keyspace.New(tallyItems)
	for s := range space.Shards() {
		c.sql.shards = append(c.sql.shards, model.Shard{Shard: s})
	}
	var err error
	c.conn, err = redisconn.Open(redisconn.Config{
		Addr: []string{c.redis.Addr()}, PoolSize: 16, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	pipe := redisconn.NewPipeline(c.conn.Client(), redisconn.PipelineConfig{})
	m := newMetrics(prometheus.NewRegistry())
	table := shards.NewTable(space)
	c.Counters = &Counters{
		space: space, table: table, pipe: pipe, complete: c.finish, ttl: time.Hour, metrics: m,
		store: sqlTotals{c.sql, table, 5 * time.Second, m.sqlReads},
	}
	keeper := shards.NewKeeper(shards.Config{Shards: tallyItems, Permission: time.Second}, shards.Deps{
		Table: table, Space: space, Redis: c.conn, Store: c.sql, Follower: c, Replica: "a", Log: zap.NewNop(),
		Drain: func(_ context.Context, sh model.Shard) (model.Version, error) { return sh.Position, nil },
		Flush: c.flush, Registerer: prometheus.NewRegistry(),
	})
	if err := keeper.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keeper.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		pipe.Close()
		if err := c.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	c.eventually("all shards are open", func() bool { return table.Granted() == space.Shards() })
	return c
}

// Enter follows nothing: counters are not in L1.
func (c *tally) Enter(context.Context, *shards.Grant) (model.Version, error) { return 0, nil }

func (c *tally) Leave(*shards.Grant) {}

func (c *tally) eventually(what string, f func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			c.t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func (c *tally) grant(s int) *shards.Grant {
	c.t.Helper()
	g, err := c.table.AwaitGrant(c.t.Context(), s, nil, 20*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

// add changes a counter by the script, as any replica does, whether its totals are hot or not.
func (c *tally) add(subject, metric string, delta int64) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.space.ShardOfSubject(subject)
	g := c.grant(s)
	cmd := g.Scripts.Cmd(c.t.Context(), keyspace.Count, []string{c.space.Meta(s), c.space.Queue(s), c.space.Events(s)},
		g.Epoch, c.space.Prefix(s), 1, 1000, "1", "1", subject, metric, "a", delta, "", "")
	_ = c.conn.Client().Process(c.t.Context(), cmd) // the reply holds the error
	reply, err := cmd.Slice()
	if err != nil || len(reply) != 1 {
		c.t.Errorf("change of %s: %v, %v", subject, reply, err)
		return
	}
	answer, _ := reply[0].([]any)
	if len(answer) < 2 || answer[0] != "ok" {
		c.t.Errorf("change of %s: %v", subject, reply)
		return
	}
	seq, _ := answer[1].(int64)
	c.queued[s] = append(c.queued[s], change{model.Counter{Subject: subject, Metric: metric}, delta, model.NewVersion(g.Epoch, seq)})
}

// drain brings up to most queued changes of a shard to SQL, and returns its position. lost says of which
// SQL takes nothing.
func (c *tally) drain(s, most int, lost ...string) model.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sql.mu.Lock()
	defer c.sql.mu.Unlock()
	n := min(most, len(c.queued[s]))
	for _, ch := range c.queued[s][:n] {
		c.sql.shards[s].Position = ch.version
		if slices.Contains(lost, ch.Subject) {
			c.sql.shards[s].Skipped = ch.version
			continue
		}
		row := c.sql.counters[ch.Subject]
		if row == nil {
			row = make(map[string]int64)
			c.sql.counters[ch.Subject] = row
		}
		row[ch.Metric] += ch.delta
	}
	c.queued[s] = c.queued[s][n:]
	return c.sql.shards[s].Position
}

// flush brings everything to SQL that was queued in ended epochs.
func (c *tally) flush(_ context.Context, sh model.Shard) error {
	c.drain(sh.Shard, 1<<30)
	return nil
}

func (c *tally) finish(ctx context.Context, g *shards.Grant, position, skipped model.Version) error {
	c.completed.Add(1)
	return c.release(ctx, g, position, skipped)
}

func (c *tally) release(ctx context.Context, g *shards.Grant, v, skipped model.Version) error {
	s := g.Shard
	cmd := g.Scripts.Cmd(ctx, keyspace.Release, []string{c.space.Meta(s), c.space.Queue(s), c.space.Events(s)},
		g.Epoch, keyspace.Hex(v), keyspace.StreamID(v), c.space.Prefix(s), 1000, 1000, 100_000, 1000, "", keyspace.Hex(skipped), 0)
	return c.conn.Client().Process(ctx, cmd)
}

// settle drains some changes of a shard, and releases them.
func (c *tally) settle(s, most int, lost ...string) {
	c.t.Helper()
	v := c.drain(s, most, lost...)
	c.sql.mu.Lock()
	skipped := c.sql.shards[s].Skipped
	c.sql.mu.Unlock()
	if err := c.release(c.t.Context(), c.grant(s), v, skipped); err != nil {
		c.t.Errorf("release: %v", err)
	}
}

// evict removes the live totals of a subject, as Redis may at any time.
func (c *tally) evict(subject string) {
	c.t.Helper()
	if err := c.conn.Client().Del(c.t.Context(), c.totalsKey(subject)).Err(); err != nil {
		c.t.Error(err)
	}
}

func (c *tally) totalsKey(subject string) string {
	return c.space.TotalsKey(c.space.ShardOfSubject(subject), subject)
}

// hot reports whether Redis has totals of a subject.
func (c *tally) hot(subject string) bool {
	c.t.Helper()
	n, err := c.conn.Client().Exists(c.t.Context(), c.totalsKey(subject)).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	return n > 0
}

// after lets f follow every snapshot of SQL; nil ends that.
func (c *tally) after(f func()) {
	if f == nil {
		c.sql.taken.Store(nil)
		return
	}
	c.sql.taken.Store(&f)
}

func (c *tally) one(subject string) (map[string]int64, error) {
	values, errs := c.Get(c.t.Context(), []string{subject})
	return values[0], errs[0]
}

func (c *tally) want(subject string, want map[string]int64) {
	c.t.Helper()
	if got, err := c.one(subject); err != nil || !maps.Equal(got, want) {
		c.t.Errorf("%s: %v, %v, want %v", subject, got, err, want)
	}
}

// sqlSays sets a subject's counters in SQL, where no change of them is queued.
func (c *tally) sqlSays(subject string, row map[string]int64) {
	c.sql.mu.Lock()
	defer c.sql.mu.Unlock()
	c.sql.counters[subject] = row
}

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
func TestP11_CountersAreExactAtEveryMoment(t *testing.T) {
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
