package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/server"
)

func TestRequestsAndReplies(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		for _, p := range []*peer{r.dial(), r.dialTo("unix", r.path)} {
			p.send("*1\r\n$4\r\nPING\r\n")
			p.expect("+PONG\r\n")
			p.send("SET a 1\r\n\r\nGET a\r\n*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n")
			p.expect("+OK\r\n$1\r\n1\r\n$-1\r\n")
			for _, b := range []byte("*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\nPING\r\n") {
				p.send(string(b))
			}
			p.expect("$5\r\nhello\r\n+PONG\r\n")
			p.send("PING\r\nQUIT\r\nPING\r\n")
			p.expectEnd("+PONG\r\n+OK\r\n")
		}
		await(t, "both have gone", func() bool { return r.clients() == 0 })
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		p := r.dial()
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
		u := r.dialTo("unix", r.path)
		u.send("PING\r\n")
		u.expect("+PONG\r\n")
		got := locked(r, func() (all []string) {
			for _, c := range r.e.Clients() {
				all = append(all, c.Addr+" "+c.LocalAddr)
			}
			return all
		})
		for _, want := range []string{p.LocalAddr().String() + " " + r.addr, r.path + ":0 " + r.path + ":0"} {
			if !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("%q has no %q", got, want)
			}
		}
	})
}

func TestProtocolErrorsEndTheConnection(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		for in, want := range map[string]string{
			"PING\r\n*x\r\n":              "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
			"*1\r\nx1\r\n":                "-ERR Protocol error: expected '$', got 'x'\r\n",
			"*1\r\n$999999999999\r\n":     "-ERR Protocol error: invalid bulk length\r\n",
			"SET \"a\r\n":                 "-ERR Protocol error: unbalanced quotes in request\r\n",
			"*1048577\r\n":                "-ERR Protocol error: invalid multibulk length\r\n",
			strings.Repeat("x", 65536+10): "-ERR Protocol error: too big inline request\r\n",
		} {
			p := r.dial()
			p.send(in)
			p.expectEnd(want)
		}
	})
}

func TestGuestsAreHeldShort(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, func(c *engine.Config) { c.RequirePass = "secret" }, func(r *rig) {
		p := r.dial()
		p.send("GET a\r\n")
		p.expect("-NOAUTH Authentication required.\r\n")
		p.send("*11\r\n")
		p.expectEnd("-ERR Protocol error: unauthenticated multibulk length\r\n")
		p = r.dial()
		p.send("AUTH secret\r\n*11\r\n$3\r\nDEL\r\n" + strings.Repeat("$1\r\na\r\n", 10) + "*2\r\n$4\r\nECHO\r\n$20000\r\n" + strings.Repeat("y", 20000) + "\r\n")
		p.expect("+OK\r\n")
	})
}

func TestLongValuesInPieces(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		value := strings.Repeat("0123456789abcdef", 2<<20/16*8) // 16 MB
		p := r.dial()
		p.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", len(value)))
		p.send(value[:100])
		p.send(value[100:])
		p.send("\r\nGET k\r\nPING\r\n")
		p.expect(fmt.Sprintf("+OK\r\n$%d\r\n", len(value)))
		p.expect(value)
		p.expect("\r\n+PONG\r\n")
	})
}

// A client that sends a lot and reads nothing must not make the server hold its replies.
func TestSlowReadersAreNotReadFrom(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		p := r.dial()
		const size, requests = 100 << 10, 2000
		go func() {
			_, _ = io.WriteString(p, strings.Repeat(fmt.Sprintf("TEST.FILL %d\r\n", size), requests))
		}()
		other := r.dial()
		quiet := func() int64 {
			return locked(r, func() int64 { return r.e.Stats().Commands })
		}
		var last int64
		same := 0
		await(t, "the server stops executing", func() bool {
			now := quiet()
			if now == last && now > 5 {
				same++
			} else {
				same = 0
			}
			last = now
			return same > 50
		})
		if last > requests/2 {
			t.Errorf("executed %d of %d commands that nobody reads the replies of", last, requests)
		}
		other.send("PING\r\n")
		other.expect("+PONG\r\n")
		want := []byte(fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size)))
		got := make([]byte, len(want))
		for i := range requests {
			if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("reply %d: %v", i, err)
			}
		}
	})
}

func TestOneLargeReply(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		p := r.dial()
		const size = 30 << 20
		p.send(fmt.Sprintf("TEST.FILL %d\r\nPING\r\nQUIT\r\n", size))
		p.expect(fmt.Sprintf("$%d\r\n", size))
		if n, err := io.CopyN(io.Discard, p, size); err != nil {
			t.Fatal(n, err)
		}
		p.expectEnd("\r\n+PONG\r\n+OK\r\n")
	})
}

