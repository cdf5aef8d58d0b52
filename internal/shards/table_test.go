package shards

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// newTestTable returns a table of n shards whose permission lasts for an hour.
func newTestTable(n int) *Table {
	t := NewTable(keyspace.New(n))
	t.until.Store(int64(t.now() + time.Hour))
	return t
}

// inRedis are the scripts of some Redis process.
var inRedis = &keyspace.Scripts{Process: "x"}

// hear tells the table of a shard that is ready in an epoch.
func hear(t *Table, s int, epoch int64) { t.heard(model.Shard{Shard: s, Epoch: epoch, Ready: true}) }

// enter lets the table use a shard in an epoch.
func enter(t *Table, s int, epoch int64) *Grant {
	hear(t, s, epoch)
	g := t.prepare(s, epoch, inRedis)
	t.enter(g, 0)
	return g
}

func TestTableLease_PermissionEndsByTheReplicasOwnClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable(2)
		g := enter(table, 0, 1)
		<-time.After(time.Hour - time.Nanosecond)
		if table.Grant(0) != g || !table.Holds(g) || table.Granted() != 1 {
			t.Error("the permission ended too early")
		}
		<-time.After(time.Nanosecond)
		if table.Grant(0) != nil || table.Holds(g) || table.Granted() != 0 {
			t.Error("the permission did not end")
		}
		table.until.Store(int64(table.now() + time.Second))
		if table.Grant(0) != g {
			t.Error("a renewal of the same epoch brings no permission back")
		}
		<-time.After(2 * time.Second)
		hear(table, 0, 2)
		table.until.Store(int64(table.now() + time.Second))
		if table.Grant(0) != nil {
			t.Error("a renewal brought the permission for an ended epoch back")
		}
	})
}

func TestTableEntersOnlyWhatSQLStillTells(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]model.Shard{
		"LaterEpoch": {Epoch: 3, Ready: true},
		"NotReady":   {Epoch: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := newTestTable(1)
			hear(table, 0, 2)
			g := table.prepare(0, 2, inRedis)
			table.heard(told)
			table.enter(g, 0)
			if table.Grant(0) != nil {
				t.Error("an epoch was entered that has ended")
			}
		})
	}
}

func TestTableHeardEndsGrantsOfOtherEpochsOnly(t *testing.T) {
	t.Parallel()
	table := newTestTable(2)
	first, second := enter(table, 0, 1), enter(table, 1, 1)
	if table.heard(model.Shard{Shard: 0, Epoch: 1, Ready: true, Position: 5}) != nil || !table.Holds(first) {
		t.Error("a renewal of the same epoch ended the permission")
	}
	if table.heard(model.Shard{Shard: 0, Epoch: 2}) == nil || table.Grant(0) != nil {
		t.Error("the claim of a later epoch did not end the permission")
	}
	if table.heard(model.Shard{Shard: 0, Epoch: 2, Ready: true, Position: 3}) != nil {
		t.Error("there was no permission to end")
	}
	if got := table.Position(0); got != 3 {
		t.Errorf("the position is %d, and SQL says 3", got)
	}
	if !table.Holds(second) {
		t.Error("another shard lost its permission")
	}
}

// Within an epoch SQL's position rises, or SQL has lost commits. A heartbeat may be older than a release.
func TestTableNoticesThatSQLHasForgotten(t *testing.T) {
	t.Parallel()
	table := newTestTable(1)
	g := enter(table, 0, 1)
	tell := func(epoch int64, position model.Version) {
		table.heard(model.Shard{Shard: 0, Epoch: epoch, Ready: true, Position: position})
	}
	tell(1, 5)
	table.Released(g, 9)
	tell(1, 7)
	if got := table.Position(0); got != 9 || table.hasForgotten(0, 1) {
		t.Errorf("position %d, forgotten: %v", got, table.hasForgotten(0, 1))
	}
	tell(1, 6)
	if !table.hasForgotten(0, 1) || table.hasForgotten(0, 2) {
		t.Error("it fell unnoticed")
	}
	tell(2, 6)
	if got := table.Position(0); got != 6 || table.hasForgotten(0, 2) {
		t.Errorf("in another epoch: position %d, forgotten: %v", got, table.hasForgotten(0, 2))
	}
}

