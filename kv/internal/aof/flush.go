package aof

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unicode"

	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// flush does the next of what is to be done with the file: it changes it, or writes what is buffered and,
// under Always, syncs it. It is called under mu by one that has found busy false, and releases mu meanwhile.
func (l *Log) flush() {
	if l.broken {
		return
	}
	l.busy = true
	l.postponed = time.Time{}
	if l.next != nil && l.next.at == l.written.Load() {
		l.changing = true
		l.change()
		l.changing = false
	} else {
		l.write()
	}
	l.busy = false
	l.cond.Broadcast()
}

// write writes what is buffered for the present file. It has busy.
func (l *Log) write() {
	out, from := l.buf, l.written.Load()
	if l.next != nil {
		out = out[:l.next.at-from]
	}
	l.buf = append(l.spare[:0], l.buf[len(out):]...)
	l.spare = nil
	sync := Policy(l.policy.Load()) == Always
	file := l.file

	l.mu.Unlock()
	err := l.put(out)
	var unsynced error
	if err == nil && sync {
		unsynced = file.Sync()
	}
	l.mu.Lock()

	if err != nil {
		l.buf = append(out, l.buf...)
		l.fail(writeError(err))
		return
	}
	if cap(out) <= maxKept {
		l.spare = out[:0]
	}
	end := from + int64(len(out))
	l.written.Store(end)
	switch {
	case unsynced != nil:
		l.breakDown(unsynced)
	default:
		if sync {
			l.synced.Store(max(end, l.synced.Load()))
		}
		l.fail(nil)
	}
}

// put appends p to the file, all of it or nothing. It has busy and is called without mu.
func (l *Log) put(p []byte) error {
	if l.tail {
		if err := l.file.Truncate(l.size); err != nil {
			return err
		}
		l.tail = false
	}
	if len(p) == 0 {
		return nil
	}
	n, err := l.file.Write(p)
	if err != nil {
		if n > 0 {
			l.tail = l.file.Truncate(l.size) != nil
		}
		return err
	}
	l.mu.Lock()
	l.size += int64(len(p))
	l.mu.Unlock()
	return nil
}

// change completes the present file and goes on in the next. It has busy.
func (l *Log) change() {
	file, at := l.file, l.written.Load()
	l.mu.Unlock()
	err := l.put(nil)
	var unsynced error
	if err == nil {
		unsynced = file.Sync()
	}
	l.mu.Lock()
	switch {
	case err != nil:
		l.fail(writeError(err))
	case unsynced != nil:
		l.breakDown(unsynced)
	default:
		l.synced.Store(max(at, l.synced.Load()))
		l.fail(nil)
		for l.syncing {
			l.cond.Wait()
		}
		if l.next.at == at && !l.broken { // unless it has been moved meanwhile
			l.useNext()
		}
	}
}

// useNext puts the next file in the place of the present one, which is complete or not needed any more.
func (l *Log) useNext() {
	_ = l.file.Close()
	l.file, l.size, l.tail = l.next.file, 0, false
	l.next = nil
}

// sync syncs the present file. It is called under mu by one that has found syncing false, and releases mu
// meanwhile.
func (l *Log) sync() {
	l.syncing = true
	file, upTo := l.file, l.written.Load()
	l.mu.Unlock()
	err := file.Sync()
	l.mu.Lock()
	l.syncing = false
	if err != nil {
		l.breakDown(err)
	} else {
		l.synced.Store(max(upTo, l.synced.Load()))
	}
	l.cond.Broadcast()
}

// background syncs once a second, and tries again what has failed.
func (l *Log) background() {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		for again := l.failed != nil || l.next != nil; again && !l.busy; again = l.failed == nil && l.next != nil {
			l.flush()
		}
		// Under Always nothing is left to sync, unless the policy was another when it was written.
		if Policy(l.policy.Load()) != No && l.synced.Load() < l.written.Load() && !l.syncing && !l.broken {
			l.sync()
		}
		// What was postponed, and what nobody has committed.
		if l.failed == nil && len(l.buf) > 0 && !l.busy {
			l.flush()
		}
		l.mu.Unlock()
	}
}

// WriteError is why writes are refused.
type WriteError struct {
	text string
	err  error
}

// Error implements error.
func (e *WriteError) Error() string { return e.text }

// Unwrap returns the file system's error.
func (e *WriteError) Unwrap() error { return e.err }

// writeError words an error as Redis does.
func writeError(err error) error {
	text := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r := []rune(errno.Error())
		r[0] = unicode.ToUpper(r[0])
		text = string(r)
	}
	return &WriteError{text: "Errors writing to the AOF file: " + text, err: err}
}

// fail sets why writes are refused; nil accepts them again. A sync's failure stays.
func (l *Log) fail(err error) {
	if l.broken && !errors.Is(err, ErrClosed) {
		return
	}
	l.failed = err
	if err == nil {
		l.refusal.Store(nil)
	} else {
		l.refusal.Store(&err)
	}
	l.cond.Broadcast()
}

// breakDown notes that a sync has failed.
func (l *Log) breakDown(err error) {
	if l.broken {
		return
	}
	l.fail(writeError(fmt.Errorf("fsync: %w", err)))
	l.broken = true
}

// Switch has the log go on in file, which is empty, after what has been appended until now; the position
// of that is returned. It does not wait: the old file is completed, synced and closed by Finish, or, if that
// fails, by a later try. If the log is closed, or an earlier switch has not been made yet, ok is false
// and file is not used.
func (l *Log) Switch(file vfs.File) (at int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.next != nil {
		return l.end, false
	}
	l.next = &change{at: l.end, file: file}
	return l.end, true
}

// MoveSwitch moves a switch that has not been made yet to where the log ends now. If there is none, ok is
// false.
func (l *Log) MoveSwitch() (at int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		return l.end, false
	}
	l.next.at = l.end
	return l.end, true
}

// Switching reports whether a switch has not been made yet.
func (l *Log) Switching() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next != nil
}

// Finish waits until the last switch has been made, or cannot be for the error it returns.
func (l *Log) Finish() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.next != nil {
		switch {
		case l.failed != nil:
			return l.failed
		case l.busy:
			l.cond.Wait()
		default:
			l.flush()
		}
	}
	if len(l.buf) > 0 && l.failed == nil && !l.busy {
		l.flush() // what was postponed
	}
	return nil
}

// Rebase says that the state at the position of the last switch is durable without the files before it. A
// switch that could not be made is made now, and what had prevented it is over.
func (l *Log) Rebase(at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy || l.syncing {
		l.cond.Wait()
	}
	l.synced.Store(max(at, l.synced.Load()))
	if l.next == nil || l.next.at != at || l.closed {
		return
	}
	l.buf = l.buf[at-l.written.Load():]
	l.written.Store(at)
	l.useNext()
	l.broken = false
	l.fail(nil)
}

// Broken reports whether a sync has failed, so that only a switch to another file helps.
func (l *Log) Broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}
