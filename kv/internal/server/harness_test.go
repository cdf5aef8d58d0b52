package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// extra are commands that make replies of any size and messages out of turn.
var extra = []*engine.Command{
	{Name: "test.fill", Arity: 2, Flags: engine.Loading, Run: func(c *engine.Client, args [][]byte) {
		n, _ := strconv.Atoi(string(args[1]))
		c.Bulk(bytes.Repeat([]byte{'x'}, n))
	}},
	{Name: "test.listen", Arity: 2, Run: func(c *engine.Client, args [][]byte) {
		c.Subscribe(engine.Channels, args[1])
		c.OK()
	}},
	{Name: "test.publish", Arity: 3, Run: func(c *engine.Client, args [][]byte) {
		c.Count(c.Engine().Publish(args[1], args[2]))
	}},
}

// rig is a server with its engine.
type rig struct {
	t      testing.TB
	e      *engine.Engine
	s      *server.Server
	addr   string // of TCP
	path   string // of a Unix socket
	served sync.WaitGroup
}

func newRig(tb testing.TB, o server.Options, configure func(*engine.Config)) *rig {
	tb.Helper()
	config := engine.Defaults()
	if configure != nil {
		configure(config)
	}
	r := &rig{t: tb, e: engine.New(config), path: tb.TempDir() + "/s"}
	r.e.Register(admin.Commands...)
	r.e.Register(scalars.Commands...)
	r.e.Register(lists.Commands...)
	r.e.Register(extra...)
	r.e.Start()
	r.s = server.New(r.e, o)
	tcp := r.listen("tcp", "127.0.0.1:0")
	r.addr = tcp.Addr().String()
	r.serve(tcp)
	r.serve(r.listen("unix", r.path))
	tb.Cleanup(func() {
		if err := r.s.Close(); err != nil {
			tb.Error(err)
		}
		r.served.Wait()
		if n := len(r.e.Clients()); n != 0 {
			tb.Errorf("the engine still has %d clients", n)
		}
		r.e.Close()
	})
	return r
}

func (r *rig) listen(network, address string) net.Listener {
	r.t.Helper()
	var config net.ListenConfig
	ln, err := config.Listen(context.Background(), network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	return ln
}

func (r *rig) serve(ln net.Listener) {
	r.served.Go(func() {
		if err := r.s.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
			r.t.Errorf("serve: %v", err)
		}
	})
}

// both runs a test with the server's own kind for this system and with the portable one.
func both(t *testing.T, o server.Options, configure func(*engine.Config), f func(r *rig)) {
	t.Helper()
	for name, portable := range map[string]bool{"poller": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o
			o.Portable = portable
			f(newRig(t, o, configure))
		})
	}
}

// peer is a client that sends bytes and expects bytes.
type peer struct {
	t testing.TB
	net.Conn
}

func (r *rig) dial() *peer {
	r.t.Helper()
	return r.dialTo("tcp", r.addr)
}

func (r *rig) dialTo(network, address string) *peer {
	r.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &peer{r.t, conn}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	if string(got[:n]) != want {
		p.t.Fatalf("got %.200q (%v), want %.200q", got[:n], err, want)
	}
}

// expectEnd reads until the server closes the connection. What is left must be want.
func (p *peer) expectEnd(want string) {
	p.t.Helper()
	got, err := io.ReadAll(p)
	if string(got) != want {
		p.t.Fatalf("got %.200q (%v), want %.200q and the end", got, err, want)
	}
	if isTimeout(err) {
		p.t.Fatal("the connection stays open")
	}
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error) //nolint:errorlint // io.ReadAll returns it as it is
	return ok && t.Timeout()
}

// await polls until cond is true.
func await(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	tb.Fatalf("%s: waited in vain", what)
}

// locked runs f under the engine's lock.
func locked[T any](r *rig, f func() T) T {
	r.e.Lock()
	defer r.e.Unlock()
	return f()
}

func (r *rig) clients() int { return locked(r, func() int { return len(r.e.Clients()) }) }

func (r *rig) blocked() int { return locked(r, r.e.BlockedClients) }

func (r *rig) redis() *redis.Client {
	r.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.addr})
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}
