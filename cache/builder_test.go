package cache

import (
	"errors"
	"testing"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// wantMayExist checks that nothing excludes items that were written.
func (n *node) wantMayExist(ids ...model.ID) {
	n.t.Helper()
	var tips [testShards]uint64
	for s := range tips {
		var err error
		if tips[s], _, err = n.readL2(n.t.Context(), n.grant(s), nil); err != nil {
			n.t.Fatal(err)
		}
	}
	for _, id := range ids {
		if s := n.space.Shard(id); n.filter.Absent(s, id, tips[s]) {
			n.t.Fatalf("the filter excludes %s, which was written", id)
		}
	}
}

// Items are written, drained and evicted while filters many times too small are built anew, again and
// again: P6, the filter never lies "absent".
func TestP6_FilterGrowsUnderWritesWithoutEverLying(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	author := newID()
	const items = 1500
	var written []model.ID
	for i := range items {
		it := n.queue(item(newID(), author, "x"))
		written = append(written, it.ID)
		if i%2 == 0 { // the others become known by their events only
			n.Wrote(n.grant(n.space.Shard(it.ID)), &it)
		}
		if i%100 == 99 {
			n.settle(it)
			n.forget(it.ID)
		}
		if i%10 == 0 {
			n.Builder.grow()
		}
		n.wantMayExist(written...)
	}
	n.eventually("the filters are large enough", func() bool {
		n.Builder.grow()
		n.wantMayExist(written[:10]...)
		return len(n.filter.Due()) == 0 && n.filter.Stats().Complete == testShards
	})
	n.catchUp()
	n.wantMayExist(written...)
	if st := n.filter.Stats(); st.Capacity < items {
		t.Errorf("no filter has grown: %+v", st)
	}
	excluded := 0
	for range 1000 {
		id := newID() + 1<<40
		if n.filter.Absent(n.space.Shard(id), id, 0) {
			excluded++
		}
	}
	if excluded < 950 {
		t.Errorf("only %d of 1000 absent items are excluded", excluded)
	}
}

func TestP6_FilterStaysIncompleteWithoutSQL(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	n.sql.setFail(errors.New("away"))
	g := n.grant(0)
	n.table.Doubt(g)
	fresh, err := n.table.AwaitGrant(t.Context(), 0, g, shards.Patience)
	if err != nil {
		t.Fatal(err)
	}
	id := n.inShard(0)
	if n.filter.Absent(0, id, 0) {
		t.Error("a filter that has not been built excludes an item")
	}
	if _, ok := n.Guess(fresh, id); ok {
		t.Error("a guess rests on a filter that has not been built")
	}
	n.sql.setFail(nil)
	n.awaitReady()
	n.eventually("the filter answers", func() bool { return n.filter.Absent(0, id, 0) })
}
