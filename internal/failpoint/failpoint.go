// Package failpoint names the lines between which a crash or an error hurts most, so that tests can
// make them happen exactly there.
//
// Code calls Hit at such a line. Tests give the name a function with Set. A binary built with
// -tags failpoints also kills itself there: ZMSG_FAILPOINT=name:n makes the n-th Hit of name end the
// process with SIGKILL. Other binaries ignore the variable.
package failpoint

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Env is the variable that a binary built with -tags failpoints reads at its start.
const Env = "ZMSG_FAILPOINT"

var (
	mu    sync.Mutex                              // serializes changes of hooks
	hooks atomic.Pointer[map[string]func() error] // copied on change; nil while there is none
)

// Hit returns nil, or what the function set for name returns. Without any function in the process it
// costs one atomic load.
func Hit(name string) error {
	if m := hooks.Load(); m != nil {
		return call((*m)[name])
	}
	return nil
}

func call(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

// TB is what Set needs of testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Set makes every Hit of name call hook, from whichever goroutine, until the test ends. Hooks are
// the process's, not the test's: a name that is set already fails the test, so tests that set the
// same name must not be parallel to each other.
func Set(tb TB, name string, hook func() error) {
	tb.Helper()
	if !add(name, hook) {
		tb.Fatalf("failpoint %q is set already", name)
		return
	}
	tb.Cleanup(func() { remove(name) })
}

func add(name string, hook func() error) bool {
	mu.Lock()
	defer mu.Unlock()
	next := map[string]func() error{}
	if m := hooks.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if next[name] != nil {
		return false
	}
	next[name] = hook
	hooks.Store(&next)
	return true
}

func remove(name string) {
	mu.Lock()
	defer mu.Unlock()
	next := maps.Clone(*hooks.Load())
	delete(next, name)
	if len(next) == 0 {
		hooks.Store(nil)
		return
	}
	hooks.Store(&next)
}
