package zmsg_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

// everything is both kinds of load, on some replicas.
type everything struct {
	*testing.T
	*world
	replicas []*replica
	counts   *counting
	feeds    *feeding
}

// loaded starts the load and waits until it runs.
func loaded(t *testing.T, w *world, replicas ...*replica) *everything {
	t.Helper()
	all := func() []*replica { return replicas }
	e := &everything{
		T: t, world: w, replicas: replicas,
		counts: countUnderLoad(t, newTallies(20), 3, 3, all),
		feeds:  feedUnderLoad(t, 3, 3, all),
	}
	e.more()
	return e
}

// more waits until some more requests of each kind are answered.
func (e *everything) more() {
	e.Helper()
	e.counts.awaitAnswers(100)
	e.feeds.awaitAnswers(100)
}

// awaitInSQL waits until every replica uses so many shards in SQL.
func (e *everything) awaitInSQL(shards float64) {
	e.Helper()
	for _, r := range e.replicas {
		eventually(e.T, 20*time.Second, "the shards have moved", func() bool {
			return r.metric(e.T, "zmsg_shards_at_sql") == shards && !r.down("shards")
		})
	}
}

// Longest times without a success of any client, with permissions of a second. A move takes less than half
// of that on an idle machine.
const (
	noWriteMost = 6 * time.Second
	noReadMost  = 6 * time.Second
)

// wantExact ends the load and checks that all that was acknowledged is there, once, that the replicas have
// lost nothing, and that clients never waited for long.
func (e *everything) wantExact() {
	e.Helper()
	e.counts.end()
	e.feeds.end()
	e.counts.wantExact(e.world)
	e.feeds.wantExact(e.world, 0)
	for _, r := range e.replicas {
		if n := r.metric(e.T, "zmsg_queue_lost_total"); n != 0 {
			e.Errorf("a replica has lost %v writes", n)
		}
	}
	for what, p := range map[string]*pace{"increment": &e.counts.writing, "write": &e.feeds.writing} {
		if gap := p.gap(); gap > noWriteMost {
			e.Errorf("no %s succeeded for %v", what, gap)
		}
	}
	for what, p := range map[string]*pace{"counters": &e.counts.reading, "items": &e.feeds.reading} {
		if gap := p.gap(); gap > noReadMost {
			e.Errorf("no read of %s succeeded for %v", what, gap)
		}
	}
}

// memories are what a Redis that is killed comes back with.
var memories = []struct {
	name  string
	redis testenv.RedisOptions
	save  bool // a file is written after a while, and is what every restarted server reads
}{
	{"WithItsFile", testenv.RedisOptions{AppendOnly: true}, false},
	{"WithAnOlderFile", testenv.RedisOptions{}, true},
	{"Empty", testenv.RedisOptions{}, false},
}

// eachMemory runs a test with every kind of memory, under load.
func eachMemory(t *testing.T, test func(e *everything)) {
	t.Helper()
	for _, m := range memories {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, m.redis)}
			e := loaded(t, w, w.open(t), w.open(t))
			if m.save {
				_, err := w.redis.Do(t.Context(), "SAVE")
				must(t, err)
				e.more()
			}
			test(e)
			e.awaitInSQL(0)
			e.more()
			e.wantExact()
		})
	}
}

// Redis dies under load, stays away, and comes back with all that it had, with what it had a while ago,
// or with nothing. What it has lost, the replicas still know.
func TestP9_RedisKilledAndRestarted(t *testing.T) {
	t.Parallel()
	eachMemory(t, func(e *everything) {
		must(e.T, e.redis.Kill())
		e.awaitInSQL(allShards)
		e.more()
		must(e.T, e.redis.Start(e.Context()))
	})
}

// Redis is killed again and again, also while the replicas are still busy with its last return.
func TestP9_RepeatedLosses(t *testing.T) {
	t.Parallel()
	eachMemory(t, func(e *everything) {
		for range 5 {
			up, down := rand.N(1500*time.Millisecond), rand.N(1500*time.Millisecond)
			e.Logf("up for %v, down for %v", up, down)
			<-time.After(up)
			must(e.T, e.redis.Kill())
			<-time.After(down)
			must(e.T, e.redis.Start(e.Context()))
		}
	})
}

// A Redis that hangs is left as one that is dead, and its old connections, which go on where they stopped,
// do no harm when it wakes up.
func TestP9_RedisStalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := loaded(t, w, w.open(t), w.open(t))
	must(t, w.redis.Pause())
	stalled := time.Now()
	e.awaitInSQL(allShards)
	e.more()
	<-time.After(time.Until(stalled.Add(5 * time.Second)))
	must(t, w.redis.Resume())
	e.awaitInSQL(0)
	e.more()
	e.wantExact()
}

// The engine needs no Redis to start. It serves from SQL, and moves to Redis when that appears.
func TestP9_RedisAbsentAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.redis.Kill())
	e := loaded(t, w, w.start(t), w.start(t))
	e.awaitInSQL(allShards)
	must(t, w.redis.Start(t.Context()))
	e.awaitInSQL(0)
	e.more()
	e.wantExact()
}
