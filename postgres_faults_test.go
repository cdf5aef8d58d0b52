package zmsg_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// awaitSQLDown waits until every replica has found PostgreSQL out of reach, or back.
func (e *everything) awaitSQLDown(down bool) {
	e.Helper()
	for _, r := range e.replicas {
		eventually(e.T, 20*time.Second, "it shows how PostgreSQL stands", func() bool { return r.down("database") == down })
	}
}

// wantAllOnce ends the load and checks that everything that was acknowledged is there, once. Increments, and
// reads of counters, need no PostgreSQL: they were never interrupted for longer than most. others is how
// many items are not those of the load.
func (e *everything) wantAllOnce(others int, most time.Duration) {
	e.Helper()
	e.counts.end()
	e.feeds.end()
	for _, r := range e.replicas {
		r.awaitReady(e.T)
	}
	e.counts.wantExact(e.world)
	e.feeds.wantExact(e.world, others)
	for _, r := range e.replicas {
		if n := r.metric(e.T, "zmsg_queue_lost_total"); n != 0 {
			e.Errorf("a replica has lost %v writes", n)
		}
	}
	if n := e.count(e.T, "SELECT count(*) FROM dead_letters"); n != 0 {
		e.Errorf("%d dead letters", n)
	}
	if gap := e.counts.writing.gap(); gap > most {
		e.Errorf("no increment succeeded for %v", gap)
	}
	if gap := e.counts.reading.gap(); gap > most {
		e.Errorf("no read of a counter succeeded for %v", gap)
	}
}

// withoutSQL is what a test looks at while PostgreSQL is away. Nobody else changes any of it.
type withoutSQL struct {
	*everything
	hot    *tally // in the cache
	cold   *tally // in SQL alone
	absent *tally // nowhere: that it is 0 is known to SQL alone
	item   model.ID
	author model.ID
	text   string
}

func (e *everything) prepareOutage() *withoutSQL {
	e.Helper()
	list := newTallies(3)
	o := &withoutSQL{everything: e, hot: list[0], cold: list[1], absent: list[2], item: newID(), author: newID(), text: "before"}
	for _, tl := range []*tally{o.hot, o.cold} {
		if res := o.add(0, tl, 100); !res.Known {
			e.Fatalf("%s: %+v", tl.Counter, res)
		}
	}
	e.replicas[0].mustPut(e.T, o.item, o.author, o.text, stored)
	space := keyspace.New(testShards)
	key := space.TotalsKey(space.ShardOfSubject(o.cold.Subject), o.cold.Subject)
	if n, err := e.client(e.T).Del(e.Context(), key).Result(); err != nil || n != 1 {
		e.Fatalf("the total is not evicted: %d, %v", n, err)
	}
	return o
}

// add increments a counter, and repeats the request at the other replica.
func (o *withoutSQL) add(replica int, tl *tally, delta int64) service.CountWritten {
	o.Helper()
	opts := service.CountOptions{IdempotencyKey: newID().String()}
	res, err := o.replicas[replica].Counters.Increment(o.Context(), tl.Counter, delta, opts)
	if err != nil {
		o.Fatalf("increment of %s: %v", tl.Counter, err)
	}
	tl.acked.Add(delta)
	again, err := o.replicas[1-replica].Counters.Increment(o.Context(), tl.Counter, delta, opts)
	if err != nil || !again.Replayed || again.Known != res.Known || again.Value != res.Value {
		o.Errorf("increment of %s: %+v, when repeated %+v, %v", tl.Counter, res, again, err)
	}
	return res
}

// check uses, while PostgreSQL is away, what needs none, and what does.
func (o *withoutSQL) check() {
	o.Helper()
	for i := range 20 {
		o.text = textN(i)
		o.replicas[i%2].mustPut(o.T, o.item, o.author, o.text, delayed)
		if got := o.replicas[i%2].text(o.T, o.item, false); got != o.text {
			o.Errorf("an item reads %q instead of %q", got, o.text)
		}
		if res := o.add(i%2, o.hot, 3); !res.Known || res.Value != o.hot.acked.Load() {
			o.Errorf("a hot counter: %+v, acknowledged are %d", res, o.hot.acked.Load())
		}
		if got, err := o.replicas[1-i%2].Counters.Get(o.Context(), o.hot.Counter); err != nil || got != o.hot.acked.Load() {
			o.Errorf("a hot counter reads %d, %v; acknowledged are %d", got, err, o.hot.acked.Load())
		}
		for _, tl := range []*tally{o.cold, o.absent} {
			if res := o.add(i%2, tl, 2); res.Known || res.Durability == service.Committed {
				o.Errorf("a cold counter: %+v", res)
			}
		}
	}
	o.checkRefusals()
}

