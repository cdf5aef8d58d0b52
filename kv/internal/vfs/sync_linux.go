package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes data and size durable; times, which nobody reads, may wait.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			failed = unix.Fdatasync(int(fd))
			if !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, os.NewSyscallError("fdatasync", failed))
}
