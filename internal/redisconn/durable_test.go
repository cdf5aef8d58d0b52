package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

func newDurable(tb testing.TB, conn *Conn, d Durability) *Durable {
	tb.Helper()
	durable := NewDurable(conn, PipelineConfig{}, d)
	tb.Cleanup(durable.Close)
	return durable
}

func incr(tb testing.TB, d *Durable, key string) error {
	tb.Helper()
	return d.Do(tb.Context(), key, redis.NewIntCmd(tb.Context(), "incr", key))
}

func get(tb testing.TB, d *Durable, key string) error {
	tb.Helper()
	return d.Do(tb.Context(), key, redis.NewStringCmd(tb.Context(), "get", key))
}

// incrMany has many callers count at the same time, each with a command and a few more.
func incrMany(tb testing.TB, d *Durable, callers int, key string) {
	tb.Helper()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if err := incr(tb, d, key); err != nil {
				tb.Errorf("incr: %v", err)
			}
			more := []redis.Cmder{redis.NewIntCmd(tb.Context(), "incr", key), redis.NewIntCmd(tb.Context(), "incr", key)}
			if err := d.DoMany(tb.Context(), key, more); err != nil || more[0].Err() != nil || more[1].Err() != nil {
				tb.Errorf("two more: %v, %v, %v", err, more[0].Err(), more[1].Err())
			}
		})
	}
	all.Wait()
}

// value reads a number, from outside.
func value(tb testing.TB, s *testenv.Redis, key string) int64 {
	tb.Helper()
	text, err := s.Do(tb.Context(), "GET", key)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// calls returns how often a server has run a command.
func calls(tb testing.TB, s *testenv.Redis, command string) int {
	tb.Helper()
	stats, err := s.Do(tb.Context(), "INFO", "commandstats")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, found := strings.Cut(stats, "cmdstat_"+command+":calls=")
	if !found {
		return 0
	}
	number, _, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(number)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func configure(tb testing.TB, s *testenv.Redis, name, value string) {
	tb.Helper()
	if _, err := s.Do(tb.Context(), "CONFIG", "SET", name, value); err != nil {
		tb.Fatal(err)
	}
}

func TestDurableMemoryIsAPipeline(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	d := newDurable(t, open(t, Config{Addr: []string{s.Addr()}}), Durability{})
	incrMany(t, d, 20, "n")
	if n := value(t, s, "n"); n != 60 {
		t.Errorf("counted %d", n)
	}
	for _, command := range []string{"wait", "waitaof", "config|get"} {
		if n := calls(t, s, command); n != 0 {
			t.Errorf("%d calls of %s", n, command)
		}
	}
	if level := d.Durability().Level; level != LevelMemory {
		t.Errorf("level %q", level)
	}
}

// TestDurableFsync runs on a server that writes to disk before each reply, and on one that is asked to wait.
func TestDurableFsync(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]testenv.RedisOptions{
		"Always": logged("always"), "WaitAOF": ofValkey(logged("everysec")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testenv.NewRedis(t, opts)
			conn := open(t, Config{Addr: []string{s.Addr()}})
			d := newDurable(t, conn, Durability{Level: LevelFsync, Timeout: 10 * time.Second})
			incrMany(t, d, 200, "n")
			if waits := calls(t, s, "waitaof"); opts.Valkey && (waits == 0 || waits > 100) {
				t.Errorf("%d calls of WAITAOF for 400 callers", waits)
			}
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := incr(t, d, "n"); err == nil {
				t.Error("a dead server acknowledged")
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := value(t, s, "n"); n != 600 {
				t.Errorf("%d of 600 increments survived", n)
			}
			until(t, "connections to the new process", func() bool {
				return incr(t, d, "n") == nil
			})
		})
	}
}

// TestDurableFsyncNoticesConfiguration changes what the server promises, while it runs.
func TestDurableFsyncNoticesConfiguration(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		server     testenv.RedisOptions
		good, bad  string
		wantReason string
	}{
		{"Always", logged("always"), "always", "everysec", "appendfsync always, got everysec"},
		{"WaitAOF", ofValkey(logged("everysec")), "everysec", "no", "the disk does not have it after 1.5s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.server.Genuine = true // others sync for WAITAOF under any policy
			s := testenv.NewRedis(t, tt.server)
			conn := open(t, Config{Addr: []string{s.Addr()}})
			d := newDurable(t, conn, Durability{Level: LevelFsync, Timeout: 1500 * time.Millisecond})
			reader := newDurable(t, open(t, Config{Addr: []string{s.Addr()}}), d.Durability())
			until(t, "first answer", func() bool { return errors.Is(get(t, reader, "good"), redis.Nil) })
			until(t, "first acknowledgement", func() bool {
				return incr(t, d, "good") == nil
			})
			configure(t, s, "appendfsync", tt.bad)
			if err := incr(t, d, "n"); !errors.Is(err, ErrNotDurable) || !strings.Contains(err.Error(), tt.wantReason) {
				t.Errorf("got %v", err)
			}
			if n := value(t, s, "n"); n != 1 {
				t.Errorf("the script that was not durable ran %d times", n)
			}
			if err := get(t, reader, "n"); !errors.Is(err, ErrNotDurable) {
				t.Errorf("read of a write that is not durable: %v", err)
			}
			// From now on it is known beforehand, so nothing runs any more.
			if err := incr(t, d, "n"); !errors.Is(err, ErrNotDurable) || !strings.Contains(err.Error(), "got "+tt.bad) {
				t.Errorf("got %v", err)
			}
			if n := value(t, s, "n"); n != 1 {
				t.Errorf("a command ran that could not become durable: %d", n)
			}
			configure(t, s, "appendfsync", tt.good)
			until(t, "acknowledgement as before", func() bool {
				return incr(t, d, "good") == nil
			})
			configure(t, s, "appendonly", "no")
			if err := incr(t, d, "n"); !errors.Is(err, ErrNotDurable) {
				t.Errorf("without a log: %v", err)
			}
		})
	}
}

