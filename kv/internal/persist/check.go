package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/rdb"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// Report is what Check has found in one file.
type Report struct {
	Name     string // with its directory
	Size     int64
	Keys     int64 // in a snapshot
	Commands int64 // in a log
	Warnings []string
	// Err is nil if the file is whole; otherwise an *aof.Error says where it is not.
	Err error
	// Copy is where the file as it was has been kept, if it has been cut; Cut is how many bytes that took.
	Copy string
	Cut  int64
}

// Check reads all files of a database that is not in use: the snapshot, the manifest, and what that lists.
// The engine, which is not changed, has the commands and the configuration, which names the files. If fix is set, the end of a log from its first damage on is cut off,
// after a copy has been made; that is not done to a file which others of the log follow, nor to snapshots.
//
// The error is nil if everything is whole, or is now; else it is the first damage, or says what keeps
// Check from looking.
func Check(fsys vfs.FS, e *engine.Engine, fix bool) ([]Report, error) {
	config := e.Config()
	if _, err := fsys.List(config.Dir); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(filepath.Join(config.Dir, lockName))
	if err != nil {
		return nil, err
	}
	c := checker{fsys: fsys, e: e, config: config, fix: fix}
	c.snapshot(filepath.Join(config.Dir, config.DBFilename))
	err = c.chain()
	for _, r := range c.reports {
		if err == nil && r.Err != nil && r.Copy == "" {
			err = r.Err
		}
	}
	return c.reports, errors.Join(err, lock.Close())
}

type checker struct {
	fsys    vfs.FS
	e       *engine.Engine
	config  *engine.Config
	fix     bool
	reports []Report
}

// snapshot checks the snapshot, if there is one.
func (c *checker) snapshot(name string) {
	size, err := c.fsys.Size(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	r := Report{Name: name, Size: size, Err: err}
	if err == nil {
		_, r.Err = c.readSnapshot(&r)
	}
	c.reports = append(c.reports, r)
}

// chain checks the log, if there is one.
func (c *checker) chain() error {
	dir := filepath.Join(c.config.Dir, c.config.AppendDirname)
	m, err := readManifest(c.fsys, dir, c.config.AppendFilename)
	if err != nil {
		return err
	}
	if m == nil { // perhaps that of a version before 7
		dir = c.config.Dir
		if _, err := c.fsys.Size(filepath.Join(dir, c.config.AppendFilename)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		m = &aof.Manifest{Base: &aof.File{Name: c.config.AppendFilename}}
	}
	var files []aof.File
	if m.Base != nil {
		files = append(files, *m.Base)
	}
	files = append(files, m.Incr...)
	last := 0
	from := len(c.reports)
	for i, f := range files {
		r := Report{Name: filepath.Join(dir, f.Name)}
		r.Size, r.Err = c.fsys.Size(r.Name)
		if r.Size > 0 {
			last = i
		}
		c.reports = append(c.reports, r)
	}
	for i := range files {
		r := &c.reports[from+i]
		if r.Err == nil {
			c.file(r, i >= last)
		}
	}
	return nil
}

// file checks a file of the log, and mends it if it shall and can be.
func (c *checker) file(r *Report, last bool) {
	var at int64
	snapshot, err := isRDB(c.fsys, r.Name)
	if err == nil && snapshot {
		at, err = c.readSnapshot(r)
	}
	if err == nil {
		err = c.readLog(r, at)
	}
	r.Err = err
	var broken *aof.Error
	if !c.fix || !errors.As(err, &broken) || !errors.Is(err, aof.ErrTorn) && !errors.Is(err, aof.ErrDamaged) {
		return
	}
	if !last {
		r.Warnings = append(r.Warnings, "not cut, for the log goes on in other files")
		return
	}
	if err := c.mend(r, broken.Offset); err != nil {
		r.Err, r.Cut, r.Copy = errors.Join(r.Err, err), 0, ""
	}
}

// readSnapshot reads a snapshot and returns how long it is.
func (c *checker) readSnapshot(r *Report) (size int64, err error) {
	f, err := c.fsys.Open(r.Name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	o := rdb.ReadOptions{Stamp: 1, Config: c.config, Warn: func(text string) { r.Warnings = append(r.Warnings, text) }}
	size, err = rdb.Read(f, o, func(item *rdb.Item) error {
		if item.DB >= c.config.Databases {
			return fmt.Errorf("database %d, and there are only %d", item.DB, c.config.Databases)
		}
		r.Keys++
		return nil
	})
	if err != nil {
		return size, &aof.Error{File: r.Name, Offset: size, Kind: err}
	}
	return size, nil
}

// readLog reads the commands of a file from offset on.
func (c *checker) readLog(r *Report, offset int64) (err error) {
	f, err := openAt(c.fsys, r.Name, offset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	reader := aof.NewReader(f, r.Name, offset)
	for {
		u, err := reader.NextUnit()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, args := range u.Commands {
			if err := c.runs(args); err != nil {
				return &aof.Error{File: r.Name, Offset: u.Start, Kind: errForeign, Reason: err.Error()}
			}
		}
		r.Commands += int64(len(u.Commands))
	}
}

// errForeign is not cut off: what follows is whole, and another program may read all.
var errForeign = errors.New("it is whole, but cannot be loaded here")

// runs returns why Open would refuse a command, or nil.
func (c *checker) runs(args [][]byte) error {
	if c.e.Command(args[0]) == nil {
		return fmt.Errorf("there is no command %.32q", args[0])
	}
	if len(args) == 2 && engine.EqualFold(args[0], "SELECT") {
		if n, ok := engine.ParseInt(args[1]); !ok || n < 0 || n >= int64(c.config.Databases) {
			return fmt.Errorf("there is no database %.32q", args[1])
		}
	}
	return nil
}

// mend cuts a file to size bytes, after it has been copied beside its place.
func (c *checker) mend(r *Report, size int64) error {
	for n := 1; r.Copy == ""; n++ {
		name := fmt.Sprintf("%s.damaged.%d", r.Name, n)
		if _, err := c.fsys.Size(name); errors.Is(err, fs.ErrNotExist) {
			r.Copy = name
		} else if err != nil {
			return err
		}
	}
	if err := c.copyFile(r.Name, r.Copy); err != nil {
		r.Copy = ""
		return err
	}
	r.Cut = r.Size - size
	return cutFile(c.fsys, r.Name, size)
}

func (c *checker) copyFile(from, to string) error {
	src, err := c.fsys.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := c.fsys.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return errors.Join(err, c.fsys.Remove(to))
	}
	return c.fsys.SyncDir(filepath.Dir(to))
}
