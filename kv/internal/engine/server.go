package engine

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// LastSnapshot says whether a snapshot is written before the program stops.
type LastSnapshot int8

// What SHUTDOWN may ask for.
const (
	SnapshotIfDue  LastSnapshot = iota // if there are save points and changes
	SnapshotAlways                     // SHUTDOWN SAVE
	SnapshotNever                      // SHUTDOWN NOSAVE
)

// OnShutdown sets what SHUTDOWN calls, under the lock: it writes the last snapshot, and must not wait for
// anything else. With an error the program goes on, unless it is forced. Without, SHUTDOWN is refused.
func (e *Engine) OnShutdown(f func(last LastSnapshot, force bool) error) { e.onShutdown = f }

// ErrNoShutdown says that the engine has not been told whom to ask.
var ErrNoShutdown = errors.New("the database is part of a program: end that")

// Shutdown asks the program to stop. With an error it does not.
func (e *Engine) Shutdown(last LastSnapshot, force bool) error {
	if e.onShutdown == nil {
		return ErrNoShutdown
	}
	return e.onShutdown(last, force)
}

// SetPort notes the TCP port that the engine is served on, for INFO; the first one counts.
func (e *Engine) SetPort(port int) { e.port.CompareAndSwap(0, int32(port)) }

// Port returns the TCP port that the engine is served on; 0 is none.
func (e *Engine) Port() int { return int(e.port.Load()) }

// OnStop sets what Stop calls to end a command that may run for long.
func (e *Engine) OnStop(f func()) { e.interrupt = f }

// Stop has the command that runs end soon, and refuses all that follow. It needs no lock, which that command
// may hold for as long as it likes. The engine is of no use afterwards, but to be closed.
func (e *Engine) Stop() {
	e.stopping.Store(true)
	if e.interrupt != nil {
		e.interrupt()
	}
}

// DropUnit keeps out of the log what the running unit has changed: it was interrupted, and half of it must
// not be kept. What is in memory is lost with the engine, which is stopping.
func (e *Engine) DropUnit() {
	e.unit.buf, e.unit.entries, e.unit.db = e.unit.buf[:0], 0, -1
}

// Login checks a password. The time that it takes says nothing about it.
func (e *Engine) Login(user string, password []byte) bool {
	if user != "default" {
		return false
	}
	if e.config.RequirePass == "" {
		return true
	}
	want, got := sha256.Sum256([]byte(e.config.RequirePass)), sha256.Sum256(password)
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// Stranger reports whether the client has yet to give the password that is asked for now.
func (c *Client) Stranger() bool { return !c.Authenticated && c.e.config.RequirePass != "" }

// ResetStats sets the counters to zero.
func (e *Engine) ResetStats() {
	e.stats = Stats{}
	for _, c := range e.commands {
		c.calls, c.failures = 0, 0
		for _, s := range c.Sub {
			s.calls, s.failures = 0, 0
		}
	}
}