func TestTableErasRise(t *testing.T) {
	t.Parallel()
	table := newTestTable(1)
	last := uint32(0)
	for range 3 {
		g := enter(table, 0, 1)
		if g.Era <= last {
			t.Errorf("era %d after %d", g.Era, last)
		}
		last = g.Era
		table.Doubt(g)
	}
}

func TestTableDoubtGivesUpThePresentGrantAlone(t *testing.T) {
	t.Parallel()
	table := newTestTable(2)
	old := enter(table, 0, 1)
	other := enter(table, 1, 1)
	table.Doubt(old)
	if table.Grant(0) != nil || !table.isDoubted(0) || !table.Holds(other) || table.isDoubted(1) {
		t.Error("a refused permission goes, and no other")
	}
	select {
	case <-table.poke:
	default:
		t.Error("the Keeper was not poked")
	}
	fresh := enter(table, 0, 1)
	if table.isDoubted(0) {
		t.Error("the shard is doubted after it was entered anew")
	}
	table.Doubt(old) // late, by somebody who still uses it
	if !table.Holds(fresh) || table.isDoubted(0) {
		t.Error("doubt of an ended permission ended its successor")
	}
}

func TestTableAwaitGrant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable(1)
		began := time.Now()
		if _, err := table.AwaitGrant(t.Context(), 0, nil, time.Second); model.KindOf(err) != model.Unavailable || time.Since(began) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		old := enter(table, 0, 1)
		if g, err := table.AwaitGrant(t.Context(), 0, nil, time.Second); err != nil || g != old {
			t.Errorf("got %v, %v", g, err)
		}
		go func() {
			<-time.After(time.Second)
			enter(table, 0, 2)
		}()
		if g, err := table.AwaitGrant(t.Context(), 0, old, time.Minute); err != nil || g == old || g.Epoch != 2 {
			t.Errorf("got %v, %v", g, err)
		}
		table.Doubt(table.Grant(0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := table.AwaitGrant(ctx, 0, nil, time.Minute); model.KindOf(err) != model.Unavailable || ctx.Err() == nil {
			t.Errorf("the caller left: %v", err)
		}
		lost := enter(table, 0, 2)
		table.setAway(0, true)
		go func() { // the Keeper moves the shard
			<-time.After(time.Second)
			hear(table, 0, 3)
			table.confirm(table.now() + time.Hour)
			table.enter(table.prepare(0, 3, nil), 0)
		}()
		if g, err := table.AwaitGrant(t.Context(), 0, nil, time.Minute); err != nil || g == lost || !g.SQL {
			t.Errorf("without Redis: %+v, %v", g, err)
		}
		hear(table, 0, 4)
		table.sqlDown.Store(true)
		began = time.Now()
		if _, err := table.AwaitGrant(t.Context(), 0, nil, time.Minute); model.KindOf(err) != model.Unavailable || time.Since(began) != 0 {
			t.Errorf("without Redis and SQL: %v after %v", err, time.Since(began))
		}
	})
}

// What SQL has not confirmed is no permission to use SQL: the home may have moved back to Redis.
func TestTableLease_HomeInSQLNeedsItsWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable(1)
		hear(table, 0, 1)
		g := table.prepare(0, 1, nil)
		table.enter(g, 0)
		if table.Holds(g) {
			t.Error("used without SQL's word")
		}
		table.confirm(table.now() + time.Second)
		if !table.Holds(g) || table.AtSQL() != 1 || table.Redis(0) != nil {
			t.Error("not used")
		}
		<-time.After(time.Second)
		table.extend(table.now() + time.Hour)
		if table.Holds(g) {
			t.Error("extended while SQL was away")
		}
	})
}

func TestTableAwaitGrantSeesARenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable(1)
		g := enter(table, 0, 1)
		<-time.After(2 * time.Hour) // the process was paused
		go func() {
			<-time.After(time.Second)
			table.extend(table.now() + time.Minute)
		}()
		began := time.Now()
		if got, err := table.AwaitGrant(t.Context(), 0, nil, time.Minute); got != g || err != nil || time.Since(began) != time.Second {
			t.Errorf("got %v, %v after %v", got, err, time.Since(began))
		}
	})
}

// await runs AwaitReleased in the background, once it waits.
func await(ctx context.Context, table *Table, g *Grant, v model.Version) func() (bool, error) {
	type result struct {
		ok  bool
		err error
	}
	done := make(chan result, 1)
	go func() {
		ok, err := table.AwaitReleased(ctx, g, v)
		done <- result{ok, err}
	}()
	synctest.Wait()
	return func() (bool, error) {
		r := <-done
		return r.ok, r.err
	}
}

