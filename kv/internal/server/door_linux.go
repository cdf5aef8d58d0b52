package server

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxAccepts is how many connections one turn accepts from one listener.
const maxAccepts = 128

// door is a listener of a poller.
type door struct {
	fd      int
	path    string // of a Unix socket
	local   string
	watched bool
}

// newDoor returns the door of a listener, or nil if that has no descriptor. The descriptor is a second one:
// the first stays with Go's own poller.
func newDoor(ln net.Listener) (*door, error) {
	d := &door{local: ln.Addr().String()}
	var raw syscall.RawConn
	var err error
	switch ln := ln.(type) {
	case *net.TCPListener:
		raw, err = ln.SyscallConn()
	case *net.UnixListener:
		d.path = ln.Addr().String()
		raw, err = ln.SyscallConn()
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		d.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	return d, errors.Join(err, failed)
}

func (p *poller) listen(d *door) {
	err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, d.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(d.fd)})
	d.watched = err == nil
}

// accept lets in who waits at d. When there is no room for more, nobody is accepted until the next tick.
func (p *poller) accept(d *door) {
	for range maxAccepts {
		fd, from, err := unix.Accept4(d.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, d.fd, nil)
			d.watched = false
			return
		}
		p.cfg = p.s.settings()
		if p.cfg.clients >= p.cfg.maxClients {
			_, _ = unix.Write(fd, []byte(tooManyClients))
			_ = unix.Close(fd)
			p.s.reject()
			continue
		}
		if d.path != "" {
			p.newConn(fd, d.path+":0", d.path+":0")
			continue
		}
		setOptions(fd, p.cfg.keepAlive)
		local, err := unix.Getsockname(fd)
		if err != nil {
			_ = unix.Close(fd)
			continue
		}
		p.newConn(fd, sockaddr(from), sockaddr(local))
	}
}

// setOptions sets what Redis sets. A socket that refuses serves all the same.
func setOptions(fd int, keepAlive time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	seconds := int(keepAlive / time.Second)
	if seconds <= 0 {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(1, seconds/3))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
}

func sockaddr(a unix.Sockaddr) string {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if zone := int(a.ZoneId); zone != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.Itoa(zone))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port)).String()
	}
	return "?:0"
}
