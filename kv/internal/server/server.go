package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const (
	// readSize is how much is read at once, and so how much one client executes before others have a turn.
	readSize = 64 << 10
	// replyLimit is how much output of one client may wait before its requests do. It is what
	// engine.Process hands out at most, but for the last command's reply.
	replyLimit = 1 << 20
	// tickEvery is how often timeouts and the like are looked at.
	tickEvery = 100 * time.Millisecond

	tooManyClients = "-ERR max number of clients reached\r\n"
)

// Options are the settings of a Server that CONFIG does not know.
type Options struct {
	// Portable serves with goroutines also where there is epoll.
	Portable bool
	// MaxClientMemory is how many bytes the incomplete requests of all connections may take; the
	// connection that has the most is closed when they take more. 0 is 1 GB.
	MaxClientMemory int64
	// Spin is how often the epoll loop looks for work again before it sleeps. It is what a client saves
	// that need not wake it. The loop spins only while that finds work and nobody else wants the
	// processor. 0 is 500, -1 never.
	Spin int
}

// Server serves connections of an engine.
type Server struct {
	e     *engine.Engine
	o     Options
	input budget

	read, written atomic.Int64 // bytes that the engine has not been told of

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	poll      *poller
	watching  sync.Once

	stop   chan struct{}
	joined sync.WaitGroup
}

// New returns a server of e's data that does not listen yet.
func New(e *engine.Engine, o Options) *Server {
	if o.MaxClientMemory == 0 {
		o.MaxClientMemory = 1 << 30
	}
	if o.Spin == 0 {
		o.Spin = 500
	}
	return &Server{
		e: e, o: o, input: budget{limit: o.MaxClientMemory, held: make(map[kicker]int64)},
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*session]struct{}),
		stop:      make(chan struct{}),
	}
}

// Serve accepts connections from ln, which it then owns, and serves them until Close is called; then it
// returns nil, or net.ErrClosed if that was before. It may be called for several listeners.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = ln.Close()
		return net.ErrClosed
	}
	s.listeners[ln] = struct{}{}
	s.joined.Add(1)
	s.mu.Unlock()
	defer s.joined.Done()
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
		s.e.SetPort(tcp.Port)
	}

	if !s.o.Portable {
		if p, err := s.poller(ln); err != nil {
			s.forget(ln)
			return err
		} else if p != nil {
			select {
			case <-s.stop:
				return nil
			case <-p.done:
				s.forget(ln)
				return p.err
			}
		}
	}
	return s.accept(ln)
}

func (s *Server) forget(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
	_ = ln.Close()
}

// Close stops listening, closes all connections, and returns when everything that the server has started
// has ended. Replies that have not been sent are lost. It may be called again, but not by a command.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
		for ln := range s.listeners {
			_ = ln.Close()
		}
		for c := range s.sessions {
			c.kick()
		}
		if s.poll != nil {
			s.poll.signal()
		}
	}
	s.mu.Unlock()
	s.joined.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll != nil {
		s.poll.release()
		s.poll = nil
	}
	return nil
}

func (s *Server) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// settings are what of the engine's the server looks at.
type settings struct {
	clients, maxClients, queryLimit int
	timeout, keepAlive              time.Duration
}

func (s *Server) settings() settings {
	s.e.Lock()
	defer s.e.Unlock()
	c := s.e.Config()
	return settings{len(s.e.Clients()), c.MaxClients, c.QueryBufferLimit, c.Timeout, c.KeepAlive}
}

// reject notes that a connection was refused.
func (s *Server) reject() {
	s.e.Lock()
	defer s.e.Unlock()
	s.e.Stats().Rejected++
}

// report tells the engine how much was read and written.
func (s *Server) report() {
	read, written := s.read.Swap(0), s.written.Swap(0)
	if read == 0 && written == 0 {
		return
	}
	s.e.Lock()
	defer s.e.Unlock()
	s.e.Stats().InputBytes += read
	s.e.Stats().OutputBytes += written
}

// mayIdle reports whether a client that sends nothing stays connected whatever the timeout.
func (s *Server) mayIdle(c *engine.Client) bool {
	s.e.Lock()
	defer s.e.Unlock()
	return c.Blocked() || c.Subscriptions() > 0 || c.Monitoring()
}

// buffered tells the engine what the connection holds of its client.
func (s *Server) buffered(c *engine.Client, in, out int) {
	s.e.Lock()
	defer s.e.Unlock()
	c.InputBytes, c.OutputBytes = in, out
}
