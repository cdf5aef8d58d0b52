package server

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// session is a connection with goroutines of its own: one reads and executes; one sends what comes out of
// turn, and executes what was kept back.
type session struct {
	s    *Server
	conn net.Conn
	c    *engine.Client

	mu     sync.Mutex // one of the two at a time: requests and replies stay in order
	in     input
	held   int // what the budget was told of in
	ended  bool
	woken  chan struct{} // holds one
	done   chan struct{}
	active atomic.Int64 // unix ms of the last read or write
}

var replies = sync.Pool{New: func() any { b := make([]byte, 0, readSize); return &b }}

// accept serves ln's connections until it is closed.
func (s *Server) accept(ln net.Listener) error {
	s.watching.Do(func() { s.joined.Go(s.watch) })
	for {
		conn, err := ln.Accept()
		if err != nil {
			if s.stopped() {
				return nil
			}
			if t := net.Error(nil); errors.As(err, &t) && t.Temporary() { //nolint:staticcheck // there is no other way to know that it is out of descriptors
				s.pause(tickEvery)
				continue
			}
			s.forget(ln)
			return err
		}
		s.open(conn)
	}
}

func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stop:
	}
}

func (s *Server) open(conn net.Conn) {
	now := s.settings()
	if now.clients >= now.maxClients {
		_ = conn.SetWriteDeadline(time.Now().Add(tickEvery))
		_, _ = conn.Write([]byte(tooManyClients))
		_ = conn.Close()
		s.reject()
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok { // it has no delay by default
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: now.keepAlive > 0, Idle: now.keepAlive, Interval: now.keepAlive / 3, Count: 3,
		})
	}
	x := &session{s: s, conn: conn, woken: make(chan struct{}, 1), done: make(chan struct{})}
	x.touch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return
	}
	s.sessions[x] = struct{}{}
	x.c = s.e.NewClient(engine.Front{
		Addr: address(conn.RemoteAddr(), conn.LocalAddr()), LocalAddr: address(conn.LocalAddr(), conn.LocalAddr()),
		Wake: x.wake, Kick: x.kick,
	})
	s.joined.Go(x.read)
	s.joined.Go(x.push)
}

// address is how Redis shows an address: that of a Unix socket is its path, on both sides.
func address(a, local net.Addr) string {
	if local.Network() == "unix" {
		return local.String() + ":0"
	}
	return a.String()
}

func (x *session) touch() { x.active.Store(time.Now().UnixMilli()) }

func (x *session) wake() {
	select {
	case x.woken <- struct{}{}:
	default:
	}
}

func (x *session) kick() { _ = x.conn.Close() }

// read executes what arrives until the connection ends.
func (x *session) read() {
	defer x.close()
	buf := make([]byte, 16<<10)
	for {
		n, err := x.conn.Read(buf)
		if n > 0 && !x.received(buf[:n]) || err != nil {
			return
		}
	}
}

func (x *session) close() {
	close(x.done)
	_ = x.conn.Close()
	x.c.Close()
	x.mu.Lock()
	x.ended = true
	x.s.input.set(x, 0)
	x.mu.Unlock()
	x.s.mu.Lock()
	delete(x.s.sessions, x)
	x.s.mu.Unlock()
}

// push sends what comes out of turn.
func (x *session) push() {
	for {
		select {
		case <-x.done:
			return
		case <-x.woken:
			x.mu.Lock()
			if !x.serve(x.in.own, true) {
				x.kick()
			}
			x.mu.Unlock()
		}
	}
}

func (x *session) received(b []byte) bool {
	x.touch()
	x.s.read.Add(int64(len(b)))
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.in.own) == 0 {
		return x.serve(b, false)
	}
	return x.serve(x.in.join(b, x.c.Want()), true)
}

// serve executes data and sends the replies: while they are not read, nothing else is. It reports false
// when the connection shall end.
func (x *session) serve(data []byte, aliased bool) bool {
	if x.ended {
		return true
	}
	buf := replies.Get().(*[]byte)
	defer replies.Put(buf)
	for {
		n, out := x.s.e.Process(x.c, data, (*buf)[:0])
		data = data[n:]
		if !x.send(out) || x.c.Closing() {
			return false
		}
		if len(out) < replyLimit || len(data) == 0 {
			break
		}
	}
	x.in.keep(data, aliased)
	if held := cap(x.in.own); held != x.held {
		x.held = held
		x.s.input.set(x, held)
		x.s.buffered(x.c, len(data), 0)
	}
	return len(data) <= readSize || len(data) <= x.s.settings().queryLimit
}

// send commits and then writes out.
func (x *session) send(out []byte) bool {
	err := x.s.e.Commit(x.c)
	lost := err != nil && !x.s.e.Readable(x.c)
	if lost {
		out = engine.CommitError(err)
	}
	if len(out) == 0 {
		return true
	}
	if len(out) > readSize {
		x.s.buffered(x.c, len(x.in.own), len(out))
		defer x.s.buffered(x.c, len(x.in.own), 0)
	}
	n, failed := x.conn.Write(out)
	x.touch()
	x.s.written.Add(int64(n))
	return failed == nil && !lost
}

// watch closes idle sessions and reports traffic.
func (s *Server) watch() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.report()
			if timeout := s.settings().timeout; timeout > 0 {
				s.closeIdle(now.Add(-timeout).UnixMilli())
			}
		}
	}
}

func (s *Server) closeIdle(since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.sessions {
		if x.active.Load() < since && !s.mayIdle(x.c) {
			x.kick()
		}
	}
}
