package persist_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"

	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// gate is a file system in which the background worker does its operations one by one, as it is let: so
// that a seed decides how they fall between commands. The log's own files are not held up.
type gate struct {
	vfs.FS
	tokens chan struct{}
	once   sync.Once
}

func newGate(fsys vfs.FS) *gate { return &gate{FS: fsys, tokens: make(chan struct{})} }

// let lets up to n operations pass, and returns when the worker waits again, or has nothing to do.
func (g *gate) let(n int) {
	for range n {
		synctest.Wait()
		select {
		case g.tokens <- struct{}{}:
		default:
			return
		}
	}
	synctest.Wait()
}

// free lets everything pass from now on.
func (g *gate) free() { g.once.Do(func() { close(g.tokens) }) }

func (g *gate) Create(name string) (vfs.File, error) {
	<-g.tokens
	f, err := g.FS.Create(name)
	if err != nil || !strings.Contains(name, "temp-") {
		return f, err
	}
	return gatedFile{f, g}, nil
}

func (g *gate) Rename(from, to string) error {
	<-g.tokens
	return g.FS.Rename(from, to)
}

func (g *gate) Remove(name string) error {
	<-g.tokens
	return g.FS.Remove(name)
}

func (g *gate) SyncDir(name string) error {
	<-g.tokens
	return g.FS.SyncDir(name)
}

type gatedFile struct {
	vfs.File
	g *gate
}

func (f gatedFile) Write(p []byte) (int, error) {
	<-f.g.tokens
	return f.File.Write(p)
}

func (f gatedFile) Sync() error {
	<-f.g.tokens
	return f.File.Sync()
}

// process is a process's view of a file system: once it is dead, nothing that it does reaches the files.
// What goes through until it has started is not held up by the gate.
type process struct {
	vfs.FS
	g    *gate
	dead atomic.Bool
	up   atomic.Bool
}

var errDead = errors.New("the process is dead")

func (p *process) on() vfs.FS {
	if p.up.Load() {
		return p.g
	}
	return p.FS
}

func (p *process) file(f vfs.File, err error) (vfs.File, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	if err != nil {
		return nil, err
	}
	return processFile{f, p}, nil
}

func (p *process) Create(name string) (vfs.File, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	return p.file(p.on().Create(name))
}

func (p *process) OpenAppend(name string) (vfs.File, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	return p.file(p.on().OpenAppend(name))
}

func (p *process) Rename(from, to string) error {
	if p.dead.Load() {
		return errDead
	}
	return p.on().Rename(from, to)
}

func (p *process) Remove(name string) error {
	if p.dead.Load() {
		return errDead
	}
	return p.on().Remove(name)
}

func (p *process) SyncDir(name string) error {
	if p.dead.Load() {
		return errDead
	}
	return p.on().SyncDir(name)
}

type processFile struct {
	vfs.File
	p *process
}

func (f processFile) Write(b []byte) (int, error) {
	if f.p.dead.Load() {
		return 0, errDead
	}
	return f.File.Write(b)
}

func (f processFile) Sync() error {
	if f.p.dead.Load() {
		return errDead
	}
	return f.File.Sync()
}

func (f processFile) Truncate(size int64) error {
	if f.p.dead.Load() {
		return errDead
	}
	return f.File.Truncate(size)
}
