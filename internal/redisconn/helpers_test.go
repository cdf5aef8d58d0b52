package redisconn

import (
	"cmp"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/zmsg/zmsg/internal/testenv"
)

func TestMain(m *testing.M) {
	logging.Disable() // servers that die are what some tests are about
	testenv.Main(m)
}

// open returns a Conn to the addresses with short timeouts, closed with the test.
func open(tb testing.TB, cfg Config) *Conn {
	tb.Helper()
	cfg.PoolSize = 32
	cfg.DialTimeout, cfg.WriteTimeout = time.Second, time.Second
	cfg.ReadTimeout = cmp.Or(cfg.ReadTimeout, time.Second)
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

func keyName(i int) string { return fmt.Sprintf("key%d", i) }
