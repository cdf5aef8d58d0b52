package vfs

import (
	"os"

	"golang.org/x/sys/windows"
)

var errLocked = windows.ERROR_LOCK_VIOLATION

// The locked byte lies far behind the holder's number, which others may then read.
func lockFile(f *os.File) error {
	at := &windows.Overlapped{Offset: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
}

// Windows has no way to sync a directory; NTFS keeps its entries in a journal.
func syncDir(string) error { return nil }
