package queue

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/zmsg/zmsg/model"
)

func TestDrainLeftoversStopsWhenRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 5 {
		r.put(r.inShard(3, n), `"x"`)
	}
	before := r.queued(3)
	sh, _ := r.sql.All(t.Context())
	claimed := sh[3]
	claimed.Epoch++ // the attempt of somebody whom a later one has overtaken
	if position, err := r.DrainLeftovers(t.Context(), claimed); err == nil {
		t.Errorf("drained up to %d", position)
	}
	if !slices.Equal(r.queued(3), before) || len(r.sql.arrived) != 0 {
		t.Errorf("queue %v, stored %v", r.queued(3), r.sql.arrived)
	}
	r.sql.before = func() error { return errors.New("the database refuses") }
	if _, err := r.DrainLeftovers(t.Context(), claimed); err == nil || r.sql.position(3) != 0 {
		t.Errorf("without the database: %v, position %d", err, r.sql.position(3))
	}
}

func TestDrainLeftoversTakesAllPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const writes = 2*leftoverBatch + 3
	id := r.inShard(3, 0)
	var last model.Version
	for n := range writes {
		last = r.put(id, textN(n))
	}
	sh, _ := r.sql.All(t.Context())
	claimed, err := r.sql.claim(t.Context(), sh[3])
	if err != nil {
		t.Fatal(err)
	}
	if position, err := r.DrainLeftovers(t.Context(), claimed); err != nil || position != last || r.sql.position(3) != last {
		t.Errorf("drained up to %d, %v, want %d", position, err, last)
	}
	if row, _ := r.sql.Get(t.Context(), id); row.Version != last || len(r.sql.arrived[id]) != 3 {
		t.Errorf("stored %+v in %d transactions", row, len(r.sql.arrived[id]))
	}
}

// claim begins an epoch of one shard at the same home.
func (m *memory) claim(ctx context.Context, sh model.Shard) (model.Shard, error) {
	claimed, _, err := m.Claim(ctx, "a", []model.Claim{{Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home}})
	if err != nil || len(claimed) != 1 {
		return model.Shard{}, errors.Join(err, errors.New("not claimed"))
	}
	return claimed[0], nil
}

