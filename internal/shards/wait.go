package shards

import (
	"context"
	"errors"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

const (
	// Patience is how long a request waits for a shard that moves: until the loss of its home is certain,
	// and until other replicas' permissions have ended, which last three seconds unless configured otherwise.
	Patience = 8 * time.Second
	// attempts bounds how often one request is sent to another home.
	attempts = 4
)

// Under calls f with the permission for a shard. When Redis refuses f's script, or SQL says ErrMoved, so
// that nothing was done, the permission is given up and f called again with the next one.
func (t *Table) Under(ctx context.Context, s int, f func(g *Grant) error) error {
	var refused *Grant
	for range attempts {
		g, err := t.AwaitGrant(ctx, s, refused, Patience)
		if err != nil {
			return err
		}
		if err = f(g); !keyspace.Refused(err) && !errors.Is(err, model.ErrMoved) {
			if err != nil {
				t.Poke() // the trouble may be the home's
			}
			return err
		}
		t.Doubt(g)
		refused = g
	}
	return model.NewUnavailable("the shard keeps moving", nil)
}

// AwaitGrant returns the permission for a shard as soon as there is one that is not old (nil: any) and
// whose home can be reached. It gives up after patience, or at once when neither Redis nor SQL can be
// reached: while Redis alone is away, the shard is about to move to SQL.
func (t *Table) AwaitGrant(ctx context.Context, s int, old *Grant, patience time.Duration) (*Grant, error) {
	if g := t.usable(s); g != nil && g != old {
		return g, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		changed := t.changed(s)
		if g := t.usable(s); g != nil && g != old {
			return g, nil
		}
		if t.Away(s) && t.SQLDown() {
			return nil, model.NewUnavailable("neither the queue nor the database can be reached", nil)
		}
		t.Poke()
		select {
		case <-ctx.Done():
			return nil, model.NewUnavailable("gave up waiting for the queue", ctx.Err())
		case <-timer.C:
			return nil, model.NewUnavailable("the queue is being opened", nil)
		case <-changed:
		}
	}
}

// sqlPatience bounds how late a waiter notices that SQL has gone.
const sqlPatience = 200 * time.Millisecond

// AwaitReleased waits until the shard's released position has passed v under the grant's epoch. It
// returns false when the epoch ended first, or Redis has gone: then SQL alone can tell what became of
// the write.
func (t *Table) AwaitReleased(ctx context.Context, g *Grant, v model.Version) (bool, error) {
	r := &t.rows[g.Shard]
	tick := time.NewTicker(sqlPatience)
	defer tick.Stop()
	for {
		r.mu.Lock()
		released, changed := r.released, r.changed
		r.mu.Unlock()
		if cur := r.grant.Load(); cur == nil || cur.Epoch != g.Epoch {
			return false, nil
		}
		if released >= v {
			return true, nil
		}
		if t.Away(g.Shard) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, model.NewUnavailable("the write is queued, but was not stored in time", ctx.Err())
		case <-tick.C:
			if t.sqlDown.Load() {
				return false, model.NewUnavailable("the write is queued, but the database is out of reach", nil)
			}
		case <-changed:
		}
	}
}
