// Package lifecycletest checks that a part keeps the contract of package lifecycle.
package lifecycletest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/zmsg/zmsg/internal/lifecycle"
)

// rounds is how often the races of Start and Stop are tried.
const rounds = 50

// Stress takes new parts through every order of Start and Stop, also at once. Run it under the race
// detector and with goleak in TestMain, which finds what a part leaves running. newPart returns a
// part that was never started and whose Start succeeds.
func Stress(t *testing.T, newPart func(t *testing.T) lifecycle.Part) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, lifecycle.Part){
		"StopBeforeStart": stopBeforeStart,
		"StopTwice":       stopTwice,
		"StartTwice":      startTwice,
		"StopAgain":       stopAgain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, newPart(t))
		})
	}
	t.Run("Races", func(t *testing.T) {
		t.Parallel()
		for range rounds {
			races(t, newPart(t))
		}
	})
}

func stopBeforeStart(t *testing.T, p lifecycle.Part) {
	t.Helper()
	mustStop(t, p)
	if err := p.Start(t.Context()); err == nil {
		t.Error("Start after Stop succeeded")
	}
	mustStop(t, p)
}

func stopTwice(t *testing.T, p lifecycle.Part) {
	t.Helper()
	mustStart(t, p)
	mustStop(t, p)
	mustStop(t, p)
}

func startTwice(t *testing.T, p lifecycle.Part) {
	t.Helper()
	mustStart(t, p)
	if err := p.Start(t.Context()); err == nil {
		t.Error("the second Start succeeded")
	}
	mustStop(t, p)
}

// stopAgain stops under a context that is done, which may or may not be in time, and then waits on.
func stopAgain(t *testing.T, p lifecycle.Part) {
	t.Helper()
	mustStart(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v, want nil or the context's error", err)
	}
	mustStop(t, p)
}

// races starts once and stops from several goroutines at once.
func races(t *testing.T, p lifecycle.Part) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Start(t.Context()) }) // fails when a Stop was first
	for range 3 {
		wg.Go(func() { mustStop(t, p) })
	}
	wg.Wait()
	mustStop(t, p)
}

func mustStart(t *testing.T, p lifecycle.Part) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Errorf("Start: %v", err)
	}
}

func mustStop(t *testing.T, p lifecycle.Part) {
	t.Helper()
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}
