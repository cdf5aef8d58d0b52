package persist

import (
	"context"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/engine"
)

// job is what the worker does.
type job int

const (
	idle job = iota
	saving
	rewriting
)

// state is what commands and the worker share, under the engine's lock.
type state struct {
	journal *journal // where the engine logs; its log is nil if it does not
	turning bool     // the log shall be on as soon as a rewrite has made it

	now, next job // what goes on, and what follows it
	began     time.Time
	cancel    context.CancelFunc // of what goes on
	keys      int                // that it has written
	total     int

	saveOK, rewriteOK     bool
	saveTook, rewriteTook time.Duration // -1 before the first
	saveTried             time.Time
	saves, rewrites       int64
	failures              int // of rewrites, in a row
	retryAt               time.Time

	base, incrs int64 // bytes of the base, and of the log before the present file
	rewriteBase int64 // bytes of the log after the last rewrite, or at the start

	closed bool
	last   engine.LastSnapshot

	loader          *loader // while loading
	loaded, expired int64
}

// journal is the engine's journal. It tells the log the policy, which is part of the configuration and so
// may be read where Append is called: under the engine's lock.
type journal struct {
	log    *aof.Log
	config *engine.Config
	policy string
}

// Append implements engine.Journal.
func (j *journal) Append(p []byte) int64 {
	j.follow()
	return j.log.Append(p)
}

// Readable says whether clients may go on reading when the log cannot be written; see aof.Log.
func (j *journal) Readable(own int64) bool { return j.log.Readable(own) }

// follow tells the log when the policy has changed. It needs the lock.
func (j *journal) follow() {
	if j.log == nil || j.config.AppendFsync == j.policy {
		return
	}
	j.policy = j.config.AppendFsync
	policy, _ := aof.ParsePolicy(j.policy)
	j.log.SetPolicy(policy)
}

// Commit implements engine.Journal.
func (j *journal) Commit(upTo int64) error { return j.log.Commit(upTo) }

// Sync implements engine.Journal.
func (j *journal) Sync(upTo int64) error { return j.log.Sync(upTo) }

// Err implements engine.Journal.
func (j *journal) Err() error { return j.log.Err() }

// switchOn has the engine log to log. It needs the lock.
func (s *Store) switchOn(log *aof.Log) {
	s.journal = &journal{log: log, config: s.e.Config()}
	s.journal.follow()
	s.e.SetJournal(s.journal)
}

// switchOff has the engine log nowhere, and returns where it did. It needs the lock.
func (s *Store) switchOff() *aof.Log {
	log := s.journal.log
	s.journal = &journal{}
	s.e.SetJournal(nil)
	return log
}
