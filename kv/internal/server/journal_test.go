package server_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/server"
)

// journal is a log whose commits can be held up and made to fail.
type journal struct {
	end     int64 // under the engine's lock
	safe    atomic.Int64
	commits atomic.Int64
	gate    sync.RWMutex
	broken  atomic.Bool
}

func (j *journal) Append(p []byte) int64 {
	j.end += int64(len(p))
	return j.end
}

func (j *journal) Commit(upTo int64) error {
	j.gate.RLock()
	defer j.gate.RUnlock()
	if j.broken.Load() {
		return errors.New("Errors writing to the AOF file: no space left on device")
	}
	j.commits.Add(1)
	for {
		old := j.safe.Load()
		if old >= upTo || j.safe.CompareAndSwap(old, upTo) {
			return nil
		}
	}
}

func (j *journal) Sync(upTo int64) error { return j.Commit(upTo) }

func (j *journal) Err() error { return nil }

// Readable lets those be answered who have changed nothing that is not safe.
func (j *journal) Readable(own int64) bool { return own <= j.safe.Load() }

func (r *rig) log() *journal {
	j := new(journal)
	r.e.Lock()
	defer r.e.Unlock()
	r.e.SetJournal(j)
	return j
}

func TestRepliesWaitForTheLog(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		t := r.t
		j := r.log()
		p := r.dial()
		for range 20 {
			p.send("SET a 1\r\n")
			p.expect("+OK\r\n")
			if end := locked(r, func() int64 { return j.end }); j.safe.Load() != end {
				t.Fatalf("acknowledged with %d of %d bytes safe", j.safe.Load(), end)
			}
		}
	})
}

// While one commit is under way, what all others have sent gathers for the next.
func TestTurnsShareCommits(t *testing.T) {
	t.Parallel()
	r := newRig(t, server.Options{}, nil)
	j := r.log()
	first := r.dial()
	const n = 50
	var others []*peer
	for range n {
		p := r.dial()
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
		others = append(others, p)
	}
	j.gate.Lock()
	first.send("SET a 1\r\n")
	await(t, "the first is executed", func() bool { return locked(r, func() bool { return j.end > 0 }) })
	for _, p := range others {
		p.send("INCR n\r\n")
	}
	before := j.commits.Load()
	j.gate.Unlock()
	first.expect("+OK\r\n")
	for _, p := range others {
		p.expect(":")
	}
	if commits := j.commits.Load() - before; commits > n/2 {
		t.Errorf("%d commits for %d clients that wrote at once", commits, n)
	}
}

func TestNothingIsAcknowledgedThatIsNotLogged(t *testing.T) {
	t.Parallel()
	both(t, server.Options{}, nil, func(r *rig) {
		j := r.log()
		writer, listener, reader := r.dial(), r.dial(), r.dial()
		writer.send("SET a 1\r\n")
		writer.expect("+OK\r\n")
		listener.send("TEST.LISTEN news\r\n")
		listener.expect("+OK\r\n")
		j.broken.Store(true)
		writer.send(strings.Repeat("SET a 2\r\n", 3) + "TEST.PUBLISH news x\r\n")
		want := string(engine.CommitError(errors.New("Errors writing to the AOF file: no space left on device")))
		writer.expectEnd(want)
		listener.expectEnd(want)
		// Who has only read goes on.
		reader.send("STRLEN a\r\n")
		reader.expect(":1\r\n")
	})
}
