//go:build !linux

package main

import "syscall"

// childAttr keeps a replica out of our process group, so that Ctrl-C reaches only us and we stop the
// replicas in order.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
