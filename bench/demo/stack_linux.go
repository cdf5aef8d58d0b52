package main

import "syscall"

// childAttr keeps a replica out of our process group, so that Ctrl-C reaches only us and we stop the
// replicas in order, and has the kernel kill it when we die. The kernel does that when the thread that
// started it ends: that is the main thread, to which the main goroutine is locked.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
