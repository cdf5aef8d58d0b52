package shards

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/lifecycle"
)

// Ending is stopped before its Keeper and after everything that queues writes. If Redis is lost while this
// process ends, what it has queued is known to nobody else: the process stays until the shards have moved and
// their writes are stored.
type Ending struct {
	keeper   *Keeper
	unstored func(s int) bool

	started, stopped atomic.Bool
}

// NewEnding returns an Ending that has not started. unstored reports whether this replica has queued writes of a
// shard that are not known to be stored.
func NewEnding(k *Keeper, unstored func(s int) bool) *Ending {
	return &Ending{keeper: k, unstored: unstored}
}

// Start says that the Keeper has started.
func (e *Ending) Start(context.Context) error {
	switch {
	case e.stopped.Load():
		return lifecycle.ErrStopped
	case !e.started.CompareAndSwap(false, true):
		return lifecycle.ErrStarted
	}
	return nil
}

// Stop waits until no shard has writes of this replica that its Redis does not hold for others to store: until
// they have moved, but not for longer than a move takes. It has no effect when it is repeated.
func (e *Ending) Stop(ctx context.Context) error {
	if e.stopped.Swap(true) || !e.started.Load() {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, 2*e.keeper.cfg.Permission+callTimeout)
	defer cancel()
	for e.left(e.unstored) > 0 {
		e.keeper.look(bounded) // the loss may be younger than the last look
		e.keeper.probeAll(bounded)
		unsafe := e.left(func(s int) bool { return e.unstored(s) && !e.keeper.homeAnswers(s) })
		if unsafe == 0 && bounded.Err() == nil { // else nothing was seen
			return nil
		}
		e.keeper.Table.Poke()
		select {
		case <-bounded.Done():
			e.keeper.Log.Error("queued writes could not be stored before the end; they are lost if Redis has lost them", zap.Int("shards", e.left(e.unstored)))
			return ctx.Err()
		case <-time.After(settlePoll):
		}
	}
	return nil
}

// left returns for how many shards f holds.
func (e *Ending) left(f func(s int) bool) (n int) {
	for s := range e.keeper.Space.Shards() {
		if f(s) {
			n++
		}
	}
	return n
}

// homeAnswers reports whether the Redis process that is the shard's home was seen and has refused nothing.
func (k *Keeper) homeAnswers(s int) bool {
	_, home := k.Table.Home(s)
	return k.Table.Redis(s) != nil && !k.Table.Away(s) && k.sees(s) == home
}
