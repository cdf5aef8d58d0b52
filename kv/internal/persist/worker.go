package persist

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const (
	tick = 100 * time.Millisecond
	// After a failure the next save that nobody has asked for waits for saveAgain, and the next rewrite for a
	// second, then two, up to retryMax.
	saveAgain = 5 * time.Second
	retryMax  = time.Minute
)

// work does one job after the other, as they are asked for or fall due.
func (s *Store) work(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	finished := make(chan struct{})
	busy := false
	for {
		if ctx.Err() == nil && !busy {
			busy = s.startNext(ctx, finished)
		}
		select {
		case <-ctx.Done():
			if busy {
				<-finished
			}
			return
		case <-finished:
			busy = false
		case <-s.kick:
		case <-ticker.C:
			s.e.Lock()
			s.journal.follow() // if nothing has been appended since it changed
			s.e.Unlock()
			s.tellRefusal()
		}
	}
}

// tellRefusal logs when writes begin to be refused because the log cannot be written, and when that ends.
// The worker alone calls it.
func (s *Store) tellRefusal() {
	s.e.Lock()
	var err error
	if log := s.journal.log; log != nil {
		err = log.Err()
	}
	s.e.Unlock()
	switch {
	case err != nil && s.refused == "":
		s.log.Error("writes are refused", "error", err)
	case err == nil && s.refused != "":
		s.log.Info("writes are accepted again")
	}
	s.refused = ""
	if err != nil {
		s.refused = err.Error()
	}
}

// startNext starts what there is to do, and reports whether there was anything. It sends to finished when
// that has been done.
func (s *Store) startNext(ctx context.Context, finished chan<- struct{}) bool {
	s.e.Lock()
	defer s.e.Unlock()
	s.choose(time.Now())
	todo := s.now
	if todo == idle {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	s.joined.Go(func() {
		defer cancel()
		began := time.Now()
		var err error
		if todo == saving {
			err = s.save(ctx)
		} else {
			err = s.rewrite(ctx)
			if errors.Is(err, errSwitched) {
				err = s.rewrite(ctx)
			}
		}
		s.done(todo, err, time.Since(began))
		finished <- struct{}{}
	})
	return true
}

// choose picks the next job. It needs the lock.
func (s *Store) choose(now time.Time) {
	switch {
	case s.now != idle: // begun by a command
	case s.next != idle:
		s.begin(s.next)
		s.next = idle
	case s.due(now):
		s.begin(rewriting)
	case s.saveDue(now):
		s.begin(saving)
	}
}

// begin notes that a job goes on, and has the worker do it. It needs the lock.
func (s *Store) begin(j job) {
	s.now, s.began = j, time.Now()
	if j == saving {
		s.saveTried = s.began
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// done notes how a job has ended.
func (s *Store) done(j job, err error, took time.Duration) {
	name := "snapshot"
	s.e.Lock()
	s.now, s.cancel = idle, nil
	if j == saving {
		s.saved(err, took)
	} else {
		name = "rewrite of the log"
		s.rewriteOK, s.rewriteTook = err == nil, took
		s.rewrites++
		if err == nil {
			s.failures = 0
		} else if !errors.Is(err, context.Canceled) {
			s.failures++
		}
		s.retryAt = time.Now().Add(min(retryMax, time.Second<<min(s.failures, 10)/2))
	}
	s.e.Unlock()
	switch {
	case err == nil:
		s.log.Info(name+" done", "took", took)
	case errors.Is(err, context.Canceled):
		s.log.Info(name + " abandoned")
	default:
		s.log.Error(name+" failed", "error", err)
	}
}

// saveDue reports whether a save point is reached. It needs the lock.
func (s *Store) saveDue(now time.Time) bool {
	for _, p := range s.e.Config().SavePoints {
		if s.e.Unsaved() >= p.Changes && now.Sub(s.e.LastSave()) > p.After {
			return s.saveOK || now.Sub(s.saveTried) > saveAgain
		}
	}
	return false
}

// save writes a snapshot in the background.
func (s *Store) save(ctx context.Context) error {
	s.e.Lock()
	image := s.startImage(ctx)
	s.e.Unlock()
	err := s.writeDump(image)
	s.e.Lock()
	defer s.e.Unlock()
	image.ReleaseLocked()
	if err == nil {
		s.e.MarkSaved(image.Dirty, time.Now())
		s.saves++
	}
	return err
}

// saved notes how a snapshot in the background has ended, or that one in the foreground has not failed: whoever
// asked for that is told himself. It needs the lock.
func (s *Store) saved(err error, took time.Duration) {
	if !errors.Is(err, context.Canceled) {
		s.saveOK = err == nil
	}
	s.saveTook = took
	s.e.SaveFailed(!s.saveOK)
}

func (s *Store) writeDump(image image) error {
	return s.replace(s.dir, filepath.Base(s.dump), func(f io.Writer) error {
		_, err := image.write(f, false)
		return err
	})
}

// Save implements engine.Persistence. Nobody else has the lock until it is done, and so it reads the
// keyspaces themselves.
func (s *Store) Save() error {
	if s.now == saving {
		return errSaving
	}
	snap := &engine.Snapshot{Dirty: s.e.Dirty(), Now: s.e.Now()}
	for _, k := range s.e.Keyspaces() {
		snap.Tables = append(snap.Tables, k.Table())
	}
	began := time.Now()
	err := s.writeDump(image{Snapshot: snap, ctx: context.Background(), config: *s.e.Config(), memory: int64(s.e.Memory())})
	s.saveTook = time.Since(began)
	if err != nil {
		s.log.Error("snapshot failed", "error", err)
		return err
	}
	s.saved(nil, s.saveTook)
	s.e.MarkSaved(snap.Dirty, time.Now())
	s.saves++
	return nil
}

// Redis's words.
var (
	errSaving    = errors.New("Background save already in progress")
	errRewriting = errors.New("Background append only file rewriting already in progress")
	errBusy      = errors.New("Another child process is active (AOF?): can't BGSAVE right now. " + //nolint:staticcheck // Redis's words end so
		"Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.")
)

// StartSave implements engine.Persistence.
func (s *Store) StartSave(schedule bool) (scheduled bool, err error) {
	switch {
	case s.now == saving:
		return false, errSaving
	case s.now == idle:
		s.begin(saving)
		return false, nil
	case !schedule:
		return false, errBusy
	}
	s.next = saving
	return true, nil
}

// StartRewrite implements engine.Persistence.
func (s *Store) StartRewrite() (scheduled bool, err error) {
	switch s.now {
	case rewriting:
		return false, errRewriting
	case idle:
		s.begin(rewriting)
		return false, nil
	}
	s.next = rewriting
	return true, nil
}

// SetAppend implements engine.Persistence. Turned on, the log begins with a rewrite, in the background,
// which is repeated until it succeeds. Turned off, it is completed and synced before SetAppend returns;
// its files stay.
func (s *Store) SetAppend(on bool) error {
	switch {
	case s.loader != nil:
		return errors.New("the dataset is being loaded")
	case on && (s.turning || s.journal.log != nil):
		return nil
	case on:
		s.turning = true
		if s.now == idle {
			s.begin(rewriting)
		}
		return nil
	}
	s.turning = false
	if s.now == rewriting && s.cancel != nil {
		s.cancel()
	}
	if log := s.switchOff(); log != nil {
		if err := log.Close(); err != nil {
			s.log.Error("the end of the log may be lost", "error", err)
		}
	}
	return nil
}