func TestDurableReplicated(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]testenv.RedisOptions{"Redis": {}, "Valkey": {Valkey: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicated(t, opts)
		})
	}
}

func replicated(t *testing.T, opts testenv.RedisOptions) {
	t.Helper()
	master, replica := newReplicated(t, opts)
	conn := open(t, Config{Addr: []string{master.Addr()}})
	d := newDurable(t, conn, Durability{Level: LevelReplicated, Timeout: 10 * time.Second})
	impatient := newDurable(t, conn, Durability{Level: LevelReplicated, Timeout: 100 * time.Millisecond})
	incrMany(t, d, 100, "n")
	if waits := calls(t, master, "wait"); waits == 0 || waits > 150 {
		t.Errorf("%d calls of WAIT for 200 callers", waits)
	}

	if err := replica.Pause(); err != nil {
		t.Fatal(err)
	}
	unreplicated(t, impatient, master)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := d.Do(ctx, "m", redis.NewIntCmd(ctx, "incr", "m")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller whose time was over got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it waited %v", took)
	}
	if err := replica.Resume(); err != nil {
		t.Fatal(err)
	}

	incrMany(t, d, 100, "n")
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	if n := value(t, replica, "n"); n != 600 {
		t.Errorf("the replica has %d of 600 increments", n)
	}
}

// unreplicated expects the master's replica to be silent.
func unreplicated(t *testing.T, d *Durable, master *testenv.Redis) {
	t.Helper()
	if err := incr(t, d, "late"); !errors.Is(err, ErrNotDurable) || !strings.Contains(err.Error(), "0 of 1 replicas have it after 100ms") {
		t.Errorf("no replica: %v", err)
	}
	if n := value(t, master, "late"); n != 1 {
		t.Errorf("the command ran %d times", n)
	}
	// The same holds for what only shows that write, on another connection.
	reader := newDurable(t, open(t, Config{Addr: []string{master.Addr()}}), d.Durability())
	if err := get(t, reader, "late"); !errors.Is(err, ErrNotDurable) {
		t.Errorf("read of a write that is not durable: %v", err)
	}
	if err := d.DoMany(t.Context(), "late", []redis.Cmder{redis.NewIntCmd(t.Context(), "incr", "late")}); !errors.Is(err, ErrNotDurable) {
		t.Errorf("many: %v", err)
	}
	// What has not run keeps its own error: callers load the script then.
	sha := strings.Repeat("0", 40)
	if err := d.Do(t.Context(), "late", redis.NewCmd(t.Context(), "evalsha", sha, 1, "late")); !redis.HasErrorPrefix(err, "NOSCRIPT") || errors.Is(err, ErrNotDurable) {
		t.Errorf("unknown script: %v", err)
	}
}

