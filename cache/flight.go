package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/zmsg/zmsg/model"
)

// FlightKey names a read that concurrent callers share. The generation and the era are noted before
// the read: a caller that begins after an invalidation has another key, so it never joins a read that
// may have seen what was there before.
type FlightKey struct {
	ID  model.ID
	Gen uint64
	Era uint32
}

// Flight lets concurrent callers of one key share one read. The read goes on when its callers leave,
// for at most the timeout. Its methods may be called concurrently.
type Flight struct {
	timeout time.Duration
	slots   chan struct{} // bounds the reads under way, whose callers may have left

	mu     sync.Mutex
	calls  map[FlightKey]*flightCall
	closed bool

	base   context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// flightCall is one read. doc and err are written before done is closed, and never after.
type flightCall struct {
	done chan struct{}
	doc  model.Doc
	err  error
}

// NewFlight returns a Flight whose reads take at most timeout, and of which at most limit are under
// way at once; past it, callers wait.
func NewFlight(timeout time.Duration, limit int) *Flight {
	base, cancel := context.WithCancel(context.Background())
	return &Flight{
		timeout: timeout,
		slots:   make(chan struct{}, limit),
		calls:   make(map[FlightKey]*flightCall),
		base:    base,
		cancel:  cancel,
	}
}

// Do returns what read returns, or joins a read of the key that is under way: then shared is true.
// The document's body may be shared with other callers and must not be changed. The read gets ctx's
// values, but not its end: when ctx ends, Do returns its error at once, and the others still get the
// document. A panic in read is an error.
func (f *Flight) Do(ctx context.Context, key FlightKey, read func(context.Context) (model.Doc, error)) (doc model.Doc, shared bool, err error) {
	c, shared, err := f.join(ctx, key, read)
	if err != nil {
		return model.Doc{}, false, err
	}
	select {
	case <-c.done:
		return c.doc, shared, c.err
	case <-ctx.Done():
		return model.Doc{}, shared, ctx.Err()
	}
}

// join returns the call of the key that is under way, or starts one.
func (f *Flight) join(ctx context.Context, key FlightKey, read func(context.Context) (model.Doc, error)) (*flightCall, bool, error) {
	f.mu.Lock()
	c := f.calls[key]
	f.mu.Unlock()
	if c != nil {
		return c, true, nil
	}
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-f.base.Done():
		return nil, false, errFlightClosed()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c = f.calls[key] // somebody may have started it while this caller waited
	if c != nil || f.closed {
		<-f.slots
		if f.closed {
			return nil, false, errFlightClosed()
		}
		return c, true, nil
	}
	c = &flightCall{done: make(chan struct{})}
	f.calls[key] = c
	f.work.Go(func() { f.run(context.WithoutCancel(ctx), key, c, read) })
	return c, false, nil
}

// Forget keeps later callers of the key from joining a read that is under way: a newer answer has been
// given meanwhile than that read may find.
func (f *Flight) Forget(key FlightKey) {
	f.mu.Lock()
	delete(f.calls, key)
	f.mu.Unlock()
}

// run makes the read. It holds a slot.
func (f *Flight) run(ctx context.Context, key FlightKey, c *flightCall, read func(context.Context) (model.Doc, error)) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	stop := context.AfterFunc(f.base, cancel) //nolint:contextcheck // base ends with Close, ctx with the read
	defer func() {
		stop()
		cancel()
		f.mu.Lock()
		if f.calls[key] == c {
			delete(f.calls, key)
		}
		f.mu.Unlock()
		<-f.slots
		close(c.done)
	}()
	c.err = &model.Error{Kind: model.Internal, Message: "internal error", Cause: errGoexit} // unless it returns
	c.doc, c.err = recovered(ctx, read)
}

var errGoexit = errors.New("a read ended its goroutine")

// recovered runs read and turns a panic into an error.
func recovered(ctx context.Context, read func(context.Context) (model.Doc, error)) (doc model.Doc, err error) {
	defer func() {
		if p := recover(); p != nil {
			doc, err = model.Doc{}, &model.Error{
				Kind: model.Internal, Message: "internal error", Cause: fmt.Errorf("panic in a read: %v\n%s", p, debug.Stack()),
			}
		}
	}()
	return read(ctx)
}

// Close refuses further reads, ends those under way by their contexts, and waits for them.
func (f *Flight) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.work.Wait()
}

func errFlightClosed() error { return model.NewUnavailable("the service is stopping", nil) }
