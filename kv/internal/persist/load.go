package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/rdb"
)

const (
	// batch is how many commands or keys are loaded before others get the engine's lock for a moment.
	batch     = 256
	tellEvery = 500 * time.Millisecond
)

// loader loads the files of a store.
type loader struct {
	s        *Store
	progress func(Progress)
	client   *engine.Client // that replays
	started  time.Time
	told     time.Time

	// Under the engine's lock, for INFO.
	total, before, inFile int64 // bytes: of all files, of those before this one, and of this one so far
	keys, expired         int64
	commands              int64

	failed  int64 // commands that replied an error
	failure error // the first of them
}

func newLoader(s *Store, progress func(Progress)) *loader {
	return &loader{s: s, progress: progress, started: time.Now(), told: time.Now()}
}

// load loads the log if it is on, and a snapshot otherwise, or if there is no log yet.
func (l *loader) load(log bool) error {
	l.s.e.Lock()
	l.client = l.s.e.Internal()
	l.s.e.Unlock()
	if log {
		found, err := l.log()
		if found || err != nil {
			return err
		}
	}
	size, err := l.s.fsys.Size(l.s.dump)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if log {
		l.s.log.Warn("there is no append-only log yet: it begins with the snapshot", "file", l.s.dump)
	}
	l.add(size, 0)
	if _, err := l.snapshot(l.s.dump, false); err != nil {
		return err
	}
	l.end()
	return nil
}

// log loads the log's files. It reports whether there are any.
func (l *loader) log() (found bool, err error) {
	s := l.s
	m, err := readManifest(s.fsys, s.logDir, s.prefix)
	if err != nil {
		return true, err
	}
	if m, err = s.adopt(m); m == nil || err != nil {
		return err != nil, err
	}
	s.manifest = m
	// What a process has done that was killed may not be durable. Here and below it is made so, before
	// anything builds on it.
	if err := s.fsys.SyncDir(s.logDir); err != nil {
		return true, err
	}
	if err := s.removeHistory(); err != nil {
		s.log.Warn("old files of the log stay", "error", err)
	}
	var files []aof.File
	if m.Base != nil {
		files = append(files, *m.Base)
	}
	files = append(files, m.Incr...)
	last, sizes, err := l.measure(files)
	if err != nil {
		return true, err
	}
	for i, f := range files {
		name := filepath.Join(s.logDir, f.Name)
		if err := l.file(name, i >= last); err != nil {
			return true, err
		}
		if err := syncFile(s.fsys, name); err != nil {
			return true, err
		}
		l.add(0, sizes[i])
	}
	if l.failed > 0 {
		s.log.Warn("commands of the log have failed", "commands", l.failed, "first", l.failure)
	}
	l.end()
	return true, nil
}

