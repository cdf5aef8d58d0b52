package inproc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/inproc"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/scalars"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// extra are commands that make replies of any size and messages out of turn.
var extra = []*engine.Command{
	{Name: "test.fill", Arity: 2, Run: func(c *engine.Client, args [][]byte) {
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

func newEngine(tb testing.TB, configure func(*engine.Config)) *engine.Engine {
	tb.Helper()
	config := engine.Defaults()
	if configure != nil {
		configure(config)
	}
	e := engine.New(config)
	e.Register(admin.Commands...)
	e.Register(scalars.Commands...)
	e.Register(lists.Commands...)
	e.Register(extra...)
	e.Start()
	tb.Cleanup(e.Close)
	return e
}

type peer struct {
	tb testing.TB
	*inproc.Conn
}

func dial(tb testing.TB, e *engine.Engine) *peer {
	tb.Helper()
	c, err := inproc.Dial(e)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &peer{tb, c}
}

func (p *peer) send(s string) {
	p.tb.Helper()
	if n, err := io.WriteString(p, s); n != len(s) || err != nil {
		p.tb.Fatal(n, err)
	}
}

func (p *peer) expect(want string) {
	p.tb.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p, got); string(got[:n]) != want {
		p.tb.Fatalf("got %.200q (%v), want %.200q", got[:n], err, want)
	}
}

func await(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	tb.Fatalf("%s: waited in vain", what)
}

func blocked(e *engine.Engine) int {
	e.Lock()
	defer e.Unlock()
	return e.BlockedClients()
}

func clients(e *engine.Engine) int {
	e.Lock()
	defer e.Unlock()
	return len(e.Clients())
}

func TestRequestsAndReplies(t *testing.T) {
	t.Parallel()
	p := dial(t, newEngine(t, nil))
	p.send("SET a 1\r\nGET a\r\n")
	p.expect("+OK\r\n$1\r\n1\r\n")
	for _, b := range []byte("*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\nPING\r\n") {
		p.send(string(b))
	}
	p.expect("$5\r\nhello\r\n+PONG\r\n")
	p.send("PING\r\nQUIT\r\nPING\r\n")
	if got, err := io.ReadAll(p); string(got) != "+PONG\r\n+OK\r\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := p.Write([]byte("PING\r\n")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing after the end: %v", err)
	}
}

func TestBlockedConnections(t *testing.T) {
	t.Parallel()
	e := newEngine(t, nil)
	a, b := dial(t, e), dial(t, e)
	a.send("BLPOP list 0\r\nPING\r\nECH")
	a.send("O x\r\n")
	var reading sync.WaitGroup
	reading.Go(func() { a.expect("*2\r\n$4\r\nlist\r\n$1\r\nv\r\n+PONG\r\n$1\r\nx\r\n") })
	b.send("RPUSH list v\r\n")
	b.expect(":1\r\n")
	reading.Wait()
	a.send("BLPOP list 0.03\r\n")
	a.expect("*-1\r\n")
}

func TestMessages(t *testing.T) {
	t.Parallel()
	e := newEngine(t, nil)
	sub, pub := dial(t, e), dial(t, e)
	sub.send("TEST.LISTEN news\r\n")
	sub.expect("+OK\r\n")
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := range 100 {
			pub.send(fmt.Sprintf("TEST.PUBLISH news %02d\r\n", i))
			pub.expect(":1\r\n")
		}
	})
	for i := range 100 {
		sub.expect(fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\n%02d\r\n", i))
	}
	publishing.Wait()
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	p := dial(t, newEngine(t, nil))
	_ = p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	// A deadline also holds for who waits already.
	_ = p.SetReadDeadline(time.Time{})
	failed := make(chan error)
	go func() {
		_, err := p.Read(make([]byte, 1))
		failed <- err
	}()
	_ = p.SetReadDeadline(time.Now().Add(-time.Second))
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Time{})
	p.send("PING\r\n")
	p.expect("+PONG\r\n")
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(e *engine.Engine, p *peer)
		want error
	}{
		"by its owner":   {func(_ *engine.Engine, p *peer) { _ = p.Close() }, net.ErrClosed},
		"by the engine":  {func(e *engine.Engine, _ *peer) { e.Close() }, io.EOF},
		"by another one": {func(e *engine.Engine, p *peer) { dial(p.tb, e).send("CLIENT KILL TYPE normal\r\n") }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, nil)
			p := dial(t, e)
			p.send("BLPOP list 0\r\n")
			failed := make(chan error)
			go func() {
				_, err := p.Read(make([]byte, 1))
				failed <- err
			}()
			c.end(e, p)
			if err := <-failed; !errors.Is(err, c.want) {
				t.Errorf("reading: %v", err)
			}
			if _, err := p.Write([]byte("PING\r\n")); err == nil {
				t.Error("writing succeeds")
			}
			await(t, "the engine has forgotten it", func() bool { return blocked(e) == 0 })
		})
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	e := newEngine(t, func(c *engine.Config) { c.MaxClients = 2 })
	p := dial(t, e)
	dial(t, e)
	if _, err := inproc.Dial(e); !errors.Is(err, inproc.ErrTooMany) {
		t.Error(err)
	}
	_ = p.Close()
	dial(t, e)
	if n := clients(e); n != 2 {
		t.Errorf("%d clients", n)
	}
}

