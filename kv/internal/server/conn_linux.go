package server

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// conn is a connection of a poller.
type conn struct {
	p      *poller
	fd     int
	client *engine.Client

	in      input
	held    int      // what the budget was told of in
	reply   []byte   // of this turn
	out     [][]byte // replies of earlier turns that the socket did not take
	unsent  int      // bytes in out
	watched uint32   // the events that epoll looks for
	active  time.Time

	closed   bool
	finished bool // the client sends no more
	ending   bool // it shall be closed when out is empty
	pending  bool // in p.turn
	backlog  bool // in p.again
	queued   bool // in p.woken; p.mu protects it
	kicked   atomic.Bool
}

func (p *poller) newConn(fd int, addr, local string) {
	c := &conn{p: p, fd: fd, watched: unix.EPOLLIN, active: p.now}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: c.watched, Fd: int32(fd)}); err != nil {
		_ = unix.Close(fd)
		return
	}
	for fd >= len(p.conns) {
		p.conns = append(p.conns, nil)
	}
	p.conns[fd] = c
	c.client = p.s.e.NewClient(engine.Front{Addr: addr, LocalAddr: local, Wake: c.wake, Kick: c.kick})
}

// wake has the poller go on with the connection. Others may call it.
func (c *conn) wake() {
	p := c.p
	p.mu.Lock()
	if !c.queued {
		c.queued = true
		p.woken = append(p.woken, c)
	}
	p.mu.Unlock()
	p.signal()
}

// kick has the poller close the connection. Others may call it.
func (c *conn) kick() {
	c.kicked.Store(true)
	c.wake()
}

// read takes what has arrived, once: what is left is for the next turn.
func (c *conn) read() {
	p := c.p
	n, err := unix.Read(c.fd, c.in.window(p.in, c.client.Want()))
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err == nil && n == 0 && c.backlog:
		c.finished = true // what has arrived before is executed
		c.settle()
		return
	case err != nil || n <= 0:
		c.close()
		return
	}
	c.active = p.now
	p.s.read.Add(int64(n))
	c.serve(c.in.add(p.in, n), c.in.inPlace)
}

// resume goes on with what the client has sent, and takes what has come out of turn. What a slow reader
// shall get stays with the engine, which counts it.
func (c *conn) resume() {
	switch {
	case c.closed:
	case c.kicked.Load():
		c.close()
	case c.unsent <= replyLimit && !c.ending:
		c.serve(c.in.own, true)
	}
}

// serve executes data, which is all that the client has sent, and holds what is left of it.
func (c *conn) serve(data []byte, aliased bool) {
	p := c.p
	if len(p.out)-p.used < outSize/4 {
		p.flush()
		if c.closed {
			return
		}
	}
	reply := c.reply
	if reply == nil {
		reply = p.out[p.used:p.used]
	}
	start := len(reply)
	n, reply := p.s.e.Process(c.client, data, reply)
	if len(reply) > 0 && &reply[0] == &p.out[:p.used+1][p.used] {
		p.used += len(reply)
	}
	// A second batch in this turn must not grow into another's replies.
	c.reply = reply[:len(reply):len(reply)]
	if p.latest == nil || c.client.LogEnd() > p.latest.LogEnd() {
		p.latest = c.client
	}
	if c.kicked.Load() {
		c.close()
		return
	}
	c.ending = c.ending || c.client.Closing()
	rest := data[n:]
	if c.ending {
		rest = nil
	}
	c.in.keep(rest, aliased)
	if len(rest) > 0 || c.held > 0 {
		c.account()
	}
	if !c.pending {
		c.pending = true
		p.turn = append(p.turn, c)
	}
	if len(reply)-start >= replyLimit && len(rest) > 0 && !c.backlog {
		c.backlog = true
		p.again = append(p.again, c)
	}
	c.ending = c.ending || c.finished && !c.backlog
}

// send writes the turn's replies, behind those that wait.
func (c *conn) send() {
	c.pending = false
	rest := c.reply
	if len(c.out) == 0 && len(rest) > 0 {
		n, ok := c.write(rest)
		if !ok {
			return
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		c.park(rest)
	}
	c.settle()
}

// park keeps replies that the socket does not take. Long ones have an array of their own already.
func (c *conn) park(b []byte) {
	if len(b) < outSize {
		b = append([]byte(nil), b...)
	}
	c.out = append(c.out, b)
	c.unsent += len(b)
}

// drain writes what waits.
func (c *conn) drain() {
	for len(c.out) > 0 {
		n, ok := c.write(c.out[0])
		if !ok {
			return
		}
		c.unsent -= n
		if n < len(c.out[0]) {
			c.out[0] = c.out[0][n:]
			break
		}
		c.out[0] = nil
		c.out = c.out[1:]
	}
	if len(c.out) == 0 {
		c.out = nil
	}
	c.settle()
	c.resume()
}

// write writes once. It reports false if it has closed the connection.
func (c *conn) write(b []byte) (n int, ok bool) {
	n, err := unix.Write(c.fd, b)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0, true
	case err != nil:
		c.close()
		return 0, false
	}
	c.active = c.p.now
	c.p.s.written.Add(int64(n))
	return n, true
}

// settle looks for the events that the connection waits for now: while too much is unsent it is not read
// from. It closes the connection that has nothing more to do.
func (c *conn) settle() {
	if c.ending && len(c.out) == 0 {
		c.close()
		return
	}
	var want uint32
	if len(c.out) > 0 {
		want |= unix.EPOLLOUT
	}
	if !c.ending && !c.finished && c.unsent <= replyLimit {
		want |= unix.EPOLLIN
	}
	if c.unsent > 0 || c.watched&unix.EPOLLOUT != 0 {
		c.account()
	}
	if want == c.watched {
		return
	}
	c.watched = want
	_ = unix.EpollCtl(c.p.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: want, Fd: int32(c.fd)})
}

// account tells the engine and the budget what the connection holds.
func (c *conn) account() {
	c.p.s.buffered(c.client, len(c.in.own), c.unsent)
	if len(c.in.own) > c.p.cfg.queryLimit {
		c.kick()
	}
	if held := cap(c.in.own); held != c.held {
		c.held = held
		c.p.s.input.set(c, held)
	}
}

// close ends the connection now. It may be called again.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.p.conns[c.fd] = nil
	_ = unix.Close(c.fd)
	c.client.Close()
	c.p.s.input.set(c, 0)
	c.in.own, c.out, c.reply = nil, nil, nil
}
