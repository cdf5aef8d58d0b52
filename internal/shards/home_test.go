package shards

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// inSQL reports whether the replica may use every shard, in SQL.
func (r *replica) inSQL() bool { return r.Table.AtSQL() == testShards }

// inRedis reports whether the replica may use every shard, in Redis.
func (r *replica) inRedis() bool { return r.Table.Granted() == testShards && r.Table.AtSQL() == 0 }

func awaitAll(t *testing.T, what string, f func(*replica) bool, replicas ...*replica) {
	t.Helper()
	for _, r := range replicas {
		eventually(t, r.name+" uses "+what, func() bool { return f(r) })
	}
}

// neverBoth samples without a pause, until stopped, that no replica holds a permission for a shard while
// another holds one of a later epoch: one in Redis and one in SQL, above all.
func neverBoth(t *testing.T, replicas ...*replica) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ctx.Err() == nil; <-time.After(100 * time.Microsecond) {
			for s := range testShards {
				if fault := bothHold(s, replicas); fault != "" {
					t.Error(fault)
					return
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// bothHold tells of two permissions at one instant. A permission that is left does not come back, so
// one that is held before and after the other is looked at was held then.
func bothHold(s int, replicas []*replica) string {
	for _, a := range replicas {
		older := a.Table.Grant(s)
		if older == nil {
			continue
		}
		for _, b := range replicas {
			later := b.Table.Grant(s)
			if later != nil && (later.Epoch > older.Epoch || later.SQL != older.SQL) && a.Table.Holds(older) {
				return fmt.Sprintf("shard %d: %s holds %+v while %s holds %+v", s, a.name, older, b.name, later)
			}
		}
	}
	return ""
}

// moved returns how often replicas have moved shards to a home, "redis" or "sql".
func moved(t *testing.T, to string, replicas ...*replica) (n int) {
	t.Helper()
	for _, r := range replicas {
		n += int(r.metric(t, "zmsg_home_changes_total", to))
	}
	return n
}

func TestHome_LostRedisMovesToSQLAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a, b := w.replica(t, "a").start(t), w.replica(t, "b").start(t)
	a.awaitEpoch(t, 1)
	b.awaitEpoch(t, 1)
	stop := neverBoth(t, a, b)
	defer stop()
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	awaitAll(t, "SQL", (*replica).inSQL, a, b)
	if d := time.Since(began); d > 3*permission/2+permission/3+time.Second {
		t.Errorf("the shards were away for %v", d)
	} else {
		t.Logf("lost: the shards were away for %v", d)
	}
	for _, r := range []*replica{a, b} {
		if got := r.metric(t, "zmsg_breaker_open_shards", ""); got != testShards || r.metric(t, "zmsg_shards_at_sql", "") != testShards {
			t.Errorf("%s: the breaker is open for %v shards", r.name, got)
		}
	}
	for _, sh := range w.all(t) {
		if !sh.AtSQL() {
			t.Errorf("%+v, want its home in SQL", sh)
		}
	}
	if err := w.redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	awaitAll(t, "Redis", (*replica).inRedis, a, b)
	t.Logf("back after %v", time.Since(began))
	if n := moved(t, "sql", a, b); n != testShards {
		t.Errorf("%d moves to SQL of %d shards", n, testShards)
	}
	if n := moved(t, "redis", a, b); n != 2*testShards { // the first opening is one
		t.Errorf("%d moves to Redis of %d shards", n, testShards)
	}
	for _, r := range []*replica{a, b} {
		if r.metric(t, "zmsg_breaker_open_shards", "") != 0 || r.doubtAll(t) != 0 {
			t.Errorf("%s does not use Redis", r.name)
		}
	}
}

func TestHome_RedisThatHangsIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a, b := w.replica(t, "a").start(t), w.replica(t, "b").start(t)
	a.awaitEpoch(t, 1)
	b.awaitEpoch(t, 1)
	stop := neverBoth(t, a, b)
	defer stop()
	if err := w.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "SQL", (*replica).inSQL, a, b)
	if err := w.redis.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "Redis", (*replica).inRedis, a, b)
	if a.doubtAll(t)+b.doubtAll(t) != 0 {
		t.Error("Redis refuses writes")
	}
}

// A Redis that answers and refuses every write would otherwise keep its shards, and nobody could write.
func TestHome_RedisThatRefusesWritesIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a, b := w.replica(t, "a").start(t), w.replica(t, "b").start(t)
	a.awaitEpoch(t, 1)
	b.awaitEpoch(t, 1)
	stop := neverBoth(t, a, b)
	defer stop()
	needReplicas := func(n string) {
		if _, err := w.redis.Do(t.Context(), "CONFIG", "SET", "min-replicas-to-write", n); err != nil {
			t.Fatal(err)
		}
	}
	needReplicas("1")
	awaitAll(t, "SQL", (*replica).inSQL, a, b)
	needReplicas("0")
	awaitAll(t, "Redis", (*replica).inRedis, a, b)
	if a.doubtAll(t)+b.doubtAll(t) != 0 {
		t.Error("Redis refuses writes")
	}
}

