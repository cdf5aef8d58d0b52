package zmsg_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestCrowdOnAColdItemCostsOneStatement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	id := newID()
	a.mustPut(t, id, 7, "cold", stored)
	w.awaitDrained(t)
	w.evictAll(t)
	before := a.metric(t, "zmsg_cache_sql_reads_total")
	var group sync.WaitGroup
	begin := make(chan struct{})
	for range 1000 {
		group.Go(func() {
			<-begin
			doc, err := a.Feeds.Get(t.Context(), id, false)
			if err != nil || !doc.Found() {
				t.Errorf("got %v, %v", doc, err)
			}
		})
	}
	close(begin)
	group.Wait()
	if n := a.metric(t, "zmsg_cache_sql_reads_total") - before; n != 1 {
		t.Errorf("%v statements", n)
	}
}

func TestP6_AbsentItemsCostSQLAlmostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	for i := range 100 {
		a.mustPut(t, newID(), 7, textN(i), delayed)
	}
	w.awaitDrained(t)
	eventually(t, 10*time.Second, "the filter is complete", func() bool { return a.metric(t, "zmsg_cache_bloom_complete_shards") == testShards })
	before := a.metric(t, "zmsg_cache_sql_reads_total")
	const readers, each = 64, 500
	var group sync.WaitGroup
	for n := range readers {
		group.Go(func() {
			for i := range each {
				doc, err := a.Feeds.Get(t.Context(), model.ID(1<<40+n*each+i), false)
				if err != nil || doc.Found() {
					t.Errorf("got %v, %v", doc, err)
				}
			}
		})
	}
	group.Wait()
	if n := a.metric(t, "zmsg_cache_sql_reads_total") - before; n > readers*each/100 {
		t.Errorf("%v statements for %d absent items", n, readers*each)
	}
}

// Deletions of items that never were must not fill the filter: anybody can send them.
func TestDeletingWhatNeverWasLeavesTheFilterAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	eventually(t, 5*time.Second, "the filter is complete", func() bool { return a.metric(t, "zmsg_cache_bloom_complete_shards") == 64 })
	before := a.Stats().Cache.Filter.Items
	for range 200 {
		res, err := a.Feeds.Delete(t.Context(), newID(), delayed)
		if err != nil || res.Item.Version != 0 {
			t.Fatalf("got %+v, %v", res, err)
		}
	}
	if after := a.Stats().Cache.Filter.Items; after != before {
		t.Errorf("the filter grew from %d to %d items", before, after)
	}
}

// Replicas start, filters are built, while items are written elsewhere: no read may miss one.
func TestP6_FilterNeverLiesWhileItIsBuilt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	var mu sync.Mutex
	var ids []model.ID
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			id := newID()
			if _, err := a.Feeds.Put(t.Context(), draft(id, 7, textN(i)), delayed); err != nil {
				t.Errorf("put: %v", err)
				return
			}
			mu.Lock()
			ids = append(ids, id)
			mu.Unlock()
		}
	})
	for range 4 {
		b := w.open(t)
		for range 300 {
			mu.Lock()
			id := ids[len(ids)-1]
			mu.Unlock()
			if b.text(t, id, true) == "" {
				t.Errorf("%s is said to be absent", id)
			}
			if may, err := b.Feeds.MayExist(t.Context(), id); err != nil || !may {
				t.Errorf("%s may not exist: %v", id, err)
			}
		}
		b.close(t)
	}
	close(stop)
	group.Wait()
}

func TestP10_PostgreSQLAway(t *testing.T) {
	t.Parallel()
	pg := testenv.NewPostgres(t, testenv.PostgresOptions{})
	w := &world{dsn: pg.DSN(), redis: testenv.NewRedis(t, testenv.RedisOptions{})}
	a, b := w.open(t), w.open(t)
	for _, r := range []*replica{a, b} { // or the ID of a new item would have to be looked for in SQL
		eventually(t, 10*time.Second, "the filter is complete", func() bool { return r.metric(t, "zmsg_cache_bloom_complete_shards") == testShards })
	}
	cached, cold, author := newID(), newID(), newID()
	a.mustPut(t, cached, author, "cached", stored)
	a.mustPut(t, cold, author, "cold", stored)
	w.awaitDrained(t)
	must(t, w.client(t).Del(t.Context(), w.entryKey(t, cold)).Err())
	if err := a.Feeds.Evict(t.Context(), cold); err != nil {
		t.Fatal(err)
	}

	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the outage is noticed", func() bool { return a.down("database") && b.down("database") })
	for noticed := time.Now(); time.Since(noticed) < 1200*time.Millisecond; { // longer than a permission lasts
		if got := a.text(t, cached, false); got != "cached" {
			t.Fatalf("a cached item reads %q", got)
		}
	}
	began := time.Now()
	if _, err := a.Feeds.Get(t.Context(), cold, false); !unavailable(err) {
		t.Errorf("a cold item: %v", err)
	}
	if _, err := a.Feeds.Put(t.Context(), draft(newID(), author, "x"), stored); !unavailable(err) {
		t.Errorf("a synchronous write: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("refusals took %v", took)
	}
	queued := newID()
	a.mustPut(t, queued, author, "queued", delayed)
	made, err := b.Feeds.Create(t.Context(), draft(0, author, "made"), delayed) // its ID is made from the window in hand
	if err != nil {
		t.Fatal(err)
	}
	a.mustPut(t, cached, author, "changed", delayed)
	eventually(t, 2*time.Second, "the other replica follows", func() bool { return b.text(t, cached, false) == "changed" })
	if got := b.text(t, queued, true); got != "queued" {
		t.Errorf("read %q", got)
	}

	if err := pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.awaitReady(t)
	w.awaitDrained(t)
	if got := a.text(t, cold, false); got != "cold" {
		t.Errorf("an error was kept as absence: %q", got)
	}
	for id, want := range map[model.ID]string{queued: `"queued"`, made.Item.ID: `"made"`, cached: `"changed"`} {
		if got := w.sql(t, id); got.content != want {
			t.Errorf("%s: SQL holds %+v", id, got)
		}
	}
	if ids := a.listed(t, true, author); len(ids) != 4 {
		t.Errorf("listed %v", ids)
	}
}

func (r *replica) down(name string) bool {
	for _, c := range r.Checks() {
		if c.Name == name {
			return !c.OK
		}
	}
	return false
}

// entryKey finds the key of an item's entry.
func (w *world) entryKey(t *testing.T, id model.ID) string {
	t.Helper()
	keys, err := w.client(t).Keys(t.Context(), "zmsg:*:f:"+id.String()).Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys of %s: %v, %v", id, keys, err)
	}
	return keys[0]
}

