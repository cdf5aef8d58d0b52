package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/snowflake"
)

// Nodes hands out nodes of IDs. Each method is one statement, so that the row's lock makes it atomic.
// Besides a [model.Error] they return snowflake.ErrNoNode and snowflake.ErrLost.
type Nodes struct {
	db *DB
}

var _ snowflake.Nodes = (*Nodes)(nil)

// Nodes returns the nodes of the database.
func (db *DB) Nodes() *Nodes { return &Nodes{db: db} }

// The clock is read once for each statement, so that what is compared and what is stored agree even
// if it steps. It is rounded down: a reservation has ended only if it has for certain.
const clock = `clock AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms)`

// acquireNode takes the free row of the lowest node. Rows that another takes at this moment are
// skipped, so that many starts at once do not queue. GREATEST matters where the clock is
// behind the row's end, which a free row's is not; it states what the IDs depend on.
const acquireNode = `
WITH ` + clock + `, free AS (
	SELECT node_id, reserved_until FROM id_nodes, clock
	WHERE reserved_until <= ms
	ORDER BY node_id LIMIT 1
	FOR UPDATE OF id_nodes SKIP LOCKED
)
UPDATE id_nodes AS n
SET holder = $1, epoch = n.epoch + 1, reserved_until = GREATEST(n.reserved_until, ms + $2)
FROM free, clock
WHERE n.node_id = free.node_id
RETURNING n.node_id, n.holder, n.epoch, ms, GREATEST(free.reserved_until, ms), n.reserved_until`

// Acquire takes a free node.
func (n *Nodes) Acquire(ctx context.Context, holder string, window time.Duration) (snowflake.Grant, error) {
	var g snowflake.Grant
	err := n.db.control.QueryRow(ctx, acquireNode, holder, window.Milliseconds()).
		Scan(&g.Node, &g.Holder, &g.Epoch, &g.Now, &g.From, &g.Until)
	if errors.Is(err, pgx.ErrNoRows) {
		return snowflake.Grant{}, snowflake.ErrNoNode
	}
	return g, translate(err)
}

// extendNode refuses an ended reservation even if nobody has taken the node: should the database fail
// over, a new holder counts on the old one's window being over.
const extendNode = `
WITH ` + clock + `
UPDATE id_nodes SET reserved_until = GREATEST(reserved_until, ms + $3)
FROM clock
WHERE node_id = $1 AND holder = $2 AND reserved_until > ms
RETURNING ms, reserved_until`

// Extend moves the end of the reservation.
func (n *Nodes) Extend(ctx context.Context, g snowflake.Grant, window time.Duration) (snowflake.Grant, error) {
	err := n.db.control.QueryRow(ctx, extendNode, g.Node, g.Holder, window.Milliseconds()).Scan(&g.Now, &g.Until)
	if errors.Is(err, pgx.ErrNoRows) {
		return g, snowflake.ErrLost
	}
	return g, translate(err)
}

// Release ends the reservation just above the last timestamp used.
func (n *Nodes) Release(ctx context.Context, g snowflake.Grant, last int64) error {
	_, err := n.db.control.Exec(ctx,
		"UPDATE id_nodes SET reserved_until = LEAST(reserved_until, $3) WHERE node_id = $1 AND holder = $2",
		g.Node, g.Holder, last+1)
	return translate(err)
}
