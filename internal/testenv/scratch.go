package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports are taken from below the range from which the kernel gives ports to outgoing connections
// (32768 and up on Linux), so that none of those can sit on a server's port while it is restarted.
const (
	minPort = 20000
	maxPort = 31999
)

const lockName = "lock"

// scratch is this process's directory for servers without a Dir of their own. Other processes may
// remove it as soon as its lock is free, that is, when this process has died without cleaning up.
type scratch struct {
	dir  string
	lock *os.File
}

// shared is the scratch directory of this process, made at first use.
var shared struct {
	mu sync.Mutex
	*scratch
}

// root returns the directory that all processes of this user share, made if necessary.
func root() (string, error) {
	dir := filepath.Join(os.TempDir(), "zmsg-testenv-"+strconv.Itoa(os.Getuid()))
	// PostgreSQL, run as another user, must be able to pass.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, nil
}

// tempDir returns a new empty directory in the scratch directory of this process.
func tempDir(pattern string) (string, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.scratch == nil {
		s, err := newScratch()
		if err != nil {
			return "", fmt.Errorf("make scratch directory: %w", err)
		}
		shared.scratch = s
	}
	dir, err := os.MkdirTemp(shared.dir, pattern)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// removeScratch removes the scratch directory of this process.
func removeScratch() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.scratch == nil {
		return nil
	}
	s := shared.scratch
	shared.scratch = nil
	_, unlock, err := lockRoot()
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close(), unlock())
}

// lockRoot makes what its caller does until unlock, such as "create and lock" or "remove", one step for
// everybody who sweeps.
func lockRoot() (dir string, unlock func() error, err error) {
	if dir, err = root(); err != nil {
		return "", nil, err
	}
	all, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(all.Fd()), syscall.LOCK_EX); err != nil {
		return "", nil, errors.Join(err, all.Close())
	}
	return dir, all.Close, nil
}

// newScratch makes the directory and removes those of dead processes.
func newScratch() (made *scratch, err error) {
	dir, unlock, err := lockRoot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := sweep(dir); err != nil {
		return nil, err
	}
	own, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(own, 0o755); err != nil {
		return nil, err
	}
	lock, err := tryLock(filepath.Join(own, lockName))
	if err != nil {
		return nil, err
	}
	return &scratch{dir: own, lock: lock}, nil
}

// sweep removes the directories whose process has died.
func sweep(dir string) error {
	runs, err := filepath.Glob(filepath.Join(dir, "run-*"))
	if err != nil {
		return err
	}
	for _, run := range runs {
		lock, err := tryLock(filepath.Join(run, lockName))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return err
		}
		_ = os.RemoveAll(run) // A dying server may still write there: then the next sweep gets the rest.
		if err := lock.Close(); err != nil {
			return err
		}
	}
	return nil
}

// tryLock opens path and locks it until it is closed or the process ends. The error is
// syscall.EWOULDBLOCK when somebody else holds the lock.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// port is a free TCP port of 127.0.0.1 that no other process using this package takes until it is
// released or we end, also while no server listens on it.
type port struct {
	number int
	lock   *os.File
}

// reservePort finds a port, reserves it and checks that nobody listens on it.
func reservePort() (*port, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "ports")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for range 1000 {
		n := minPort + rand.IntN(maxPort-minPort+1)
		lock, err := tryLock(filepath.Join(dir, strconv.Itoa(n)))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: loopback, Port: n}); err == nil {
			return &port{n, lock}, l.Close()
		}
		if err := lock.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no free TCP port between %d and %d", minPort, maxPort)
}

var loopback = net.IPv4(127, 0, 0, 1)

// addr returns "127.0.0.1:port".
func (p *port) addr() string { return net.JoinHostPort(loopback.String(), p.String()) }

// String returns the number.
func (p *port) String() string { return strconv.Itoa(p.number) }

// release gives the port back. It is a no-op on nil and when repeated.
func (p *port) release() error {
	if p == nil || p.lock == nil {
		return nil
	}
	lock := p.lock
	p.lock = nil
	return lock.Close()
}