// A full Redis refuses writes, too, but is emptied by the drain: it stays the home.
func TestHome_FullRedisIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	if _, err := w.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is seen that Redis is full", func() bool { return a.Memory().Full() > 1 })
	for range 3 {
		a.look(t.Context())
		if a.Table.RedisDown() != 0 || !a.inRedis() {
			t.Fatal("the full Redis was left")
		}
	}
}

func TestHome_FirstStartWithoutRedisIsInSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	a := w.replica(t, "a").start(t)
	awaitAll(t, "SQL", (*replica).inSQL, a)
	w.wantEpoch(t, 1)
	if err := w.redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "Redis", (*replica).inRedis, a)
	w.wantEpoch(t, 2)
}

// A Redis that comes and goes is left at most when a pause seemed long, not each time.
func TestHome_FlappingRedisDoesNotMakeHomesFlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	proxy := testenv.NewProxy(t, w.redis.Addr())
	a, b := newReplica(t, "a", w.db, proxy.Addr()).start(t), newReplica(t, "b", w.db, proxy.Addr()).start(t)
	a.awaitEpoch(t, 1)
	b.awaitEpoch(t, 1)
	stop := neverBoth(t, a, b)
	defer stop()
	for range 10 {
		for _, change := range []func() error{proxy.Cut, proxy.Heal} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			<-time.After(3 * permission / 10)
		}
	}
	awaitAll(t, "Redis", (*replica).inRedis, a, b)
	if epoch := w.all(t)[0].Epoch; epoch > 5 { // two moves there and back
		t.Errorf("ten pauses made %d epochs", epoch)
	}
}

// What a replica had queued must reach SQL before a new home is used, if it is alive to bring it there. It is
// not waited for without end, but does not serve itself what misses its own writes.
func TestHome_StuckFlushDelaysAllForAWhileAndItsReplicaUntilItIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a, b := w.replica(t, "a"), w.replica(t, "b")
	// Only the first one opens, so that the other's flush is another's.
	b.Store = onlooker{b.Store}
	a.start(t).awaitEpoch(t, 1)
	b.start(t).awaitEpoch(t, 1)
	b.stuck.Store(true)
	flushes := b.flushes.Load()
	stop := neverBoth(t, a, b)
	defer stop()
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a claims the shards", func() bool { return w.all(t)[0].Epoch == 2 })
	began := time.Now()
	awaitAll(t, "SQL", (*replica).inSQL, a)
	// The permission lasts for at least a half: it is renewed every third, and again while a shard moves.
	if d := time.Since(began); d < settleGrace*permission+permission/2 || d > (settleGrace+1)*permission+permission/3+time.Second {
		t.Errorf("the opening took %v", d)
	}
	if b.flushes.Load() != flushes || b.Table.Granted() != 0 {
		t.Errorf("the flush was not stuck, or b serves %d shards without it", b.Table.Granted())
	}
	b.stuck.Store(false)
	awaitAll(t, "SQL", (*replica).inSQL, b)
	w.wantEpoch(t, 2)
}

// A replica with much to store is waited for longer than its permission lasts.
func TestP1_SlowFlushOfALivingReplicaIsAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a, b := w.replica(t, "a"), w.replica(t, "b")
	b.Store = onlooker{b.Store}
	a.start(t).awaitEpoch(t, 1)
	b.start(t).awaitEpoch(t, 1)
	b.stuck.Store(true)
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a claims the shards", func() bool { return w.all(t)[0].Epoch == 2 })
	for claimed := time.Now(); time.Since(claimed) < permission+permission/2; <-time.After(time.Millisecond) {
		if w.all(t)[0].Ready {
			t.Fatal("the shards were opened before b had stored its writes")
		}
	}
	b.stuck.Store(false)
	awaitAll(t, "SQL", (*replica).inSQL, a, b)
	w.wantEpoch(t, 2)
}

// onlooker is the Store of a replica that claims nothing.
type onlooker struct{ Store }

func (onlooker) Claim(context.Context, string, []model.Claim) ([]model.Shard, time.Duration, error) {
	return nil, 0, errors.New("this one only looks on")
}

func TestHome_FailingFlushOfTheOpenerIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	a.stuck.Store(true)
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is tried again", func() bool { return w.all(t)[0].Epoch >= 4 })
	claimRate(t, a, func() {
		for began := time.Now(); time.Since(began) < 2*permission; {
			if a.Table.Granted() != 0 || w.all(t)[0].Ready {
				t.Fatal("opened although what was queued is not in SQL")
			}
		}
	})
	a.stuck.Store(false)
	awaitAll(t, "SQL", (*replica).inSQL, a)
}

