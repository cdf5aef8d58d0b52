package testenv

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy forwards TCP connections to a target and injects faults into them. Its methods may be called
// from several goroutines. A fault holds for the connections that exist and for new ones, until Heal.
type Proxy struct {
	target string
	port   *port
	ctx    context.Context // ended by Close; bounds dials and waits of the goroutines below
	cancel context.CancelFunc
	wg     sync.WaitGroup // of the accept loops and of the connections

	mu       sync.Mutex
	listener net.Listener // nil while cut
	links    map[*link]struct{}
	delay    time.Duration
	stalled  chan struct{} // not nil while stalled; closed when the stall ends
}

// link is one client's connection and its counterpart to the target.
type link struct {
	client, server net.Conn
	closed         chan struct{}
	once           sync.Once
}

// StartProxy starts a proxy to target ("host:port"). It outlives ctx; Close ends it.
func StartProxy(ctx context.Context, target string) (*Proxy, error) {
	p := &Proxy{target: target, links: map[*link]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if p.port, err = reservePort(); err == nil {
		err = p.Heal()
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Addr returns "127.0.0.1:port". It stays the same over Cut and Heal.
func (p *Proxy) Addr() string { return p.port.addr() }

// Cut closes all connections and refuses new ones.
func (p *Proxy) Cut() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// Delay holds every chunk of bytes back for d, in each direction: a request and its answer take 2d
// longer. 0 ends the delay.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Stall accepts connections, and keeps those that exist, but forwards nothing. What was sent
// meanwhile is forwarded after Heal.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Heal ends all faults.
func (p *Proxy) Heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.ctx.Err(); err != nil {
		return err
	}
	p.delay = 0
	p.release()
	if p.listener != nil {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(p.ctx, "tcp", p.Addr())
	if err != nil {
		return err
	}
	p.listener = l
	p.wg.Go(func() { p.accept(l) })
	return nil
}

// Close closes the proxy and all its connections and joins its goroutines. It is a no-op when
// repeated.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.Cut()
	p.mu.Lock()
	p.release()
	p.mu.Unlock()
	p.wg.Wait()
	return errors.Join(err, p.port.release())
}

// release ends a stall. p.mu is held.
func (p *Proxy) release() {
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// accept serves connections until l is closed.
func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(l, client) })
	}
}

// serve connects client to the target and forwards until one side closes.
func (p *Proxy) serve(from net.Listener, client net.Conn) {
	var d net.Dialer
	server, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		_ = client.Close() // The client sees what a dead target would show it.
		return
	}
	l := &link{client: client, server: server, closed: make(chan struct{})}
	defer l.close()
	if !p.add(from, l) {
		return
	}
	defer p.remove(l)
	var wg sync.WaitGroup
	wg.Go(func() { p.pump(l, client, server) })
	wg.Go(func() { p.pump(l, server, client) })
	wg.Wait()
}

// add registers a link unless the listener it came from was cut meanwhile.
func (p *Proxy) add(from net.Listener, l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != from {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// pump forwards from src to dst. The end of one direction ends the link: the protocols spoken here
// never close one half only.
func (p *Proxy) pump(l *link, src io.Reader, dst io.Writer) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && p.pass(l) {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits out the faults that hold now and reports whether the link still lives.
func (p *Proxy) pass(l *link) bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.closed:
			return false
		}
	}
	p.mu.Lock()
	stalled := p.stalled
	p.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-l.closed:
			return false
		}
	}
	return true
}

// close closes both ends once. Errors say nothing here: the link is thrown away.
func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}
