package zmsg_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/internal/envconfig"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

const (
	fsync      = "ZMSG_QUEUE_DURABILITY=fsync"
	replicated = "ZMSG_QUEUE_DURABILITY=replicated"
)

// loggedRedis is a Redis that writes everything down, by the given policy.
func loggedRedis(t *testing.T, policy string, valkey bool) *testenv.Redis {
	t.Helper()
	return testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: true, Valkey: valkey, Args: []string{"--appendfsync", policy}})
}

// followed starts a Redis and a replica of it that has all it has.
func followed(t *testing.T) (master, second *testenv.Redis) {
	t.Helper()
	master = testenv.NewRedis(t, testenv.RedisOptions{Genuine: true})
	second = testenv.NewRedis(t, testenv.RedisOptions{ReplicaOf: master.Addr(), Args: []string{"--repl-diskless-sync-delay", "0"}})
	awaitInSync(t, second)
	return master, second
}

func awaitInSync(t *testing.T, second *testenv.Redis) {
	t.Helper()
	eventually(t, 20*time.Second, "the replica is in sync", func() bool {
		info, err := second.Do(t.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
}

// A level that Redis cannot meet is refused at the start, by the name of the setting.
func TestP1_LevelsThatRedisCannotMeetAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		redis   testenv.RedisOptions
		setting string
		want    []string
	}{
		"FsyncWithoutLog":           {testenv.RedisOptions{}, fsync, []string{"QUEUE_DURABILITY", "fsync", "appendonly yes"}},
		"FsyncOfAnOldRedisEverysec": {testenv.RedisOptions{AppendOnly: true, Genuine: true}, fsync, []string{"QUEUE_DURABILITY", "appendfsync always"}},
		"ReplicatedWithoutReplicas": {testenv.RedisOptions{}, replicated, []string{"QUEUE_DURABILITY", "QUEUE_REPLICA_ACKS=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, tt.redis)}
			var cfg zmsg.Config
			must(t, envconfig.Load(&cfg, []string{"ZMSG_POSTGRES_DSN=" + w.dsn, "ZMSG_REDIS_ADDR=" + w.redis.Addr(), tt.setting}))
			engine, err := zmsg.Open(t.Context(), cfg, zmsg.Options{Registerer: prometheus.NewRegistry()})
			if err == nil {
				must(t, engine.Close(t.Context()))
				t.Fatal("it was opened")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// Answers name the level of what is queued. Only delayed writes pay for it.
func TestP1_LevelsAreNamedAndWaitedForByDelayedWritesOnly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		redis       func(t *testing.T) *testenv.Redis
		level, wait string // what is called to wait; "" if replies are proof enough
	}{
		"Memory": {func(t *testing.T) *testenv.Redis {
			t.Helper()
			return testenv.NewRedis(t, testenv.RedisOptions{})
		}, "memory", ""},
		"FsyncAlways": {func(t *testing.T) *testenv.Redis {
			t.Helper()
			return loggedRedis(t, "always", false)
		}, "fsync", ""},
		"FsyncWaitAOF": {func(t *testing.T) *testenv.Redis {
			t.Helper()
			return loggedRedis(t, "everysec", true)
		}, "fsync", "waitaof"},
		"Replicated": {func(t *testing.T) *testenv.Redis {
			t.Helper()
			master, _ := followed(t)
			return master
		}, "replicated", "wait"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{dsn: testenv.DB(t), redis: tt.redis(t)}
			r := w.open(t, "ZMSG_QUEUE_DURABILITY="+tt.level, "ZMSG_QUEUE_DURABILITY_TIMEOUT=10s")
			calls := func() (n int) {
				for _, command := range []string{"wait", "waitaof"} {
					n += w.redisCalls(t, command)
				}
				return n
			}
			before := calls()
			for range 10 {
				if res := r.mustPut(t, newID(), 7, "sync", stored); res.Durability != "" || res.Store != model.StoreSync {
					t.Errorf("a synchronous write: %+v", res)
				}
				if got := r.count(t, model.StoreSync); got.Durability != service.Committed {
					t.Errorf("a synchronous increment: %+v", got)
				}
			}
			if n := calls() - before; n != 0 {
				t.Errorf("synchronous writes have waited %d times for Redis", n)
			}
			if res := r.mustPut(t, newID(), 7, "delayed", delayed); res.Durability != tt.level {
				t.Errorf("a delayed write: %+v", res)
			}
			if got := r.count(t, model.StoreDelayed); got.Durability != tt.level || got.Value != 11 {
				t.Errorf("a delayed increment: %+v", got)
			}
			if tt.wait != "" && w.redisCalls(t, tt.wait) == 0 {
				t.Error("nothing was waited for")
			}
		})
	}
}

func (r *replica) count(t *testing.T, store model.Store) service.CountWritten {
	t.Helper()
	got, err := r.Counters.Increment(t.Context(), model.Counter{Subject: "post:1", Metric: "likes"}, 1, service.CountOptions{Store: store})
	must(t, err)
	return got
}

// redisCalls returns how often Redis has run a command.
func (w *world) redisCalls(t *testing.T, command string) int {
	t.Helper()
	info, err := w.redis.Do(t.Context(), "INFO", "commandstats")
	must(t, err)
	_, rest, found := strings.Cut(info, "cmdstat_"+command+":calls=")
	if !found {
		return 0
	}
	n := 0
	for _, digit := range rest {
		if digit < '0' || digit > '9' {
			break
		}
		n = 10*n + int(digit-'0')
	}
	return n
}

// While the replica of Redis is away, no delayed write is answered as if it were there. Synchronous ones do not
// need it.
func TestP1_ReplicatedWritesNeedTheReplica(t *testing.T) {
	t.Parallel()
	master, second := followed(t)
	w := &world{dsn: testenv.DB(t), redis: master}
	r := w.open(t, replicated, "ZMSG_QUEUE_DURABILITY_TIMEOUT=300ms")
	likes := model.Counter{Subject: "post:1", Metric: "likes"}
	r.mustPut(t, newID(), 7, "replicated", delayed)
	must(t, second.Kill())
	for range 3 {
		if _, err := r.Feeds.Put(t.Context(), draft(newID(), 7, "alone"), delayed); !unavailable(err) || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("a delayed write: %v", err)
		}
		if _, err := r.Counters.Increment(t.Context(), likes, 1, service.CountOptions{}); !unavailable(err) || !strings.Contains(err.Error(), "unknown") {
			t.Errorf("a delayed increment: %v", err)
		}
	}
	id := newID()
	r.mustPut(t, id, 7, "committed", stored)
	r.mustAdd(t, likes, 1, model.StoreSync)
	wantText(t, id, "committed", r)
	must(t, second.Start(t.Context()))
	awaitInSync(t, second)
	eventually(t, 10*time.Second, "delayed writes are replicated again", func() bool {
		res, err := r.Feeds.Put(t.Context(), draft(id, 7, "again"), delayed)
		return err == nil && res.Durability == "replicated"
	})
}
