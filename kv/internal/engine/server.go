package engine

import (
	"crypto/sha256"
	"crypto/subtle"
)

// OnShutdown sets what SHUTDOWN calls, under the lock: it must not block. Without, SHUTDOWN is refused.
func (e *Engine) OnShutdown(f func(noSave bool)) { e.onShutdown = f }

// Shutdown asks the program to stop, and reports whether it can be asked.
func (e *Engine) Shutdown(noSave bool) bool {
	if e.onShutdown == nil {
		return false
	}
	e.onShutdown(noSave)
	return true
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

// ResetStats sets the counters to zero.
func (e *Engine) ResetStats() {
	e.stats = Stats{}
	for _, c := range e.commands {
		c.calls = 0
		for _, s := range c.Sub {
			s.calls = 0
		}
	}
}
