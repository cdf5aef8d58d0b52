package persist

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// rewrite replaces the log by a snapshot and what is logged from its moment on:
//
//  1. the next file of the log is created, and listed in the manifest, empty;
//  2. the present file is synced, so that little of it is left to do;
//  3. under the engine's lock, in microseconds, the log is told to go on in the next file and the snapshot
//     is taken. The log completes and syncs the present file before it writes to the next, so that a
//     crash leaves both, or the present one alone, with an end that may be torn;
//  4. the snapshot is written as the new base, without the lock;
//  5. a manifest that lists it and the next file replaces the old one;
//  6. the old files are removed.
//
// When it fails after step 1 the log just has one file more. If the log could not be written any more,
// nothing after the snapshot has been acknowledged, and step 5 heals it.
func (s *Store) rewrite(ctx context.Context) error {
	s.e.Lock()
	log, turning := s.journal.log, s.turning
	s.e.Unlock()
	if log == nil {
		return s.rewriteOff(ctx, turning)
	}
	m, file, err := s.prepareNext(log)
	if err != nil {
		return err
	}
	// Whatever is wrong with the present file is found by the log itself.
	_ = log.Sync(log.End())

	s.e.Lock()
	at, err := s.switchTo(log, file)
	if err != nil {
		s.e.Unlock()
		return err
	}
	image := s.startImage(ctx)
	s.e.Unlock()
	if err := log.Finish(); err != nil {
		s.log.Warn("the present file of the log cannot be completed; only the rewrite can help", "error", err)
	}
	if err := s.finishRewrite(m, image, true); err != nil {
		return err
	}
	log.Rebase(at)
	return s.afterRewrite()
}

// errSwitched says that a rewrite has to begin anew.
var errSwitched = errors.New("the log has gone on in the next file")

// switchTo has the log go on in file, or, if that is nil, in the one that waits to be used. It needs the
// lock.
func (s *Store) switchTo(log *aof.Log, file vfs.File) (at int64, err error) {
	s.e.RestartLog()
	if file == nil {
		at, ok := log.MoveSwitch()
		if !ok {
			return 0, errSwitched // whatever has kept it from it is over
		}
		return at, nil
	}
	size := log.Stats().Size
	at, ok := log.Switch(file)
	if !ok {
		return 0, errors.Join(aof.ErrClosed, file.Close())
	}
	s.incrs += size
	return at, nil
}

// prepareNext creates the file that the log goes on in, and lists it. If an earlier one still waits to be
// used, file is nil.
func (s *Store) prepareNext(log *aof.Log) (m *aof.Manifest, file vfs.File, err error) {
	m = s.manifest.Clone()
	if !log.Switching() {
		next := m.NextIncr(s.prefix)
		m.Incr = append(m.Incr, next)
		file, err = s.fsys.Create(filepath.Join(s.logDir, next.Name))
		if err != nil {
			return nil, nil, err
		}
	}
	// If this fails, the new manifest may be in place all the same: the file stays, and is made anew.
	if err := s.writeManifest(m); err != nil {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		return nil, nil, err
	}
	s.manifest = m.Clone()
	return m, file, nil
}

// rewriteOff makes a log of a database that logs nothing. If it shall log from now on, turning is set.
func (s *Store) rewriteOff(ctx context.Context, turning bool) error {
	m, err := s.presentManifest()
	if err != nil {
		return err
	}
	next := m.NextIncr(s.prefix)
	var log *aof.Log
	if turning {
		file, err := s.fsys.Create(filepath.Join(s.logDir, next.Name))
		if err != nil {
			return err
		}
		log = aof.NewLog(file, 0, aof.No)
		m.Incr = append(m.Incr, next)
	}
	s.e.Lock()
	if turning {
		s.switchOn(log)
		s.incrs = 0
	}
	image := s.startImage(ctx)
	s.e.Unlock()
	err = s.finishRewrite(m, image, turning)
	s.e.Lock()
	wanted := turning && s.journal.log == log // and not turned off meanwhile
	if wanted && err == nil {
		s.turning = false
	} else if wanted {
		s.switchOff()
	}
	s.e.Unlock()
	if err != nil && log != nil {
		err = errors.Join(err, log.Close())
	}
	if err != nil {
		return err
	}
	return s.afterRewrite()
}

// presentManifest returns a copy of the manifest, which has not been read if the log has been off.
func (s *Store) presentManifest() (*aof.Manifest, error) {
	if err := s.makeDir(s.logDir); err != nil {
		return nil, err
	}
	if s.manifest.Base == nil && len(s.manifest.Incr) == 0 {
		found, err := readManifest(s.fsys, s.logDir, s.prefix)
		if err != nil {
			return nil, err
		}
		if found != nil {
			s.manifest = found
		}
	}
	return s.manifest.Clone(), nil
}

// startImage takes the snapshot of the job that goes on. It needs the lock.
func (s *Store) startImage(ctx context.Context) image {
	image := s.image(ctx)
	s.keys, s.total = 0, 0
	for _, t := range image.Tables {
		s.total += t.Len()
	}
	image.progress = func(_ int64, keys int) {
		s.e.Lock()
		defer s.e.Unlock()
		s.keys = keys
	}
	return image
}

// finishRewrite writes the base, and the manifest in which it replaces all files of m but, if keepLast is
// set, the last.
func (s *Store) finishRewrite(m *aof.Manifest, image image, keepLast bool) error {
	base := m.NextBase(s.prefix)
	size, err := s.writeBase(base.Name, image)
	image.Release()
	if err != nil {
		return err
	}
	old := len(m.Incr)
	if keepLast {
		old--
	}
	if m.Base != nil {
		m.History = append(m.History, *m.Base)
	}
	m.History = append(m.History, m.Incr[:old]...)
	for i := range m.History {
		m.History[i].Type = aof.History
	}
	m.Base, m.Incr = &base, m.Incr[old:]
	if err := s.writeManifest(m); err != nil {
		return err
	}
	s.manifest = m
	s.e.Lock()
	s.base, s.incrs = size, 0
	s.e.Unlock()
	return nil
}

// afterRewrite removes what has been replaced. The rewrite has succeeded before.
func (s *Store) afterRewrite() error {
	if err := s.removeHistory(); err != nil {
		s.log.Warn("old files of the log stay", "error", err)
	}
	s.e.Lock()
	s.rewriteBase = s.size()
	s.e.Unlock()
	return nil
}

// size is how many bytes the log has. It needs the lock.
func (s *Store) size() int64 {
	n := s.base + s.incrs
	if s.journal.log != nil {
		n += s.journal.log.Stats().Size
	}
	return n
}

// due reports whether the log has grown so much that it shall be rewritten. It needs the lock.
func (s *Store) due(now time.Time) bool {
	c := s.e.Config()
	if s.journal.log == nil {
		return s.turning && !now.Before(s.retryAt)
	}
	if now.Before(s.retryAt) {
		return false
	}
	if s.journal.log.Broken() {
		return true
	}
	size := s.size()
	if c.RewritePercentage <= 0 || size <= c.RewriteMinSize {
		return false
	}
	base := max(1, s.rewriteBase)
	return float64(size-base)*100/float64(base) >= float64(c.RewritePercentage)
}
