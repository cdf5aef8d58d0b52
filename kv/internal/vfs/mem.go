package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrCrashed is what every operation on a Mem returns from its crash on.
var ErrCrashed = errors.New("the file system has crashed")

// Kind is what an operation on a Mem does.
type Kind string

// The operations that change something, and so are counted and may be made to fail.
const (
	OpCreate   Kind = "create"
	OpWrite    Kind = "write"
	OpSync     Kind = "sync"
	OpTruncate Kind = "truncate"
	OpRename   Kind = "rename"
	OpRemove   Kind = "remove"
	OpMkdir    Kind = "mkdir"
	OpSyncDir  Kind = "syncdir"
)

// Op is an operation that is about to be done.
type Op struct {
	Kind Kind
	Name string // of the file or directory; of a rename, the new name
	N    int    // bytes to write
}

// Mem is a file system in memory for tests. It is safe for concurrent use.
type Mem struct {
	mu      sync.Mutex
	root    *node
	locks   map[string]bool
	fault   func(Op) (n int, err error)
	space   int64 // bytes that can still be written; -1 has no limit
	ops     int
	crashAt int
	crashed bool
	// crashedAt is when the crash has come.
	crashedAt time.Time
	random    *rand.Rand // decides what survives of the operation in which the crash comes
}

// node is a file or a directory, with what has not been made durable yet.
type node struct {
	dir bool

	data    []byte // of a file, as readers see it
	durable []byte
	pending []change // since the last sync, in order

	entries map[string]*node // of a directory
	kept    map[string]*node // those that are durable
	moves   []move
}

// change is a write to the end of a file, or, if cut, its truncation.
type change struct {
	cut  bool
	size int
	data []byte
}

// move is what one operation does to the entries of a directory: a nil node is gone.
type move map[string]*node

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: newDir(), locks: map[string]bool{}, space: -1}
}

func newDir() *node {
	return &node{dir: true, entries: map[string]*node{}, kept: map[string]*node{}}
}

// SetFault has f asked before each operation. An error makes the operation fail; a failing write still
// writes n bytes. nil ends that. f is called with the file system's lock held.
func (m *Mem) SetFault(f func(Op) (n int, err error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// SetSpace lets n more bytes be written before the disk is full; -1 has no limit.
func (m *Mem) SetSpace(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space = n
}

// Ops returns how many operations there have been.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// CrashAt has the machine crash in the course of the n-th operation from the file system's start, which
// may have been done, not been done or been done in part; the seed decides.
func (m *Mem) CrashAt(n int, seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashAt, m.random = n, rand.New(rand.NewPCG(seed, 1))
}

// Crashed reports whether the crash of CrashAt has come, and when.
func (m *Mem) Crashed() (at time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashedAt, !m.crashedAt.IsZero()
}

// begin accounts for an operation and says whether, and for writes how much of it, takes place. It is
// called with the lock held. With an error, do is whether it takes place nonetheless.
func (m *Mem) begin(op Op) (n int, do bool, err error) {
	if m.crashed {
		return 0, false, ErrCrashed
	}
	m.ops++
	if m.ops == m.crashAt {
		m.crashed, m.crashedAt = true, time.Now()
		return op.N, m.random.IntN(2) == 0, ErrCrashed
	}
	if m.fault != nil {
		if n, err := m.fault(op); err != nil {
			return min(n, op.N), op.Kind == OpWrite, err
		}
	}
	if op.Kind == OpWrite && m.space >= 0 {
		if int64(op.N) > m.space {
			n, m.space = int(m.space), 0
			return n, true, errNoSpace
		}
		m.space -= int64(op.N)
	}
	return op.N, true, nil
}

// walk returns the node of a path, or nil.
func (m *Mem) walk(name string) *node {
	at := m.root
	for _, part := range parts(name) {
		if at == nil || !at.dir {
			return nil
		}
		at = at.entries[part]
	}
	return at
}

func parts(name string) []string {
	clean := strings.Trim(path.Clean("/"+name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// parent returns the directory that a path lies in, and its name there.
func (m *Mem) parent(name string) (*node, string, error) {
	all := parts(name)
	if len(all) == 0 {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	dir := m.walk(path.Join(all[:len(all)-1]...))
	if dir == nil || !dir.dir {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return dir, all[len(all)-1], nil
}

// apply does a move.
func (d *node) apply(mv move) {
	d.moves = append(d.moves, mv)
	mv.on(d.entries)
}

func (mv move) on(entries map[string]*node) {
	for name, n := range mv {
		if n == nil {
			delete(entries, name)
		} else {
			entries[name] = n
		}
	}
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &LockedError{Name: name, PID: "0"}
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

// Close releases the lock.
func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// List implements FS.
func (m *Mem) List(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.walk(name)
	if n == nil || !n.dir {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	names := make([]string, 0, len(n.entries))
	for entry := range n.entries {
		names = append(names, entry)
	}
	slices.Sort(names)
	return names, nil
}
