package shards

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

func TestFirstOpeningWaitsForNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a")
	if _, err := w.db.Shards().Heartbeat(t.Context(), beat("other", time.Hour, a.process(t))); err != nil {
		t.Fatal(err)
	}
	a.start(t)
	a.awaitEpoch(t, 1)
	w.wantEpoch(t, 1)
	if a.drains.Load() != testShards || a.Memory().Policy != "noeviction" || a.Table.RedisDown() > 0 || a.Table.SQLDown() {
		t.Errorf("%d drains, policy %q", a.drains.Load(), a.Memory().Policy)
	}
}

func TestSecondReplicaEntersWithoutOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	if refused := a.doubtAll(t); refused != 0 {
		t.Fatalf("%d shards refuse", refused)
	}
	b := w.replica(t, "b").start(t)
	b.awaitEpoch(t, 1)
	w.wantEpoch(t, 1)
	if b.drains.Load() != 0 {
		t.Error("the second replica has drained for an opening")
	}
	for _, r := range []*replica{a, b} {
		if refused := r.doubtAll(t); refused != 0 {
			t.Errorf("%s is refused %d times", r.name, refused)
		}
	}
}

// Each way of losing what Redis held is noticed at the first use, and followed by an epoch of its own
// that both replicas enter.
func TestLossOfStateOpensANewEpoch(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"FlushAll":    {"FLUSHALL"},
		"ScriptFlush": {"SCRIPT", "FLUSH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testenv.RedisOptions{})
			a, b := w.replica(t, "a").start(t), w.replica(t, "b").start(t)
			a.awaitEpoch(t, 1)
			b.awaitEpoch(t, 1)
			if _, err := w.redis.Do(t.Context(), command...); err != nil {
				t.Fatal(err)
			}
			if refused := a.doubtAll(t); refused != testShards {
				t.Errorf("%d of %d shards refuse", refused, testShards)
			}
			a.awaitEpoch(t, 2)
			b.awaitEpoch(t, 2)
			w.wantEpoch(t, 2)
			if a.doubtAll(t)+b.doubtAll(t) != 0 {
				t.Error("the new epoch is refused")
			}
		})
	}
}

// Before the first epoch nobody has used an idempotency key: none need be looked up in SQL, which may be away.
func TestKeysAreLookedUpFromTheSecondEpochOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a")
	a.KeyCheck = time.Hour
	a.start(t)
	for epoch := int64(1); epoch <= 2; epoch++ {
		want := epoch > 1
		a.awaitEpoch(t, epoch)
		for s := range testShards {
			got, err := a.Redis.Client().HExists(t.Context(), a.Space.Meta(s), "kc").Result()
			if err != nil || got != want {
				t.Errorf("epoch %d of shard %d: keys are looked up: %v, %v", epoch, s, got, err)
			}
		}
		if _, err := w.redis.Do(t.Context(), "FLUSHALL"); err != nil {
			t.Fatal(err)
		}
	}
}

// Missed events are no loss of state: the shard is entered anew, in the same epoch and a later era.
func TestDoubtWithoutLossEntersTheSameEpochAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	g := a.Table.Grant(3)
	a.Table.Doubt(g)
	fresh, err := a.Table.AwaitGrant(t.Context(), 3, g, patience)
	if err != nil || fresh.Epoch != 1 || fresh.Era <= g.Era {
		t.Fatalf("got %+v, %v", fresh, err)
	}
	w.wantEpoch(t, 1)
}

func TestOpeningIsRepeatedUntilTheDrainSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a")
	var fails atomic.Int64
	a.drain = func(sh model.Shard) error {
		if sh.Shard == 2 && fails.Add(1) <= 2 {
			return errors.New("the database refuses")
		}
		return nil
	}
	a.start(t)
	eventually(t, "all shards are open", func() bool { return a.Table.Granted() == testShards })
	for _, sh := range w.all(t) {
		want := int64(1)
		if sh.Shard == 2 {
			want = 3 // every attempt has an epoch of its own
		}
		if sh.Epoch != want || !sh.Ready {
			t.Errorf("%+v, want epoch %d", sh, want)
		}
	}
}

func TestOpeningDrainsWhatAnEndedEpochLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	if refused := a.doubtAll(t); refused != 0 { // one queued write in each shard
		t.Fatalf("%d refused", refused)
	}
	if _, err := w.redis.Do(t.Context(), "SCRIPT", "FLUSH"); err != nil {
		t.Fatal(err)
	}
	a.doubtAll(t)
	a.awaitEpoch(t, 2)
	for _, sh := range w.all(t) {
		if want := model.NewVersion(1, 1); sh.Position != want || a.Table.ReleasedUpTo(sh.Shard) != want {
			t.Errorf("%+v, released %d, want position %d", sh, a.Table.ReleasedUpTo(sh.Shard), want)
		}
	}
}

func TestDemotedProcessIsNeverAHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{Genuine: true})
	if _, err := w.redis.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1"); err != nil {
		t.Fatal(err)
	}
	a := w.replica(t, "a")
	look := func() {
		t.Helper()
		if err := a.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.reconcile(t.Context())
		if err := a.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.reconcile(t.Context())
	}
	look()
	for _, sh := range w.all(t) {
		if sh.Epoch != 0 || a.Table.Grant(sh.Shard) != nil {
			t.Fatalf("a demoted process was claimed: %+v", sh)
		}
	}
	promote := func() {
		t.Helper()
		if _, err := w.redis.Do(t.Context(), "REPLICAOF", "NO", "ONE"); err != nil {
			t.Fatal(err)
		}
	}
	promote()
	look()
	if !a.inEpoch(1) {
		t.Fatal("the promoted process is not the home")
	}

	// Demoted while it is the home: refused writes end the permission, which must not come back.
	if _, err := w.redis.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1"); err != nil {
		t.Fatal(err)
	}
	if refused := a.doubtAll(t); refused != testShards {
		t.Errorf("%d shards take no write", refused)
	}
	look()
	if a.Table.Granted() != 0 {
		t.Error("a demoted process is used again")
	}
	w.wantEpoch(t, 1)
	promote() // it may have missed writes meanwhile: another process to us
	look()
	if !a.inEpoch(2) {
		t.Error("no new epoch after the promotion")
	}
}

func TestStartFailsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Start(ctx); err == nil {
		t.Error("started")
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Errorf("stop of what has not started: %v", err)
	}
}

// silent is the Store of a replica that dies without a word.
type silent struct{ Store }

func (silent) Leave(context.Context, string) error { return nil }

func TestMembersTakeOverFromThoseWhoLeaveOrDie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	dying := w.replica(t, "a")
	dying.Store = silent{dying.Store}
	replicas := []*replica{dying.start(t), w.replica(t, "b").start(t), w.replica(t, "c").start(t)}
	shared := func(list []*replica) bool {
		for s := range testShards {
			owners := 0
			for _, r := range list {
				if r.Table.Owns(s) {
					owners++
				}
			}
			if owners != 1 {
				return false
			}
		}
		for _, r := range list {
			if len(r.Table.Alive()) != len(list) {
				return false
			}
		}
		return true
	}
	eventually(t, "three share the shards", func() bool { return shared(replicas) })
	if err := replicas[1].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two share the shards", func() bool { return shared([]*replica{replicas[0], replicas[2]}) })
	if err := dying.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one owns all shards", func() bool { return shared(replicas[2:]) })
}
