package main

import "syscall"

// sysProcAttr keeps Ctrl-C from the child, which is told by us, and stops it when we are killed.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
