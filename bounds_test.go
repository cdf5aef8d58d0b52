package zmsg_test

import (
	"context"
	"errors"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// flood is clients that write new items, delayed, as fast as they are answered.
type flood struct {
	t    *testing.T
	r    *replica
	text string
	stop context.CancelFunc

	group   sync.WaitGroup
	delayed atomic.Int64 // accepted as delayed
	sync    atomic.Int64 // accepted, and committed when they were answered
	refused atomic.Int64 // because the queue was full
	unknown atomic.Int64 // not committed in time

	mu    sync.Mutex
	acked []model.ID
	gone  []model.ID      // refused
	took  []time.Duration // of what was accepted
}

// startFlood starts clients, which end before the test does.
func startFlood(t *testing.T, r *replica, clients, size int) *flood {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flood{t: t, r: r, text: strings.Repeat("x", size), stop: cancel}
	for range clients {
		f.group.Go(func() { f.write(ctx) })
	}
	t.Cleanup(f.end)
	return f
}

// end stops the clients and waits for the requests under way.
func (f *flood) end() {
	f.stop()
	f.group.Wait()
}

// pauseAfterRefusal is shorter than clients are asked to wait, but not so short that refusals are all that the
// machine does.
const pauseAfterRefusal = 20 * time.Millisecond

func (f *flood) write(ctx context.Context) {
	for ctx.Err() == nil {
		id, began := newID(), time.Now()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUp)
		res, err := f.r.Feeds.Put(bounded, draft(id, 7, f.text), delayed)
		cancel()
		took := time.Since(began)
		f.mu.Lock()
		switch {
		case err == nil:
			f.acked, f.took = append(f.acked, id), append(f.took, took)
		case isFull(err):
			f.gone = append(f.gone, id)
		case !unavailable(err):
			f.t.Errorf("after %v: %v", took, err)
		}
		f.mu.Unlock()
		switch {
		case isFull(err):
			f.refused.Add(1)
			<-time.After(pauseAfterRefusal)
		case err != nil:
			f.unknown.Add(1)
		case res.Store == model.StoreSync:
			f.sync.Add(1)
		default:
			f.delayed.Add(1)
		}
	}
}

// isFull reports whether err is the refusal of a full queue, which says when to come again.
func isFull(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind == model.Unavailable && strings.Contains(e.Message, "the queue is full") && e.RetryAfter >= time.Second
}

// verify checks that everything accepted is in SQL, and nothing that was refused.
func (f *flood) verify(w *world) {
	f.t.Helper()
	w.awaitDrained(f.t)
	inSQL := w.texts(f.t)
	for _, id := range f.acked {
		if _, found := inSQL[id]; !found {
			f.t.Errorf("%s was accepted and is not in SQL", id)
		}
	}
	for _, id := range f.gone {
		if _, found := inSQL[id]; found {
			f.t.Errorf("%s was refused and is in SQL", id)
		}
	}
	slices.Sort(f.took)
	f.t.Logf("%d delayed, %d synchronous, %d refused, %d unknown; accepted: p50 %v, p99 %v, most %v",
		f.delayed.Load(), f.sync.Load(), f.refused.Load(), f.unknown.Load(), f.quantile(0.5), f.quantile(0.99), f.quantile(1))
}

// quantile returns how long so many of the accepted requests took at most. f.took is sorted.
func (f *flood) quantile(q float64) time.Duration {
	if len(f.took) == 0 {
		return 0
	}
	return f.took[min(len(f.took)-1, int(q*float64(len(f.took))))].Round(time.Millisecond)
}

// level is how full the queue is for r.
func (r *replica) level(t *testing.T) string {
	t.Helper()
	return r.Queue(t.Context()).Level
}

func (r *replica) awaitLevel(t *testing.T, want string) {
	t.Helper()
	eventually(t, 10*time.Second, "the queue is "+want, func() bool { return r.level(t) == want })
}

// queuedBytes returns what the streams take in Redis.
func (w *world) queuedBytes(t *testing.T) (total int64) {
	t.Helper()
	space := keyspace.New(testShards)
	for s := range allShards {
		n, err := w.client(t).MemoryUsage(t.Context(), space.Queue(s)).Result()
		if err == nil { // else there is none
			total += n
		}
	}
	return total
}

