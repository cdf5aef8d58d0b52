package redisconn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

func TestDurabilityValidate(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]Durability{
		"QUEUE_DURABILITY:":        {Level: "paper"},
		"QUEUE_REPLICA_ACKS":       {Level: LevelReplicated, Replicas: -1},
		"QUEUE_DURABILITY_TIMEOUT": {Level: LevelFsync, Timeout: time.Microsecond},
	} {
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	for _, d := range []Durability{{}, {Level: LevelFsync}, {Level: LevelReplicated, Replicas: 2, Timeout: time.Second}} {
		if err := d.Validate(); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

func TestCheckDurability(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		server testenv.RedisOptions
		level  Level
		user   bool // one who may not use CONFIG
		mode   Mode
		reason string // why it cannot be met
	}{
		{name: "Memory", mode: ModeMemory},
		{name: "NoLog", level: LevelFsync, reason: "appendonly yes, got no"},
		{name: "NoLogOfValkey", level: LevelFsync, server: testenv.RedisOptions{Valkey: true}, reason: "appendonly yes, got no"},
		{name: "Always", level: LevelFsync, server: logged("always"), mode: ModeAlways},
		{name: "AlwaysButNotInRewrites", level: LevelFsync, server: logged("always", "--no-appendfsync-on-rewrite", "yes"), reason: "no-appendfsync-on-rewrite no, got yes"},
		{name: "AlwaysUntold", level: LevelFsync, server: logged("always"), user: true, reason: "got no answer to CONFIG GET"},
		{name: "EverySecond", level: LevelFsync, server: logged("everysec"), reason: "appendfsync always, got everysec"},
		{name: "WaitAOF", level: LevelFsync, server: ofValkey(logged("everysec")), mode: ModeWaitAOF},
		{name: "WaitAOFUntold", level: LevelFsync, server: ofValkey(logged("always")), user: true, mode: ModeWaitAOF},
		{name: "NeverOfValkey", level: LevelFsync, server: ofValkey(logged("no")), reason: "appendfsync always or everysec, got no"},
		{name: "NoReplica", level: LevelReplicated, reason: "ZMSG_QUEUE_REPLICA_ACKS=1 replicas, got 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.server.Genuine = true // the table tells Redis, old and new, from each other
			s := testenv.NewRedis(t, tt.server)
			cfg := Config{Addr: []string{s.Addr()}}
			if tt.user {
				cfg.Username, cfg.Password = "app", "secret"
				if _, err := s.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-config"); err != nil {
					t.Fatal(err)
				}
			}
			mode, err := open(t, cfg).CheckDurability(t.Context(), Durability{Level: tt.level}, "{1}", "{2}")
			switch {
			case tt.reason == "" && (err != nil || mode != tt.mode):
				t.Errorf("got %v, %v, want %v", mode, err, tt.mode)
			case tt.reason != "" && !errors.Is(err, ErrNotDurable):
				t.Errorf("got %v, %v", mode, err)
			case tt.reason != "" && (!strings.Contains(err.Error(), tt.reason) || !strings.Contains(err.Error(), "ZMSG_QUEUE_DURABILITY: ")):
				t.Errorf("got %q, want it to contain %q", err, tt.reason)
			}
		})
	}
}

func TestCheckDurabilityOfReplicas(t *testing.T) {
	t.Parallel()
	master, replica := newReplicated(t, testenv.RedisOptions{})
	conn := open(t, Config{Addr: []string{master.Addr()}})
	if mode, err := conn.CheckDurability(t.Context(), Durability{Level: LevelReplicated}, "{1}"); err != nil || mode != ModeWait {
		t.Errorf("got %v, %v", mode, err)
	}
	two := Durability{Level: LevelReplicated, Replicas: 2}
	if _, err := conn.CheckDurability(t.Context(), two, "{1}"); !errors.Is(err, ErrNotDurable) || !strings.Contains(err.Error(), "ZMSG_QUEUE_REPLICA_ACKS=2 replicas, got 1") {
		t.Errorf("two replicas: %v", err)
	}
	if _, err := conn.CheckDurability(t.Context(), Durability{Level: "paper"}, "{1}"); err == nil {
		t.Error("a level that does not exist is met")
	}
	ofReplica := open(t, Config{Addr: []string{replica.Addr()}})
	if _, err := ofReplica.CheckDurability(t.Context(), Durability{Level: LevelReplicated}, "{1}"); err == nil || !strings.Contains(err.Error(), "a master, got a slave") {
		t.Errorf("a replica: %v", err)
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.CheckDurability(t.Context(), two, "{1}"); model.KindOf(err) != model.Unavailable || errors.Is(err, ErrNotDurable) {
		t.Errorf("no server: %v", err)
	}
}

// logged are the options of a server with a log that is synced by policy.
func logged(policy string, args ...string) testenv.RedisOptions {
	return testenv.RedisOptions{AppendOnly: true, Args: append([]string{"--appendfsync", policy}, args...)}
}

func ofValkey(opts testenv.RedisOptions) testenv.RedisOptions {
	opts.Valkey = true
	return opts
}

// newReplicated starts a server and a replica that has its data.
func newReplicated(tb testing.TB, opts testenv.RedisOptions) (master, replica *testenv.Redis) {
	tb.Helper()
	opts.Args, opts.Genuine = []string{"--repl-diskless-sync-delay", "0"}, true
	master = testenv.NewRedis(tb, opts)
	opts.ReplicaOf = master.Addr()
	replica = testenv.NewRedis(tb, opts)
	until(tb, "replica in sync", func() bool {
		info, err := master.Do(tb.Context(), "INFO", "replication")
		return err == nil && strings.Contains(info, "state=online")
	})
	return master, replica
}
