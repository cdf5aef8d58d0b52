// Package inproc connects clients of Redis's protocol with an engine in the same process, without a
// socket: Write executes the commands in the goroutine that calls it, Read hands out their replies.
package inproc

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const (
	// replyLimit is how many bytes of replies may be unread before requests are kept, not executed. It is
	// what engine.Process hands out at most, but for the last command's reply.
	replyLimit = 1 << 20
	// keptBuffer is the size up to which buffers are used again.
	keptBuffer = 64 << 10
)

// epoch is what deadlines are counted from.
var epoch = time.Now()

// ErrTooMany is what Dial returns when maxclients are connected.
var ErrTooMany = errors.New("ERR max number of clients reached")

// ErrTooLong is what Write returns when more is kept than the client-query-buffer-limit.
var ErrTooLong = errors.New("inproc: too much input that cannot be executed yet")

// Conn is a connection in process. Reading and writing may be done at the same time.
type Conn struct {
	e      *engine.Engine
	client *engine.Client
	limit  int // bytes of requests that are kept

	mu     sync.Mutex
	in     []byte // requests that are incomplete, or cannot be executed yet
	spare  []byte // the array that in began with
	out    []byte // replies, from read on unread
	read   int
	ending bool // nothing follows out

	deadline atomic.Int64  // ns since epoch; 0 is none
	changed  chan struct{} // holds one: the deadline has
	woken    chan struct{} // holds one: the engine has something
	done     chan struct{}
	once     sync.Once
	kicked   atomic.Bool
}

// Dial connects with e. It fails when maxclients are connected.
func Dial(e *engine.Engine) (*Conn, error) {
	e.Lock()
	full := len(e.Clients()) >= e.Config().MaxClients
	if full {
		e.Stats().Rejected++
	}
	limit := e.Config().QueryBufferLimit
	e.Unlock()
	if full {
		return nil, ErrTooMany
	}
	c := &Conn{
		e: e, limit: limit,
		changed: make(chan struct{}, 1), woken: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.client = e.NewClient(engine.Front{Addr: addr{}.String(), LocalAddr: addr{}.String(), Wake: c.wake, Kick: c.kick})
	return c, nil
}

// wake has a Read that waits look for output. It is called under the engine's lock.
func (c *Conn) wake() { poke(c.woken) }

func poke(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// kick ends the connection from the engine's side, under its lock.
func (c *Conn) kick() {
	c.kicked.Store(true)
	c.once.Do(func() {
		close(c.done)
		c.e.Go(c.client.Close)
	})
}

// Close ends the connection. A Read that waits returns.
func (c *Conn) Close() error {
	c.kicked.Store(false)
	c.once.Do(func() { close(c.done) })
	c.client.Close()
	return nil
}

// gone returns why the connection has ended, or nil; ended is for an end by the engine.
func (c *Conn) gone(ended error) error {
	select {
	case <-c.done:
		if c.kicked.Load() {
			return ended
		}
		return net.ErrClosed
	default:
		return nil
	}
}

// Write executes the requests in b. What is incomplete is kept for the next Write; what comes after a
// command that blocks, or while 1 MB of replies is unread, is kept for Read. It does not wait for a reader.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.gone(io.ErrClosedPipe); err != nil {
		return 0, err
	}
	if c.ending {
		return 0, io.ErrClosedPipe
	}
	if len(c.in) > 0 {
		if len(c.in)+len(b) > c.limit {
			return 0, ErrTooLong
		}
		c.in = append(c.in, b...)
		c.in = c.run(c.in)
	} else if rest := c.run(b); len(rest) > c.limit {
		return 0, ErrTooLong
	} else if len(rest) > 0 {
		c.spare = append(c.spare[:0], rest...)
		c.in = c.spare
	}
	c.tidy()
	return len(b), nil
}

// run executes requests while their replies are not too long, and returns the rest.
func (c *Conn) run(requests []byte) (rest []byte) {
	for !c.ending && len(c.out)-c.read < replyLimit {
		start := len(c.out)
		n, out := c.e.Process(c.client, requests, c.out)
		if err := c.e.Commit(c.client); err != nil && !c.e.Readable(c.client) {
			out, c.ending = append(out[:start], engine.CommitError(err)...), true
		}
		c.out, requests = out, requests[n:]
		c.ending = c.ending || c.client.Closing()
		if len(out)-start < replyLimit {
			break
		}
	}
	if c.ending {
		return nil
	}
	return requests
}

// tidy lets long buffers go that are empty, and what was read.
func (c *Conn) tidy() {
	if len(c.in) == 0 {
		c.in = nil
		if cap(c.spare) > keptBuffer {
			c.spare = nil
		}
	}
	if c.read == len(c.out) {
		c.read, c.out = 0, c.out[:0]
		if cap(c.out) > keptBuffer {
			c.out = nil
		}
	} else if c.read > keptBuffer && c.read > len(c.out)/2 {
		c.read, c.out = 0, c.out[:copy(c.out, c.out[c.read:])]
	}
}

// Read hands out replies and messages. If there are none it waits for some, until the read deadline or
// Close.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if n, err := c.take(b); n > 0 || err != nil {
			return n, err
		}
		if err := c.wait(); err != nil {
			return 0, err
		}
	}
}

// take reads without waiting.
func (c *Conn) take(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.gone(io.EOF); err != nil {
		return 0, err
	}
	if c.read == len(c.out) {
		// There may be messages, or requests that can be executed now.
		c.in = c.run(c.in)
	}
	n := copy(b, c.out[c.read:])
	c.read += n
	c.tidy()
	if n == 0 && c.ending {
		c.client.Close()
		return 0, io.EOF
	}
	return n, nil
}

// wait returns nil when there may be something to read.
func (c *Conn) wait() error {
	var expired <-chan time.Time
	if d := c.deadline.Load(); d != 0 {
		left := time.Duration(d) - time.Since(epoch)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-c.woken:
	case <-c.changed:
	case <-c.done:
	case <-expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Abandon ends the waiting of a command that blocks, and forgets the requests behind it. What it has been
// served until now can be read; nothing more is taken for it.
func (c *Conn) Abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = nil
	c.client.Abandon()
}

// SetDeadline sets the read deadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline sets until when Read waits, also one that waits already; zero is forever. What can be
// read at once is read after that too.
func (c *Conn) SetReadDeadline(t time.Time) error {
	var d int64
	if !t.IsZero() {
		d = int64(t.Sub(epoch))
		if d == 0 {
			d = 1
		}
	}
	c.deadline.Store(d)
	poke(c.changed)
	return c.gone(io.ErrClosedPipe)
}

// SetWriteDeadline does nothing: Write does not wait for a reader.
func (c *Conn) SetWriteDeadline(time.Time) error { return c.gone(io.ErrClosedPipe) }

// LocalAddr returns an address of the network "inproc".
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr returns an address of the network "inproc".
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "inproc" }

func (addr) String() string { return "inproc:0" }
