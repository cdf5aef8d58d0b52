package testenv_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

func wantError(tb testing.TB, err error, part string) {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		tb.Errorf("error is %v, want one with %q", err, part)
	}
}

func do(tb testing.TB, r *testenv.Redis, args ...string) string {
	tb.Helper()
	reply, err := r.Do(tb.Context(), args...)
	if err != nil {
		tb.Fatal(err)
	}
	return reply
}

// eventually polls cond until it holds, for at most 30 seconds.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			tb.Fatalf("not within 30 seconds: %s", what)
		case <-tick.C:
		}
	}
}

func TestRedisServersAreApart(t *testing.T) {
	t.Parallel()
	a, b := testenv.NewRedis(t, testenv.RedisOptions{}), testenv.NewRedis(t, testenv.RedisOptions{})
	do(t, a, "SET", "k", "with space\r\n")
	if got := do(t, a, "GET", "k"); got != "with space\r\n" {
		t.Errorf("read %q", got)
	}
	if got := do(t, b, "DBSIZE"); got != "0" {
		t.Errorf("the second server has %s keys, want none", got)
	}
	_, err := a.Do(t.Context(), "INCR", "k")
	wantError(t, err, "not an integer")
}

func TestRedisForgetsOrKeepsOverKill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		appendOnly bool
		want       string
	}{{"Memory", false, "0"}, {"AppendOnly", true, "1"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: tt.appendOnly})
			before := do(t, r, "SET", "k", "v")
			if before != "OK" {
				t.Fatalf("SET answered %q", before)
			}
			if err := r.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Do(t.Context(), "PING"); err == nil {
				t.Fatal("the killed server answers")
			}
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := do(t, r, "DBSIZE"); got != tt.want {
				t.Errorf("%s keys after the restart, want %s", got, tt.want)
			}
		})
	}
}

func TestValkeyKnowsWaitAOF(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t, testenv.RedisOptions{Valkey: true})
	_, err := r.Do(t.Context(), "WAITAOF", "1", "0", "1")
	wantError(t, err, "appendonly is disabled")
}

func TestPausedRedisIsSilentAndCanBeStopped(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t, testenv.RedisOptions{})
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.Do(ctx, "PING")
	wantError(t, err, "timeout")
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := do(t, r, "PING"); got != "PONG" {
		t.Errorf("the resumed server answers %q", got)
	}
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	exited := r.Exited()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-exited:
	default:
		t.Error("Exited is still open after Stop")
	}
	wantError(t, r.Pause(), "not running")
}

func TestClusterServesEverySlotAndFailsOver(t *testing.T) {
	t.Parallel()
	const masters, replicas = 3, 1
	c := testenv.NewCluster(t, masters, replicas)
	if len(c.Addrs()) != masters*(1+replicas) {
		t.Fatalf("nodes %v, want %d", c.Addrs(), masters*(1+replicas))
	}
	served := 0
	for _, n := range c.Nodes[:masters] {
		if _, err := n.Do(t.Context(), "SET", "{a}", "1"); err == nil {
			served++
		} else {
			wantError(t, err, "MOVED")
		}
	}
	if served != 1 {
		t.Errorf("%d masters took the same key, want 1", served)
	}
	if err := c.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica of the dead master is a master", func() bool {
		return strings.Contains(do(t, c.Nodes[masters], "INFO", "replication"), "role:master\r\n")
	})
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	master := testenv.NewRedis(t, testenv.RedisOptions{Genuine: true})
	replica := testenv.NewRedis(t, testenv.RedisOptions{ReplicaOf: master.Addr()})
	eventually(t, "the replica is in sync", func() bool {
		return strings.Contains(do(t, replica, "INFO", "replication"), "master_link_status:up\r\n")
	})
	sentinel := testenv.NewSentinel(t, master, "zmsg")
	eventually(t, "the sentinel knows the replica", func() bool {
		return strings.Contains(do(t, sentinel, "INFO", "sentinel"), "status=ok,address="+master.Addr()+",slaves=1")
	})
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica is the master", func() bool {
		return strings.Contains(do(t, replica, "INFO", "replication"), "role:master\r\n")
	})
}
