package queue

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// change queues changes of counters in one call of the script, without looking at their totals, and
// returns their versions.
func (r *rig) change(counts ...model.Count) []model.Version {
	r.t.Helper()
	g, err := r.table.AwaitGrant(r.t.Context(), counterShard, nil, shards.Patience)
	if err != nil {
		r.t.Fatal(err)
	}
	args := []any{g.Epoch, r.space.Prefix(counterShard), 1000, 3600, "1", "1"}
	for i := range counts {
		args = keyspace.AppendCount(args, &counts[i])
	}
	keys := []string{r.space.Meta(counterShard), r.space.Queue(counterShard), r.space.Events(counterShard)}
	cmd := g.Scripts.Cmd(r.t.Context(), keyspace.Count, keys, args...)
	_ = r.conn.Client().Process(r.t.Context(), cmd) // the reply holds the error
	replies, err := cmd.Slice()
	if err != nil || len(replies) != len(counts) {
		r.t.Fatalf("count: %v, %v", replies, err)
	}
	versions := make([]model.Version, len(counts))
	for i, reply := range replies {
		list, _ := reply.([]any)
		if text := keyspace.Reply(list).Text(0); text != "ok" {
			r.t.Fatalf("change %+v: %s", counts[i], text)
		}
		versions[i] = model.NewVersion(g.Epoch, keyspace.Reply(list).Number(1))
	}
	return versions
}

// add queues one increment of a counter of post:1.
func (r *rig) add(metric string, n int64) model.Version {
	r.t.Helper()
	return r.change(model.Count{Counter: model.Counter{Subject: "post:1", Metric: metric}, N: n})[0]
}

// pending returns the sums that Redis keeps of a subject's changes after the released position.
func (r *rig) pending(subject string) map[string]string {
	r.t.Helper()
	sums, err := r.conn.Client().HGetAll(r.t.Context(), r.space.PendingKey(counterShard, subject)).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	return sums
}

// stored returns what SQL holds of a counter.
func (m *memory) stored(subject, metric string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counters[model.Counter{Subject: subject, Metric: metric}]
}

// rounds returns how many transactions were committed.
func (m *memory) rounds() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.batches)
}

// wantCountedOnce checks that every change arrived exactly once.
func (r *rig) wantCountedOnce(versions []model.Version) {
	r.t.Helper()
	r.sql.mu.Lock()
	defer r.sql.mu.Unlock()
	for _, v := range versions {
		if n := r.sql.counted[v]; n != 1 {
			r.t.Errorf("change %s arrived %d times", v, n)
		}
	}
	if len(r.sql.counted) != len(versions) {
		r.t.Errorf("%d changes arrived, %d were made", len(r.sql.counted), len(versions))
	}
}

