package server

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const (
	// outSize holds the replies of a turn. A turn ends when less than a quarter is left.
	outSize = 256 << 10
	// maxEvents is how many connections one look at epoll finds at most.
	maxEvents = 256
)

// poller serves all connections in one goroutine. What others may call is marked so.
type poller struct {
	s       *Server
	epoll   int
	event   int // an eventfd that wakes it
	conns   []*conn
	doors   map[int]*door // listeners by descriptor
	now     time.Time     // of the last tick
	cfg     settings
	turns   uint
	spinner spinner

	in     []byte
	out    []byte
	used   int     // of out
	turn   []*conn // have replies in this turn
	latest *engine.Client
	again  []*conn // have requests left, only because of how much they replied

	mu       sync.Mutex // for what others reach
	woken    []*conn
	arrived  []*door
	signaled atomic.Bool // woken or arrived has something, or the server stops
	sleeping atomic.Bool

	events [maxEvents]unix.EpollEvent
	done   chan struct{}
	err    error // why it ended; read it after done
}

// poller has ln served by the server's poller, which it starts if need be. It returns nil if ln is not one
// of the system's listeners.
func (s *Server) poller(ln net.Listener) (*poller, error) {
	d, err := newDoor(ln)
	if d == nil || err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == nil {
		p, err := newPoller(s)
		if err != nil {
			_ = unix.Close(d.fd)
			return nil, err
		}
		s.poll = p
		s.joined.Go(p.run)
	}
	s.poll.mu.Lock()
	s.poll.arrived = append(s.poll.arrived, d)
	s.poll.mu.Unlock()
	s.poll.signal()
	return s.poll, nil
}

func newPoller(s *Server) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(event)})
	}
	if err != nil {
		_ = unix.Close(epoll)
		_ = unix.Close(event)
		return nil, err
	}
	return &poller{
		s: s, epoll: epoll, event: event, doors: make(map[int]*door), now: time.Now(), cfg: s.settings(),
		spinner: newSpinner(s.o.Spin),
		in:      make([]byte, readSize), out: make([]byte, outSize), done: make(chan struct{}),
	}, nil
}

// signal has the poller look at what others have left it. Others may call it.
func (p *poller) signal() {
	p.signaled.Store(true)
	if p.sleeping.CompareAndSwap(true, false) {
		one := [8]byte{1}
		_, _ = unix.Write(p.event, one[:])
	}
}

// run serves in turns: what has arrived is executed, the log is committed, and the replies are sent.
func (p *poller) run() {
	// The thread that waits for the network is the one that executes: no hand-over between them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	defer p.shut()
	for !p.s.stopped() {
		n, slept, err := p.wait()
		if err != nil {
			p.err = err
			return
		}
		for i := range p.events[:n] {
			p.handle(int(p.events[i].Fd), p.events[i].Events)
		}
		p.resume()
		p.flush()
		if p.turns++; slept || p.turns%64 == 0 {
			p.tick(time.Now())
		}
	}
}

// wait returns how many events there are. It does not wait if there is something else to do.
func (p *poller) wait() (n int, slept bool, err error) {
	for range p.spinner.rounds() {
		if n, err = p.ready(0); n > 0 || err != nil {
			p.spinner.found(true)
			return n, false, err
		}
		if len(p.again) > 0 || p.signaled.Load() {
			return 0, false, nil
		}
	}
	if len(p.again) > 0 {
		n, err = p.ready(0)
		return n, false, err
	}
	p.sleeping.Store(true)
	if p.signaled.Load() {
		p.sleeping.Store(false)
		n, err = p.ready(0)
		return n, false, err
	}
	n, err = p.ready(int(tickEvery.Milliseconds()))
	p.sleeping.Store(false)
	p.spinner.found(false)
	return n, true, err
}

func (p *poller) ready(timeout int) (int, error) {
	n, err := unix.EpollWait(p.epoll, p.events[:], timeout)
	switch {
	case errors.Is(err, unix.EINTR): // by a signal of Go's scheduler
		return 0, nil
	case err != nil:
		return 0, err
	}
	return n, nil
}

func (p *poller) handle(fd int, events uint32) {
	if fd == p.event {
		var count [8]byte
		_, _ = unix.Read(fd, count[:])
		return
	}
	if d := p.doors[fd]; d != nil {
		p.accept(d)
		return
	}
	if fd >= len(p.conns) || p.conns[fd] == nil {
		return // closed in this turn
	}
	c := p.conns[fd]
	if events&unix.EPOLLOUT != 0 || c.watched&unix.EPOLLIN == 0 {
		c.drain()
	}
	if events&^unix.EPOLLOUT != 0 && c.watched&unix.EPOLLIN != 0 && !c.closed {
		c.read()
	}
}

// resume goes on with connections that others have woken, and with those whose requests were kept back.
func (p *poller) resume() {
	if p.signaled.Load() {
		p.signaled.Store(false)
		p.mu.Lock()
		woken, arrived := p.woken, p.arrived
		p.woken, p.arrived = nil, nil
		for _, c := range woken {
			c.queued = false
		}
		p.mu.Unlock()
		for _, d := range arrived {
			p.doors[d.fd] = d
			p.listen(d)
		}
		for _, c := range woken {
			c.resume()
		}
	}
	again := p.again
	p.again = nil
	for _, c := range again {
		c.backlog = false
		c.resume()
	}
}

// flush ends a turn: it commits the log once for all, and sends the replies.
func (p *poller) flush() {
	if p.latest == nil {
		return
	}
	err := p.s.e.Commit(p.latest)
	for i, c := range p.turn {
		if err != nil && !p.s.e.Readable(c.client) {
			c.reply, c.ending = engine.CommitError(err), true
		}
		if !c.closed {
			c.send()
		}
		c.reply, p.turn[i] = nil, nil
	}
	p.turn, p.used, p.latest = p.turn[:0], 0, nil
}

// tick does ten times a second what depends on time.
func (p *poller) tick(now time.Time) {
	if now.Sub(p.now) < tickEvery {
		return
	}
	p.spinner.look(now.Sub(p.now))
	p.now, p.cfg = now, p.s.settings()
	p.s.report()
	for _, d := range p.doors {
		if !d.watched {
			p.listen(d)
		}
	}
	if p.cfg.timeout == 0 {
		return
	}
	for _, c := range p.conns {
		if c != nil && now.Sub(c.active) > p.cfg.timeout && !p.s.mayIdle(c.client) {
			c.close()
		}
	}
}

// shut closes everything.
func (p *poller) shut() {
	for _, c := range p.conns {
		if c != nil {
			c.close()
		}
	}
	p.mu.Lock()
	for _, d := range p.arrived {
		p.doors[d.fd] = d
	}
	p.mu.Unlock()
	for fd := range p.doors {
		_ = unix.Close(fd)
	}
	_ = unix.Close(p.epoll)
	p.spinner.close()
	p.s.report()
}

// release closes what others write to. Nobody may call signal any more.
func (p *poller) release() { _ = unix.Close(p.event) }
