package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/lifecycle/lifecycletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLoop() *lifecycle.Loop {
	return lifecycle.NewLoop(func(ctx context.Context) { <-ctx.Done() })
}

func TestLoopKeepsTheContract(t *testing.T) {
	t.Parallel()
	lifecycletest.Stress(t, func(*testing.T) lifecycle.Part { return newLoop() })
}

func TestGroupKeepsTheContract(t *testing.T) {
	t.Parallel()
	lifecycletest.Stress(t, func(*testing.T) lifecycle.Part {
		g := &lifecycle.Group{}
		g.Add("one", newLoop())
		g.Add("two", newLoop())
		return g
	})
}

type ctxKey struct{}

func TestLoopOutlivesTheContextOfStartAndKeepsItsValues(t *testing.T) {
	t.Parallel()
	startCtx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "v"))
	cancelled, looked := make(chan struct{}), make(chan struct{})
	l := lifecycle.NewLoop(func(ctx context.Context) {
		<-cancelled
		if err := ctx.Err(); err != nil {
			t.Errorf("the loop's context ended with that of Start: %v", err)
		}
		if got := ctx.Value(ctxKey{}); got != "v" {
			t.Errorf("the value is %v, want v", got)
		}
		close(looked)
	})
	if err := l.Start(startCtx); err != nil {
		t.Fatal(err)
	}
	cancel()
	close(cancelled)
	<-looked
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStopOfAStuckLoopEndsWithItsContextAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	l := lifecycle.NewLoop(func(context.Context) { <-release })
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop returned %v, want %v", err, context.Canceled)
	}
	close(release)
	if err := l.Stop(t.Context()); err != nil {
		t.Errorf("the second Stop returned %v", err)
	}
}

// recorder writes down what happens to it.
type recorder struct {
	name      string
	log       *[]string
	startErr  error
	stopErrs  []error // of the first Stops; then nil
	stopCtxOK bool
}

func (r *recorder) Start(context.Context) error {
	*r.log = append(*r.log, "start "+r.name)
	return r.startErr
}

func (r *recorder) Stop(ctx context.Context) error {
	*r.log = append(*r.log, "stop "+r.name)
	r.stopCtxOK = ctx.Err() == nil
	if len(r.stopErrs) == 0 {
		return nil
	}
	err := r.stopErrs[0]
	r.stopErrs = r.stopErrs[1:]
	return err
}

func wantLog(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("what happened is %q, want %q", got, want)
	}
}

func TestGroupStopsInReverseAndJoinsErrors(t *testing.T) {
	t.Parallel()
	var log []string
	errA, errB := errors.New("a"), errors.New("b")
	var g lifecycle.Group
	g.Add("a", &recorder{name: "a", log: &log, stopErrs: []error{errA}})
	g.Add("b", &recorder{name: "b", log: &log, stopErrs: []error{errB}})
	g.Add("c", &recorder{name: "c", log: &log})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := g.Stop(t.Context())
	if !errors.Is(err, errA) || !errors.Is(err, errB) {
		t.Errorf("Stop returned %v, want both errors", err)
	}
	wantLog(t, log, "start a", "start b", "start c", "stop c", "stop b", "stop a")

	log = nil
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("the second Stop returned %v", err)
	}
	wantLog(t, log, "stop b", "stop a")
}

// stuckPart ends only when its Stop is given up.
type stuckPart struct{ recorder }

func (p *stuckPart) Stop(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAFailedStartDoesNotWaitForeverForAStuckPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		errB := errors.New("b")
		var g lifecycle.Group
		g.Add("a", &stuckPart{recorder{name: "a", log: &log}})
		g.Add("b", &recorder{name: "b", log: &log, startErr: errB})
		err := g.Start(context.WithoutCancel(t.Context()))
		if !errors.Is(err, errB) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start returned %v, want the failure and the end of the wait", err)
		}
	})
}

func TestGroupStopsWhatItStartedWhenAStartFails(t *testing.T) {
	t.Parallel()
	var log []string
	errB := errors.New("b")
	a := &recorder{name: "a", log: &log}
	var g lifecycle.Group
	g.Add("a", a)
	g.Add("b", &recorder{name: "b", log: &log, startErr: errB})
	g.Add("c", &recorder{name: "c", log: &log})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what was started must be stopped in good order also when the start was cancelled
	if err := g.Start(ctx); !errors.Is(err, errB) {
		t.Errorf("Start returned %v, want %v", err, errB)
	}
	wantLog(t, log, "start a", "start b", "stop a")
	if !a.stopCtxOK {
		t.Error("Stop got a context that was done")
	}
	if err := g.Start(t.Context()); !errors.Is(err, lifecycle.ErrStopped) {
		t.Errorf("the second Start returned %v, want %v", err, lifecycle.ErrStopped)
	}
}