// With PostgreSQL at a standstill the backlog grows to its limit as usual, then as far as to twice the limit with
// clients that wait, then not at all. When PostgreSQL goes on, everything does, and what was refused was not done.
func TestP8_BacklogIsBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		setting string
		size    int
		limit   int64
		backlog func(t *testing.T, w *world) int64
	}{
		"Count": {"ZMSG_QUEUE_MAX_WRITES=1000", 10, 1000, func(t *testing.T, w *world) int64 {
			t.Helper()
			n, err := w.queued(t)
			must(t, err)
			return n
		}},
		"Bytes": {"ZMSG_QUEUE_MAX_BYTES=4194304", 4096, 4 << 20, func(t *testing.T, w *world) int64 {
			t.Helper()
			return w.queuedBytes(t)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.open(t, tt.setting, "ZMSG_QUEUE_AWAIT_TIMEOUT=100ms") // clients give up soon, and write again
			release := w.hold(t, "feeds")
			f := startFlood(t, r, 64, tt.size)
			eventually(t, giveUp, "writes are refused", func() bool { return f.refused.Load() > 1000 })
			if f.delayed.Load() == 0 || f.unknown.Load() == 0 || f.sync.Load() > 0 {
				t.Errorf("%d delayed, %d waited in vain, %d did not", f.delayed.Load(), f.unknown.Load(), f.sync.Load())
			}
			if _, err := r.Feeds.Put(t.Context(), draft(newID(), 7, "x"), stored); !isFull(err) {
				t.Errorf("a synchronous write: %v", err)
			}
			if _, err := r.Counters.Increment(t.Context(), model.Counter{Subject: "s", Metric: "m"}, 1, service.CountOptions{}); !isFull(err) {
				t.Errorf("an increment: %v", err)
			}
			n := tt.backlog(t, w)
			t.Logf("the backlog is %.2f of the limit", float64(n)/float64(tt.limit))
			if 10*n < 18*tt.limit || 10*n > 25*tt.limit {
				t.Errorf("the backlog is %d", n)
			}
			if journal := r.metric(t, "zmsg_queue_journal_writes"); tt.size < 100 && int64(journal) > n+64 {
				t.Errorf("the journal holds %v writes", journal)
			}
			before := f.delayed.Load()
			release()
			eventually(t, giveUp, "delayed writes are delayed again", func() bool { return f.delayed.Load() > before && f.sync.Load() > 0 })
			f.end()
			f.verify(w)
			r.awaitLevel(t, "ok")
		})
	}
}

// One old write is enough to make delayed ones wait, for however few they are.
func TestP8_OldBacklogMakesDelayedWritesWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.open(t, "ZMSG_QUEUE_MAX_AGE=500ms", fastFlush)
	release := w.hold(t, "feeds")
	if res := r.mustPut(t, newID(), 7, "old", delayed); res.Store != model.StoreDelayed {
		t.Errorf("stored %d", res.Store)
	}
	r.awaitLevel(t, "busy")
	id, answer := newID(), make(chan error, 1)
	go func() {
		res, err := r.Feeds.Put(t.Context(), draft(id, 7, "late"), delayed)
		if err == nil && (res.Store != model.StoreSync || res.Durability != "") {
			err = errors.New("it was not stored synchronously")
		}
		answer <- err
	}()
	eventually(t, 10*time.Second, "the write waits for its commit", func() bool { return r.Queue(t.Context()).Waiting == 1 })
	select {
	case err := <-answer:
		t.Fatalf("answered while nothing can be stored: %v", err)
	default:
	}
	release()
	must(t, await(t, answer, "the write is answered"))
	if got := w.sql(t, id); got.content != `"late"` {
		t.Errorf("SQL holds %+v", got)
	}
	r.awaitLevel(t, "ok")
}

// No more synchronous writes wait than may.
func TestP8_WaitingWritesAreBounded(t *testing.T) {
	t.Parallel()
	const most = 5
	w := newWorld(t)
	r := w.open(t, "ZMSG_QUEUE_MAX_WAITING="+strconv.Itoa(most), "ZMSG_QUEUE_AWAIT_TIMEOUT=60s")
	release := w.hold(t, "feeds")
	var group sync.WaitGroup
	for n := range int64(most) {
		group.Go(func() { r.mustPut(t, newID(), 7, "waits", stored) })
		eventually(t, 10*time.Second, "the write waits", func() bool { return r.Queue(t.Context()).Waiting == n+1 })
	}
	began := time.Now()
	if _, err := r.Feeds.Put(t.Context(), draft(newID(), 7, "too many"), stored); !isFull(err) {
		t.Errorf("one more: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the refusal took %v", took)
	}
	r.mustPut(t, newID(), 7, "delayed", delayed)
	release()
	group.Wait()
	r.mustPut(t, newID(), 7, "again", stored)
}

