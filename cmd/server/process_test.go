package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

const program = "github.com/zmsg/zmsg/cmd/server"

func TestMain(m *testing.M) { testenv.Main(m) }

// process is one run of the program.
type process struct {
	URL   string // of the API, once it is served
	Admin string // of the second listener

	cmd    *exec.Cmd
	logs   logs
	exited chan struct{} // closed when cmd has been waited for
}

// launch runs the server and returns when it is ready. Each of env is a line of its environment.
func launch(t *testing.T, env ...string) *process {
	t.Helper()
	p := spawn(t, testenv.Program(t, program), env...)
	p.awaitServing(t)
	p.awaitReady(t)
	return p
}

// spawn runs a build of the program, and does not wait for anything. The ports are chosen by the
// system unless env says otherwise.
func spawn(t *testing.T, path string, env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), path), exited: make(chan struct{})}
	p.cmd.Cancel = func() error { return nil } // the cleanup below ends it, not the context
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "ZMSG_ADDR=127.0.0.1:0", "ZMSG_ADMIN_ADDR=127.0.0.1:0"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, &p.logs
	if err := testenv.StartCommand(p.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.Kill(t)
		if t.Failed() {
			t.Logf("log of process %d (%s):\n%s", p.cmd.Process.Pid, p.cmd.ProcessState, p.logs.tail(6000))
		}
	})
	return p
}

// awaitServing waits until the process says where it listens.
func (p *process) awaitServing(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "the process serves", func() bool {
		if p.hasExited() {
			t.Fatalf("the process ended: %s", p.cmd.ProcessState)
		}
		return p.findAddr()
	})
}

// findAddr looks for the addresses in the log.
func (p *process) findAddr() bool {
	for line := range strings.Lines(p.logs.String()) {
		var said struct{ Msg, Addr, Admin_addr string } //nolint:revive // as the log names them
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" {
			p.URL, p.Admin = "http://"+said.Addr, "http://"+said.Admin_addr
			return true
		}
	}
	return false
}

func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	c := newClient(t)
	eventually(t, 30*time.Second, "the process is ready", func() bool {
		if p.hasExited() {
			t.Fatalf("the process ended: %s", p.cmd.ProcessState)
		}
		a, err := c.call(t.Context(), http.MethodGet, p.URL+"/readyz", "")
		return err == nil && a.status == http.StatusOK
	})
}

// peers returns how many replicas the process knows of, itself included.
func (p *process) peers(t *testing.T) int {
	t.Helper()
	var stats struct{ Replicas []string }
	a := newClient(t).must(t, http.StatusOK, http.MethodGet, p.Admin+"/admin/stats", "")
	if err := json.Unmarshal([]byte(a.body), &stats); err != nil {
		t.Fatal(err)
	}
	return len(stats.Replicas)
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Kill ends the process with SIGKILL, paused or not, and waits for its end.
func (p *process) Kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.exited
}

// Pause freezes the process: nothing of it runs until Resume.
func (p *process) Pause(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
}

// Resume lets a paused process go on.
func (p *process) Resume(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
}

// Terminate asks the process to shut down, and does not wait.
func (p *process) Terminate(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if p.hasExited() {
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !p.hasExited() {
		t.Logf("%s to process %d: %v", sig, p.cmd.Process.Pid, err)
	}
}

// wait returns the exit code of a process that ends by itself; -1 if a signal ended it.
func (p *process) wait(t *testing.T, patience time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("the process did not end within %v", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// execute runs the program to its end, with no environment but env.
func execute(t *testing.T, args []string, env ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Program(t, program), args...)
	cmd.Env = env
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := testenv.StartCommand(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	return result{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errOut.String()}
}

// logs is what a process has written so far.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends b.
func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// String returns all.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

// eventually polls until f holds.
func eventually(t *testing.T, patience time.Duration, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
