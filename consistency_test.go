package zmsg_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestP2_OwnWriteIsReadAndListedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	for n, o := range []struct {
		name string
		opts service.WriteOptions
	}{{"sync", stored}, {"delayed", delayed}} {
		id, author := newID(), newID()
		a.mustPut(t, id, author, "first", o.opts)
		for i := range 50 {
			want := textN(n*1000 + i)
			a.mustPut(t, id, author, want, o.opts)
			if got := a.text(t, id, false); got != want {
				t.Fatalf("%s: read %q after writing %q", o.name, got, want)
			}
			if ids := a.listed(t, false, author); !slices.Equal(ids, []model.ID{id}) {
				t.Fatalf("%s: listed %v", o.name, ids)
			}
		}
		a.mustDelete(t, id, o.opts)
		if got := a.text(t, id, false); got != "" {
			t.Errorf("%s: read %q after the deletion", o.name, got)
		}
		if ids := a.listed(t, false, author); len(ids) != 0 {
			t.Errorf("%s: listed %v after the deletion", o.name, ids)
		}
	}
}

func TestP2_OtherReplicaFollowsWithinMilliseconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	id, author := newID(), newID()
	var delays []time.Duration
	for i := range 40 {
		want := textN(i)
		opts := delayed
		if i%2 == 0 {
			opts = stored
		}
		b.text(t, id, false) // so that B has something to forget
		a.mustPut(t, id, author, want, opts)
		written := time.Now()
		eventually(t, 2*time.Second, "the other replica shows "+want, func() bool { return b.text(t, id, false) == want })
		delays = append(delays, time.Since(written))
	}
	slices.Sort(delays)
	if median := delays[len(delays)/2]; median > 100*time.Millisecond {
		t.Errorf("median invalidation delay is %v", median)
	}
	a.mustDelete(t, id, delayed)
	eventually(t, 2*time.Second, "the deletion is seen", func() bool {
		return b.text(t, id, false) == "" && len(b.listed(t, false, author)) == 0
	})
}

func TestP2_NoCacheIsExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	id, author := newID(), newID()
	for i := range 100 {
		b.text(t, id, false)
		want := textN(i)
		opts := delayed
		if i%10 == 0 {
			opts = stored
		}
		a.mustPut(t, id, author, want, opts)
		if got := b.text(t, id, true); got != want {
			t.Fatalf("exact read %q after %q was acknowledged elsewhere", got, want)
		}
		if ids := b.listed(t, true, author); !slices.Equal(ids, []model.ID{id}) {
			t.Fatalf("exact list %v", ids)
		}
	}
}

func TestP2_QueuedItemSurvivesEvictionOfEverythingElse(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	id, author := newID(), newID()
	old := newID()
	a.mustPut(t, old, author, "stored", stored)

	failpoint.Set(t, "drain.before_commit", func() error { return errors.New("SQL takes nothing now") })
	a.mustPut(t, id, author, "queued", delayed)
	for range 3 {
		w.evictAll(t)
		for name, r := range map[string]*replica{"writer": a, "other": b} {
			if err := r.Feeds.Evict(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if got := r.text(t, id, true); got != "queued" {
				t.Fatalf("the %s reads %q", name, got)
			}
			if ids := r.listed(t, true, author); !slices.Equal(ids, []model.ID{old, id}) {
				t.Fatalf("the %s lists %v", name, ids)
			}
		}
	}
	if got := w.sql(t, id); got.version != 0 {
		t.Fatalf("the item is in SQL already: %+v", got)
	}
}

func TestP3_DeletedWhileQueuedNeverReappears(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	author := newID()
	var ids []model.ID
	for range 200 {
		id := newID()
		ids = append(ids, id)
		a.mustPut(t, id, author, "soon gone", delayed)
		b.mustDelete(t, id, delayed)
		if got := b.text(t, id, false); got != "" {
			t.Fatalf("%s is back: %q", id, got)
		}
	}
	w.awaitDrained(t)
	w.evictAll(t)
	for _, id := range ids {
		for _, r := range []*replica{a, b} {
			if got := r.text(t, id, true); got != "" {
				t.Fatalf("%s is back: %q", id, got)
			}
		}
		if got := w.sql(t, id); !got.deleted {
			t.Fatalf("SQL holds %+v of %s", got, id)
		}
	}
	if got := a.listed(t, true, author); len(got) != 0 {
		t.Fatalf("listed: %v", got)
	}
}

// A reader stalls between its SQL read and its fills, while the item is written, drained and evicted
// elsewhere: neither cache may keep what it brings.
func TestP3_StalledFillNeverBringsAnOldValueBack(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	id, author := newID(), newID()
	a.mustPut(t, id, author, "old", stored)
	w.evictAll(t)

	stalled, resume := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(resume) })
	defer release() // a stalled read would keep the replica from closing
	var first atomic.Bool
	failpoint.Set(t, "read.before_fill", func() error {
		if first.CompareAndSwap(false, true) {
			close(stalled)
			<-resume
		}
		return nil
	})
	// L1 of b must not hold it either: evicting L2 by hand tells nobody.
	if err := b.Feeds.Evict(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Feeds.Get(context.WithoutCancel(t.Context()), id, false)
		done <- err
	}()
	await(t, stalled, "the read stalls")
	a.mustPut(t, id, author, "new", stored)
	w.awaitDrained(t)
	w.evictAll(t)
	eventually(t, 2*time.Second, "b sees the new value", func() bool { return b.text(t, id, true) == "new" })
	w.evictAll(t)
	release()
	if err := await(t, done, "the stalled read ends"); err != nil { // it began before the write and may answer either value
		t.Errorf("the stalled read: %v", err)
	}
	for range 20 {
		if got := b.text(t, id, false); got != "new" {
			t.Fatalf("L1 of the stalled replica serves %q", got)
		}
		if got := a.text(t, id, true); got != "new" {
			t.Fatalf("L2 serves %q", got)
		}
	}
}

