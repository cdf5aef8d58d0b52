package queue

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// damage puts an entry into a shard's stream that no script can have written, and returns its version.
func (r *rig) damage(s int, fields ...string) model.Version {
	r.t.Helper()
	meta := r.space.Meta(s)
	seq, err := r.conn.Client().HIncrBy(r.t.Context(), meta, "seq", 1).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	epoch, err := r.conn.Client().HGet(r.t.Context(), meta, "epoch").Int64()
	if err != nil {
		r.t.Fatal(err)
	}
	v := model.NewVersion(epoch, seq)
	r.addRaw(s, keyspace.StreamID(v), fields...)
	return v
}

func (r *rig) addRaw(s int, id string, fields ...string) {
	r.t.Helper()
	args := redis.XAddArgs{Stream: r.space.Queue(s), ID: id, Values: fields}
	if err := r.conn.Client().XAdd(r.t.Context(), &args).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// An entry that cannot be read costs nobody else anything, and is kept.
func TestDamagedEntryHoldsUpNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before, after, other := r.inShard(0, 0), r.inShard(0, 1), r.inShard(1, 0)
	r.put(before, `"a"`)
	bad := r.damage(0, "v7", "no record")
	last := r.put(after, `"b"`)
	v := r.put(other, `"c"`)
	likes := r.add("likes", 2)
	worse := r.damage(counterShard, "i", "post:1|likes|many|1000|")
	if err := r.round(0, 1, counterShard); err != nil {
		t.Fatal(err)
	}
	if r.sql.position(0) != last || r.sql.position(1) != v || r.sql.position(counterShard) != worse {
		t.Errorf("positions %d, %d and %d", r.sql.position(0), r.sql.position(1), r.sql.position(counterShard))
	}
	for s := range testShards {
		if left := r.queued(s); len(left) > 0 {
			t.Errorf("shard %d: %v is left", s, left)
		}
	}
	var letters []model.Version
	for _, l := range r.sql.letters {
		letters = append(letters, l.Version)
	}
	if !slices.Equal(letters, []model.Version{bad, worse}) || r.sql.letters[0].Write.Raw != `"v7" "no record"` {
		t.Errorf("dead letters %+v", r.sql.letters)
	}
	for _, id := range []model.ID{before, after, other} {
		if row, _ := r.sql.Get(t.Context(), id); row.Version == 0 || r.entry(id).Pinned {
			t.Errorf("item %s: row %+v, entry %+v", id, row, r.entry(id))
		}
	}
	r.wantCountedOnce([]model.Version{likes})
	if r.table.Skipped(0) != last || r.table.Skipped(1) != 0 || r.table.Skipped(counterShard) != worse {
		t.Errorf("skipped: %d, %d and %d", r.table.Skipped(0), r.table.Skipped(1), r.table.Skipped(counterShard))
	}
	if got := r.metric("zmsg_queue_dead_letters_total"); got != 2 {
		t.Errorf("%v dead letters are counted", got)
	}
}

// An entry whose ID is no version is never behind any position: it is kept, and taken out of the stream.
func TestEntryWithoutVersionIsTakenOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.put(r.inShard(0, 0), `"a"`)
	const id = "99999999999-1" // an epoch that cannot be
	r.addRaw(0, id, "v7", "no record")
	if err := r.round(0); err != nil {
		t.Fatal(err)
	}
	if len(r.queued(0)) != 0 || r.sql.position(0) != v || len(r.sql.letters) != 1 {
		t.Errorf("queue %v, position %d, dead letters %+v", r.queued(0), r.sql.position(0), r.sql.letters)
	}
	r.addRaw(1, id, "v7", "no record") // alone, and left to the next epoch
	r.reopen(1)
	if len(r.queued(1)) != 0 || r.sql.position(1) != 0 || len(r.sql.letters) != 2 {
		t.Errorf("queue %v, position %d, dead letters %+v", r.queued(1), r.sql.position(1), r.sql.letters)
	}
}

// What Redis shows of a round that SQL did not take as it is goes away with the release: reads find what
// SQL holds.
func TestRefusedWritesAreEvicted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bad, good := r.inShard(0, 0), r.inShard(0, 1)
	r.sql.refuse = func(q *model.Queued) bool {
		return q.Item != nil && q.Item.ID == bad || q.Delta != nil && q.Delta.N == 13
	}
	r.put(bad, `"a"`)
	v := r.put(good, `"b"`)
	r.add("likes", 13)
	w := r.add("likes", 2)
	if err := r.round(0, counterShard); err != nil {
		t.Fatal(err)
	}
	for _, id := range []model.ID{bad, good} { // good's could stay, but nobody can tell so by a position
		if e := r.entry(id); e.Item.ID != 0 {
			t.Errorf("entry of %s: %+v", id, e)
		}
	}
	if r.table.Skipped(0) != v || r.table.Skipped(counterShard) != w {
		t.Errorf("skipped: %d and %d", r.table.Skipped(0), r.table.Skipped(counterShard))
	}
	if got := r.pending("post:1"); len(got) != 0 || r.sql.stored("post:1", "likes") != 2 {
		t.Errorf("pending %v, stored %d", got, r.sql.stored("post:1", "likes"))
	}
	if cg, err := r.conn.Client().HGet(t.Context(), r.space.Meta(counterShard), "cg").Int(); err != nil || cg < 1 {
		t.Errorf("generation of totals %d, %v", cg, err)
	}
	next := r.put(good, `"c"`) // a round that SQL takes is released as ever
	if err := r.round(0); err != nil {
		t.Fatal(err)
	}
	if e := r.entry(good); e.Pinned || e.Item.Version != next || r.table.Skipped(0) != v {
		t.Errorf("entry %+v, skipped %d", e, r.table.Skipped(0))
	}
}

