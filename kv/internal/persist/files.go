package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/rdb"
	"github.com/zmsg/zmsg/kv/internal/table"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// tempPrefix begins the names of files that are not complete, as Redis has it. Each has one name, so that
// what a crash leaves is overwritten.
const tempPrefix = "temp-kv-"

// syncEvery is after how many bytes a large file is synced while it is written: a sync of all of it at the
// end would hold up the log's.
const syncEvery = 4 << 20

// writeManifest replaces the manifest, durably. What it lists must exist; that their names are durable is
// seen to here.
func (s *Store) writeManifest(m *aof.Manifest) error {
	if err := s.fsys.SyncDir(s.logDir); err != nil {
		return err
	}
	return s.replace(s.logDir, aof.ManifestName(s.prefix), func(f io.Writer) error {
		_, err := f.Write(m.Encode())
		return err
	})
}

// writeBase writes a snapshot as the base called name, durably, and returns how long it is. It is
// replaced if it exists: no manifest lists it.
func (s *Store) writeBase(name string, image image) (size int64, err error) {
	err = s.replace(s.logDir, name, func(f io.Writer) error {
		size, err = image.write(f, true)
		return err
	})
	return size, err
}

// replace writes a file beside its place, syncs it, and puts it there, durably.
func (s *Store) replace(dir, name string, write func(io.Writer) error) error {
	temp := filepath.Join(dir, tempPrefix+name)
	f, err := s.fsys.Create(temp)
	if err != nil {
		return err
	}
	err = write(&syncing{File: f})
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.fsys.Rename(temp, filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, s.removeIfThere(temp))
	}
	return s.fsys.SyncDir(dir)
}

func (s *Store) removeIfThere(name string) error {
	err := s.fsys.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncing is a file that is synced every few megabytes.
type syncing struct {
	vfs.File
	unsynced int
}

func (f *syncing) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.unsynced += n
	if err == nil && f.unsynced >= syncEvery {
		f.unsynced = 0
		err = f.Sync()
	}
	return n, err
}

// image is a snapshot with what is needed to write it.
type image struct {
	*engine.Snapshot
	ctx      context.Context
	config   engine.Config
	memory   int64
	progress func(bytes int64, keys int)
}

// image takes a snapshot. It needs the lock.
func (s *Store) image(ctx context.Context) image {
	return image{Snapshot: s.e.Snapshot(), ctx: ctx, config: *s.e.Config(), memory: int64(s.e.Memory())}
}

// write writes the snapshot to w. It needs no lock, unless the snapshot does.
func (i image) write(w io.Writer, base bool) (int64, error) {
	return rdb.Write(until{w, i.ctx}, i.Snapshot, rdb.WriteOptions{
		Compress: i.config.RDBCompression, Checksum: i.config.RDBChecksum, AOFBase: base,
		Memory: i.memory, Use: use(i.config.Policy, i.Now), Progress: i.progress,
	})
}

// until fails when its context has ended.
type until struct {
	io.Writer
	ctx context.Context
}

func (w until) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// use returns what a snapshot tells of an entry's uses under an eviction policy, or nil.
func use(policy engine.Policy, now int64) func(*table.Entry) (time.Duration, int) {
	switch {
	case strings.HasSuffix(string(policy), "lru"):
		clock := uint32(now / 1000)
		return func(en *table.Entry) (time.Duration, int) {
			return time.Duration((clock-en.LRU())&(1<<24-1)) * time.Second, -1
		}
	case strings.HasSuffix(string(policy), "lfu"):
		return func(en *table.Entry) (time.Duration, int) { return -1, int(en.LRU() & 255) }
	}
	return nil
}

// chainSize returns how many bytes the base and the rest of the log have.
func (s *Store) chainSize(m *aof.Manifest) (base, incrs int64) {
	if m.Base != nil {
		base, _ = s.fsys.Size(filepath.Join(s.logDir, m.Base.Name))
	}
	for _, f := range m.Incr {
		n, _ := s.fsys.Size(filepath.Join(s.logDir, f.Name))
		incrs += n
	}
	return base, incrs
}

// readManifest reads the manifest; without one it returns nil. That there is none though there is something
// in a log is damage: what a manifest does not list yet is empty.
func readManifest(fsys vfs.FS, logDir, prefix string) (*aof.Manifest, error) {
	name := filepath.Join(logDir, aof.ManifestName(prefix))
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unlisted(fsys, logDir, prefix)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, 16<<20))
	if err != nil {
		return nil, err
	}
	m, err := aof.ParseManifest(b)
	if err != nil {
		return nil, &aof.Error{File: name, Kind: err}
	}
	return m, nil
}

// unlisted returns an error if there is a log that has been written to.
func unlisted(fsys vfs.FS, logDir, prefix string) error {
	names, err := fsys.List(logDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, prefix+".") || !strings.HasSuffix(name, ".incr.aof") {
			continue
		}
		name = filepath.Join(logDir, name)
		if size, err := fsys.Size(name); err != nil || size > 0 {
			return errors.Join(err, fmt.Errorf("%s is a part of a log, but %s, which lists its parts, is not there: "+
				"put it back, or move the files away to begin anew", name, filepath.Join(logDir, aof.ManifestName(prefix))))
		}
	}
	return nil
}

// isRDB reports whether a file starts as snapshots do.
func isRDB(fsys vfs.FS, name string) (bool, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	var magic [5]byte
	n, err := io.ReadFull(f, magic[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(magic[:n]) == "REDIS", nil
}

// openAt opens a file to be read from offset.
func openAt(fsys vfs.FS, name string, offset int64) (vfs.File, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	if seeker, ok := f.(io.Seeker); ok {
		_, err = seeker.Seek(offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, f, offset)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// cutFile cuts a file to size bytes, durably.
func cutFile(fsys vfs.FS, name string, size int64) error {
	f, err := fsys.OpenAppend(name)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFile makes a file durable that another process may have written.
func syncFile(fsys vfs.FS, name string) error {
	f, err := fsys.OpenAppend(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
