package zmsg_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// The master that sentinels watch dies: the replica that they promote is a new home in a new epoch, and
// nothing stored is lost, nor what the dead master had not replicated yet. The old master comes back as a replica and changes nothing.
func TestP1_SentinelFailover(t *testing.T) {
	t.Parallel()
	w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{Genuine: true})}
	second := testenv.NewRedis(t, testenv.RedisOptions{ReplicaOf: w.redis.Addr(), Args: []string{"--repl-diskless-sync-delay", "0"}})
	eventually(t, 20*time.Second, "the replica is in sync", func() bool {
		info, err := second.Do(t.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	sentinel := testenv.NewSentinel(t, w.redis, "feeds")
	eventually(t, 30*time.Second, "the sentinel knows the replica", func() bool {
		info, err := sentinel.Do(t.Context(), "INFO", "sentinel")
		return err == nil && strings.Contains(info, "slaves=1")
	})
	settings := []string{"ZMSG_REDIS_ADDR=" + sentinel.Addr(), "ZMSG_REDIS_SENTINEL_MASTER=feeds"}
	a, b := w.open(t, settings...), w.open(t, settings...)
	author := newID()
	var ids []model.ID
	for i := range 100 {
		ids = append(ids, newID())
		a.mustPut(t, ids[i], author, textN(i), stored)
	}
	load := countUnderLoad(t, newTallies(20), 2, 2, func() []*replica { return []*replica{a, b} })
	load.awaitAnswers(200)
	epochs := w.count(t, "SELECT sum(epoch) FROM shards")

	old := w.redis
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the replica is promoted", func() bool {
		info, err := second.Do(t.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "role:master")
	})
	promoted := time.Now()
	a.awaitReady(t)
	b.awaitReady(t)
	t.Logf("served again %v after the promotion", time.Since(promoted))
	if late := time.Since(promoted); late > 15*time.Second {
		t.Errorf("served again only %v after the promotion", late)
	}
	if now := w.count(t, "SELECT sum(epoch) FROM shards"); now < epochs+testShards {
		t.Errorf("the sum of epochs is %d, was %d", now, epochs)
	}
	check := func() {
		t.Helper()
		for i, id := range ids {
			for _, r := range []*replica{a, b} {
				if got := r.text(t, id, true); got != textN(i) {
					t.Errorf("%s reads %q, stored was %q", id, got, textN(i))
				}
			}
		}
	}
	check()
	checkConsistency(t, a, b)

	epochs = w.count(t, "SELECT sum(epoch) FROM shards")
	if err := old.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the old master is a replica", func() bool {
		info, err := old.Do(t.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "role:slave")
	})
	check()
	checkConsistency(t, a, b)
	if now := w.count(t, "SELECT sum(epoch) FROM shards"); now != epochs {
		t.Errorf("the old master's return changed the sum of epochs from %d to %d", epochs, now)
	}
	w.redis = second
	load.awaitAnswers(50)
	load.end()
	load.wantExact(w)
	if gap := load.writing.gap(); gap > noWriteMost {
		t.Errorf("no increment succeeded for %v", gap)
	}
}