// checkRefusals checks that what needs PostgreSQL is refused, plainly and soon.
func (o *withoutSQL) checkRefusals() {
	o.Helper()
	for i, r := range o.replicas {
		for what, f := range map[string]func(model.Counter) error{
			"set": func(c model.Counter) error {
				_, err := r.Counters.Set(o.Context(), c, 7, service.CountOptions{})
				return err
			},
			"removal": func(c model.Counter) error {
				_, err := r.Counters.Remove(o.Context(), c, service.CountOptions{})
				return err
			},
			"read": func(c model.Counter) error {
				_, err := r.Counters.Get(within(o.T, time.Second), c)
				return err
			},
		} {
			for _, c := range []model.Counter{o.cold.Counter, o.absent.Counter} {
				began := time.Now()
				if err := f(c); !unavailable(err) || what != "read" && !strings.Contains(err.Error(), "the database is out of reach") {
					o.Errorf("replica %d, %s of a cold counter: %v", i, what, err)
				}
				if took := time.Since(began); took > 2*time.Second {
					o.Errorf("replica %d: the %s was refused after %v", i, what, took)
				}
			}
		}
		if _, err := r.Feeds.Put(o.Context(), draft(o.item, o.author, "synchronous"), stored); !unavailable(err) {
			o.Errorf("a synchronous write: %v", err)
		}
	}
}

// wantCounted checks, with PostgreSQL back, that all of it counts.
func (o *withoutSQL) wantCounted() {
	o.Helper()
	for _, r := range o.replicas {
		r.awaitReady(o.T)
		for _, tl := range []*tally{o.hot, o.cold, o.absent} {
			if got, err := r.Counters.Get(o.Context(), tl.Counter); err != nil || got != tl.acked.Load() {
				o.Errorf("%s reads %d, %v; acknowledged are %d", tl.Counter, got, err, tl.acked.Load())
			}
		}
		if got := r.text(o.T, o.item, true); got != o.text {
			o.Errorf("the item reads %q instead of %q", got, o.text)
		}
	}
	o.awaitDrained(o.T)
	inSQL := o.counters(o.T)
	for _, tl := range []*tally{o.hot, o.cold, o.absent} {
		if got := inSQL[tl.Counter]; got != tl.acked.Load() {
			o.Errorf("%s is %d in SQL; acknowledged are %d", tl.Counter, got, tl.acked.Load())
		}
	}
}

// PostgreSQL dies under load and comes back. What is in the cache can be used meanwhile, what is not can be
// incremented all the same, and everything else is refused.
func TestP10_PostgresKilledAndRestarted(t *testing.T) {
	t.Parallel()
	pg := testenv.NewPostgres(t, testenv.PostgresOptions{})
	w := &world{dsn: pg.DSN(), redis: testenv.NewRedis(t, testenv.RedisOptions{})}
	e := loaded(t, w, w.open(t, fastFlush), w.open(t, fastFlush))
	var outages []*withoutSQL
	for range 2 {
		o := e.prepareOutage()
		must(t, pg.Kill())
		killed := time.Now()
		e.awaitSQLDown(true)
		o.check()
		e.counts.awaitAnswers(200)
		<-time.After(time.Until(killed.Add(2 * time.Second))) // longer than a permission lasts
		o.check()
		must(t, pg.Start(t.Context()))
		e.awaitSQLDown(false)
		e.more()
		outages = append(outages, o)
	}
	e.wantAllOnce(len(outages), 3*time.Second)
	for _, o := range outages {
		o.wantCounted()
	}
}

// viaProxy opens two replicas that reach PostgreSQL through a proxy. The test itself does not.
func viaProxy(t *testing.T, settings ...string) (*everything, *testenv.Proxy) {
	t.Helper()
	pg := testenv.NewPostgres(t, testenv.PostgresOptions{})
	proxy := testenv.NewProxy(t, pg.Addr())
	w := &world{dsn: pg.DSN(), redis: testenv.NewRedis(t, testenv.RedisOptions{})}
	settings = append(settings, fastFlush, "ZMSG_POSTGRES_DSN="+strings.Replace(pg.DSN(), pg.Addr(), proxy.Addr(), 1))
	return loaded(t, w, w.open(t, settings...), w.open(t, settings...)), proxy
}

// A database that hangs with transactions under way is as good as one that is away.
func TestP10_PostgresStalls(t *testing.T) {
	t.Parallel()
	e, proxy := viaProxy(t)
	o := e.prepareOutage()
	proxy.Stall()
	stalled := time.Now()
	e.awaitSQLDown(true)
	o.check()
	e.counts.awaitAnswers(200)
	<-time.After(time.Until(stalled.Add(5 * time.Second)))
	o.check()
	must(t, proxy.Heal())
	e.awaitSQLDown(false)
	e.more()
	e.wantAllOnce(1, 3*time.Second)
	o.wantCounted()
}

