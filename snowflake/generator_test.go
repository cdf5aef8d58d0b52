package snowflake

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/lifecycle/lifecycletest"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{},
		{Window: time.Millisecond},
		{Window: 2 * time.Hour},
		{Window: time.Second, Margin: -1},
		{Window: time.Second, MaxWait: -1},
	} {
		if _, err := New(cfg, newFake(1, realTime)); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestMintBounds(t *testing.T) {
	t.Parallel()
	g := generator(t, Config{}, newFake(1, realTime))
	for _, n := range []int{-1, 0, MaxBatch + 1} {
		if ids, err := g.Mint(t.Context(), n); err == nil || errors.Is(err, ErrNoLease) {
			t.Errorf("Mint(%d): %v, %v", n, ids, err)
		}
	}
}

// While the database is away IDs are made to the end of the window, not beyond, and again when it is
// back.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newFake(2, realTime)
		g := started(t, Config{}, db)
		if id, err := g.next(t.Context()); err != nil || !id.Parts().Time.Equal(time.UnixMilli(realTime())) {
			t.Fatalf("%d at %+v: %v", id, id.Parts(), err)
		}
		time.Sleep(time.Minute) // of the bubble: many extensions
		db.setAway(true)
		end := g.Stats().Until
		time.Sleep(time.UnixMilli(end.UnixMilli() - 1).Sub(time.UnixMilli(realTime())))
		if _, err := g.next(t.Context()); err != nil {
			t.Fatalf("in the window's last millisecond: %v", err)
		}
		if err := g.Ready(); err != nil {
			t.Errorf("not ready within the window: %v", err)
		}
		time.Sleep(time.Millisecond)
		asked := time.Now()
		if id, err := g.next(t.Context()); !errors.Is(err, ErrNoLease) || !errors.Is(err, errAway) {
			t.Fatalf("beyond the window: %+v, %v", id.Parts(), err)
		}
		if waited := time.Since(asked); waited != 500*time.Millisecond {
			t.Errorf("waited %v for an ID", waited)
		}
		if err := g.Ready(); !errors.Is(err, ErrNoLease) {
			t.Errorf("Ready beyond the window: %v", err)
		}
		db.setAway(false)
		time.Sleep(time.Second)
		if _, err := g.Mint(t.Context(), 100); err != nil || g.Ready() != nil {
			t.Errorf("after the outage: %v, %v", err, g.Ready())
		}
		if s := g.Stats(); s.Lost != 1 || s.Acquired != 2 || s.Failures == 0 || s.Extended < 10 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := generator(t, Config{MaxWait: time.Hour}, newFake(1, realTime))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := g.Mint(ctx, 5); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Mint without a grant: %v", err)
		}
	})
}

// Demand beyond 4096 IDs a millisecond borrows one second, then is paced by time.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{MaxWait: time.Minute}, newFake(1, realTime))
		begin := time.Now()
		var last ID
		for range 3 * 1000 * PerMillisecond / 8192 {
			ids, err := g.Mint(t.Context(), 8192)
			if err != nil || ids[0] <= last {
				t.Fatalf("%d after %d: %v", ids[0], last, err)
			}
			last = ids[len(ids)-1]
		}
		if took := time.Since(begin); took < 1900*time.Millisecond || took > 2100*time.Millisecond {
			t.Errorf("3 seconds' worth of IDs took %v", took)
		}
		if lead := last.Parts().Time.Sub(time.UnixMilli(realTime())); lead > time.Second {
			t.Errorf("timestamps are %v ahead", lead)
		}
	})
}

// A clock that steps back by more than timestamps may run ahead moves the generator to another node,
// whose slots of that time are free, and waiting ends at once.
func TestClockStepsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var step time.Duration
		db := newFake(2, func() int64 { return realTime() - step.Milliseconds() })
		g := started(t, Config{}, db)
		first, err := g.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		db.mu.Lock()
		step = time.Hour
		db.mu.Unlock()
		time.Sleep(4 * time.Second) // an extension
		second, err := g.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a, b := first.Parts(), second.Parts()
		if a.Node == b.Node || !b.Time.Before(a.Time) {
			t.Errorf("before the step %+v, after it %+v", a, b)
		}
	})
}

func TestMarginDelaysFirstID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{Margin: 11 * time.Second, MaxWait: time.Minute}, newFake(1, realTime))
		begin := realTime()
		id, err := g.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := id.Parts().Time.UnixMilli() - begin; got != 11_000 {
			t.Errorf("the first timestamp is %dms after the start", got)
		}
		if s := g.Stats(); s.Acquired != 1 || s.Lost != 0 {
			t.Errorf("waiting for the margin changed the node: %+v", s)
		}
	})
}

func TestGeneratorLifecycle(t *testing.T) {
	t.Parallel()
	lifecycletest.Stress(t, func(t *testing.T) lifecycle.Part {
		t.Helper()
		return generator(t, Config{}, newFake(1, realTime))
	})
}

func TestStopFreesNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newFake(1, realTime)
		var last ID
		for range 5 {
			g := started(t, Config{}, db)
			id, err := g.next(t.Context())
			if err != nil || id <= last {
				t.Fatalf("%d after %d: %v", id, last, err)
			}
			last = id
			for range 2 {
				if err := g.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := g.next(t.Context()); !errors.Is(err, ErrNoLease) {
				t.Errorf("after Stop: %v", err)
			}
		}
	})
}

func TestAllNodesTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newFake(1, realTime)
		holder := started(t, Config{}, db)
		if _, err := holder.next(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := started(t, Config{}, db)
		if _, err := g.next(t.Context()); !errors.Is(err, ErrNoNode) || !errors.Is(err, ErrNoLease) {
			t.Errorf("with all nodes taken: %v", err)
		}
	})
}

func TestEndOfTime(t *testing.T) {
	t.Parallel()
	millis := int64(endMillis - 2)
	var elapsed time.Duration
	g := generator(t, Config{Elapsed: func() time.Duration { return elapsed }}, newFake(1, func() int64 { return millis }))
	if err := g.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids, _, _ := g.take(nil, 3*PerMillisecond)
	if len(ids) != 2*PerMillisecond || ids[len(ids)-1] != 1<<63-1-0x3ff000 {
		t.Errorf("%d IDs before the end, the last is %d", len(ids), ids[len(ids)-1])
	}
	elapsed += time.Second
	if err := g.Ready(); !errors.Is(err, ErrNoLease) {
		t.Errorf("Ready at the end of time: %v", err)
	}
}

func BenchmarkMintOne(b *testing.B) {
	g := started(b, Config{MaxWait: time.Minute}, newFake(1, realTime))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.next(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMint1000(b *testing.B) {
	g := started(b, Config{MaxWait: time.Minute}, newFake(1, realTime))
	for b.Loop() {
		if _, err := g.Mint(b.Context(), 1000); err != nil {
			b.Fatal(err)
		}
	}
}

// The cost without the pace of 4096 a millisecond: each round has a clock of its own.
func BenchmarkTake(b *testing.B) {
	millis := int64(epochMillis + 1e9)
	var elapsed time.Duration
	g := generator(b, Config{Window: time.Hour, Elapsed: func() time.Duration { return elapsed }}, newFake(1, func() int64 { return millis }))
	if err := g.renew(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var one [1]ID
	for n := 0; b.Loop(); n++ {
		if n%PerMillisecond == 0 && elapsed < 50*time.Minute {
			elapsed += time.Millisecond
		}
		g.take(one[:0], 1)
	}
}
