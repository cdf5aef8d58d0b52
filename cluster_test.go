package zmsg_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

const (
	testShards       = 64 // of items
	allShards        = 80 // with those of counters
	takeoverPatience = 10 * time.Second
)

// clusterWorld is a world whose Redis is a Cluster.
type clusterWorld struct {
	*world
	cluster *testenv.Cluster
	client  *redis.ClusterClient
}

func newClusterWorld(t *testing.T, masters, replicas int) *clusterWorld {
	t.Helper()
	c := testenv.NewCluster(t, masters, replicas)
	w := &clusterWorld{
		world:   &world{dsn: testenv.DB(t), redis: c.Nodes[0]},
		cluster: c,
		client:  redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()}),
	}
	t.Cleanup(func() { _ = w.client.Close() })
	return w
}

func (w *clusterWorld) open(t *testing.T) *replica {
	t.Helper()
	return w.world.open(t, "ZMSG_REDIS_ADDR="+strings.Join(w.cluster.Addrs(), ","))
}

func (w *clusterWorld) awaitDrained(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the queue is drained", func() bool {
		for s := range allShards {
			if n, err := w.client.XLen(t.Context(), "zmsg:{"+strconv.Itoa(s)+"}:q").Result(); err != nil || n > 0 {
				return false
			}
		}
		return true
	})
}

func TestP2_ClusterWritesAreReadAndListed(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, 3, 0)
	a, b := w.open(t), w.open(t)
	checkConsistency(t, a, b)
	w.awaitDrained(t)
	processes := make(map[string]bool)
	for s := range testShards {
		m, err := w.client.MasterForKey(t.Context(), "{"+strconv.Itoa(s)+"}")
		if err != nil {
			t.Fatal(err)
		}
		processes[m.Options().Addr] = true
	}
	if len(processes) != 3 {
		t.Errorf("the shards are on %d masters", len(processes))
	}
}

// checkConsistency is the basic promises, over items of many shards: own writes, the other replica, exact
// reads, lists, and deletions while queued.
func checkConsistency(t *testing.T, a, b *replica) {
	t.Helper()
	author := newID()
	want := make(map[model.ID]string)
	for i := range 3 * testShards {
		id, text, opts := newID(), textN(i), delayed
		if i%8 == 0 {
			opts = stored
		}
		a.mustPut(t, id, author, text, opts)
		if got := a.text(t, id, false); got != text {
			t.Fatalf("own write %q is read as %q", text, got)
		}
		if got := b.text(t, id, true); got != text {
			t.Fatalf("%q is read as %q by an exact read elsewhere", text, got)
		}
		want[id] = text
		switch i % 4 {
		case 1: // overwritten elsewhere
			want[id] = "again " + text
			b.mustPut(t, id, author, want[id], delayed)
			eventually(t, 2*time.Second, "the first writer follows", func() bool { return a.text(t, id, false) == want[id] })
		case 2: // deleted elsewhere, most likely while it is queued
			delete(want, id)
			b.mustDelete(t, id, delayed)
			eventually(t, 2*time.Second, "the first writer follows", func() bool { return a.text(t, id, false) == "" })
		}
	}
	for _, r := range []*replica{a, b} {
		listed := r.listed(t, true, author)
		if len(listed) != len(want) {
			t.Errorf("%d items are listed of %d", len(listed), len(want))
		}
		for _, id := range listed {
			if text, ok := want[id]; !ok || r.text(t, id, true) != text {
				t.Errorf("listed %s reads %q, want %q", id, r.text(t, id, true), text)
			}
		}
	}
}

// A master dies and its replica takes its place: its shards are served again in a new epoch soon after
// the Cluster has agreed on that, and nothing stored is lost, nor what the dead master had not replicated yet.
func TestP1_ClusterFailover(t *testing.T) {
	t.Parallel()
	w := newClusterWorld(t, 3, 1)
	a, b := w.open(t), w.open(t)
	author := newID()
	var ids []model.ID
	for i := range 2 * testShards {
		ids = append(ids, newID())
		a.mustPut(t, ids[i], author, textN(i), stored)
	}
	load := countUnderLoad(t, newTallies(20), 2, 2, func() []*replica { return []*replica{a, b} })
	load.awaitAnswers(200)
	epochs := w.count(t, "SELECT sum(epoch) FROM shards")
	victim := w.cluster.Nodes[0]
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	eventually(t, 30*time.Second, "the cluster has failed over", func() bool {
		info, err := w.cluster.Nodes[3].Do(t.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "role:master")
	})
	failedOver := time.Now()
	a.awaitReady(t)
	b.awaitReady(t)
	t.Logf("the Cluster needed %v, the replicas %v more", failedOver.Sub(killed), time.Since(failedOver))
	if late := time.Since(failedOver); late > 15*time.Second {
		t.Errorf("the shards were served again only %v after the failover", late)
	}
	if now := w.count(t, "SELECT sum(epoch) FROM shards"); now <= epochs {
		t.Errorf("no new epoch: the sum is %d, was %d", now, epochs)
	}
	for i, id := range ids {
		for _, r := range []*replica{a, b} {
			if got := r.text(t, id, true); got != textN(i) {
				t.Errorf("%s (shard %d) reads %q, stored was %q", id, keyspace.New(testShards).Shard(id), got, textN(i))
			}
		}
	}
	checkConsistency(t, a, b)
	load.awaitAnswers(50)
	load.end()
	load.wantExact(w)
	if gap := load.writing.gap(); gap > noWriteMost {
		t.Errorf("no increment succeeded for %v", gap)
	}
}
