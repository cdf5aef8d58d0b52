package queue

import (
	"testing"

	"github.com/zmsg/zmsg/model"
)

// A standby takes over that lacks the last commits of the drain. What Redis has let go of is lost with them, but
// the drain finds out where SQL stands now, and goes on from there.
func TestP1_DatabaseThatLostCommitsIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	first, second, third := r.inShard(0, 0), r.inShard(0, 1), r.inShard(0, 2)
	stored := func(id model.ID, v model.Version) bool {
		row, _ := r.sql.Get(t.Context(), id)
		return row.Version == v
	}
	v := r.put(first, `"x"`)
	r.eventually("the first is stored and released", func() bool { return stored(first, v) && r.table.ReleasedUpTo(0) == v })
	r.sql.mu.Lock()
	r.sql.shards[0].Position = 0
	delete(r.sql.rows, first)
	r.sql.mu.Unlock()

	v = r.put(second, `"y"`)
	r.eventually("the second is stored", func() bool { return stored(second, v) })
	r.eventually("the shard is opened anew", func() bool { g := r.table.Redis(0); return g != nil && g.Epoch == 2 })
	v = r.put(third, `"z"`)
	if v.Epoch() != 2 {
		t.Errorf("written as %v", v)
	}
	r.eventually("the third is stored and released", func() bool { return stored(third, v) && r.table.ReleasedUpTo(0) == v })
	if p := r.sql.position(0); p != v {
		t.Errorf("position %v, want %v", p, v)
	}
}