// behindProxy returns the world's database as seen through a proxy.
func (w *world) behindProxy(t *testing.T) (*testenv.Proxy, string) {
	t.Helper()
	u, err := url.Parse(w.dsn)
	must(t, err)
	p := testenv.NewProxy(t, u.Host)
	u.Host = p.Addr()
	return p, "ZMSG_POSTGRES_DSN=" + u.String()
}

// heap returns what the process holds.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// PostgreSQL does not answer at all. Clients that do not care cannot fill the memory.
func TestP8_MemoryIsBoundedWhilePostgreSQLIsSilent(t *testing.T) { //nolint:paralleltest // the heap is the process's
	const limit, size, clients = 2000, 4096, 64
	w := newWorld(t)
	p, dsn := w.behindProxy(t)
	r := w.open(t, dsn, "ZMSG_QUEUE_MAX_WRITES="+strconv.Itoa(limit))
	eventually(t, 10*time.Second, "the filter is complete", func() bool { return r.metric(t, "zmsg_cache_bloom_complete_shards") == testShards })
	r.mustPut(t, newID(), 7, "before", stored)
	p.Stall()
	eventually(t, 20*time.Second, "the silence is noticed", func() bool { return r.down("database") })
	before := heap()
	f := startFlood(t, r, clients, size)
	eventually(t, giveUp, "writes are refused", func() bool { return f.refused.Load() > 4*limit })
	grown := heap() - before
	n, err := w.queued(t)
	must(t, err)
	t.Logf("%d writes are queued, the heap has grown by %d MiB", n, grown>>20)
	if n < limit || n > limit+2*clients {
		t.Errorf("%d writes are queued", n)
	}
	if journal := r.metric(t, "zmsg_queue_journal_writes"); journal > limit+2*clients {
		t.Errorf("the journal holds %v writes", journal)
	}
	if grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	accepted := f.delayed.Load()
	must(t, p.Heal())
	eventually(t, giveUp, "writes go on", func() bool { return f.delayed.Load() > accepted+limit })
	f.end()
	f.verify(w)
	r.awaitReady(t)
}

// A slow PostgreSQL slows clients down to its pace. Those that are let in are answered in time.
func TestP8_AcceptedWritesKeepTheirLatency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, dsn := w.behindProxy(t)
	r := w.open(t, dsn, "ZMSG_QUEUE_MAX_WRITES=200", "ZMSG_QUEUE_MAX_WAITING=100", "ZMSG_PERMISSION_TTL=5s")
	p.Delay(20 * time.Millisecond)
	f := startFlood(t, r, 250, 100)
	eventually(t, giveUp, "writes wait and are refused", func() bool { return f.sync.Load() > 2000 && f.refused.Load() > 200 })
	if f.unknown.Load() > 0 {
		t.Errorf("%d writes were accepted and not finished", f.unknown.Load())
	}
	if n, err := w.queued(t); err != nil || n > 1000 {
		t.Errorf("%d writes are queued, %v", n, err)
	}
	f.end()
	must(t, p.Heal())
	f.verify(w)
	if p99 := f.quantile(0.99); p99 > 3*time.Second {
		t.Errorf("p99 %v", p99)
	}
}

// A Redis that runs full of what it must not evict: writes wait before it is full, and are refused, without any
// effect, when it is.
func TestP8_RedisRunsFull(t *testing.T) {
	t.Parallel()
	w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{Args: []string{"--maxmemory", "24mb", "--maxmemory-policy", "noeviction"}})}
	r := w.open(t)
	c := w.client(t)
	used := func() int {
		info, err := c.InfoMap(t.Context(), "memory").Result()
		must(t, err)
		n, err := strconv.Atoi(info["Memory"]["used_memory"])
		must(t, err)
		return n
	}
	for i := 0; used() < 24<<20*93/100; i++ {
		must(t, c.HSet(t.Context(), "ballast", i, strings.Repeat("x", 100<<10)).Err())
	}
	r.awaitLevel(t, "busy")
	if res := r.mustPut(t, newID(), 7, "busy", delayed); res.Store != model.StoreSync {
		t.Errorf("stored %d", res.Store)
	}
	id, likes := newID(), model.Counter{Subject: "s", Metric: "likes"}
	r.mustPut(t, id, 7, "before", stored)
	r.mustAdd(t, likes, 3, model.StoreDelayed)
	w.awaitDrained(t)
	must(t, c.ConfigSet(t.Context(), "maxmemory", strconv.Itoa(used()-1<<20)).Err())
	for _, o := range []service.WriteOptions{stored, delayed} {
		if _, err := r.Feeds.Put(t.Context(), draft(id, 7, "refused"), o); !isFull(err) {
			t.Errorf("a write: %v", err)
		}
		if _, err := r.Counters.Increment(t.Context(), likes, 1, service.CountOptions{Store: o.Store}); !isFull(err) {
			t.Errorf("an increment: %v", err)
		}
	}
	wantText(t, id, "before", r)
	wantCount(t, likes, 3, r)
	must(t, c.Del(t.Context(), "ballast").Err())
	must(t, c.ConfigSet(t.Context(), "maxmemory", "24mb").Err())
	r.awaitLevel(t, "ok")
	if res := r.mustPut(t, id, 7, "after", delayed); res.Store != model.StoreDelayed {
		t.Errorf("stored %d", res.Store)
	}
	r.mustAdd(t, likes, 4, model.StoreDelayed)
	wantText(t, id, "after", r)
	wantCount(t, likes, 7, r)
	if n := w.count(t, "SELECT count(*) FROM feeds WHERE content LIKE '%refused%'"); n != 0 {
		t.Error("a refused write is in SQL")
	}
}

