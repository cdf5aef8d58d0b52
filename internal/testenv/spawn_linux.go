package testenv

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// sysProcAttr keeps the child out of our process group, so that Ctrl-C reaches only us and we stop
// the children in order, and has the kernel signal it when we die.
func sysProcAttr(death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
}

// spawner starts all children. The kernel sends Pdeathsig when the *thread* that forked ends, not the
// process, and the Go runtime ends threads as it likes; so they are forked by one goroutine locked to
// a thread that lives until stopSpawner.
var spawner struct {
	mu       sync.Mutex
	requests chan spawnRequest // nil while the goroutine does not run
	done     chan struct{}
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

// startChild is cmd.Start on the spawner's thread.
func startChild(cmd *exec.Cmd) error {
	spawner.mu.Lock()
	defer spawner.mu.Unlock()
	if spawner.requests == nil {
		spawner.requests, spawner.done = make(chan spawnRequest), make(chan struct{})
		go spawnLoop(spawner.requests, spawner.done)
	}
	result := make(chan error)
	spawner.requests <- spawnRequest{cmd, result}
	return <-result
}

// spawnLoop never unlocks its thread, so the thread ends with it.
func spawnLoop(requests <-chan spawnRequest, done chan<- struct{}) {
	defer close(done)
	runtime.LockOSThread()
	for r := range requests {
		r.result <- r.cmd.Start()
	}
}

// stopSpawner ends the spawner's thread, and with it every child that still runs.
func stopSpawner() {
	spawner.mu.Lock()
	defer spawner.mu.Unlock()
	if spawner.requests == nil {
		return
	}
	close(spawner.requests)
	<-spawner.done
	spawner.requests, spawner.done = nil, nil
}
