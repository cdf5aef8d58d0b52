package snowflake

import (
	"context"
	"errors"
	"time"
)

// Grant is a node and the time for which it is reserved. Times are milliseconds since 1970 by the
// database's clock.
type Grant struct {
	Node   int
	Holder string // names this acquisition and no other
	Epoch  int64  // number of acquisitions of the node, for people who look at the table
	Now    int64  // the clock when the grant was given
	From   int64  // the lowest timestamp of the holder's IDs
	Until  int64  // the end of the reservation: all timestamps are below
}

// The errors of Nodes.
var (
	// ErrLost says that the node's window has ended or that somebody else holds it.
	ErrLost = errors.New("the node is not held any more")
	// ErrNoNode says that all nodes are held.
	ErrNoNode = errors.New("all 1024 nodes are held: more generators run than IDs have nodes for")
)

// Nodes is the database that hands out nodes. Its rules keep IDs unique, so each call is one atomic
// step there:
//
//   - Acquire takes a node whose reservation has ended, never one that is reserved, not even the
//     caller's own of an earlier life. Its From is not below that end, nor below the clock.
//   - Extend and Acquire never lower the end of a reservation, except that Release does, to just
//     above the last timestamp used. The caller has stopped to use the grant before.
//   - Extend refuses with ErrLost unless the holder is the one who acquired and the reservation has not
//     ended. Holders are compared, not epochs: a database that failed over to a standby that lags may
//     give out an epoch twice.
type Nodes interface {
	// Acquire takes a free node until window from now; ErrNoNode if there is none.
	Acquire(ctx context.Context, holder string, window time.Duration) (Grant, error)
	// Extend reserves the node until window from now, and returns the grant with its new Until and Now.
	Extend(ctx context.Context, g Grant, window time.Duration) (Grant, error)
	// Release frees the node for timestamps above last. It is no error if the node is not held.
	Release(ctx context.Context, g Grant, last int64) error
}
