package zmsg_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// tally is what a counter must show: what was acknowledged, and what was sent at most. All changes are
// positive.
type tally struct {
	model.Counter
	acked, sent atomic.Int64
}

func newTallies(n int) []*tally {
	list := make([]*tally, n)
	for i := range list {
		list[i] = &tally{Counter: model.Counter{Subject: fmt.Sprintf("post:%s-%d", newID(), i), Metric: "likes"}}
	}
	return list
}

// counting is load on some counters: increments that are repeated until they are answered, and reads that
// check every value.
type counting struct {
	t        *testing.T
	tallies  []*tally
	replicas func() []*replica // those that take requests now
	stop     context.CancelFunc
	group    sync.WaitGroup
	answered atomic.Int64
	reads    atomic.Int64
	slowest  atomic.Int64 // longest time from the first try to the answer
	keys     atomic.Int64
	writing  pace
	reading  pace
}

// pace is how steadily something succeeds.
type pace struct {
	mu      sync.Mutex
	last    time.Time // of the last success; zero before the first
	longest time.Duration
}

// hit notes a success.
func (p *pace) hit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.last.IsZero() {
		p.longest = max(p.longest, now.Sub(p.last))
	}
	p.last = now
}

// gap returns the longest time that passed between two successes.
func (p *pace) gap() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.longest.Round(time.Millisecond)
}

// countUnderLoad starts writers and readers, which end before the test does.
func countUnderLoad(t *testing.T, tallies []*tally, writers, readers int, replicas func() []*replica) *counting {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &counting{t: t, tallies: tallies, replicas: replicas, stop: cancel}
	for n := range writers {
		c.group.Go(func() { c.write(ctx, rand.New(rand.NewPCG(1, uint64(n)))) })
	}
	for n := range readers {
		c.group.Go(func() { c.read(ctx, rand.New(rand.NewPCG(2, uint64(n)))) })
	}
	t.Cleanup(c.end)
	return c
}

// end stops the load and waits for the requests under way.
func (c *counting) end() {
	c.stop()
	c.group.Wait()
}

// write increments counters one after the other. Every tenth request is sent twice.
func (c *counting) write(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		tl, delta := c.tallies[random.IntN(len(c.tallies))], 1+random.Int64N(9)
		key := fmt.Sprintf("key-%d", c.keys.Add(1))
		tl.sent.Add(delta)
		if !c.increment(ctx, tl, delta, key, random) {
			return
		}
		tl.acked.Add(delta)
		c.answered.Add(1)
		c.writing.hit()
		if random.IntN(10) == 0 {
			c.increment(ctx, tl, delta, key, random)
		}
		<-time.After(thinkTime)
	}
}

// thinkTime is the pause of a client between two requests. Without it a test would spend its time on
// draining what it has queued.
const thinkTime = 2 * time.Millisecond

// giveUp is how long one request is repeated.
const giveUp = 40 * time.Second