func TestTableAwaitReleased_WaitEp(t *testing.T) {
	t.Parallel()
	v := model.NewVersion(1, 5)
	for name, tc := range map[string]struct {
		then func(table *Table, g *Grant)
		want bool
	}{
		"Released":     {func(table *Table, g *Grant) { table.Released(g, v) }, true},
		"ReleasedPast": {func(table *Table, g *Grant) { table.Released(g, v-1); synctest.Wait(); table.Released(g, v+1) }, true},
		// A later epoch's position has passed v too, but that says nothing of the write.
		"LaterEpoch": {func(table *Table, _ *Grant) {
			hear(table, 0, 2)
			table.enter(table.prepare(0, 2, inRedis), model.NewVersion(2, 1))
		}, false},
		"EpochEnded": {func(table *Table, _ *Grant) { table.heard(model.Shard{Epoch: 2}) }, false},
		"Doubted":    {func(table *Table, g *Grant) { table.Doubt(g) }, false},
		"Left":       {func(table *Table, _ *Grant) { table.leave(0) }, false},
		"EnteredAnew": {func(table *Table, _ *Grant) {
			table.enter(table.prepare(0, 1, inRedis), v) // of the same epoch: its position counts
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				table := newTestTable(1)
				g := enter(table, 0, 1)
				result := await(t.Context(), table, g, v)
				began := time.Now()
				tc.then(table, g)
				if ok, err := result(); ok != tc.want || err != nil || time.Since(began) != 0 {
					t.Errorf("got %v, %v after %v", ok, err, time.Since(began))
				}
			})
		})
	}
}

func TestTableAwaitReleasedGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newTestTable(1)
		g := enter(table, 0, 1)
		ctx, cancel := context.WithCancel(t.Context())
		result := await(ctx, table, g, 5)
		cancel()
		if ok, err := result(); ok || model.KindOf(err) != model.Unavailable {
			t.Errorf("the caller left: %v, %v", ok, err)
		}
		result = await(t.Context(), table, g, 5)
		table.sqlDown.Store(true)
		began := time.Now()
		if ok, err := result(); ok || model.KindOf(err) != model.Unavailable || time.Since(began) > sqlPatience {
			t.Errorf("the database went: %v, %v after %v", ok, err, time.Since(began))
		}
	})
}

func TestTableReleasedIsOfTheGrantAlone(t *testing.T) {
	t.Parallel()
	table := newTestTable(1)
	old := enter(table, 0, 1)
	table.Released(old, 7)
	table.Released(old, 6)
	if table.ReleasedUpTo(0) != 7 || table.Position(0) != 7 {
		t.Errorf("released %d, position %d", table.ReleasedUpTo(0), table.Position(0))
	}
	g := table.prepare(0, 1, inRedis)
	table.enter(g, 3) // as Redis told when the shard was entered anew
	table.Released(old, 9)
	if got := table.ReleasedUpTo(0); got != 3 {
		t.Errorf("news under an ended permission counted: %d", got)
	}
	if got := table.Position(0); got != 7 {
		t.Errorf("the position fell to %d", got)
	}
}

func TestMembersShareEveryShardFairly(t *testing.T) {
	t.Parallel()
	const shards = 64
	names := []string{"a", "b", "c", "d", "e"}
	for n := 1; n <= len(names); n++ {
		owned := make([]int, n)
		leaders := 0
		owners := make([]int, shards)
		for i, name := range names[:n] {
			table := NewTable(keyspace.New(shards))
			table.setMembers(names[:n], name)
			if table.Leads() {
				leaders++
			}
			for s := range shards {
				if table.Owns(s) {
					owned[i]++
					owners[s]++
				}
			}
		}
		for s, count := range owners {
			if count != 1 {
				t.Errorf("%d replicas: shard %d has %d owners", n, s, count)
			}
		}
		for i, count := range owned {
			if count < shards/n || count > shards/n+1 {
				t.Errorf("%d replicas: number %d owns %d", n, i, count)
			}
		}
		if leaders != 1 {
			t.Errorf("%d replicas: %d lead", n, leaders)
		}
	}
	if table := NewTable(keyspace.New(shards)); table.Owns(0) || table.Leads() {
		t.Error("a replica that has heard of nobody owns shards")
	}
}
