// Package persist keeps a database in files: it loads them, logs what changes, rewrites the log, saves
// snapshots, and checks and mends what it finds.
//
// The files are Redis 7's: dump.rdb, and a directory with a manifest, a base and what came after it. A
// redis-server can go on with them, and the other way round.
//
// A crash at any moment leaves files that load: a new file is complete and durable before a manifest lists
// it, and the manifest changes by a rename. What is acknowledged is kept as aof.Log says.
package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// lockName is the file in the data directory whose lock says that the directory is in use.
const lockName = "kv.lock"

// Options are what Open may be told beside the engine's configuration. The zero value is valid.
type Options struct {
	// Progress is called at least once a second while files are loaded, and at the end. May be nil.
	Progress func(Progress)
	// Logger gets messages about loading, rewrites and failures; nil discards them.
	Logger *slog.Logger
}

// Progress is how far loading has come.
type Progress struct {
	Loaded, Total int64 // bytes of files
	Keys          int64 // read from snapshots
	Commands      int64 // replayed from the log
	Elapsed       time.Duration
}

// Rate is how many bytes were loaded a second.
func (p Progress) Rate() float64 { return float64(p.Loaded) / max(p.Elapsed.Seconds(), 1e-9) }

// Store keeps one engine's data in one directory. It implements engine.Persistence.
type Store struct {
	fsys vfs.FS
	e    *engine.Engine
	log  *slog.Logger
	lock io.Closer

	dir, logDir, prefix, dump string

	// manifest is what is in the directory; only the worker uses it after Open.
	manifest *aof.Manifest

	refused string // why writes are refused, as was logged last; only the worker uses it

	stop   context.CancelFunc
	kick   chan struct{}
	joined sync.WaitGroup

	state // under the engine's lock
}

// Open locks the directory that the engine's configuration names, loads what is in it, and from then on
// keeps the engine's changes there. The engine must be empty, and have its commands; its clients get
// LOADING errors meanwhile. Close ends it.
//
// A torn end of the log is cut off, with a warning, unless LoadTruncated is off. Of other damage Open
// returns an *aof.Error, which names the file and the place.
func Open(fsys vfs.FS, e *engine.Engine, o Options) (*Store, error) {
	c := e.Config()
	s := &Store{
		fsys: fsys, e: e, log: o.Logger,
		dir: c.Dir, logDir: filepath.Join(c.Dir, c.AppendDirname),
		prefix: c.AppendFilename, dump: filepath.Join(c.Dir, c.DBFilename),
		kick: make(chan struct{}, 1), manifest: &aof.Manifest{},
	}
	s.journal = &journal{}
	s.saveOK, s.rewriteOK = true, true
	s.saveTook, s.rewriteTook = -1, -1
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.makeDir(s.dir); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(filepath.Join(s.dir, lockName))
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := s.start(o); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// start loads the files and begins to log.
func (s *Store) start(o Options) error {
	e := s.e
	l := newLoader(s, o.Progress)
	e.Lock()
	e.SetLoading(true)
	e.SetPersistence(s)
	s.loader = l
	on := e.Config().AppendOnly
	e.Unlock()
	err := l.load(on)
	var log *aof.Log
	if err == nil && on {
		log, err = s.openLog()
	}
	// The first command that changes something finds the log open.
	e.Lock()
	e.Settle()
	s.loader = nil
	s.expired, s.loaded = l.expired, l.keys
	e.MarkSaved(e.Dirty(), time.Now())
	if log != nil {
		s.switchOn(log)
	}
	if err == nil {
		e.SetLoading(false)
	}
	e.Unlock()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.joined.Go(func() { s.work(ctx) })
	return nil
}

// openLog opens the log for writing; if there is none, it makes one of what has been loaded.
func (s *Store) openLog() (*aof.Log, error) {
	if err := s.makeDir(s.logDir); err != nil {
		return nil, err
	}
	m := s.manifest.Clone()
	if m.Base == nil && len(m.Incr) == 0 {
		base := m.NextBase(s.prefix)
		s.e.Lock()
		image := s.image(context.Background())
		s.e.Unlock()
		_, err := s.writeBase(base.Name, image)
		image.Release()
		if err != nil {
			return nil, err
		}
		m.Base = &base
	}
	open, changed := s.fsys.OpenAppend, len(m.Incr) == 0
	if changed {
		m.Incr = append(m.Incr, m.NextIncr(s.prefix))
		open = s.fsys.Create // which may be left over from a start that came no further
	}
	name := filepath.Join(s.logDir, m.Incr[len(m.Incr)-1].Name)
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	if changed {
		err = s.writeManifest(m)
	}
	size, unknown := s.fsys.Size(name)
	if err := errors.Join(err, unknown); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.manifest = m
	s.base, s.incrs = s.chainSize(m)
	s.rewriteBase = s.base + s.incrs
	s.incrs -= size
	return aof.NewLog(file, size, aof.No), nil
}

// Close ends what goes on in the background, writes and syncs what has been logged, and releases the
// directory. If there are save points, it saves a snapshot of what is not saved yet. From then on writes
// are refused, or, without a log, not kept. It returns an error if something may be lost. It may be called
// again.
func (s *Store) Close() error {
	s.stop()
	s.joined.Wait()
	s.e.Lock()
	if s.closed {
		s.e.Unlock()
		return nil
	}
	s.closed = true
	s.now = idle // what has been begun since is not done any more
	log := s.journal.log
	var err error
	if s.lastDue() {
		err = s.Save()
	}
	s.e.Unlock()
	if log != nil {
		err = errors.Join(err, log.Close())
	}
	return errors.Join(err, s.lock.Close())
}

// SaveLast writes the last snapshot, if there shall be one, before the program stops: while it still can go on
// if that fails. What changes afterwards Close saves, if there are save points. It needs the engine's lock.
func (s *Store) SaveLast(l engine.LastSnapshot) error {
	s.last = l
	if !s.lastDue() || s.now == saving { // Close follows what goes on
		return nil
	}
	if err := s.Save(); err != nil {
		s.last = engine.SnapshotIfDue
		return err
	}
	s.last = engine.SnapshotIfDue
	return nil
}

// lastDue reports whether a snapshot is to be written at the end. It needs the lock.
func (s *Store) lastDue() bool {
	return s.last == engine.SnapshotAlways ||
		s.last == engine.SnapshotIfDue && len(s.e.Config().SavePoints) > 0 && s.e.Unsaved() > 0
}

// makeDir creates a directory, durably.
func (s *Store) makeDir(name string) error {
	if _, err := s.fsys.List(name); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fsys.MkdirAll(name); err != nil {
		return err
	}
	if err := s.fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("making %s durable: %w", name, err)
	}
	return nil
}
