package rdb

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// realServer starts a redis-server that loads file, if it is not empty, and ends with the test.
func realServer(t *testing.T, file []byte, args ...string) *redis.Client {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	if file != nil {
		if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := new(strings.Builder)
	cmd := exec.CommandContext(context.Background(), "redis-server", append([]string{
		"--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir, "--dbfilename", "dump.rdb",
	}, args...)...)
	cmd.Stdout = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Protocol: 2, MaxRetries: -1, PoolSize: 1})
	t.Cleanup(func() {
		_ = c.Close()
		_ = cmd.Process.Kill()
		if err := <-ended; err == nil {
			t.Error("redis-server ended by itself")
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if _, err := os.Stat(socket); err == nil && c.Ping(context.Background()).Err() == nil {
			tick.Stop()
			return c
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("redis-server ended: %v\n%s", err, log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not answer\n%s", log)
		}
	}
}

// saved has the server save, and returns the file.
func saved(t *testing.T, c *redis.Client) []byte {
	t.Helper()
	do(t, c, "SAVE")
	dir := filepath.Dir(c.Options().Addr)
	file, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// do runs one command, given as words, and returns its reply.
func do(t *testing.T, c *redis.Client, args ...any) any {
	t.Helper()
	v, err := c.Do(t.Context(), args...).Result()
	if err != nil && err != redis.Nil { //nolint:errorlint // it is not wrapped
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

// checked has redis-check-rdb look at a file.
func checked(t *testing.T, file []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.rdb")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "redis-check-rdb", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "RDB looks OK") {
		t.Fatalf("redis-check-rdb: %v\n%s", err, out)
	}
}
