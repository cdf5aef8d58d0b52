package redisconn

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a redis-server of one test. Unlike a shared one it may be killed.
type server struct {
	addr string
	cmd  *exec.Cmd
	stop sync.Once
}

// startServer starts a redis-server on a free port, with extra arguments.
func startServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	for range 5 { // a port that was free may be taken before the server binds it
		port := freePort(tb)
		s := &server{addr: "127.0.0.1:" + strconv.Itoa(port)}
		s.cmd = exec.Command("redis-server", append([]string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no",
			"--dir", tb.TempDir(), "--logfile", filepath.Join(tb.TempDir(), "log"),
		}, args...)...)
		if err := s.cmd.Start(); err != nil {
			tb.Fatalf("redis-server: %v", err)
		}
		tb.Cleanup(s.kill)
		if s.answers(args...) {
			return s
		}
		s.kill()
	}
	tb.Fatal("redis-server does not come up")
	return nil
}

func (s *server) answers(args ...string) bool {
	opts := &redis.Options{Addr: s.addr, MaxRetries: noRetry}
	if len(args) == 2 && args[0] == "--requirepass" {
		opts.Password = args[1]
	}
	client := redis.NewClient(opts)
	defer func() { _ = client.Close() }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := client.Ping(ctx).Err()
		cancel()
		if err == nil {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// kill ends the process as SIGKILL does.
func (s *server) kill() {
	s.stop.Do(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // reports the kill
	})
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// open returns a Conn to the addresses with short timeouts, closed with the test.
func open(tb testing.TB, cfg Config) *Conn {
	tb.Helper()
	cfg.PoolSize = 32
	cfg.DialTimeout, cfg.ReadTimeout, cfg.WriteTimeout = time.Second, time.Second, time.Second
	conn, err := Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := conn.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return conn
}

// deaf accepts connections and never answers.
func deaf(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var accepting sync.WaitGroup
	var conns []net.Conn
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}

func name(i int) string { return fmt.Sprintf("key%d", i) }
