// Package vfs is the seam between the database and the file system. OS is the machine's; Mem is one in
// memory that can crash: it keeps what was synced and a random share of the rest, and fails on request.
//
// The rules are POSIX's at their worst. What a file holds survives a crash only from File.Sync on, and
// what a directory lists, only from FS.SyncDir on: a new or renamed file needs both.
package vfs

import "io"

// FS is a file system. Names are slash-separated paths. Errors match fs.ErrNotExist and its like.
type FS interface {
	Files
	Dirs
}

// Files is the part of a file system that opens, renames and removes files.
type Files interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create opens a new, empty file for writing; a file of that name is emptied.
	Create(name string) (File, error)
	// OpenAppend opens a file whose writes go to its end, wherever that is. It is created if missing.
	OpenAppend(name string) (File, error)
	// Rename gives a file another name, in place of a file that has that name. A crash leaves either.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
}

// Dirs is the part of a file system that deals with directories.
type Dirs interface {
	// MkdirAll creates a directory and those above it, where missing. Their parents are not synced.
	MkdirAll(name string) error
	// List returns the names in a directory, in order.
	List(name string) ([]string, error)
	// Size returns how long a file is, in bytes.
	Size(name string) (int64, error)
	// SyncDir makes what a directory lists durable.
	SyncDir(name string) error
	// Lock creates a file and locks it against other processes, and other holders in this one, until it is
	// closed. If it is taken, the error is a *LockedError.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Write returns an error if it writes less than it was given.
type File interface {
	io.ReadWriteCloser
	// Sync makes what the file holds durable. After an error nothing that was written since the last
	// success may be relied on, whatever a later Sync says.
	Sync() error
	// Truncate cuts the file to size bytes. That is durable from the next Sync on.
	Truncate(size int64) error
}

// LockedError says that a directory is in use.
type LockedError struct {
	Name string // of the lock file
	PID  string // of the holder, "" if it cannot be read
}

// Error implements error.
func (e *LockedError) Error() string {
	by := "another process"
	if e.PID != "" {
		by = "process " + e.PID
	}
	return e.Name + ": in use by " + by
}
