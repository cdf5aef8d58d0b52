package shards

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// behindProxies starts replicas that reach the world's Redis through a proxy each.
func behindProxies(t *testing.T, w *world, n int) ([]*replica, []*testenv.Proxy) {
	t.Helper()
	replicas, proxies := make([]*replica, n), make([]*testenv.Proxy, n)
	for i := range n {
		proxies[i] = testenv.NewProxy(t, w.redis.Addr())
		replicas[i] = newReplica(t, fmt.Sprint("r", i), w.db, proxies[i].Addr()).start(t)
		replicas[i].awaitEpoch(t, 1)
	}
	for _, r := range replicas {
		eventually(t, r.name+" knows the others", func() bool { return len(r.Table.Alive()) == n })
	}
	return replicas, proxies
}

// wantServed checks for a while that each of the replicas may use every shard all the time.
func wantServed(t *testing.T, period time.Duration, replicas ...*replica) {
	t.Helper()
	for began := time.Now(); time.Since(began) < period; <-time.After(time.Millisecond) {
		for _, r := range replicas {
			if n := r.Table.Granted(); n < testShards {
				t.Fatalf("%s may use %d shards only", r.name, n)
			}
		}
	}
}

// claimRate lets requests ask for a shard all the time and checks that few claims come of that.
func claimRate(t *testing.T, r *replica, during func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var requests sync.WaitGroup
	defer requests.Wait()
	defer cancel()
	for range 4 {
		requests.Go(func() {
			for ; ctx.Err() == nil; <-time.After(time.Millisecond) {
				_ = r.Table.Under(ctx, 0, func(*Grant) error { return model.NewUnavailable("the home does not answer", nil) })
			}
		})
	}
	before, began := r.claims.Load(), time.Now()
	during()
	rate := float64(r.claims.Load()-before) / time.Since(began).Seconds()
	if rate == 0 || rate > 10 {
		t.Errorf("%s claims %.1f times a second", r.name, rate)
	}
}

// Of two replicas, the one that is cut off is half of them: both go to SQL, which both reach, and stay
// there until it reaches Redis again.
func TestMajority_OneOfTwoCutOffMovesBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	replicas, proxies := behindProxies(t, w, 2)
	stop := neverBoth(t, replicas...)
	defer stop()
	if err := proxies[1].Cut(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "SQL", (*replica).inSQL, replicas...)
	epoch := w.all(t)[0].Epoch
	// The one that reaches Redis asks for the shards all the time, and serves them where they are.
	claimRate(t, replicas[0], func() { wantServed(t, 3*permission, replicas...) })
	w.wantEpoch(t, epoch)
	if got := replicas[0].StrangeHome(); got != model.HomeSQL {
		t.Errorf("the replica that reaches Redis tells of the home %q", got)
	}
	if got := replicas[1].StrangeHome(); got != "" {
		t.Errorf("the replica that is cut off tells of the home %q", got)
	}
	if err := proxies[1].Heal(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "Redis", (*replica).inRedis, replicas...)
	eventually(t, "nothing is strange", func() bool { return replicas[0].StrangeHome() == "" })
}

// One of three does not move the others, which do not even notice.
func TestMajority_OneOfThreeCutOffMovesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	replicas, proxies := behindProxies(t, w, 3)
	if err := proxies[2].Cut(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is noticed", func() bool { return replicas[2].Table.Granted() == 0 })
	claimRate(t, replicas[2], func() { wantServed(t, 3*permission, replicas[:2]...) })
	w.wantEpoch(t, 1)
	if n := replicas[2].Table.Granted(); n != 0 {
		t.Errorf("the replica that is cut off may use %d shards", n)
	}
	if got := replicas[2].StrangeHome(); got != "" {
		t.Errorf("it reaches no Redis, and tells of the home %q", got)
	}
	if err := proxies[2].Heal(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "Redis", (*replica).inRedis, replicas...)
	w.wantEpoch(t, 1)
}

func TestMajority_TwoOfThreeCutOffMoveAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	replicas, proxies := behindProxies(t, w, 3)
	stop := neverBoth(t, replicas...)
	defer stop()
	for _, p := range proxies[1:] {
		if err := p.Cut(); err != nil {
			t.Fatal(err)
		}
	}
	awaitAll(t, "SQL", (*replica).inSQL, replicas...)
	wantServed(t, 2*permission, replicas...)
	if err := proxies[1].Heal(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "Redis", (*replica).inRedis, replicas[:2]...)
	if err := proxies[2].Heal(); err != nil {
		t.Fatal(err)
	}
	awaitAll(t, "Redis", (*replica).inRedis, replicas...)
}

func TestMajority_TwoServersForTwoReplicasIsNoServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	b := newReplica(t, "b", w.db, testenv.NewRedis(t, testenv.RedisOptions{}).Addr()).start(t)
	stop := neverBoth(t, a, b)
	defer stop()
	awaitAll(t, "SQL", (*replica).inSQL, a, b)
	epoch := w.all(t)[0].Epoch
	wantServed(t, permission, a, b)
	for _, r := range []*replica{a, b} {
		eventually(t, r.name+" tells of it", func() bool { return r.StrangeHome() == model.HomeSQL })
	}
	wantServed(t, permission, a, b)
	w.wantEpoch(t, epoch)
}

func TestMajority_OtherServerForOneOfThreeServesItNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	replicas, _ := behindProxies(t, w, 2)
	c := newReplica(t, "c", w.db, testenv.NewRedis(t, testenv.RedisOptions{}).Addr()).start(t)
	home := replicas[0].process(t)
	began := time.Now()
	eventually(t, "the third tells of it", func() bool {
		wantServed(t, time.Millisecond, replicas...)
		return c.StrangeHome() == home
	})
	if d := time.Since(began); d < 2*permission {
		t.Errorf("told after %v, when it may have been a failover", d)
	}
	claimRate(t, c, func() { wantServed(t, 2*permission, replicas...) })
	w.wantEpoch(t, 1)
	if n := c.Table.Granted(); n != 0 || c.StrangeHome() != home {
		t.Errorf("the third may use %d shards, and tells of %q", n, c.StrangeHome())
	}
}
