package shards

import (
	"context"
	"errors"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// otherHolds makes replica "other" hold permissions until at least the time returned.
func otherHolds(t *testing.T, w *world, ttl time.Duration, process string) time.Time {
	t.Helper()
	asked := time.Now()
	if _, err := w.db.Shards().Heartbeat(t.Context(), beat("other", ttl, process)); err != nil {
		t.Fatal(err)
	}
	return asked.Add(ttl)
}

func TestLease_NewEpochWaitsForThePermissionsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{AppendOnly: true})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	if err := errors.Join(w.redis.Kill(), w.redis.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	until := otherHolds(t, w, 2*time.Second, a.process(t))
	eventually(t, "the new home is claimed", func() bool { return w.all(t)[0].Epoch == 2 })
	for !w.all(t)[0].Ready {
		if a.Table.Grant(0) != nil {
			t.Fatal("the opener uses the shard before it is ready")
		}
		if time.Since(until) > patience {
			t.Fatal("the shard never becomes ready")
		}
	}
	if early := time.Until(until); early > 0 {
		t.Errorf("ready %v before the other's permission has run out", early)
	}
	a.awaitEpoch(t, 2)
}

// Who says that it has left the older epoch keeps nobody waiting, however long its permission lasts.
func TestLease_NewEpochWaitsNoLongerThanOthersNeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{AppendOnly: true})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	if err := errors.Join(w.redis.Kill(), w.redis.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	b := beat("other", time.Hour, a.process(t))
	if _, err := w.db.Shards().Heartbeat(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new home is claimed", func() bool { return w.all(t)[0].Epoch == 2 })
	if w.all(t)[0].Ready {
		t.Error("ready while another replica has not left the older epoch")
	}
	for s := range b.Settled {
		b.Settled[s] = 2
	}
	if _, err := w.db.Shards().Heartbeat(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	a.awaitEpoch(t, 2)
}

func TestLeavingReplicaKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a, b := w.replica(t, "a").start(t), w.replica(t, "b").start(t)
	a.awaitEpoch(t, 1)
	b.awaitEpoch(t, 1)
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for s := range testShards {
		if b.Table.Grant(s) != nil || b.lastCall(s) != "leave" {
			t.Errorf("shard %d: grant %v after the stop, last told %q", s, b.Table.Grant(s), b.lastCall(s))
		}
	}
	_, wait, err := w.db.Shards().Claim(t.Context(), "a", []model.Claim{{Shard: 0, Epoch: 1, Home: "x"}})
	if err != nil || wait != 0 {
		t.Errorf("a claim waits %v, %v", wait, err)
	}
}

func TestOpenerThatDiesIsSucceeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	until := otherHolds(t, w, time.Second, "")
	claims := make([]model.Claim, testShards)
	for s := range claims {
		claims[s] = model.Claim{Shard: s, Home: "a process that is gone"}
	}
	if _, _, err := w.db.Shards().Claim(t.Context(), "other", claims); err != nil {
		t.Fatal(err)
	}
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 2)
	if early := time.Until(until); early > 0 {
		t.Errorf("succeeded %v before the opener's permission has run out", early)
	}
	w.wantEpoch(t, 2)
}

func TestP10_PermissionsOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(p *testenv.Proxy) error{
		"Refuses": func(p *testenv.Proxy) error { return p.Cut() },
		"Hangs":   func(p *testenv.Proxy) error { p.Stall(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testenv.RedisOptions{})
			u, err := url.Parse(w.dsn)
			if err != nil {
				t.Fatal(err)
			}
			proxy := testenv.NewProxy(t, u.Host)
			u.Host = proxy.Addr()
			a := newReplica(t, "a", openDB(t, u.String()), w.redis.Addr()).start(t)
			a.awaitEpoch(t, 1)
			if err := lose(proxy); err != nil {
				t.Fatal(err)
			}
			wantHeld := func() {
				t.Helper()
				if !a.inEpoch(1) {
					t.Fatal("permissions ended with the database")
				}
			}
			eventually(t, "the loss is noticed", func() bool { wantHeld(); return a.Table.SQLDown() })
			for began := time.Now(); time.Since(began) < 2*permission; <-time.After(5 * time.Millisecond) {
				wantHeld()
			}
			if refused := a.doubtAll(t); refused != 0 {
				t.Errorf("%d shards take no write", refused)
			}
			if err := proxy.Heal(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the return is noticed", func() bool { wantHeld(); return !a.Table.SQLDown() })
			wantHeld()
			w.wantEpoch(t, 1)
		})
	}
}

