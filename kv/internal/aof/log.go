package aof

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// Policy says when what was written is synced.
type Policy int32

// The policies, which appendfsync names.
const (
	No       Policy = iota // when the system likes
	EverySec               // once a second, in the background
	Always                 // before Commit returns
)

// ParsePolicy reads the value of appendfsync.
func ParsePolicy(name string) (Policy, bool) {
	switch name {
	case "no":
		return No, true
	case "everysec":
		return EverySec, true
	case "always":
		return Always, true
	}
	return No, false
}

const (
	syncEvery = time.Second
	// postponeFor is how long Commit lets data wait in the buffer for a sync to end, and maxPostponed, how
	// much of it.
	postponeFor  = 2 * time.Second
	maxPostponed = 64 << 20
	// maxKept is how large a buffer is kept for reuse.
	maxKept = 4 << 20
)

// ErrClosed is what a closed log returns.
var ErrClosed = errors.New("the AOF is closed")

// Log writes the log. Positions in it are logical: they go on rising when the file changes. It is safe for
// concurrent use.
//
// What Commit has acknowledged outlives the process, and under Always the machine. There are two windows.
// Under EverySec, a crash of the machine loses at most what was executed since the last completed sync
// began: a second, and as long as one sync takes. While such a sync runs, writing might have to wait for it,
// so Commit acknowledges what is in the buffer still, for at most two seconds and 64 MB; a crash of the
// process in these moments loses that.
//
// A write that fails is undone, tried again each second, and refused by Err and Commit meanwhile. After a
// sync that failed the file is not trusted any more: that lasts until Switch and Rebase have put another
// in its place.
type Log struct {
	policy          atomic.Int32
	written, synced atomic.Int64 // positions; changed under mu
	refusal         atomic.Pointer[error]

	mu   sync.Mutex
	cond *sync.Cond // busy or syncing has ended, or failed has changed

	buf, spare []byte // what starts at written, except during a write
	end        int64
	busy       bool // somebody writes or changes the file: owns file, size and tail
	changing   bool // and does so to change the file
	syncing    bool // somebody syncs file, which must stay open
	failed     error
	broken     bool // failed is of a sync
	closed     bool
	postponed  time.Time
	delayed    int64

	file vfs.File
	size int64 // of what is good in the file, in bytes
	tail bool  // the file may have more, which a failed write has left
	next *change

	stop   chan struct{}
	joined sync.WaitGroup
}

// change is a switch to another file that has not been made yet.
type change struct {
	at   int64
	file vfs.File
}

// NewLog goes on writing to the end of file, which has size bytes. Close ends what NewLog starts.
func NewLog(file vfs.File, size int64, policy Policy) *Log {
	l := &Log{file: file, size: size, stop: make(chan struct{})}
	l.cond = sync.NewCond(&l.mu)
	l.policy.Store(int32(policy))
	l.joined.Go(l.background)
	return l
}

// SetPolicy sets when what is appended from now on, and what was not synced before, is synced.
func (l *Log) SetPolicy(p Policy) { l.policy.Store(int32(p)) }

// Append adds encoded commands, which it copies, and returns where the log ends with them.
func (l *Log) Append(p []byte) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	l.end += int64(len(p))
	return l.end
}

// End returns where the log ends.
func (l *Log) End() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// safe is how far the log has come, by the policy.
func (l *Log) safe() int64 {
	if Policy(l.policy.Load()) == Always {
		return l.synced.Load()
	}
	return l.written.Load()
}

// Commit returns when the log up to upTo is written, or, under Always, synced. Of many callers one writes
// what all of them have appended.
func (l *Log) Commit(upTo int64) error {
	if l.safe() >= upTo {
		return nil
	}
	if Policy(l.policy.Load()) == Always {
		runtime.Gosched() // who is about to append gets into the same sync
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	upTo = min(upTo, l.end)
	for {
		switch {
		case l.safe() >= upTo:
			return nil
		case l.failed != nil:
			return l.failed
		case l.busy && !l.changing:
			l.cond.Wait()
		case l.postpone():
			return nil
		case l.busy:
			l.cond.Wait()
		default:
			l.flush()
		}
	}
}

// postpone reports whether writing can wait for a sync: under EverySec, for a while. A switch to another file
// syncs too; it is left to Finish.
func (l *Log) postpone() bool {
	waits := l.syncing || l.changing || l.next != nil && l.next.at == l.written.Load()
	if !waits || Policy(l.policy.Load()) != EverySec || len(l.buf) >= maxPostponed {
		return false
	}
	if l.postponed.IsZero() {
		l.postponed = time.Now()
	}
	if time.Since(l.postponed) < postponeFor {
		return true
	}
	l.delayed++
	return false
}

// Sync returns when the log up to upTo has been synced, whatever the policy.
func (l *Log) Sync(upTo int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	upTo = min(upTo, l.end)
	for {
		switch {
		case l.synced.Load() >= upTo:
			return nil
		case l.failed != nil:
			return l.failed
		case l.busy:
			l.cond.Wait()
		case l.written.Load() < upTo:
			l.flush()
		case l.syncing:
			l.cond.Wait()
		default:
			l.sync()
		}
	}
}

// Readable reports whether a client whose own changes end at own may be answered though Commit has failed:
// they are written. Under Always it may not: it would see changes that can still be lost.
func (l *Log) Readable(own int64) bool {
	return Policy(l.policy.Load()) != Always && l.written.Load() >= own
}

// Err says why writes must be refused, or nil.
func (l *Log) Err() error {
	if e := l.refusal.Load(); e != nil {
		return *e
	}
	return nil
}

// Stats is what a log can tell of itself.
type Stats struct {
	Size     int64 // of the present file with what is to be written to it, in bytes
	Buffered int   // bytes that are not written yet
	Syncing  bool
	Delayed  int64 // writes that had to wait for a sync though it was postponed
}

// Stats returns what the log can tell of itself.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Size: l.size + l.end - l.written.Load(), Buffered: len(l.buf), Syncing: l.syncing, Delayed: l.delayed}
}

// Close writes and syncs everything and closes the file. It returns an error if something may be lost.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	end := l.end
	close(l.stop)
	l.mu.Unlock()
	l.joined.Wait()
	err := l.retrySync(end)
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy || l.syncing {
		l.cond.Wait()
	}
	err = errors.Join(err, l.file.Close())
	if l.next != nil {
		err = errors.Join(err, l.next.file.Close())
	}
	l.fail(ErrClosed)
	return err
}

// retrySync is Sync with another try first if the last write has failed.
func (l *Log) retrySync(upTo int64) error {
	l.mu.Lock()
	for l.busy {
		l.cond.Wait()
	}
	if l.failed != nil && !l.broken {
		l.flush()
	}
	l.mu.Unlock()
	return l.Sync(upTo)
}
