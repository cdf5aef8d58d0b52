package redisconn

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := testenv.NewCluster(t, 3, 0)
	conn := open(t, Config{Addr: cluster.Addrs()})
	if !conn.Clustered() {
		t.Fatal("several addresses are a Cluster")
	}
	ctx := t.Context()
	processes := make(map[string]string) // process to one of its keys
	for shard := range 64 {
		key := "{" + strconv.Itoa(shard) + "}"
		node, err := conn.Node(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		// A process that does not serve the key would answer MOVED.
		if err := node.Set(ctx, key, shard, 0).Err(); err != nil {
			t.Fatalf("shard %d: %v", shard, err)
		}
		id, err := conn.Identity(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		processes[id.Process] = key
	}
	if len(processes) != 3 {
		t.Fatalf("%d processes serve 64 shards", len(processes))
	}
	script := redis.NewScript("return redis.call('get', KEYS[1])")
	loaded := ""
	for process, key := range processes {
		if loaded == "" {
			loaded = key
			if err := conn.Load(ctx, key, process, script); err != nil {
				t.Fatal(err)
			}
		}
		err := script.EvalSha(ctx, conn.Client(), []string{key}).Err()
		if key == loaded && err != nil || key != loaded && !redis.HasErrorPrefix(err, "NOSCRIPT") {
			t.Errorf("key %s, loaded for %s: %v", key, loaded, err)
		}
	}
	pipelinesOverCluster(t, conn)
}

func pipelinesOverCluster(t *testing.T, conn *Conn) {
	t.Helper()
	p := newPipeline(t, conn.Client(), PipelineConfig{})
	var callers sync.WaitGroup
	for shard := range 64 {
		callers.Go(func() {
			get := redis.NewStringCmd(t.Context(), "get", "{"+strconv.Itoa(shard)+"}")
			if err := p.Do(t.Context(), get); err != nil || get.Val() != strconv.Itoa(shard) {
				t.Errorf("shard %d: %q, %v", shard, get.Val(), err)
			}
		})
	}
	callers.Wait()
}

// TestNothingIsRepeated cuts the replies off, on one server and on a Cluster: what has run once must
// not run again.
func TestNothingIsRepeated(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"Standalone": {Addr: []string{testenv.RedisAddr(t)}},
		"Cluster":    {Addr: testenv.NewCluster(t, 3, 0).Addrs()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.ReadTimeout = 50 * time.Millisecond
			conn := open(t, cfg)
			p := newPipeline(t, conn.Client(), PipelineConfig{})
			if err := conn.Client().Set(t.Context(), "{1}n", 0, 0).Err(); err != nil {
				t.Fatal(err)
			}
			// The script counts and then runs on, past the reader's patience.
			slow := `redis.call('incr', KEYS[1])
				local began = redis.call('time')
				repeat local now = redis.call('time')
				until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 500000
				return 1`
			for i, do := range []func(context.Context, redis.Cmder) error{conn.Client().Process, p.Do} {
				if err := do(t.Context(), redis.NewCmd(t.Context(), "eval", slow, 1, "{1}n")); err == nil {
					t.Error("the script's reply came in time")
				}
				runs := 0
				until(t, "idle server", func() (idle bool) {
					n, err := conn.Client().Get(t.Context(), "{1}n").Int()
					runs = n
					return err == nil
				})
				if runs != i+1 {
					t.Errorf("attempt %d: %d runs", i+1, runs)
				}
			}
		})
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	master := testenv.NewRedis(t, testenv.RedisOptions{Genuine: true})
	sentinel := testenv.NewSentinel(t, master, "feeds")
	conn := open(t, Config{Addr: []string{sentinel.Addr()}, SentinelMaster: "feeds"})
	direct := open(t, Config{Addr: []string{master.Addr()}})
	got, err := conn.Identity(t.Context(), "{1}")
	if err != nil {
		t.Fatal(err)
	}
	want, err := direct.Identity(t.Context(), "{1}")
	if err != nil || got.Process != want.Process || got.Role != want.Role || conn.Clustered() {
		t.Errorf("got %+v, want %+v, %v", got, want, err)
	}
}
