package redisconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

func TestConfigHidesItsPassword(t *testing.T) {
	t.Parallel()
	cfg := Config{Addr: []string{"a:1", "b:2"}, Username: "app", Password: "hunter2", TLS: true, SentinelMaster: "m"}
	encoded, err := json.Marshal(cfg.Password)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		cfg.String(), fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), fmt.Sprintf("%v", &cfg),
		fmt.Sprintf("%v %+v %#v %s %q", cfg.Password, cfg.Password, cfg.Password, cfg.Password, cfg.Password),
		fmt.Sprintf("%+v", struct{ Redis Config }{cfg}), string(encoded),
	} {
		if strings.Contains(s, "hunter2") || !strings.Contains(s, mask) {
			t.Errorf("shows %s", s)
		}
	}
	if got, want := cfg.String(), "rediss://app:***@a:1,b:2/0?sentinel_master=m"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"REDIS_ADDR":         {},
		"missing port":       {Addr: []string{"localhost"}},
		"REDIS_DB":           {Addr: []string{"a:1", "b:1"}, DB: 3},
		"REDIS_READ_TIMEOUT": {Addr: []string{"a:1"}, ReadTimeout: -1},
		"REDIS_POOL_SIZE":    {Addr: []string{"a:1"}, PoolSize: -1},
	} {
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", cfg, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{Genuine: true, Args: []string{"--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru"}})
	conn := open(t, Config{Addr: []string{s.Addr()}})
	if conn.Clustered() {
		t.Error("one address is no Cluster")
	}
	first, err := conn.Identity(t.Context(), "{1}")
	if err != nil {
		t.Fatal(err)
	}
	if first.UsedMemory < 1<<16 || first.Version == "" || first.AppendOnly || first.Replicas != 0 {
		t.Errorf("got %+v", first)
	}
	if first.Role != "master" || first.MaxMemory != 64<<20 || first.MaxMemoryPolicy != "volatile-lru" || len(first.Process) != 81 {
		t.Errorf("got %+v", first)
	}
	// A process that has been a replica in between is another one, although its run id is the same.
	ctx := t.Context()
	client := conn.Client()
	if err := client.SlaveOf(ctx, "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if replica, err := conn.Identity(ctx, "{1}"); err != nil || replica.Role != "slave" {
		t.Errorf("demoted: %+v, %v", replica, err)
	}
	if err := client.SlaveOf(ctx, "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	if second, err := conn.Identity(ctx, "{1}"); err != nil || second.Process == first.Process {
		t.Errorf("promoted again: %+v, %v", second, err)
	}
}

func TestIdentityWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	conn := open(t, Config{Addr: []string{s.Addr()}})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := conn.Identity(t.Context(), "{1}"); model.KindOf(err) != model.Unavailable {
		t.Errorf("got %v", err)
	}
	if err := conn.Load(t.Context(), "{1}", "x"); model.KindOf(err) != model.Unavailable {
		t.Errorf("load: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// A Redis that reads its data answers INFO and refuses all else, for minutes if there is much of it. Who took
// it for back would move shards to it that nobody could use until it has read all.
func TestIdentityWhileRedisReadsItsData(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{Genuine: true, Args: []string{
		"--enable-debug-command", "yes", "--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024",
	}})
	for _, command := range [][]string{{"DEBUG", "POPULATE", "20000", "key", "100"}, {"SAVE"}} {
		if _, err := s.Do(t.Context(), command...); err != nil {
			t.Fatal(err)
		}
	}
	conn := open(t, Config{Addr: []string{s.Addr()}})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- s.Start(t.Context()) }() // returns when all is read
	refused := ""
	until(t, "Redis has read its data", func() bool {
		_, err := conn.Identity(t.Context(), "{1}")
		if err == nil {
			if pong := conn.Client().Ping(t.Context()).Err(); pong != nil {
				t.Errorf("an identity of a process that answers %v", pong)
			}
			return true
		}
		if model.KindOf(err) != model.Unavailable {
			t.Error(err)
		}
		if strings.Contains(err.Error(), "reading") {
			refused = err.Error()
		}
		return false
	})
	if err := <-started; err != nil || refused == "" {
		t.Errorf("start: %v; while it read: %q", err, refused)
	}
}