// A Redis that may evict queued writes is not used without a word.
func TestP8_EvictingRedisFailsReadiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.open(t)
	policy := func(name string) { must(t, w.client(t).ConfigSet(t.Context(), "maxmemory-policy", name).Err()) }
	for _, name := range []string{"allkeys-lru", "allkeys-random", "allkeys-lfu"} {
		policy(name)
		eventually(t, 10*time.Second, name+" fails readiness", func() bool { return r.down("eviction") })
		policy("volatile-lru")
		r.awaitReady(t)
	}
	for _, c := range r.Checks() {
		if c.Name == "eviction" && !c.Required {
			t.Error("the check is not required")
		}
	}
}

// owned returns the shards that fall to the replica.
func (r *replica) owned(t *testing.T) (list []int) {
	t.Helper()
	report := r.Queue(t.Context())
	for _, s := range report.Shards {
		if s.Drainer == report.Replica {
			list = append(list, s.Shard)
		}
	}
	return list
}

// Replicas share the shards evenly. One that leaves has drained its own, and the others take them.
func TestP8_ReplicasShareTheShards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := []*replica{w.open(t), w.open(t), w.open(t)}
	w.awaitEvenShares(t, takeoverPatience, list...)
	leaving := list[2]
	theirs := leaving.owned(t)
	for i := range 300 {
		list[i%2].mustPut(t, newID(), 7, textN(i), delayed)
	}
	release := w.hold(t, "feeds")
	putAll(t, 1000, 7, func(int) bool { return false }, list...)
	for i := range 200 {
		list[i%3].mustAdd(t, model.Counter{Subject: "post:" + strconv.Itoa(i), Metric: "likes"}, 1, model.StoreDelayed)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		leaving.close(t)
	}()
	release()
	await(t, closed, "the replica has left")
	left := time.Now()
	space := keyspace.New(testShards)
	for _, s := range theirs {
		if n, err := w.client(t).XLen(t.Context(), space.Queue(s)).Result(); err != nil || n > 0 {
			t.Errorf("shard %d: it has left %d writes, %v", s, n, err)
		}
	}
	w.awaitEvenShares(t, 2*time.Second, list[:2]...)
	w.wantDrainedWithin(t, 2*time.Second, theirs, list[0])
	t.Logf("taken over within %v", time.Since(left))
}

// awaitEvenShares waits until the replicas alone share all shards, none with more than one above another.
func (w *world) awaitEvenShares(t *testing.T, patience time.Duration, replicas ...*replica) {
	t.Helper()
	eventually(t, patience, "the shards are shared evenly", func() bool {
		var shares []float64
		sum := 0.0
		for _, r := range replicas {
			n := r.metric(t, "zmsg_queue_owned_shards")
			shares = append(shares, n)
			sum += n
		}
		return sum == allShards && slices.Max(shares)-slices.Min(shares) <= 1
	})
}

// wantDrainedWithin writes an item to each of the shards, without waiting, and checks that they arrive.
func (w *world) wantDrainedWithin(t *testing.T, limit time.Duration, shards []int, r *replica) {
	t.Helper()
	space := keyspace.New(testShards)
	began := time.Now()
	want := make(map[model.ID]bool)
	for _, s := range shards {
		if space.IsCounter(s) {
			continue
		}
		id := newID()
		for space.Shard(id) != s {
			id = newID()
		}
		r.mustPut(t, id, 7, "taken over", delayed)
		want[id] = true
	}
	conn, err := pgx.Connect(t.Context(), w.dsn)
	must(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	eventually(t, limit, "others drain the shards", func() bool {
		var n int
		must(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM feeds WHERE content = '\"taken over\"'").Scan(&n))
		return n == len(want)
	})
	t.Logf("%d shards were drained within %v", len(want), time.Since(began))
}