// Whoever writes a lot before reading must neither wait nor have all replies held for him.
func TestUnreadRepliesAreBounded(t *testing.T) {
	t.Parallel()
	e := newEngine(t, nil)
	p := dial(t, e)
	const size, requests = 100 << 10, 2000
	p.send(strings.Repeat(fmt.Sprintf("TEST.FILL %d\r\n", size), requests/2))
	p.send(strings.Repeat(fmt.Sprintf("TEST.FILL %d\r\n", size), requests/2))
	e.Lock()
	executed := e.Stats().Commands
	e.Unlock()
	if executed > 25 {
		t.Errorf("executed %d commands that nobody reads the replies of", executed)
	}
	want := fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size))
	for range requests {
		p.expect(want)
	}
	_ = p.SetReadDeadline(time.Now())
	if n, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes are left, %v", n, err)
	}
}

func TestKeptInputIsBounded(t *testing.T) {
	t.Parallel()
	p := dial(t, newEngine(t, func(c *engine.Config) { c.QueryBufferLimit = 1 << 20 }))
	p.send("BLPOP list 0\r\n")
	for i := 0; ; i++ {
		if _, err := p.Write(make([]byte, 100<<10)); errors.Is(err, inproc.ErrTooLong) {
			break
		} else if err != nil || i > 20 {
			t.Fatal(i, err)
		}
	}
}

type brokenLog struct{ engine.Journal }

func (brokenLog) Append([]byte) int64 { return 1 }

func (brokenLog) Err() error { return nil }

func (brokenLog) Commit(int64) error { return errors.New("Errors writing to the AOF file") }

func TestNothingIsAcknowledgedThatIsNotLogged(t *testing.T) {
	t.Parallel()
	e := newEngine(t, nil)
	e.Lock()
	e.SetJournal(brokenLog{})
	e.Unlock()
	p := dial(t, e)
	p.send("SET a 1\r\nSET a 2\r\n")
	want := string(engine.CommitError(errors.New("Errors writing to the AOF file")))
	if got, err := io.ReadAll(p); string(got) != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func newRedis(tb testing.TB, e *engine.Engine, protocol int) *redis.Client {
	tb.Helper()
	c := redis.NewClient(&redis.Options{
		Protocol: protocol,
		Dialer:   func(context.Context, string, string) (net.Conn, error) { return inproc.Dial(e) },
	})
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func TestGoRedis(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			c := newRedis(t, newEngine(t, nil), protocol)
			var callers sync.WaitGroup
			for g := range 8 {
				callers.Go(func() {
					key := fmt.Sprint("k", g)
					for i := range 200 {
						c.Set(ctx, key, i, 0)
						if got, err := c.Get(ctx, key).Int(); got != i || err != nil {
							t.Errorf("got %d, %v, want %d", got, err, i)
							return
						}
					}
				})
			}
			callers.Go(func() {
				if got, err := c.BLPop(ctx, time.Minute, "list").Result(); err != nil || got[1] != "v" {
					t.Error(got, err)
				}
			})
			callers.Go(func() { c.RPush(ctx, "list", "v") })
			callers.Wait()
			if _, err := c.BLPop(ctx, 10*time.Millisecond, "list").Result(); !errors.Is(err, redis.Nil) {
				t.Error(err)
			}
			cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for range 20000 {
					p.Incr(ctx, "n")
				}
				for range 10 {
					p.Do(ctx, "TEST.FILL", 10<<20)
				}
				return nil
			})
			if err != nil || cmds[19999].(*redis.IntCmd).Val() != 20000 {
				t.Fatal(err)
			}
			large := strings.Repeat("z", 20<<20)
			c.Set(ctx, "large", large, 0)
			if got, err := c.Get(ctx, "large").Result(); got != large || err != nil {
				t.Error(len(got), err)
			}
		})
	}
}

func BenchmarkGoRedis(b *testing.B) {
	for _, procs := range []int{1, 16} {
		b.Run(fmt.Sprintf("get/%d", procs), func(b *testing.B) {
			ctx := b.Context()
			c := newRedis(b, newEngine(b, nil), 3)
			c.Set(ctx, "key", strings.Repeat("v", 100), 0)
			b.ReportAllocs()
			if procs == 1 {
				for b.Loop() {
					if err := c.Get(ctx, "key").Err(); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(procs / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.Get(ctx, "key").Err(); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkConn(b *testing.B) {
	p := dial(b, newEngine(b, nil))
	p.send("SET key " + strings.Repeat("v", 100) + "\r\n")
	p.expect("+OK\r\n")
	request, reply := []byte("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.SetDeadline(time.Now().Add(time.Second))
		_, _ = p.Write(request)
		if n, err := p.Read(reply); n != 108 || err != nil {
			b.Fatal(n, err)
		}
	}
}