// Redis goes and comes back in every way it can: killed with its file, emptied, its scripts flushed.
// Afterwards nothing that was acknowledged is missing or stale: what was queued the replicas know themselves.
func TestP9_RedisGoesAndComesBack(t *testing.T) {
	t.Parallel()
	faults := []struct {
		name  string
		fault func(t *testing.T, w *world)
	}{
		{"killed and restarted with its file", func(t *testing.T, w *world) {
			t.Helper()
			must(t, w.redis.Kill())
			must(t, w.redis.Start(t.Context()))
		}},
		{"emptied", func(t *testing.T, w *world) {
			t.Helper()
			must(t, w.client(t).FlushAll(t.Context()).Err())
		}},
		{"scripts flushed", func(t *testing.T, w *world) {
			t.Helper()
			must(t, w.client(t).ScriptFlush(t.Context()).Err())
		}},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: true, Args: []string{"--appendfsync", "always"}})}
			a, b := w.open(t), w.open(t)
			author := newID()
			var ids []model.ID
			for i := range 50 {
				id := newID()
				ids = append(ids, id)
				opts := delayed
				if i%2 == 0 {
					opts = stored
				}
				a.mustPut(t, id, author, textN(i), opts)
				b.text(t, id, false) // into its L1
			}
			f.fault(t, w)
			eventually(t, 15*time.Second, "writes are possible again", func() bool {
				_, err := a.Feeds.Put(within(t, 3*time.Second), draft(ids[0], author, "after"), stored)
				return err == nil
			})
			a.awaitReady(t)
			b.awaitReady(t)
			for i, id := range ids {
				want := textN(i)
				if i == 0 {
					want = "after"
				}
				for _, r := range []*replica{a, b} {
					eventually(t, 10*time.Second, id.String()+" reads "+want, func() bool { return r.text(t, id, false) == want })
					if got := r.text(t, id, true); got != want {
						t.Fatalf("%s reads %q instead of %q", id, got, want)
					}
				}
			}
			slices.Reverse(ids)
			if got := b.listed(t, true, author); !slices.Equal(got, ids) {
				t.Errorf("listed %v", got)
			}
			b.mustDelete(t, ids[0], stored)
			if got := a.text(t, ids[0], true); got != "" {
				t.Errorf("read %q after the deletion", got)
			}
		})
	}
}

// While Redis is away writes and reads go on in SQL. In the first moments reads say that they went around
// Redis, and then that nothing is missing.
func TestP9_WhileRedisIsAwayEverythingGoesOnInSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	id, author := newID(), newID()
	a.mustPut(t, id, author, "stored", stored)
	must(t, w.redis.Stop())
	eventually(t, 10*time.Second, "the outage is noticed", func() bool { return a.down("redis") })
	for i := range 5 {
		doc, err := a.Feeds.Get(t.Context(), id, true)
		if err != nil || !doc.Found() || doc.Tier != model.TierSQL {
			t.Fatalf("got %+v, %v", doc, err)
		}
		page, err := a.Feeds.List(t.Context(), service.ListQuery{Authors: []model.ID{author}})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("listed %v, %v", page, err)
		}
		began := time.Now()
		res := a.mustPut(t, id, author, textN(i), delayed)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the write took %v", took)
		}
		if got := w.sql(t, id); res.Store != model.StoreSync || got.version != res.Item.Version {
			t.Errorf("answered %+v, SQL holds %+v", res, got)
		}
		if doc, err := a.Feeds.Get(t.Context(), id, false); err != nil || textOf(t, doc) != textN(i) || doc.Bypass {
			t.Errorf("got %+v, %v after the write", doc, err)
		}
	}
	if a.down("shards") {
		t.Errorf("not ready: %+v", a.Checks())
	}
	must(t, w.redis.Start(t.Context()))
	a.awaitReady(t)
	eventually(t, 10*time.Second, "the shards are in Redis", func() bool { return a.metric(t, "zmsg_shards_at_sql") == 0 && a.ready() })
	if got := a.text(t, id, false); got != textN(4) {
		t.Errorf("read %q", got)
	}
	if res := a.mustPut(t, id, author, "again", delayed); res.Store != model.StoreDelayed {
		t.Errorf("after all the write was %+v", res)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
