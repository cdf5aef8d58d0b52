package postgres

import (
	"context"
	"sync"
)

// turns lets the direct transactions of this process queue for each lock before they take a connection. In the
// database they would hold all connections of direct transactions while they wait for the one that has the
// lock, and nobody else could write. There at most one of each lock waits, for those of other replicas.
//
// The zero value is ready to use.
type turns struct {
	mu    sync.Mutex
	queue map[turn]*waiting
}

// turn is a lock, by its class and object.
type turn struct{ class, object int32 }

// waiting is those who have a turn or wait for it.
type waiting struct {
	taken chan struct{} // holds one value while somebody has the turn
	count int
}

// take waits for all turns of l, which are taken in the order of l, that of the database. Without an error, give
// must follow.
func (t *turns) take(ctx context.Context, l locks) error {
	for i := range l.classes {
		if err := t.takeOne(ctx, turn{l.classes[i], l.objects[i]}); err != nil {
			t.give(locks{l.classes[:i], l.objects[:i]})
			return err
		}
	}
	return nil
}

func (t *turns) takeOne(ctx context.Context, of turn) error {
	t.mu.Lock()
	w := t.queue[of]
	if w == nil {
		if t.queue == nil {
			t.queue = make(map[turn]*waiting)
		}
		w = &waiting{taken: make(chan struct{}, 1)}
		t.queue[of] = w
	}
	w.count++
	t.mu.Unlock()
	select {
	case w.taken <- struct{}{}: // those who wait get it in the order in which they came
		return nil
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		t.drop(of, w)
		return ctx.Err()
	}
}

// give returns what take has taken.
func (t *turns) give(l locks) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range l.classes {
		of := turn{l.classes[i], l.objects[i]}
		w := t.queue[of]
		<-w.taken
		t.drop(of, w)
	}
}

// drop forgets the queue of a turn once nobody is in it. The caller holds mu.
func (t *turns) drop(of turn, w *waiting) {
	if w.count--; w.count == 0 {
		delete(t.queue, of)
	}
}