// Whoever refuses all writes is found out by writing: it answers INFO as ever.
func TestWritable(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	unsaved := func(do func(...string)) {
		do("CONFIG", "SET", "save", "3600 1000000")
		do("CONFIG", "SET", "dir", gone)
		if err := os.Remove(gone); err != nil {
			t.Error(err)
		}
		do("BGSAVE")
	}
	for name, tt := range map[string]struct {
		change func(do func(...string))
		refuse string
	}{
		"Usual":      {func(func(...string)) {}, ""},
		"FullMemory": {func(do func(...string)) { do("CONFIG", "SET", "maxmemory", "1") }, ""},
		"NoReplicas": {func(do func(...string)) { do("CONFIG", "SET", "min-replicas-to-write", "1") }, "NOREPLICAS"},
		"Replica":    {func(do func(...string)) { do("REPLICAOF", "127.0.0.1", "1") }, "READONLY"},
		"CannotSave": {unsaved, "MISCONF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testenv.NewRedis(t, testenv.RedisOptions{Genuine: true, Args: []string{"--enable-protected-configs", "yes"}})
			conn := open(t, Config{Addr: []string{s.Addr()}})
			if err := conn.Writable(t.Context(), "{1}:w"); err != nil {
				t.Fatal(err)
			}
			tt.change(func(command ...string) {
				if _, err := s.Do(t.Context(), command...); err != nil {
					t.Error(err)
				}
			})
			if tt.refuse == "" {
				if err := conn.Writable(t.Context(), "{1}:w"); err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			var err error
			until(t, "the write is refused", func() bool { // a save fails in the background
				err = conn.Writable(t.Context(), "{1}:w")
				return err != nil
			})
			if model.KindOf(err) != model.Unavailable || !strings.Contains(err.Error(), tt.refuse) {
				t.Errorf("got %v, want %s", err, tt.refuse)
			}
			if _, err := conn.Identity(t.Context(), "{1}"); err != nil {
				t.Errorf("INFO alone would have told: %v", err)
			}
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := conn.Writable(t.Context(), "{1}:w"); model.KindOf(err) != model.Unavailable {
				t.Errorf("killed: %v", err)
			}
		})
	}
}

func TestContextDeadlineBoundsSockets(t *testing.T) {
	t.Parallel()
	conn := open(t, Config{Addr: []string{deaf(t)}, ReadTimeout: 30 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := conn.Identity(ctx, "{1}"); err == nil {
		t.Error("a deaf server answered")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	s := testenv.NewRedis(t, testenv.RedisOptions{})
	ctx := t.Context()
	if _, err := s.Do(ctx, "CONFIG", "SET", "requirepass", "secret"); err != nil {
		t.Fatal(err)
	}
	conn := open(t, Config{Addr: []string{s.Addr()}, Password: "secret"})
	id, err := conn.Identity(ctx, "{1}")
	if err != nil {
		t.Fatal(err)
	}
	one, two := redis.NewScript("return 1"), redis.NewScript("return 2")
	if err := conn.Load(ctx, "{1}", id.Process+"x", one, two); !errors.Is(err, ErrIdentity) {
		t.Fatalf("another process: %v", err)
	}
	if err := one.EvalSha(ctx, conn.Client(), nil).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		t.Fatalf("loaded into the wrong process: %v", err)
	}
	if err := conn.Load(ctx, "{1}", id.Process, one, two); err != nil {
		t.Fatal(err)
	}
	for want, script := range map[int]*redis.Script{1: one, 2: two} {
		if got, err := script.EvalSha(ctx, conn.Client(), nil).Int(); err != nil || got != want {
			t.Errorf("script %d: %d, %v", want, got, err)
		}
	}
	if err := conn.Load(ctx, "{1}", id.Process, redis.NewScript("this is not Lua")); err == nil {
		t.Error("a broken script was taken")
	}
}

func TestParseInfoNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := parseInfo("run_id:a\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nused_memory:1\r\n"); err == nil || !strings.Contains(err.Error(), "master_replid") {
		t.Errorf("got %v", err)
	}
	if _, err := parseInfo("run_id:a\r\nmaster_replid:b\r\nrole:master\r\nmaxmemory:lots\r\nmaxmemory_policy:noeviction\r\nused_memory:1\r\n"); err == nil {
		t.Error("a maxmemory in words was taken")
	}
	const whole = "run_id:a\r\nmaster_replid:b\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nused_memory:1\r\naof_enabled:1\r\n"
	if id, err := parseInfo(whole + "aof_last_write_status:ok\r\n"); err != nil || !id.AppendOnly {
		t.Errorf("got %+v, %v", id, err)
	}
	if _, err := parseInfo(whole + "aof_last_write_status:err\r\n"); model.KindOf(err) != model.Unavailable {
		t.Errorf("a log that cannot be written: %v", err)
	}
}