// another returns a drainer that knows nothing of what r's has done, on the same shards.
func (r *rig) another() *worker {
	d := NewDrainer(r.cfg, DrainerDeps{
		Space: r.space, Table: r.table, Redis: r.conn, Commits: r.sql, Shards: r.sql, Rows: r.sql, Keys: r.sql, Log: zap.NewNop(),
		Entries: r.entries, EventsKept: r.eventsKept, Registerer: prometheus.NewRegistry(),
	})
	return d.workers[0]
}

var errCrash = errors.New("crash")

// once returns a hook that fails the first time.
func once() (hook func() error, hits *atomic.Int64) {
	hits = new(atomic.Int64)
	return func() error {
		if hits.Add(1) == 1 {
			return errCrash
		}
		return nil
	}, hits
}

// A drainer dies between any two steps, with a round that SQL took as it is, and with one that it did not.
// Another one completes it: everything arrives once, and is released as it must be.
func TestP1_DrainerDiesAnywhere(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	const beforeCommit, replyLost = "before the commit", "after the commit"
	for _, tc := range []struct { //nolint:paralleltest // as above
		point string
		bad   bool
	}{
		{beforeCommit, false},
		{beforeCommit, true},
		{replyLost, false},
		{replyLost, true},
		{"drain.before_release", false},
		{"drain.before_release", true},
		{"release.unfinished", true},
		{"drain.before_trim", false},
		{"drain.before_trim", true},
	} {
		name := tc.point
		if tc.bad {
			name += ", with a dead letter"
		}
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			hook, hits := once()
			switch tc.point {
			case beforeCommit:
				r.sql.before = hook
			case replyLost:
				r.sql.after = hook
			default:
				failpoint.Set(t, tc.point, hook)
			}
			drainDying(t, r, tc.bad)
			if hits.Load() == 0 {
				t.Error("the point was never reached")
			}
		})
	}
}

func drainDying(t *testing.T, r *rig, bad bool) {
	t.Helper()
	refused := r.inShard(0, 0)
	if bad {
		r.sql.refuse = func(q *model.Queued) bool {
			return q.Item != nil && q.Item.ID == refused || q.Delta != nil && q.Delta.N == 13
		}
	}
	last := make(map[model.ID]model.Version)
	var changes []model.Version
	for i := range releaseChunk + 100 {
		id := r.inShard(0, i%20)
		last[id] = r.put(id, textN(i))
		changes = append(changes, r.add("likes", int64(i+100)))
	}
	if bad {
		r.add("likes", 13)
	}
	r.cfg.BatchItems = 1000
	w := r.workers[0]
	w.perShard = 1000
	if err := w.round(t.Context(), []int{0, counterShard}); !errors.Is(err, errCrash) {
		t.Fatalf("the dying round: %v", err)
	}
	other := r.another()
	r.eventually("another drainer has completed it", func() bool {
		if err := other.round(t.Context(), []int{0, counterShard}); err != nil {
			t.Fatal(err)
		}
		return len(r.queued(0))+len(r.queued(counterShard)) == 0
	})
	r.wantCountedOnce(changes)
	if got := r.pending("post:1"); len(got) != 0 {
		t.Errorf("pending: %v", got)
	}
	for id, v := range last {
		row, _ := r.sql.Get(t.Context(), id)
		arrived := r.sql.arrived[id]
		if missing := bad && id == refused; (row.Version == v) == missing || len(slices.Compact(slices.Clone(arrived))) != len(arrived) {
			t.Errorf("item %s is stored as %d of %d, after %v", id, row.Version, v, arrived)
		}
		if e := r.entry(id); e.Pinned || (e.Item.Version == v) == bad {
			t.Errorf("entry of %s: %+v", id, e)
		}
	}
	for _, s := range []int{0, counterShard} {
		if skipped := r.table.Skipped(s); (skipped == r.sql.position(s)) != bad {
			t.Errorf("shard %d: skipped up to %d of %d", s, skipped, r.sql.position(s))
		}
	}
}