func TestBlockedClients(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		a, b := r.dial(), r.dial()
		a.send("BLPOP list 0\r\nPING\r\nECHO x\r\n")
		await(t, "the client is blocked", func() bool { return r.blocked() == 1 })
		a.send("ECHO " + strings.Repeat("y", 50000) + "\r\n")
		b.send("RPUSH list v\r\n")
		b.expect(":1\r\n")
		a.expect("*2\r\n$4\r\nlist\r\n$1\r\nv\r\n+PONG\r\n$1\r\nx\r\n$50000\r\n")
		a.expect(strings.Repeat("y", 50000) + "\r\n")
		a.send("BLPOP list 0.05\r\nPING\r\n")
		a.expect("*-1\r\n+PONG\r\n")
		// One that goes away while it is blocked takes nothing.
		a.send("BLPOP list 0\r\n")
		await(t, "the client is blocked again", func() bool { return r.blocked() == 1 })
		_ = a.Close()
		await(t, "it is gone", func() bool { return r.clients() == 1 })
		b.send("RPUSH list w\r\nLLEN list\r\n")
		b.expect(":1\r\n:1\r\n")
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		pub := r.dial()
		var subs []*peer
		for range 20 {
			s := r.dial()
			s.send("TEST.LISTEN news\r\n")
			s.expect("+OK\r\n")
			subs = append(subs, s)
		}
		for i := range 50 {
			pub.send(fmt.Sprintf("TEST.PUBLISH news %02d\r\n", i))
			pub.expect(":20\r\n")
		}
		// Also by somebody who is no connection.
		inside := locked(r, r.e.Internal)
		r.e.Do(inside, [][]byte{[]byte("test.publish"), []byte("news"), []byte("end")}, nil)
		for _, s := range subs {
			for i := range 50 {
				s.expect(fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\n%02d\r\n", i))
			}
			s.expect("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\nend\r\n")
		}
	})
}

func TestSubscribersThatDoNotRead(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, func(c *engine.Config) { c.PubSubOutputLimit = 1 << 20 }, func(r *rig) {
		t := r.t
		sub, pub := r.dial(), r.dial()
		sub.send("TEST.LISTEN news\r\n")
		sub.expect("+OK\r\n")
		text := strings.Repeat("z", 64<<10)
		await(t, "the subscriber is cut", func() bool {
			pub.send("*3\r\n$12\r\nTEST.PUBLISH\r\n$4\r\nnews\r\n$65536\r\n" + text + "\r\n")
			var n int
			if _, err := fmt.Fscanf(pub, ":%d\r\n", &n); err != nil {
				t.Fatal(err)
			}
			return n == 0
		})
	})
}

func TestTooManyClients(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, func(c *engine.Config) { c.MaxClients = 3 }, func(r *rig) {
		t := r.t
		var in []*peer
		for range 3 {
			p := r.dial()
			p.send("PING\r\n")
			p.expect("+PONG\r\n")
			in = append(in, p)
		}
		r.dial().expectEnd("-ERR max number of clients reached\r\n")
		_ = in[0].Close()
		await(t, "there is a place", func() bool { return r.clients() == 2 })
		p := r.dial()
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
		if n := locked(r, func() int64 { return r.e.Stats().Rejected }); n != 1 {
			t.Errorf("%d rejected", n)
		}
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, func(c *engine.Config) { c.Timeout = 200 * time.Millisecond }, func(r *rig) {
		t := r.t
		idle, listener, blocked := r.dial(), r.dial(), r.dial()
		listener.send("TEST.LISTEN news\r\n")
		listener.expect("+OK\r\n")
		blocked.send("BLPOP list 0\r\n")
		idle.expectEnd("")
		await(t, "the idle one is forgotten", func() bool { return r.clients() == 2 })
		idle = r.dial()
		idle.send("RPUSH list v\r\n")
		idle.expect(":1\r\n")
		blocked.expect("*2\r\n$4\r\nlist\r\n$1\r\nv\r\n")
	})
}

func TestIncompleteRequestsAreBounded(t *testing.T) {
	t.Parallel()
	both(t, server.Options{MaxClientMemory: 8 << 20}, nil, func(r *rig) {
		small, large := r.dial(), r.dial()
		part := strings.Repeat("x", 3<<20)
		small.send("*2\r\n$4\r\nECHO\r\n$5000000\r\n" + part[:1<<20])
		large.send("*2\r\n$4\r\nECHO\r\n$500000000\r\n" + part)
		for range 4 {
			if _, err := io.WriteString(large, part); err != nil {
				break
			}
		}
		large.expectEnd("")
		small.send(strings.Repeat("x", 5000000-1<<20) + "\r\n")
		small.expect("$5000000\r\nxxx")
	})
}

func TestQueryBufferLimit(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, func(c *engine.Config) { c.QueryBufferLimit = 1 << 20 }, func(r *rig) {
		p := r.dial()
		p.send("*2\r\n$4\r\nECHO\r\n$500000000\r\n")
		_, _ = io.WriteString(p, strings.Repeat("x", 3<<20))
		p.expectEnd("")
	})
}