// increment repeats one request, at any of the replicas, until it is answered, also when the load has ended.
func (c *counting) increment(ctx context.Context, tl *tally, delta int64, key string, random *rand.Rand) bool {
	began := time.Now()
	for {
		list := c.replicas()
		r := list[random.IntN(len(list))]
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		_, err := r.Counters.Increment(bounded, tl.Counter, delta, service.CountOptions{IdempotencyKey: key})
		cancel()
		if err == nil {
			c.note(time.Since(began))
			return true
		}
		if model.KindOf(err) != model.Unavailable || time.Since(began) > giveUp {
			c.t.Errorf("increment of %s after %v: %v", tl.Counter, time.Since(began), err)
			return false
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (c *counting) note(took time.Duration) {
	for {
		most := c.slowest.Load()
		if int64(took) <= most || c.slowest.CompareAndSwap(most, int64(took)) {
			return
		}
	}
}

// read reads counters and checks that each value is possible: nothing acknowledged before is missing, and
// nothing is there that was not sent.
func (c *counting) read(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		tl := c.tallies[random.IntN(len(c.tallies))]
		list := c.replicas()
		r := list[random.IntN(len(list))]
		low := tl.acked.Load()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		got, err := r.Counters.Get(bounded, tl.Counter)
		cancel()
		if err != nil {
			if model.KindOf(err) != model.Unavailable {
				c.t.Errorf("read of %s: %v", tl.Counter, err)
			}
			<-time.After(5 * time.Millisecond)
			continue
		}
		if high := tl.sent.Load(); got < low || got > high {
			c.t.Errorf("%s is %d, but from %d to %d are possible", tl.Counter, got, low, high)
			return
		}
		c.reads.Add(1)
		c.reading.hit()
		<-time.After(thinkTime)
	}
}

// awaitAnswers waits until so many more requests are answered.
func (c *counting) awaitAnswers(n int64) {
	c.t.Helper()
	want := c.answered.Load() + n
	eventually(c.t, giveUp, "increments are answered", func() bool { return c.answered.Load() >= want })
}

// storage is what the replicas of a test share.
type storage interface {
	awaitDrained(t *testing.T)
	counters(t *testing.T) map[model.Counter]int64
}

// wantExact checks every counter on every replica, and, once the queue is empty, in SQL.
func (c *counting) wantExact(w storage) {
	c.t.Helper()
	for _, r := range c.replicas() {
		for _, tl := range c.tallies {
			got, err := r.Counters.Get(c.t.Context(), tl.Counter)
			if err != nil || got != tl.acked.Load() {
				c.t.Errorf("%s is %d, %v; acknowledged are %d", tl.Counter, got, err, tl.acked.Load())
			}
		}
	}
	w.awaitDrained(c.t)
	inSQL := w.counters(c.t)
	for _, tl := range c.tallies {
		if got := inSQL[tl.Counter]; got != tl.acked.Load() {
			c.t.Errorf("%s is %d in SQL; acknowledged are %d", tl.Counter, got, tl.acked.Load())
		}
	}
	if c.reads.Load() == 0 || c.answered.Load() == 0 {
		c.t.Error("nothing was read or written")
	}
	c.t.Logf("%d increments, %d reads; slowest answer %v, longest pause %v, of reads %v", c.answered.Load(), c.reads.Load(),
		time.Duration(c.slowest.Load()).Round(time.Millisecond), c.writing.gap(), c.reading.gap())
}

// counters returns all counters in SQL.
func (w *world) counters(t *testing.T) map[model.Counter]int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), "SELECT subject, metric, value FROM counters")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[model.Counter]int64)
	var c model.Counter
	var value int64
	if _, err := pgx.ForEachRow(rows, []any{&c.Subject, &c.Metric, &value}, func() error {
		found[c] = value
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// evictTotals removes the totals of all counters, as Redis may.
func (w *world) evictTotals(t *testing.T) {
	t.Helper()
	client := w.client(t)
	iter := client.Scan(t.Context(), 0, "zmsg:*:c:*", 1000).Iterator()
	var keys []string
	for iter.Next(t.Context()) {
		keys = append(keys, iter.Val())
	}
	must(t, iter.Err())
	for _, key := range keys {
		if !strings.Contains(key, ":c:") {
			t.Fatalf("%s is no total", key)
		}
		must(t, client.Del(t.Context(), key).Err())
	}
}

const fastFlush = "ZMSG_COUNTER_FLUSH_INTERVAL=50ms"

func TestP4_CounterIsExactDuringDrainsEvictionsAndTakeovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t, fastFlush)
	var mu sync.Mutex
	live := []*replica{a, w.open(t, fastFlush)}
	load := countUnderLoad(t, newTallies(20), 4, 4, func() []*replica {
		mu.Lock()
		defer mu.Unlock()
		return append([]*replica(nil), live...)
	})
	for range 3 {
		load.awaitAnswers(200)
		w.evictTotals(t)
		load.awaitAnswers(200)
		mu.Lock()
		leaving := live[1]
		live = live[:1]
		mu.Unlock()
		leaving.close(t)
		joining := w.open(t, fastFlush)
		mu.Lock()
		live = append(live, joining)
		mu.Unlock()
	}
	load.end()
	load.wantExact(w)
}