// measure returns the sizes of the files, and which is the last that has anything in it: a crash may have
// torn its end. Those behind it are prepared for what would have come next.
func (l *loader) measure(files []aof.File) (last int, sizes []int64, err error) {
	for i, f := range files {
		size, err := l.s.fsys.Size(filepath.Join(l.s.logDir, f.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil, fmt.Errorf("the AOF file %s, which the manifest lists, does not exist: %w", filepath.Join(l.s.logDir, f.Name), err)
		}
		if err != nil {
			return 0, nil, err
		}
		if size > 0 {
			last = i
		}
		sizes = append(sizes, size)
		l.add(size, 0)
	}
	return last, sizes, nil
}

// file loads one file of the log: commands, or a snapshot with commands behind it.
func (l *loader) file(name string, last bool) error {
	snapshot, err := isRDB(l.s.fsys, name)
	if err != nil {
		return err
	}
	var at int64
	if snapshot {
		if at, err = l.snapshot(name, true); err != nil {
			return err
		}
	}
	err = l.replay(name, at)
	var broken *aof.Error
	if !errors.As(err, &broken) || !errors.Is(err, aof.ErrTorn) {
		return err
	}
	if !last {
		broken.Reason = "and it is not the last file of the log"
		return err
	}
	if !l.s.e.Config().LoadTruncated {
		return err
	}
	size, _ := l.s.fsys.Size(name)
	l.s.log.Warn("the end of the log is torn and is cut off", "file", name, "offset", broken.Offset, "bytes", size-broken.Offset)
	return cutFile(l.s.fsys, name, broken.Offset)
}

// snapshot loads an RDB file and returns how long it is. Keys whose time has run out are left out, unless
// commands follow, which were executed when they had not been removed.
func (l *loader) snapshot(name string, log bool) (size int64, err error) {
	f, err := l.s.fsys.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	e := l.s.e
	e.Lock()
	defer e.Unlock()
	n := 0
	o := rdb.ReadOptions{
		Stamp: e.Keyspace(0).Stamp(), Config: e.Config(),
		Warn:     func(text string) { l.s.log.Warn(text, "file", name) },
		Progress: func(bytes int64, _ int) { l.tell(bytes) },
	}
	now := time.Now().UnixMilli()
	size, err = rdb.Read(f, o, func(item *rdb.Item) error {
		if n++; n%batch == 0 {
			e.Settle()
			e.Unlock()
			e.Lock()
		}
		if item.Deadline != 0 && item.Deadline <= now && !log {
			l.expired++
			return nil
		}
		return l.keep(item)
	})
	if err != nil {
		return size, &aof.Error{File: name, Offset: size, Kind: err}
	}
	return size, nil
}

// keep stores what a snapshot has under a key.
func (l *loader) keep(item *rdb.Item) error {
	k := l.s.e.Keyspace(item.DB)
	if k == nil {
		return fmt.Errorf("the file has database %d, and there are only %d", item.DB, len(l.s.e.Keyspaces()))
	}
	l.keys++
	if item.Value == nil {
		en := k.SetString(item.Key, item.String, item.Deadline)
		if item.Idle >= 0 || item.Frequency >= 0 {
			k.SetUse(en, max(0, item.Idle), max(0, item.Frequency))
		}
		return nil
	}
	en := k.SetValue(item.Key, item.Value, item.Deadline)
	if item.Idle >= 0 || item.Frequency >= 0 {
		k.SetUse(en, max(0, item.Idle), max(0, item.Frequency))
	}
	return nil
}

// replay executes the commands of a file from offset on.
func (l *loader) replay(name string, offset int64) (err error) {
	f, err := openAt(l.s.fsys, name, offset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := aof.NewReader(f, name, offset)
	e := l.s.e
	e.Lock()
	defer e.Unlock()
	l.client.Select(0)
	for n := 1; ; n++ {
		if n%batch == 0 {
			l.tell(r.Offset())
			e.Unlock()
			e.Lock()
		}
		u, err := r.NextUnit()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, args := range u.Commands {
			l.commands++
			if err := l.client.Replay(args); err != nil {
				if err := l.fail(args, err); err != nil {
					return &aof.Error{File: name, Offset: u.Start, Kind: aof.ErrDamaged, Reason: err.Error()}
				}
			}
		}
	}
}

// fail says what an error of a replayed command means. Commands that have failed when they were first
// executed are not in a log, but Redis loads a log in which one fails, and so does this. What is not
// known, or selects a database that is not there, would go on to do damage.
func (l *loader) fail(args [][]byte, err error) error {
	if errors.Is(err, engine.ErrUnknownCommand) || engine.EqualFold(args[0], "SELECT") {
		return err
	}
	l.failed++
	if l.failure == nil {
		l.failure = fmt.Errorf("%.32s: %w", args[0], err)
	}
	return nil
}

// tell tells of the progress, from time to time. It has the lock, and gives it away meanwhile.
func (l *loader) tell(inFile int64) {
	l.inFile = inFile
	if time.Since(l.told) < tellEvery {
		return
	}
	p := l.now()
	l.s.e.Unlock()
	defer l.s.e.Lock()
	l.report(p)
}

// end tells of the progress at the end, without the lock.
func (l *loader) end() {
	l.s.e.Lock()
	p := l.now()
	l.s.e.Unlock()
	p.Loaded = p.Total
	l.report(p)
}

func (l *loader) now() Progress {
	return Progress{
		Loaded: min(l.before+l.inFile, l.total), Total: l.total,
		Keys: l.keys, Commands: l.commands, Elapsed: time.Since(l.started),
	}
}

func (l *loader) report(p Progress) {
	l.told = time.Now()
	if l.progress != nil {
		l.progress(p)
	}
	l.s.log.Info("loading", "bytes", p.Loaded, "of", p.Total, "keys", p.Keys, "commands", p.Commands, "bytesPerSecond", int64(p.Rate()))
}

// add changes what is counted of files, under the lock.
func (l *loader) add(total, before int64) {
	l.s.e.Lock()
	defer l.s.e.Unlock()
	l.total += total
	l.before += before
	l.inFile = 0
}