func TestGarbageHurtsNobodyElse(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		var hostile sync.WaitGroup
		for i := range 8 {
			hostile.Go(func() {
				for _, s := range []string{
					strings.Repeat("*3\r\n$3\r\nSET\r\n", 1000), strings.Repeat("\x00\xff\r\n", 20000),
					strings.Repeat("*0\r\n", 50000), strings.Repeat("GET\r\n", 50000), "*1000000\r\n$1\r\na\r\n",
					strings.Repeat("NOSUCH a b c\r\n", 5000) + "*",
				} {
					var d net.Dialer
					conn, err := d.DialContext(context.Background(), "tcp", r.addr)
					if err != nil {
						t.Error(err)
						return
					}
					_ = conn.SetDeadline(time.Now().Add(time.Second))
					_, _ = io.WriteString(conn, s)
					if i%2 == 0 {
						_, _ = io.ReadFull(conn, make([]byte, 10))
					}
					_ = conn.Close()
				}
			})
		}
		p := r.dial()
		for i := range 200 {
			p.send(fmt.Sprintf("SET k %d\r\nGET k\r\n", i))
			p.expect(fmt.Sprintf("+OK\r\n$%d\r\n%d\r\n", len(fmt.Sprint(i)), i))
		}
		hostile.Wait()
		await(t, "the others are gone", func() bool { return r.clients() == 1 })
	})
}

func TestThousandsOfIdleConnections(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		const n = 3000
		for range n {
			r.dialTo("unix", r.path).send("*1\r\n$4\r\nPI")
		}
		await(t, "all are connected", func() bool { return r.clients() == n })
		p := r.dial()
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
	})
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		idle, blocked, slow := r.dial(), r.dial(), r.dial()
		blocked.send("BLPOP list 0\r\n")
		await(t, "a client is blocked", func() bool { return r.blocked() == 1 })
		slow.send(strings.Repeat("TEST.FILL 10000000\r\n", 10))
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() { _ = r.s.Close() })
		}
		closers.Wait()
		idle.expectEnd("")
		blocked.expectEnd("")
		ln := r.listen("tcp", "127.0.0.1:0")
		if err := r.s.Serve(ln); !errors.Is(err, net.ErrClosed) {
			t.Errorf("serving after Close: %v", err)
		}
	})
}

func TestKilledClients(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		victim, killer := r.dial(), r.dial()
		victim.send("BLPOP list 0\r\n")
		await(r.t, "a client is blocked", func() bool { return r.blocked() == 1 })
		killer.send("CLIENT KILL ADDR " + victim.LocalAddr().String() + "\r\n")
		killer.expect(":1\r\n")
		victim.expectEnd("")
		killer.send("PING\r\nCLIENT KILL SKIPME no ADDR " + killer.LocalAddr().String() + "\r\n")
		killer.expectEnd("+PONG\r\n:1\r\n")
	})
}

// A long pipeline of one client must not keep others waiting until its end.
func TestLongPipelinesLeaveTurns(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		long, other := r.dial(), r.dial()
		const n = 999999
		var done sync.WaitGroup
		done.Go(func() { _, _ = io.WriteString(long, strings.Repeat("INCR n\r\n", n)) })
		done.Go(func() { _, _ = io.Copy(io.Discard, long) })
		turns := 0
		for seen := ""; seen != "$6\r\n999999\r\n"; turns++ {
			other.send("GET n\r\n")
			buf := make([]byte, 64)
			k, err := other.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			seen = string(buf[:k])
		}
		if turns < 3 {
			t.Errorf("the other client had %d turns", turns)
		}
		_ = long.Close()
		done.Wait()
	})
}

// What has arrived is executed, though the client has said that it sends no more, and though its replies take
// more than one turn.
func TestRequestsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		p := r.dial()
		value := strings.Repeat("x", 300<<10)
		p.send("SET big " + strings.Repeat("x", 10) + "\r\n")
		p.expect("+OK\r\n")
		p.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n", len(value), value))
		p.expect("+OK\r\n")
		p.send(strings.Repeat("GET big\r\n", 20) + "INCR after\r\n")
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			r.t.Fatal(err)
		}
		p.expectEnd(strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), 20) + ":1\r\n")
	})
}

func TestGoRedis(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		ctx := t.Context()
		c := r.redis()
		var callers sync.WaitGroup
		for g := range 16 {
			callers.Go(func() {
				for i := range 100 {
					key, value := fmt.Sprint("k", g), fmt.Sprint("v", i)
					if err := c.Set(ctx, key, value, 0).Err(); err != nil {
						t.Error(err)
						return
					}
					if got, err := c.Get(ctx, key).Result(); got != value || err != nil {
						t.Errorf("got %q, %v, want %q", got, err, value)
						return
					}
				}
			})
		}
		callers.Wait()
		cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 20000 {
				p.Incr(ctx, "n")
			}
			return nil
		})
		if err != nil || cmds[19999].(*redis.IntCmd).Val() != 20000 {
			t.Fatal(err)
		}
	})
}
