package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/testenv"
)

// standInEnv makes this binary a server: "serve" until SIGTERM, or "fail" at once.
const standInEnv = "ZMSG_DEV_STAND_IN"

func TestMain(m *testing.M) {
	switch os.Getenv(standInEnv) {
	case "serve":
		standIn()
	case "fail":
		os.Exit(7)
	default:
		testenv.Main(m)
	}
}

// standIn counts its runs in PostgreSQL and in Redis, when it starts and again when it is told to stop.
func standIn() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := count(context.WithoutCancel(ctx), "up")
	if err == nil {
		<-ctx.Done()
		err = count(context.WithoutCancel(ctx), "down")
	}
	stop()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func count(ctx context.Context, word string) (err error) {
	conn, err := pgx.Connect(ctx, os.Getenv(postgresEnv))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var rows int
	if _, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS runs (n int)"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "INSERT INTO runs VALUES (1)"); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM runs").Scan(&rows); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: os.Getenv(redisEnv)})
	defer func() { err = errors.Join(err, client.Close()) }()
	runs, err := client.Incr(ctx, "runs").Result()
	if err != nil {
		return err
	}
	fmt.Println(word, rows, runs)
	return nil
}

// runUntilUp runs until the stand-in is up, then ends ctx, and returns the lines that began with word
// of the stand-in, and all output.
func runUntilUp(t *testing.T, data string, env ...string) (counts []string, all string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-bin", os.Args[0], "-data", data}, append(environ("serve"), env...), w)
		done <- errors.Join(err, w.Close())
	}()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		all += line + "\n"
		if strings.HasPrefix(line, "up ") {
			cancel()
		}
		if strings.HasPrefix(line, "up ") || strings.HasPrefix(line, "down ") {
			counts = append(counts, line)
		}
	}
	if err := <-done; err != nil {
		t.Fatalf("run: %v\n%s", err, all)
	}
	return counts, all
}

// environ is our environment without the variables that tell of servers.
func environ(standIn string) []string {
	return append(os.Environ(), postgresEnv+"=", redisEnv+"=", standInEnv+"="+standIn)
}

func TestDataIsKeptAndServersOutliveTheServer(t *testing.T) {
	t.Parallel()
	data := testenv.TempDir(t)
	for i, want := range []string{"up 1 1, down 2 2", "up 3 3, down 4 4"} {
		counts, all := runUntilUp(t, data)
		if got := strings.Join(counts, ", "); got != want {
			t.Errorf("run %d counted %q, want %q; all output:\n%s", i, got, want, all)
		}
		if !strings.Contains(all, filepath.Join(data, "redis")) || !strings.Contains(all, filepath.Join(data, "postgres")) {
			t.Errorf("the output does not say where the data is:\n%s", all)
		}
	}
}

func TestGivenServersAreUsed(t *testing.T) {
	t.Parallel()
	data, dsn, addr := testenv.TempDir(t), testenv.DB(t), testenv.RedisAddr(t)
	counts, all := runUntilUp(t, data, postgresEnv+"="+dsn, redisEnv+"="+addr)
	if got := strings.Join(counts, ", "); got != "up 1 1, down 2 2" {
		t.Errorf("it counted %q; all output:\n%s", got, all)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	err = errors.Join(conn.QueryRow(t.Context(), "SELECT count(*) FROM runs").Scan(&rows), conn.Close(t.Context()))
	if err != nil || rows != 2 {
		t.Errorf("the given database has %d rows (%v), want 2", rows, err)
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) != 1 {
		t.Errorf("the data directory holds %v (%v), want the lock only", entries, err)
	}
}

func TestTheServersExitCodeIsReported(t *testing.T) {
	t.Parallel()
	env := append(environ("fail"), postgresEnv+"=unused", redisEnv+"=unused")
	err := run(t.Context(), []string{"-bin", os.Args[0], "-data", t.TempDir()}, env, io.Discard)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("run returned %v, want exit code 7", err)
	}
}

func TestASecondRunOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := &dev{bin: os.Args[0], data: data}
	if err := first.prepare(); err != nil {
		t.Fatal(err)
	}
	second := &dev{bin: os.Args[0], data: data}
	if err := second.prepare(); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("the second run got %v, want %v", err, syscall.EWOULDBLOCK)
	}
	if err := errors.Join(second.close(), first.close()); err != nil {
		t.Fatal(err)
	}
}

func TestPassable(t *testing.T) {
	t.Parallel()
	dir := testenv.TempDir(t)
	closed := filepath.Join(dir, "closed")
	below := filepath.Join(closed, "open")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{dir: true, closed: false, below: false} {
		if got, err := passable(path); err != nil || got != want {
			t.Errorf("passable(%s) is %v (%v), want %v", path, got, err, want)
		}
	}
}
