package testenv_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

// echo starts a server that sends back what it gets, and returns its address.
func echo(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	tb.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return l.Addr().String()
}

func dial(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	var d net.Dialer
	conn, err := d.DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// roundTrip sends a word and waits for its echo.
func roundTrip(conn net.Conn, timeout time.Duration) (time.Duration, error) {
	start := time.Now()
	if err := conn.SetDeadline(start.Add(timeout)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, "word"); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return time.Since(start), err
}

func TestProxyForwardsAndDelays(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, echo(t))
	conn := dial(t, p.Addr())
	if _, err := roundTrip(conn, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Delay(50 * time.Millisecond)
	took, err := roundTrip(conn, 10*time.Second)
	if err != nil || took < 100*time.Millisecond {
		t.Errorf("with a delay of 50 ms each way it took %v (%v)", took, err)
	}
}

func TestProxyCutClosesAndRefusesUntilHealed(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, echo(t))
	conn := dial(t, p.Addr())
	if _, err := roundTrip(conn, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := p.Cut(); err != nil {
		t.Fatal(err)
	}
	if _, err := roundTrip(conn, 10*time.Second); err == nil {
		t.Error("a connection outlived the cut")
	}
	var d net.Dialer
	if refused, err := d.DialContext(t.Context(), "tcp", p.Addr()); err == nil {
		_ = refused.Close()
		t.Error("a connection was accepted after the cut")
	}
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	if _, err := roundTrip(dial(t, p.Addr()), 10*time.Second); err != nil {
		t.Errorf("after Heal: %v", err)
	}
}

func TestProxyStallHoldsBackAndHealDelivers(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, echo(t))
	old := dial(t, p.Addr())
	if _, err := roundTrip(old, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Stall()
	for _, conn := range []net.Conn{old, dial(t, p.Addr())} {
		if _, err := roundTrip(conn, 50*time.Millisecond); err == nil {
			t.Error("an answer came through a stalled proxy")
		}
		if err := p.Heal(); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
			t.Errorf("what was held back did not arrive after Heal: %v", err)
		}
		p.Stall()
	}
}

func TestProxyCloseIsIdempotentAndFinal(t *testing.T) {
	t.Parallel()
	p, err := testenv.StartProxy(context.WithoutCancel(t.Context()), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, p.Addr())
	p.Stall()
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := roundTrip(conn, 10*time.Second); err == nil {
		t.Error("a connection outlived Close")
	}
	if err := p.Heal(); err == nil {
		t.Error("a closed proxy was healed")
	}
}