func TestLease_PausedReplicaHasNoPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a")
	step := func() {
		t.Helper()
		if err := a.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.reconcile(t.Context())
	}
	step()
	step()
	if !a.inEpoch(1) {
		t.Fatal("no permissions")
	}
	// It sleeps, and somebody else opens a later epoch at once: its permission has run out before.
	b := w.replica(t, "b").start(t)
	b.awaitEpoch(t, 1)
	if _, err := w.redis.Do(t.Context(), "FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	b.doubtAll(t)
	b.awaitEpoch(t, 2)
	if n := a.Table.Granted(); n != 0 {
		t.Errorf("the paused replica still may use %d shards", n)
	}
	if err := a.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := a.Table.Granted(); n != 0 {
		t.Errorf("a renewal brought %d permissions of an ended epoch back", n)
	}
	a.reconcile(t.Context())
	if !a.inEpoch(2) {
		t.Error("the replica does not enter the epoch of the other")
	}
}

// Nobody has moved the shards of a replica that slept. But it has not followed their events meanwhile, and must
// not trust what it remembers of them.
func TestLease_PausedReplicaEntersTheSameEpochAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a")
	step := func() {
		t.Helper()
		if err := a.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.reconcile(t.Context())
	}
	step()
	step()
	if !a.inEpoch(1) {
		t.Fatal("no permissions")
	}
	era := a.Table.Grant(0).Era
	step()
	if got := a.Table.Grant(0).Era; got != era {
		t.Errorf("a renewal in time has begun era %d after %d", got, era)
	}
	a.Table.until.Store(int64(a.Table.now())) // as after a pause
	if err := a.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := a.Table.Granted(); n != 0 {
		t.Errorf("a renewal brought %d permissions back that had run out", n)
	}
	a.reconcile(t.Context())
	if !a.inEpoch(1) {
		t.Fatal("the replica does not enter its epoch anew")
	}
	for s := range testShards {
		if got := a.Table.Grant(s).Era; got <= era {
			t.Errorf("shard %d is in era %d, was in %d", s, got, era)
		}
	}
	w.wantEpoch(t, 1)
}

// slowStore lets the first reply to a heartbeat wait.
type slowStore struct {
	Store
	calls    atomic.Int64
	answered chan struct{}
	gate     chan struct{}
}

func (s *slowStore) Heartbeat(ctx context.Context, b model.Beat) (model.Heartbeat, error) {
	hb, err := s.Store.Heartbeat(ctx, b)
	if s.calls.Add(1) == 1 {
		close(s.answered)
		<-s.gate
	}
	return hb, err
}

// A reply that is overtaken by a claim and a later heartbeat must not bring the ended epoch back.
func TestLease_HeartbeatsDoNotOvertakeEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	first := w.replica(t, "first").start(t)
	first.awaitEpoch(t, 1)
	a := w.replica(t, "a")
	store := &slowStore{Store: a.Store, answered: make(chan struct{}), gate: make(chan struct{})}
	a.Store = store
	done := make(chan error, 2)
	go func() { done <- a.beat(t.Context()) }()
	<-store.answered
	if _, _, err := w.db.Shards().Claim(t.Context(), "first", []model.Claim{{Shard: 0, Epoch: 1, Home: model.HomeSQL}}); err != nil {
		t.Fatal(err)
	}
	go func() { done <- a.beat(t.Context()) }()
	select {
	case err := <-done:
		t.Errorf("the second heartbeat has overtaken the first: %v", err)
		done <- err
	case <-time.After(100 * time.Millisecond):
	}
	close(store.gate)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if sh := a.heartbeat().Shards[0]; sh.Epoch == 1 {
		t.Errorf("news of an ended epoch were kept: %+v", sh)
	}
}
