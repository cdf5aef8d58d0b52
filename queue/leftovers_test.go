package queue

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// claim begins an epoch of one shard at the same home, after the end of the rig's own Keeper.
func (r *rig) claim(s int) model.Shard {
	r.t.Helper()
	if err := r.keeper.Stop(context.WithoutCancel(r.t.Context())); err != nil {
		r.t.Fatal(err)
	}
	sh := r.shard(s)
	claimed, _, err := r.sql.Claim(r.t.Context(), "b", []model.Claim{{Shard: s, Epoch: sh.Epoch, Home: sh.Home}})
	if err != nil || len(claimed) != 1 {
		r.t.Fatalf("claimed %v, %v", claimed, err)
	}
	return claimed[0]
}

// shard returns what SQL says of a shard.
func (r *rig) shard(s int) model.Shard {
	r.t.Helper()
	all, err := r.sql.All(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return all[s]
}

// reopen lets the Keeper find a shard whose opener has died, and waits until it is open again.
func (r *rig) reopen(s int) {
	r.t.Helper()
	old, sh := r.table.Grant(s), r.shard(s)
	if _, _, err := r.sql.Claim(r.t.Context(), "dead", []model.Claim{{Shard: s, Epoch: sh.Epoch, Home: sh.Home}}); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("the shard is open in another epoch", func() bool {
		g, err := r.table.AwaitGrant(r.t.Context(), s, old, shards.Patience)
		return err == nil && g.Epoch > sh.Epoch
	})
}

func TestDrainLeftoversStopsWhenRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 5 {
		r.put(r.inShard(3, n), `"x"`)
	}
	before := r.queued(3)
	claimed := r.shard(3)
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
	claimed := r.claim(3)
	if position, err := r.DrainLeftovers(t.Context(), claimed); err != nil || position != last || r.sql.position(3) != last {
		t.Errorf("drained up to %d, %v, want %d", position, err, last)
	}
	if row, _ := r.sql.Get(t.Context(), id); row.Version != last || len(r.sql.arrived[id]) != 3 {
		t.Errorf("stored %+v in %d transactions", row, len(r.sql.arrived[id]))
	}
}

// A stream that was lost is drained when its Redis is the home again; while SQL is, nobody looks.
func TestDrainLeftoversOfAHomeInSQL(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(r.inShard(3, 0), `"x"`)
	position, err := r.DrainLeftovers(t.Context(), model.Shard{Shard: 3, Epoch: 2, Home: model.HomeSQL, Position: 5})
	if err != nil || position != 5 || len(r.queued(3)) != 1 {
		t.Errorf("drained up to %d, %v; queue %v", position, err, r.queued(3))
	}
}

// keyed queues a write with an idempotency key.
func (r *rig) keyed(id model.ID, key string) model.Version {
	r.t.Helper()
	return r.write(model.Write{
		ID: id, AuthorID: 9, Kind: "post", Content: []byte(`"x"`), IdempotencyKey: key, Fingerprint: "fp",
	})
}

// The opener dies before and after the commit of what an ended epoch has left, and the release of that is
// left to its successor. What came to SQL by another way meanwhile is left out, and nothing arrives twice.
func TestP1_OpenerDiesOverLeftovers(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	for _, point := range []string{"leftovers.before_commit", "leftovers.after_commit"} { //nolint:paralleltest // as above
		t.Run(point, func(t *testing.T) {
			r := newRig(t)
			repeated, fresh := r.inShard(0, 0), r.inShard(0, 1)
			r.keyed(repeated, "known")
			v := r.keyed(fresh, "new")
			likes := model.Counter{Subject: "post:1", Metric: "likes"}
			changes := r.change(
				model.Count{Counter: likes, N: 1},
				model.Count{Counter: likes, N: 10, IdempotencyKey: "counted", Fingerprint: "fp"},
				model.Count{Counter: likes, N: 100, IdempotencyKey: "again", Fingerprint: "fp"},
				model.Count{Counter: likes, N: 1000},
			)
			// While Redis was away: two were repeated by their clients, one was flushed by its replica.
			r.sql.mu.Lock()
			r.sql.records["known"], r.sql.records["again"] = "fp|first", "fp|first"
			r.sql.flushed[changes[0]] = true
			r.sql.mu.Unlock()
			hook, hits := once()
			failpoint.Set(t, point, hook)
			r.reopen(0)
			r.reopen(counterShard)
			if hits.Load() < 2 {
				t.Errorf("the point was reached %d times", hits.Load())
			}
			if row, _ := r.sql.Get(t.Context(), repeated); row.Version != 0 {
				t.Errorf("the repeated write is stored again: %+v", row)
			}
			if row, _ := r.sql.Get(t.Context(), fresh); row.Version != v || len(r.sql.arrived[fresh]) != 1 {
				t.Errorf("the other write: %+v, arrived %v", row, r.sql.arrived[fresh])
			}
			r.wantCountedOnce([]model.Version{changes[1], changes[3]})
			if got := r.sql.stored("post:1", "likes"); got != 1010 {
				t.Errorf("stored: %d", got)
			}
			if r.sql.records["new"] == "" || r.sql.records["counted"] == "" || r.sql.records["again"] != "fp|first" {
				t.Errorf("keys: %v", r.sql.records)
			}
			// What Redis had of the writes that were left out is not what SQL holds.
			if got := r.pending("post:1"); len(got) != 0 || r.entry(repeated).Item.ID != 0 {
				t.Errorf("pending %v, entry %+v", got, r.entry(repeated))
			}
			if r.table.Skipped(0) != v || r.table.Skipped(counterShard) != changes[3] {
				t.Errorf("skipped: %d and %d", r.table.Skipped(0), r.table.Skipped(counterShard))
			}
		})
	}
}

// An opener has committed and died: SQL says what its release must evict, and the next opener does it.
func TestDrainLeftoversCompletesAReleaseThatEvicts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.inShard(0, 0)
	v := r.put(id, `"x"`)
	claimed := r.claim(0)
	claimed.Position, claimed.Skipped = v, v
	if position, err := r.DrainLeftovers(t.Context(), claimed); err != nil || position != v {
		t.Fatalf("drained up to %d, %v", position, err)
	}
	if e := r.entry(id); e.Item.ID != 0 || len(r.queued(0)) != 0 {
		t.Errorf("entry %+v, queue %v", e, r.queued(0))
	}
}
