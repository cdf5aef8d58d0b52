package vfs

import (
	"errors"
	"io/fs"
	"path"
)

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return nil, ErrCrashed
	}
	n := m.walk(name)
	if n == nil || n.dir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, n: n, name: name, readOnly: true}, nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) { return m.openWrite(name, true) }

// OpenAppend implements FS.
func (m *Mem) OpenAppend(name string) (File, error) { return m.openWrite(name, false) }

func (m *Mem) openWrite(name string, empty bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	if n != nil && n.dir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	}
	if n == nil || empty {
		_, do, err := m.begin(Op{Kind: OpCreate, Name: name})
		switch {
		case do && n == nil:
			n = &node{}
			dir.apply(move{base: n})
		case do && len(n.data) > 0:
			n.truncate(0)
		}
		if err != nil {
			return nil, err
		}
	}
	return &memFile{m: m, n: n, name: name}, nil
}

// Rename implements FS. Both names must be in one directory, or the new one's directory is the one whose
// sync makes the new name durable.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	src, a, err := m.parent(from)
	if err != nil {
		return err
	}
	dst, b, err := m.parent(to)
	if err != nil {
		return err
	}
	n := src.entries[a]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	_, do, err := m.begin(Op{Kind: OpRename, Name: to})
	switch {
	case !do || n == dst.entries[b]:
	case src == dst:
		src.apply(move{a: nil, b: n})
	default:
		dst.apply(move{b: n})
		src.apply(move{a: nil})
	}
	return err
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if n.dir && len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
	}
	_, do, err := m.begin(Op{Kind: OpRemove, Name: name})
	if do {
		dir.apply(move{base: nil})
	}
	return err
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for i, part := range parts(name) {
		next := at.entries[part]
		if next == nil {
			_, do, err := m.begin(Op{Kind: OpMkdir, Name: path.Join(parts(name)[:i+1]...)})
			if do {
				next = newDir()
				at.apply(move{part: next})
			}
			if err != nil {
				return err
			}
		}
		if !next.dir {
			return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
		at = next
	}
	return nil
}

// Size implements FS.
func (m *Mem) Size(name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.walk(name)
	if n == nil || n.dir {
		return 0, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return int64(len(n.data)), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.walk(name)
	if n == nil || !n.dir {
		return &fs.PathError{Op: "sync", Path: name, Err: fs.ErrNotExist}
	}
	_, do, err := m.begin(Op{Kind: OpSyncDir, Name: name})
	if do {
		for _, mv := range n.moves {
			mv.on(n.kept)
		}
		n.moves = nil
	}
	return err
}
