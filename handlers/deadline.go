package handlers

import (
	"context"
	"sync"
	"time"
)

// deadline is a context whose timer starts only when somebody waits on it: an answer out of memory never
// pays for one. Whoever asks for Done gets the channel of an ordinary context with that deadline.
type deadline struct {
	parent context.Context
	at     time.Time

	mu      sync.Mutex
	armed   context.Context // nil until Done is called
	cancel  context.CancelFunc
	stopped bool
}

// newDeadline returns a context that ends with parent, at the given time, or with stop.
func newDeadline(parent context.Context, at time.Time) *deadline {
	if t, ok := parent.Deadline(); ok && t.Before(at) {
		at = t
	}
	return &deadline{parent: parent, at: at}
}

// stop ends the context and frees its timer.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.cancel != nil {
		d.cancel()
	}
}

// Deadline returns when the context ends by itself.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done returns the channel that is closed when the context ends.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed == nil {
		d.armed, d.cancel = context.WithDeadline(d.parent, d.at)
		if d.stopped {
			d.cancel()
		}
	}
	return d.armed.Done()
}

// Err returns why the context has ended, nil while it has not.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.armed != nil:
		return d.armed.Err()
	case d.parent.Err() != nil:
		return d.parent.Err()
	case !time.Now().Before(d.at):
		return context.DeadlineExceeded
	case d.stopped:
		return context.Canceled
	default:
		return nil
	}
}

// Value looks in the armed context first, by which package context finds it and needs no goroutine to
// pass on its end.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	ctx := d.armed
	d.mu.Unlock()
	if ctx == nil {
		ctx = d.parent
	}
	return ctx.Value(key)
}
