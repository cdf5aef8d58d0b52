package engine

import (
	"github.com/zmsg/zmsg/kv/internal/table"
)

// Snapshot is the state of all databases at one moment. It does not change while the engine goes on, and
// is read without the lock.
type Snapshot struct {
	e      *Engine
	Tables []*table.Table // by database
	Dirty  int64          // the engine's count of changes at that moment
	Now    int64          // unix ms of that moment
}

// Snapshot takes a snapshot. It needs the lock, and costs about a microsecond for a thousand keys: what is
// written afterwards is copied when it is written. There is one snapshot at a time; Release ends it.
func (e *Engine) Snapshot() *Snapshot {
	if e.snapshot != nil {
		panic("kv: a snapshot is held already")
	}
	e.stamp++
	s := &Snapshot{e: e, Dirty: e.dirty, Now: e.Now()}
	for _, k := range e.spaces {
		s.Tables = append(s.Tables, k.t)
		k.t = k.t.Clone(e.stamp)
	}
	e.snapshot = s
	return s
}

// Release ends the snapshot. It takes the lock.
func (s *Snapshot) Release() {
	s.e.Lock()
	defer s.e.Unlock()
	s.ReleaseLocked()
}

// ReleaseLocked is Release for those that have the lock.
func (s *Snapshot) ReleaseLocked() {
	if s.e.snapshot == s {
		s.e.snapshot = nil
	}
}

// Snapshotting reports whether a snapshot is held.
func (e *Engine) Snapshotting() bool { return e.snapshot != nil }