// A hundred thousand changes of four counters are two rounds, each with a row for every counter.
func TestManyIncrementsAreFewRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const all, perCall = 100_000, 1000
	calls := make([]model.Count, perCall)
	for i := range calls {
		calls[i] = model.Count{Counter: model.Counter{Subject: "post:" + strconv.Itoa(i%2), Metric: "m" + strconv.Itoa(i/2%2)}, N: 1}
	}
	for range all / perCall {
		r.change(calls...)
	}
	for range 2 {
		if err := r.round(counterShard); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"post:0", "post:1"} {
		for _, metric := range []string{"m0", "m1"} {
			if got := r.sql.stored(subject, metric); got != all/4 {
				t.Errorf("%s/%s is %d", subject, metric, got)
			}
		}
		if got := r.pending(subject); len(got) != 0 {
			t.Errorf("pending of %s: %v", subject, got)
		}
	}
	if n := r.sql.rounds(); n != 2 || len(r.queued(counterShard)) != 0 {
		t.Errorf("%d rounds, %d entries are left", n, len(r.queued(counterShard)))
	}
	for name, want := range map[string]float64{
		"zmsg_queue_increments_total": all, "zmsg_queue_increment_rows_total": 8, "zmsg_queue_writes_total": 0, "zmsg_queue_commits_total": 2,
	} {
		if got := r.metric(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// A round that has more than one call of the script takes releases all of it.
func TestManyCountersAreReleasedInPieces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const subjects = 2*releaseChunk + 7
	counts := make([]model.Count, subjects)
	for i := range counts {
		counts[i] = model.Count{Counter: model.Counter{Subject: "s" + strconv.Itoa(i), Metric: "m"}, N: int64(i + 1)}
	}
	r.change(counts...)
	last := r.change(counts[0], counts[subjects-1])
	if err := r.round(counterShard); err != nil {
		t.Fatal(err)
	}
	keys, err := r.conn.Client().Keys(t.Context(), r.space.PendingKey(counterShard, "*")).Result()
	if err != nil || len(keys) != 0 || len(r.queued(counterShard)) != 0 || r.table.ReleasedUpTo(counterShard) != last[1] {
		t.Errorf("pending %v, %v; %d entries are left", keys, err, len(r.queued(counterShard)))
	}
	if a, z := r.sql.stored("s0", "m"), r.sql.stored("s"+strconv.Itoa(subjects-1), "m"); a != 2 || z != 2*subjects {
		t.Errorf("stored: %d and %d", a, z)
	}
}

// Changes come to SQL by themselves, but not before their time; items that are written meanwhile do not
// take them along.
func TestCountersAreDrainedLazily(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.CounterFlush = 400 * time.Millisecond
	began := time.Now()
	r.start() // with a look at all shards, which may gather already
	versions := []model.Version{r.add("likes", 2)}
	r.WakeCounter(counterShard)
	id := r.inShard(0, 0)
	v := r.put(id, `"x"`)
	r.eventually("the item is released", func() bool { return r.table.ReleasedUpTo(0) == v })
	if r.sql.stored("post:1", "likes") != 0 && time.Since(began) < r.cfg.CounterFlush {
		t.Error("the change did not wait for others")
	}
	versions = append(versions, r.add("likes", 3))
	r.WakeCounter(counterShard)
	r.eventually("the changes are released", func() bool { return r.table.ReleasedUpTo(counterShard) == versions[1] })
	if took := time.Since(began); took < r.cfg.CounterFlush {
		t.Errorf("stored after %v", took)
	}
	if got := r.sql.stored("post:1", "likes"); got != 5 {
		t.Errorf("stored: %d", got)
	}
	r.wantCountedOnce(versions)
}

func TestWaitersAndTheEndDoNotWaitForTheFlush(t *testing.T) {
	t.Parallel()
	r := newRig(t) // flushes every hour
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := r.add("likes", 2)
	r.WakeCounter(counterShard)
	r.Expect(counterShard, v)
	r.eventually("what somebody waits for is released", func() bool { return r.table.ReleasedUpTo(counterShard) == v })
	last := r.add("likes", 3)
	r.WakeCounter(counterShard)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.table.ReleasedUpTo(counterShard) != last || r.sql.stored("post:1", "likes") != 5 {
		t.Errorf("released up to %d, stored %d", r.table.ReleasedUpTo(counterShard), r.sql.stored("post:1", "likes"))
	}
}

// Nobody told this replica of the changes, and there are many.
func TestABacklogOfCountersDoesNotWaitForTheFlush(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	counts := make([]model.Count, 1000)
	for i := range counts {
		counts[i] = model.Count{Counter: model.Counter{Subject: "post:1", Metric: "likes"}, N: 1}
	}
	for range roundEntries/1000 + 1 {
		r.change(counts...)
	}
	r.start()
	r.eventually("most is stored", func() bool { return r.sql.stored("post:1", "likes") >= roundEntries })
}

// Rounds fail before their commit, and after it, as when the reply is lost. Every change arrives once.
func TestP1_IncrementsArriveOnceWhateverFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.CounterFlush = 5 * time.Millisecond
	var commits atomic.Int64
	fail := func(every int64) func() error {
		return func() error {
			if n := commits.Add(1); n <= 12 && n%every == 0 {
				return model.NewUnavailable("the database is away", model.ErrDatabase)
			}
			return nil
		}
	}
	r.sql.before, r.sql.after = fail(2), fail(3)
	r.start()
	var versions []model.Version
	want := int64(0)
	for i := range int64(300) {
		versions = append(versions, r.add(fmt.Sprint("m", i%3), i-100))
		want += i - 100
		r.WakeCounter(counterShard)
		if i%10 == 0 {
			r.Expect(counterShard, versions[i])
			r.eventually("it is released", func() bool { return r.table.ReleasedUpTo(counterShard) >= versions[i] })
		}
	}
	r.eventually("everything is released", func() bool { return len(r.queued(counterShard)) == 0 })
	r.wantCountedOnce(versions)
	if sum := r.sql.stored("post:1", "m0") + r.sql.stored("post:1", "m1") + r.sql.stored("post:1", "m2"); sum != want {
		t.Errorf("the sum is %d, want %d", sum, want)
	}
	if got := r.pending("post:1"); len(got) != 0 || commits.Load() < 12 {
		t.Errorf("pending %v after %d commits", got, commits.Load())
	}
}

// Somebody who needs what SQL holds in Redis too completes a release that its drainer has not finished.
func TestCompleteReleasesWhatSQLHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const changes = 2*releaseChunk + 1
	counts := make([]model.Count, changes)
	for i := range counts {
		counts[i] = model.Count{Counter: model.Counter{Subject: "post:1", Metric: "likes"}, N: 1}
	}
	versions := r.change(counts...)
	later := r.add("likes", 7)
	g, to := r.table.Redis(counterShard), versions[changes-1]
	if err := r.Complete(t.Context(), g, to, 0); err != nil {
		t.Fatal(err)
	}
	if got := r.pending("post:1"); len(got) != 1 || got["likes"] != "7" || r.table.ReleasedUpTo(counterShard) != to {
		t.Errorf("pending %v, released up to %d of %d", got, r.table.ReleasedUpTo(counterShard), later)
	}
	old := *g
	old.Epoch--
	if err := r.Complete(t.Context(), &old, later, 0); !keyspace.Refused(err) {
		t.Errorf("under another epoch: %v", err)
	}
}

// metric returns a counter's value.
func (r *rig) metric(name string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	r.t.Fatalf("there is no metric %s", name)
	return 0
}

// What is queued and how old it is shows for each shard that falls to this replica.
func TestBacklogAndLagAreMeasured(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(r.inShard(1, 0), `"x"`)
	r.put(r.inShard(1, 1), `"y"`)
	r.add("likes", 1)
	r.backlog.measure(t.Context())
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); len(l) == 1 && m.GetGauge() != nil {
				got[f.GetName()+l[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	const backlog, lag = "zmsg_queue_backlog_writes", "zmsg_queue_lag_seconds"
	if got[backlog+"0"] != 0 || got[backlog+"1"] != 2 || got[backlog+"4"] != 1 || len(got) != 2*testShards {
		t.Errorf("got %v", got)
	}
	age := time.Since(time.UnixMilli(1000)).Seconds() // the writes say that they are from 1970
	if got[lag+"0"] != 0 || got[lag+"1"] < age-60 || got[lag+"4"] < age-60 {
		t.Errorf("got %v", got)
	}
	if st := r.Stats(); st.Backlog != 3 || st.OwnedShards != testShards || st.LagSeconds < age-60 {
		t.Errorf("stats %+v", st)
	}
}