// cuts makes the connections to PostgreSQL fail at the commit of a drain.
type cuts struct {
	*testing.T
	proxy *testenv.Proxy
	sql   *pgx.Conn // past the proxy
	// One hit at most of each point has a fault.
	before, after atomic.Pointer[func() error]
	broken        chan struct{} // the fault has happened
	alone         sync.RWMutex  // held while one drain alone may commit
	lost          int           // answers that were lost for certain
}

func newCuts(t *testing.T, dsn string, proxy *testenv.Proxy) *cuts {
	t.Helper()
	sql, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	t.Cleanup(func() { _ = sql.Close(context.WithoutCancel(t.Context())) })
	c := &cuts{T: t, proxy: proxy, sql: sql, broken: make(chan struct{}, 1)}
	for point, fault := range map[string]*atomic.Pointer[func() error]{"drain.before_commit": &c.before, "drain.after_commit": &c.after} {
		failpoint.Set(t, point, func() error {
			c.alone.RLock()
			c.alone.RUnlock() //nolint:staticcheck // nothing is guarded: it waits until others may commit
			if f := fault.Swap(nil); f != nil {
				return (*f)()
			}
			return nil
		})
	}
	return c
}

// happen waits until the next hit of a point has had the fault, for which f is called.
func (c *cuts) happen(point *atomic.Pointer[func() error], f func() error) {
	c.Helper()
	point.Store(&f)
	await(c, c.broken, "a drain comes to the point")
}

func (c *cuts) cut() {
	if err := c.proxy.Cut(); err != nil {
		c.Error(err)
	}
	c.broken <- struct{}{}
}

// positions returns the sum of all positions, which every commit of a drain changes.
func (c *cuts) positions() (sum int64) {
	if err := c.sql.QueryRow(c.Context(), "SELECT sum(position) FROM shards").Scan(&sum); err != nil {
		c.Error(err)
	}
	return sum
}

// beforeCommit cuts while the transaction waits for its commit, which is never sent.
func (c *cuts) beforeCommit() {
	c.happen(&c.before, func() error {
		c.cut()
		return nil
	})
}

// answerLost cuts when PostgreSQL has committed and its answer is under way.
func (c *cuts) answerLost() {
	done := make(chan struct{})
	c.happen(&c.before, func() error {
		c.alone.Lock()
		<-time.After(50 * time.Millisecond) // commits that are under way have their answer by then
		was := c.positions()
		c.proxy.Delay(100 * time.Millisecond)
		go func() {
			defer close(done)
			defer c.alone.Unlock()
			moved := false
			for deadline := time.Now().Add(time.Second); !moved && time.Now().Before(deadline); moved = c.positions() != was {
				<-time.After(time.Millisecond)
			}
			c.cut()
			if moved {
				c.lost++
			}
		}()
		return nil
	})
	<-done
}

// afterCommit cuts when the answer is there, of which the drain does not learn.
func (c *cuts) afterCommit() {
	c.happen(&c.after, func() error {
		c.cut()
		return errors.New("the answer is lost")
	})
}

// hang leaves the transaction open for so long that PostgreSQL ends it, with the commit on its way.
func (c *cuts) hang() {
	c.happen(&c.before, func() error {
		c.proxy.Stall()
		c.broken <- struct{}{}
		return nil
	})
	<-time.After(idleInTransaction + 300*time.Millisecond)
}

// idleInTransaction is after how long PostgreSQL ends a transaction of a replica that does not go on.
const idleInTransaction = 500 * time.Millisecond

// However a commit ends, it has an effect once: a drain that does not know whether it has committed finds
// out before it goes on.
func TestP1_CutInTheMiddleOfACommit(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	e, proxy := viaProxy(t, "ZMSG_POSTGRES_IDLE_IN_TRANSACTION="+idleInTransaction.String())
	c := newCuts(t, e.dsn, proxy)
	for i := range 20 {
		switch i % 4 {
		case 0:
			c.beforeCommit()
		case 1:
			c.answerLost()
		case 2:
			c.afterCommit()
		case 3:
			c.hang()
		}
		<-time.After(rand.N(300 * time.Millisecond))
		must(t, proxy.Heal())
		e.awaitSQLDown(false)
		e.counts.awaitAnswers(30)
		e.feeds.awaitAnswers(10)
	}
	failures := 0.0
	for _, r := range e.replicas {
		failures += r.metric(t, "zmsg_queue_failures_total")
	}
	if failures < 20 || c.lost == 0 {
		t.Errorf("%v rounds of the drain have failed; %d commits had no answer", failures, c.lost)
	}
	e.wantAllOnce(0, 5*time.Second)
}
