package zmsg

import (
	"context"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/snowflake"
)

// minter gives the service IDs of its own kind.
type minter struct{ gen *snowflake.Generator }

func (m minter) Mint(ctx context.Context, n int) ([]model.ID, error) {
	made, err := m.gen.Mint(ctx, n)
	if err != nil {
		return nil, model.NewUnavailable("no ID can be made now", err)
	}
	ids := make([]model.ID, len(made))
	for i, id := range made {
		ids[i] = model.ID(id)
	}
	return ids, nil
}

func decodeID(id model.ID) (at time.Time, node, sequence int) {
	p := snowflake.ID(id).Parts()
	return p.Time, p.Node, p.Sequence
}
