package shards

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/lifecycle/lifecycletest"
	"github.com/zmsg/zmsg/internal/testenv"
)

func TestEndingKeepsTheContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	k := w.replica(t, "a").Keeper
	lifecycletest.Stress(t, func(*testing.T) lifecycle.Part { return NewEnding(k, func(int) bool { return false }) })
}

// Whatever cannot be stored does not keep the process for ever, nor for longer than its end may take.
func TestEndingDoesNotWaitWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testenv.RedisOptions{})
	a := w.replica(t, "a").start(t)
	a.awaitEpoch(t, 1)
	ending := func() *Ending {
		e := NewEnding(a.Keeper, func(s int) bool { return s == 2 })
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if err := ending().Stop(t.Context()); err != nil || !a.inRedis() {
		t.Errorf("Redis answers: %v", err)
	}
	a.stuck.Store(true) // nothing can be stored
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ending().Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	began := time.Now()
	if err := ending().Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < permission || took > 10*permission {
		t.Errorf("waited for %v", took)
	}
}
