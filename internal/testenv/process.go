package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second // a loaded machine may take long to fork and to recover a log
	stopTimeout  = 30 * time.Second // then SIGKILL
	pollInterval = 5 * time.Millisecond
	logTail      = 2048 // bytes of a server's log quoted in an error
)

// process is a server that can be started, stopped, killed and started again. At most one child runs
// at a time. The fields above mu do not change after construction.
type process struct {
	name       string
	path       string
	args       []string
	credential *syscall.Credential // nil: run as the user that we are
	logPath    string
	stopSignal syscall.Signal // ends it in good order
	killSignal syscall.Signal // ends it like a crash
	ready      func(ctx context.Context) error

	mu    sync.Mutex
	child *exec.Cmd     // nil while stopped
	done  chan struct{} // closed when child has been waited for
}

// start runs the child and returns when it is ready. It is a no-op while the child runs.
func (p *process) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil
	}
	if err := p.spawn(ctx); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := p.awaitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w\n%s", p.name, err, p.tail()), p.end(syscall.SIGKILL))
	}
	return nil
}

// spawn starts the child and the goroutine that waits for it. The child outlives ctx.
func (p *process) spawn(ctx context.Context) error {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // The child has a descriptor of its own; nothing was written here.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.path, p.args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr(p.killSignal)
	cmd.SysProcAttr.Credential = p.credential
	if err := startChild(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	p.child, p.done = cmd, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // Ending by a signal is an error too; the log tells the rest.
	}()
	return nil
}

// awaitReady polls until the server answers, has exited, or ctx is done.
func (p *process) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w: %s", errExited, p.child.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

var errExited = errors.New("it exited at once")

// stop ends the child in good order and waits for its end. It is a no-op while stopped.
func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(p.stopSignal)
}

// kill ends the child like a crash and waits for its end. It is a no-op while stopped.
func (p *process) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end(p.killSignal)
}

// end signals the child, wakes it in case it is paused, and waits; SIGKILL is the last resort. p.mu
// is held.
func (p *process) end(sig syscall.Signal) error {
	if p.child == nil {
		return nil
	}
	var failed error
	if p.running() {
		failed = errors.Join(p.send(sig), p.send(syscall.SIGCONT))
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		failed = errors.Join(failed, fmt.Errorf("%s did not end in %v after %v", p.name, stopTimeout, sig), p.send(syscall.SIGKILL))
		<-p.done
	}
	p.child, p.done = nil, nil
	return failed
}

// signal sends sig to the running child.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return fmt.Errorf("%s is not running", p.name)
	}
	return p.send(sig)
}

// send signals the child; that it has just ended is no error. p.mu is held.
func (p *process) send(sig syscall.Signal) error {
	if err := p.child.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// running reports whether the child has not ended. p.mu is held.
func (p *process) running() bool {
	if p.child == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// exited returns a channel that is closed when the present child has ended; closed already while
// stopped.
func (p *process) exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done != nil {
		return p.done
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// tail returns the end of the child's log.
func (p *process) tail() []byte {
	b, err := os.ReadFile(p.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	if len(b) > logTail {
		b = b[len(b)-logTail:]
	}
	return bytes.TrimSpace(b)
}
