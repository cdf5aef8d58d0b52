//go:build !linux

package testenv

import (
	"os/exec"
	"syscall"
)

// sysProcAttr keeps the child out of our process group, so that Ctrl-C reaches only us and we stop
// the children in order. Only Linux can also end the child when we are killed.
func sysProcAttr(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func startChild(cmd *exec.Cmd) error { return cmd.Start() }

func stopSpawner() {}