// mortal is the Store of a replica that dies when it is to confirm, or has claimed.
type mortal struct {
	Store
	atClaim, atConfirm bool
	dead               atomic.Bool
	died               chan struct{}
}

func (m *mortal) die() error {
	if !m.dead.Swap(true) {
		close(m.died)
	}
	return errors.New("dead")
}

func (m *mortal) Heartbeat(ctx context.Context, b model.Beat) (model.Heartbeat, error) {
	if m.dead.Load() {
		return model.Heartbeat{}, m.die()
	}
	return m.Store.Heartbeat(ctx, b)
}

func (m *mortal) Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error) {
	if m.dead.Load() {
		return nil, 0, m.die()
	}
	claimed, wait, err := m.Store.Claim(ctx, replica, claims)
	if m.atClaim && len(claimed) > 0 && claimed[0].Home == model.HomeSQL {
		return nil, 0, m.die()
	}
	return claimed, wait, err
}

func (m *mortal) Confirm(ctx context.Context, claimed []model.Shard) ([]int, error) {
	if m.atConfirm || m.dead.Load() {
		return nil, m.die()
	}
	return m.Store.Confirm(ctx, claimed)
}

func (*mortal) Leave(context.Context, string) error { return nil }

func TestHome_OpenerThatDiesIsSucceeded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		store *mortal
		lose  bool // Redis, and so die on the way to SQL
		epoch int64
	}{
		"AfterClaimToSQL": {&mortal{atClaim: true}, true, 2},
		"BeforeConfirm":   {&mortal{atConfirm: true}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testenv.RedisOptions{})
			dying, heir := w.replica(t, "dying"), w.replica(t, "heir")
			tc.store.Store, tc.store.died = dying.Store, make(chan struct{})
			dying.Store = tc.store
			dying.start(t)
			if tc.lose {
				dying.awaitEpoch(t, 1)
				if err := w.redis.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			<-tc.store.died
			if err := dying.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, sh := range w.all(t) {
				if sh.Epoch != tc.epoch || sh.Ready || sh.Opener != "dying" || (sh.Home == model.HomeSQL) != tc.lose {
					t.Fatalf("it left %+v", sh)
				}
			}
			heir.start(t)
			heir.awaitEpoch(t, tc.epoch+1)
			if heir.inSQL() != tc.lose {
				t.Errorf("%d shards in SQL", heir.Table.AtSQL())
			}
			eventually(t, "the takeover is counted", func() bool { return heir.metric(t, "zmsg_takeovers_total", "") == 1 })
		})
	}
}

func TestHome_ErrorsOfAnOpeningAreFollowedByAnotherAttempt(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	for _, point := range []string{"open.after_claim", "open.after_script", "open.before_confirm"} { //nolint:paralleltest // as above
		t.Run(point, func(t *testing.T) {
			w := newWorld(t, testenv.RedisOptions{})
			var fail atomic.Int64
			fail.Store(3)
			failpoint.Set(t, point, func() error {
				if fail.Add(-1) >= 0 {
					return errors.New("by the test")
				}
				return nil
			})
			a, b := w.replica(t, "a").start(t), w.replica(t, "b").start(t)
			stop := neverBoth(t, a, b)
			defer stop()
			awaitAll(t, "Redis", (*replica).inRedis, a, b)
			if fail.Load() >= 0 {
				t.Error("it was not come by four times")
			}
			if a.doubtAll(t)+b.doubtAll(t) != 0 {
				t.Error("Redis refuses writes")
			}
			fail.Store(3)
			if err := w.redis.Kill(); err != nil {
				t.Fatal(err)
			}
			awaitAll(t, "SQL", (*replica).inSQL, a, b)
			if point != "open.after_script" && fail.Load() >= 0 {
				t.Error("it was not come by four times on the way to SQL")
			}
		})
	}
}

// Nobody but SQL can tell that a home is still in SQL.
func TestHome_PermissionsInSQLEndWithSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	u, err := url.Parse(w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	proxy := testenv.NewProxy(t, u.Host)
	u.Host = proxy.Addr()
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	a := newReplica(t, "a", openDB(t, u.String()), w.redis.Addr()).start(t)
	awaitAll(t, "SQL", (*replica).inSQL, a)
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, "the permissions have run out", func() bool { return a.Table.Granted() == 0 })
	if d := time.Since(began); d > permission+permission/10 {
		t.Errorf("they lasted for %v", d)
	}
	eventually(t, "the loss is noticed", a.Table.SQLDown)
	for began := time.Now(); time.Since(began) < 2*permission; <-time.After(time.Millisecond) {
		if n := a.Table.Granted(); n != 0 {
			t.Fatalf("%d permissions came back without SQL", n)
		}
	}
	if _, err := a.Table.AwaitGrant(t.Context(), 0, nil, time.Hour); model.KindOf(err) != model.Unavailable {
		t.Errorf("without Redis and SQL: %v", err)
	}
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "SQL", (*replica).inSQL, a)
	w.wantEpoch(t, 1)
}
