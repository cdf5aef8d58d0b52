package cache

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/model"
)

func TestFlightSharesOneRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(time.Minute, 10)
		defer f.Close()
		var reads, joined atomic.Int64
		gate := make(chan struct{})
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				doc, shared, err := f.Do(t.Context(), FlightKey{ID: 1}, func(context.Context) (model.Doc, error) {
					reads.Add(1)
					<-gate
					return model.Doc{Body: []byte("x"), Version: 7}, nil
				})
				if err != nil || doc.Version != 7 || string(doc.Body) != "x" {
					t.Errorf("got %v, %v", doc, err)
				}
				if shared {
					joined.Add(1)
				}
			})
		}
		synctest.Wait()
		close(gate)
		callers.Wait()
		if reads.Load() != 1 || joined.Load() != 49 {
			t.Errorf("%d reads, %d shared", reads.Load(), joined.Load())
		}
		for _, key := range []FlightKey{{ID: 1}, {ID: 1, Gen: 1}, {ID: 1, Era: 1}, {ID: 2}} {
			if _, shared, _ := f.Do(t.Context(), key, func(context.Context) (model.Doc, error) { return model.Doc{}, nil }); shared {
				t.Errorf("%v joined a read that has ended", key)
			}
		}
	})
}

func TestFlightLaterGenerationJoinsNoOlderRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(time.Minute, 10)
		defer f.Close()
		gate := make(chan struct{})
		old := make(chan model.Doc)
		go func() {
			doc, _, _ := f.Do(t.Context(), FlightKey{ID: 1, Gen: 1}, func(context.Context) (model.Doc, error) {
				<-gate
				return model.Doc{Version: 1}, nil
			})
			old <- doc
		}()
		synctest.Wait()
		doc, shared, err := f.Do(t.Context(), FlightKey{ID: 1, Gen: 2}, func(context.Context) (model.Doc, error) {
			return model.Doc{Version: 2}, nil
		})
		if err != nil || shared || doc.Version != 2 {
			t.Errorf("got %v %v %v", doc, shared, err)
		}
		close(gate)
		if doc := <-old; doc.Version != 1 {
			t.Errorf("the older read got %v", doc)
		}
	})
}

// A newer answer was given while a read was under way: later callers must not join that read.
func TestFlightForgottenReadIsJoinedByNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(time.Minute, 10)
		defer f.Close()
		key := FlightKey{ID: 1, Gen: 1}
		gates := map[model.Version]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}
		results := make(chan model.Doc, 3)
		fly := func(v model.Version) {
			go func() {
				doc, _, err := f.Do(t.Context(), key, func(context.Context) (model.Doc, error) {
					<-gates[v]
					return model.Doc{Version: v}, nil
				})
				if err != nil {
					t.Error(err)
				}
				results <- doc
			}()
			synctest.Wait()
		}
		fly(1)
		f.Forget(FlightKey{ID: 1, Gen: 2}) // another key's
		f.Forget(key)
		fly(2)
		fly(2) // joins the second read, which the end of the first must not remove
		close(gates[1])
		if doc := <-results; doc.Version != 1 {
			t.Errorf("the forgotten read's own caller got %v", doc)
		}
		fly(3) // would wait forever if it did not join
		close(gates[2])
		for range 3 {
			if doc := <-results; doc.Version != 2 {
				t.Errorf("a caller that came after got %v", doc)
			}
		}
	})
}

type contextKey struct{}

func TestFlightOutlivesItsCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(time.Minute, 10)
		defer f.Close()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "trace"))
		gate := make(chan struct{})
		results := make(chan error, 2)
		var value any
		read := func(ctx context.Context) (model.Doc, error) {
			value = ctx.Value(contextKey{})
			select {
			case <-gate:
				return model.Doc{Version: 1}, nil
			case <-ctx.Done():
				return model.Doc{}, ctx.Err()
			}
		}
		go func() { _, _, err := f.Do(ctx, FlightKey{ID: 1}, read); results <- err }()
		synctest.Wait()
		go func() { _, _, err := f.Do(t.Context(), FlightKey{ID: 1}, read); results <- err }()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v", err)
		}
		close(gate)
		if err := <-results; err != nil || value != "trace" {
			t.Errorf("the caller that stayed got %v, the read %v", err, value)
		}
	})
}

func TestFlightTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(3*time.Second, 10)
		defer f.Close()
		began := time.Now()
		_, _, err := f.Do(t.Context(), FlightKey{ID: 1}, func(ctx context.Context) (model.Doc, error) {
			<-ctx.Done()
			return model.Doc{}, ctx.Err()
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

func TestFlightErrors(t *testing.T) {
	t.Parallel()
	f := NewFlight(time.Minute, 1)
	defer f.Close()
	trouble := errors.New("trouble")
	for name, c := range map[string]struct {
		read func(context.Context) (model.Doc, error)
		want string
	}{
		"Error":  {func(context.Context) (model.Doc, error) { return model.Doc{}, trouble }, "trouble"},
		"Panic":  {func(context.Context) (model.Doc, error) { panic("ouch") }, "ouch"},
		"Goexit": {func(context.Context) (model.Doc, error) { runtime.Goexit(); return model.Doc{}, nil }, "ended its goroutine"},
	} {
		// Twice: the slot and the key must be free again.
		for range 2 {
			doc, shared, err := f.Do(t.Context(), FlightKey{ID: 1}, c.read)
			if err == nil || !strings.Contains(err.Error(), c.want) || shared || doc.Found() {
				t.Errorf("%s: got %v %v %v", name, doc, shared, err)
			}
		}
	}
}

func TestFlightLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(time.Minute, 2)
		defer f.Close()
		var under, most atomic.Int64
		var callers sync.WaitGroup
		for id := range model.ID(10) {
			callers.Go(func() {
				_, _, err := f.Do(t.Context(), FlightKey{ID: id / 2}, func(context.Context) (model.Doc, error) {
					most.Store(max(most.Load(), under.Add(1)))
					defer under.Add(-1)
					time.Sleep(time.Second) // of the bubble's clock
					return model.Doc{}, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := f.Do(ctx, FlightKey{ID: 99}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller without a slot got %v", err)
		}
		callers.Wait()
		if most.Load() != 2 {
			t.Errorf("%d reads at once", most.Load())
		}
	})
}

func TestFlightClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFlight(time.Hour, 1)
		results := make(chan error, 2)
		read := func(ctx context.Context) (model.Doc, error) {
			<-ctx.Done()
			return model.Doc{}, ctx.Err()
		}
		for id := range model.ID(2) { // the second waits for the slot
			go func() { _, _, err := f.Do(t.Context(), FlightKey{ID: id}, read); results <- err }()
			synctest.Wait()
		}
		f.Close()
		f.Close()
		for range 2 {
			if err := <-results; err == nil {
				t.Error("a read succeeded after Close")
			}
		}
		if _, _, err := f.Do(t.Context(), FlightKey{ID: 1}, read); model.KindOf(err) != model.Unavailable {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestFlightStorm(t *testing.T) {
	t.Parallel()
	f := NewFlight(time.Second, 4)
	defer f.Close()
	var callers sync.WaitGroup
	for g := range 32 {
		callers.Go(func() {
			for i := range 200 {
				id := model.ID(i%3 + 1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(g*10)*time.Microsecond)
				doc, _, err := f.Do(ctx, FlightKey{ID: id}, func(context.Context) (model.Doc, error) {
					runtime.Gosched()
					return model.Doc{Version: model.Version(id)}, nil
				})
				if err == nil && doc.Version != model.Version(id) {
					t.Errorf("item %d: got %v", id, doc)
				}
				cancel()
			}
		})
	}
	callers.Wait()
}
