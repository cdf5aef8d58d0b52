//go:build !linux

package main

import "syscall"

// sysProcAttr keeps Ctrl-C from the child, which is told by us.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
