package vfs

import (
	"io"
	"io/fs"
	"slices"
	"syscall"
)

var errNoSpace error = syscall.ENOSPC

// memFile is an open file of a Mem.
type memFile struct {
	m        *Mem
	n        *node
	name     string
	at       int // of the next read
	readOnly bool
	closed   bool
}

// Read implements File.
func (f *memFile) Read(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	switch {
	case f.closed:
		return 0, fs.ErrClosed
	case f.m.crashed:
		return 0, ErrCrashed
	case f.at >= len(f.n.data):
		return 0, io.EOF
	}
	n := copy(p, f.n.data[f.at:])
	f.at += n
	return n, nil
}

// Write implements File.
func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed || f.readOnly {
		return 0, fs.ErrClosed
	}
	n, do, err := f.m.begin(Op{Kind: OpWrite, Name: f.name, N: len(p)})
	if do && n > 0 {
		p = slices.Clone(p[:n])
		f.n.data = append(f.n.data, p...)
		f.n.pending = append(f.n.pending, change{data: p})
	}
	if err == nil {
		return len(p), nil
	}
	return n, err
}

// Sync implements File. A failing sync drops what was pending: a later one does not bring it back, though
// readers still see it.
func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	_, do, err := f.m.begin(Op{Kind: OpSync, Name: f.name})
	switch {
	case do:
		f.n.durable = slices.Clip(f.n.data)
		f.n.pending = nil
	case err != nil && !f.m.crashed:
		f.n.pending = nil
	}
	return err
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed || f.readOnly {
		return fs.ErrClosed
	}
	_, do, err := f.m.begin(Op{Kind: OpTruncate, Name: f.name})
	if do {
		f.n.truncate(int(size))
	}
	return err
}

// Close implements File.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

func (n *node) truncate(size int) {
	n.pending = append(n.pending, change{cut: true, size: size})
	n.data = cut(n.data, size)
}

// cut returns the first size bytes, in an array of their own: what was synced may share the old one.
func cut(b []byte, size int) []byte {
	if size > len(b) {
		return append(slices.Clip(b), make([]byte, size-len(b))...)
	}
	return slices.Clone(b[:size])
}
