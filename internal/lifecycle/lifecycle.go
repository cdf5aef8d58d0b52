// Package lifecycle holds the contract that every long-lived part keeps, and two of its keepers:
// Group, which starts parts in order and stops them in reverse, and Loop, which owns a goroutine.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Part is something that runs for a while. Its methods may be called from several goroutines.
type Part interface {
	// Start begins the work and returns when the part is ready. ctx bounds the start only: the part
	// outlives it. A part is started once: every further Start fails, also one after Stop. A Start
	// that fails leaves nothing behind.
	Start(ctx context.Context) error
	// Stop ends the work and returns when every goroutine of the part has ended, or with an error
	// when ctx is done before that. It does nothing on a part that was never started or is stopped
	// already. It may be repeated to wait on after ctx was done.
	Stop(ctx context.Context) error
}

// ErrStarted is returned by a Start that is not the first, ErrStopped by one after Stop.
var (
	ErrStarted = errors.New("started already")
	ErrStopped = errors.New("stopped already")
)

type state uint8

const (
	idle state = iota
	started
	stopped
)

// start moves an idle part to started.
func (s *state) start() error {
	switch *s {
	case started:
		return ErrStarted
	case stopped:
		return ErrStopped
	default:
		*s = started
		return nil
	}
}

// Group is a Part made of parts. The zero value is an empty group. A Stop that comes during Start
// waits for it; cancel the context of Start to hurry it.
type Group struct {
	mu      sync.Mutex
	state   state
	parts   []named
	running int // the first so many parts have been started and not yet stopped
}

// cleanUpTimeout bounds how long a failed Start waits for the parts that it stops again.
const cleanUpTimeout = 10 * time.Second

type named struct {
	name string
	part Part
}

// Add appends a part. It may use the parts added before it from its Start to its Stop. The name
// appears in errors. Add must not be called after Start.
func (g *Group) Add(name string, p Part) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parts = append(g.parts, named{name, p})
}

// Start starts the parts in the order in which they were added. When one fails, those before it are
// stopped in reverse, whatever ctx says but within cleanUpTimeout, and all errors are returned.
func (g *Group) Start(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.state.start(); err != nil {
		return err
	}
	for _, p := range g.parts {
		if err := p.part.Start(ctx); err != nil {
			g.state = stopped
			cleanUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
			defer cancel()
			return errors.Join(fmt.Errorf("start %s: %w", p.name, err), g.stop(cleanUp))
		}
		g.running++
	}
	return nil
}

// Stop stops the parts in reverse order. All are told to stop, whatever errors the others return;
// the errors are joined. Those that did not stop are told again by the next Stop.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = stopped
	return g.stop(ctx)
}

func (g *Group) stop(ctx context.Context) error {
	var err error
	var left []named
	for _, p := range slices.Backward(g.parts[:g.running]) {
		if e := p.part.Stop(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("stop %s: %w", p.name, e))
			left = append(left, p)
		}
	}
	slices.Reverse(left)
	g.parts, g.running = left, len(left)
	return err
}

// Loop is a Part that owns goroutines.
type Loop struct {
	runs []func(ctx context.Context)

	mu     sync.Mutex
	state  state
	cancel context.CancelFunc
	done   chan struct{} // closed when all runs have returned; nil while idle
}

// NewLoop returns a Loop with a goroutine for each of runs. A run must return soon after its context is
// done; it may return earlier. The context carries the values of Start's.
func NewLoop(runs ...func(ctx context.Context)) *Loop { return &Loop{runs: runs} }

// Start starts the goroutines.
func (l *Loop) Start(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.state.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	l.cancel, l.done = cancel, done
	var all sync.WaitGroup
	for _, run := range l.runs {
		all.Go(func() { run(ctx) })
	}
	go func() {
		all.Wait()
		cancel()
		close(done)
	}()
	return nil
}

// Stop cancels the context of the runs and waits until all have returned.
func (l *Loop) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.state = stopped
	cancel, done := l.cancel, l.done
	l.mu.Unlock()
	if done == nil {
		return nil
	}
	cancel()
	select {
	case <-done: // also when ctx is done too
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