func TestP2_ReplicaCutFromEventsServesNothingOlderThanItsTTLAndCatchesUp(t *testing.T) {
	t.Parallel()
	const ttl, slack = 2 * time.Second, time.Second // slack is for a machine that has other work
	w := newWorld(t)
	a, b := w.open(t), w.open(t, "ZMSG_L1_TTL="+ttl.String())
	id, author := newID(), newID()
	a.mustPut(t, id, author, "old", stored)
	eventually(t, 2*time.Second, "b has it", func() bool { return b.text(t, id, false) == "old" })

	b.cutEvents.Store(true)
	eventually(t, 10*time.Second, "the events are cut", func() bool { return b.metric(t, "zmsg_cache_event_errors_total") > 0 })
	b.text(t, id, false) // into L1, if it was not there
	a.mustPut(t, id, author, "new", stored)
	written := time.Now()
	for b.text(t, id, false) != "new" {
		if late := time.Since(written); late > ttl+slack {
			t.Fatalf("still old after %v", late)
		}
	}
	if got := b.text(t, id, true); got != "new" {
		t.Fatalf("exact read: %q", got)
	}

	b.cutEvents.Store(false)
	b.text(t, id, false)
	a.mustPut(t, id, author, "newer", stored)
	eventually(t, ttl/2, "b follows events again, sooner than its TTL ends", func() bool { return b.text(t, id, false) == "newer" })
}

// Writers on two replicas change a few items as they like. Readers never see a version fall, and in the
// end L1, L2 and SQL agree.
func TestP3_VersionsOnlyRise(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*replica{w.open(t), w.open(t)}
	author := newID()
	ids := []model.ID{newID(), newID(), newID()}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for n := range 8 {
		r := replicas[n%2]
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := ids[rand.IntN(len(ids))]
				opts := delayed
				if rand.IntN(4) == 0 {
					opts = stored
				}
				var err error
				if rand.IntN(5) == 0 {
					_, err = r.Feeds.Delete(ctx, id, opts)
				} else {
					_, err = r.Feeds.Put(ctx, draft(id, author, textN(n*100000+i)), opts)
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	for n := range 4 {
		r := replicas[n%2]
		group.Go(func() {
			seen := map[model.ID]model.Version{}
			for ctx.Err() == nil {
				id := ids[rand.IntN(len(ids))]
				doc, err := r.Feeds.Get(ctx, id, rand.IntN(3) == 0)
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("read: %v", err)
					}
					continue
				}
				if doc.Found() && doc.Version < seen[id] {
					t.Errorf("version of %s fell from %s to %s (%s)", id, seen[id], doc.Version, doc.Tier)
				}
				seen[id] = max(seen[id], doc.Version)
			}
		})
	}
	group.Wait()
	w.awaitDrained(t)
	for _, id := range ids {
		want := w.sql(t, id)
		for _, r := range replicas {
			for _, exact := range []bool{false, true} {
				eventually(t, 5*time.Second, "caches agree with SQL", func() bool {
					doc, err := r.Feeds.Get(t.Context(), id, exact)
					return err == nil && doc.Found() == !want.deleted && (want.deleted || doc.Version == want.version)
				})
			}
		}
	}
}