// TestDurableOverCluster silences the replica of one master, which must not trouble the others, and then
// kills that master.
func TestDurableOverCluster(t *testing.T) {
	t.Parallel()
	const masters = 3
	cluster := testenv.NewCluster(t, masters, 1)
	conn := open(t, Config{Addr: cluster.Addrs()})
	d := newDurable(t, conn, Durability{Level: LevelReplicated, Timeout: time.Second})
	keys := make(map[string]string) // of each master, one
	for i := 0; len(keys) < masters; i++ {
		key := fmt.Sprintf("{%d}", i)
		node, err := conn.Node(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		keys[node.Options().Addr] = key
	}
	for _, key := range keys {
		incrMany(t, d, 20, key)
	}
	if mode, err := conn.CheckDurability(t.Context(), d.Durability(), keys[cluster.Nodes[0].Addr()], keys[cluster.Nodes[1].Addr()]); err != nil || mode != ModeWait {
		t.Errorf("got %v, %v", mode, err)
	}

	silent := keys[cluster.Nodes[0].Addr()]
	if err := cluster.Nodes[masters].Pause(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, key := range keys {
		for range 20 {
			all.Go(func() {
				if err := incr(t, d, key); errors.Is(err, ErrNotDurable) != (key == silent) || err != nil && key != silent {
					t.Errorf("%s: %v", key, err)
				}
			})
		}
	}
	all.Wait()
	if err := cluster.Nodes[masters].Resume(); err != nil {
		t.Fatal(err)
	}

	if err := cluster.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	// Its replica takes over; that it has none itself shows that it is the one that answers.
	within(t, 30*time.Second, "answer of the new master", func() bool {
		err := incr(t, d, silent)
		return errors.Is(err, ErrNotDurable) && strings.Contains(err.Error(), "0 of 1 replicas")
	})
}

func TestDurableForgetsIdleNodes(t *testing.T) {
	t.Parallel()
	var conns [2]*Conn
	for i := range conns {
		conns[i] = open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	}
	d := newDurable(t, conns[0], Durability{Level: LevelReplicated, Timeout: time.Millisecond})
	used, err := d.enter(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	used.left = time.Now().Add(-2 * idleAfter)
	d.forget()
	if len(d.nodes) != 1 {
		t.Error("a pipeline in use was dropped")
	}
	d.leave(used)
	d.forget()
	if len(d.nodes) != 1 {
		t.Error("a pipeline used just now was dropped")
	}
	used.left = time.Now().Add(-2 * idleAfter)
	d.conn = conns[1] // as if another process served the key
	if err := incr(t, d, "k"); !errors.Is(err, ErrNotDurable) {
		t.Errorf("got %v", err)
	}
	if len(d.nodes) != 1 || d.nodes[used.client] != nil {
		t.Errorf("%d pipelines", len(d.nodes))
	}
}

func TestDurableClose(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{testenv.RedisAddr(t)}})
	for _, level := range []Level{LevelMemory, LevelReplicated} {
		d := NewDurable(conn, PipelineConfig{}, Durability{Level: level, Timeout: 10 * time.Millisecond})
		if err := incr(t, d, "n"); errors.Is(err, ErrNotDurable) != (level == LevelReplicated) {
			t.Errorf("%s: %v", level, err)
		}
		d.Close()
		d.Close()
		if err := incr(t, d, "n"); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", level, err)
		}
	}
}
