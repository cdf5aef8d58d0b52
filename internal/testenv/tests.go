package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// cleanupTimeout bounds what a test does after its own context has ended.
const cleanupTimeout = 30 * time.Second

// suite is the state of this test binary.
var suite struct {
	main atomic.Bool // Main runs

	mu       sync.Mutex
	postgres *Postgres // the shared server, nil before its first use
	err      error     // why it could not be started

	databases atomic.Int64 // made so far
}

// Main runs the tests, then stops what they share, looks for goroutines that were left behind, and
// exits. A TestMain must call it if a test of the binary uses this package. The options are those of
// the search for goroutines.
func Main(m *testing.M, opts ...goleak.Option) {
	suite.main.Store(true)
	code := m.Run()
	err := cleanUp()
	if code == 0 {
		err = errors.Join(err, goleak.Find(append(opts, afterlife)...))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "testenv: after the tests: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// afterlife is the one goroutine that may outlive a closed client: while its server is away, the pool of
// go-redis dials once a second, and notices its end only then.
var afterlife = goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")

func cleanUp() error {
	var err error
	suite.mu.Lock()
	defer suite.mu.Unlock()
	if suite.postgres != nil {
		err = suite.postgres.Close()
	}
	err = errors.Join(err, removeScratch())
	stopSpawner()
	return err
}

// TempDir returns a new directory, removed when the test ends, that a server run as another user can
// reach: tb.TempDir() lies in one that only its owner may pass.
func TempDir(tb testing.TB) string {
	tb.Helper()
	requireMain(tb)
	dir, err := tempDir("test-")
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, func() error { return os.RemoveAll(dir) })
	return dir
}

// DB returns the connection URL of a new, empty database. It is on a server that all tests of the
// binary share, and is dropped, with whatever sessions it still has, when the test ends.
func DB(tb testing.TB) string {
	tb.Helper()
	pg := sharedPostgres(tb)
	name := "test_" + strconv.FormatInt(suite.databases.Add(1), 10)
	if err := pg.exec(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("create database: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), cleanupTimeout)
		defer cancel()
		if err := pg.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop database: %v", err)
		}
	})
	return pg.dsn(name)
}

// sharedPostgres starts the server of the binary at its first use. It outlives the test that does.
func sharedPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	requireMain(tb)
	suite.mu.Lock()
	defer suite.mu.Unlock()
	if suite.postgres == nil && suite.err == nil {
		suite.postgres, suite.err = StartPostgres(context.WithoutCancel(tb.Context()), PostgresOptions{})
	}
	if suite.err != nil {
		tb.Fatal(suite.err)
	}
	return suite.postgres
}

// NewPostgres starts a server of the test's own, to be stopped and killed at will. It takes about a
// second; a test that only needs a database asks for a DB.
func NewPostgres(tb testing.TB, opts PostgresOptions) *Postgres {
	tb.Helper()
	requireMain(tb)
	pg, err := StartPostgres(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, pg.Close)
	return pg
}

// RedisAddr returns the address of a new, empty redis-server of the test's own.
func RedisAddr(tb testing.TB) string {
	tb.Helper()
	return NewRedis(tb, RedisOptions{}).Addr()
}

// NewRedis starts a redis-server of the test's own, to be stopped, killed and paused at will.
func NewRedis(tb testing.TB, opts RedisOptions) *Redis {
	tb.Helper()
	requireMain(tb)
	r, err := StartRedis(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, r.Close)
	return r
}

// NewCluster starts a Redis Cluster of the test's own; see StartCluster.
func NewCluster(tb testing.TB, masters, replicas int) *Cluster {
	tb.Helper()
	requireMain(tb)
	c, err := StartCluster(tb.Context(), masters, replicas)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, c.Close)
	return c
}

// NewSentinel starts a sentinel of the test's own; see StartSentinel.
func NewSentinel(tb testing.TB, master *Redis, name string) *Redis {
	tb.Helper()
	requireMain(tb)
	s, err := StartSentinel(tb.Context(), master, name)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, s.Close)
	return s
}

// NewProxy starts a proxy to target ("host:port") that is closed when the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p, err := StartProxy(tb.Context(), target)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, p.Close)
	return p
}

func closeAfter(tb testing.TB, closer func() error) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := closer(); err != nil {
			tb.Error(err)
		}
	})
}

func requireMain(tb testing.TB) {
	tb.Helper()
	if !suite.main.Load() {
		tb.Fatal("the package's tests need: func TestMain(m *testing.M) { testenv.Main(m) }")
	}
}
