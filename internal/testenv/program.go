package testenv

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// programs are those built so far, by package and flags.
var programs struct {
	mu    sync.Mutex
	paths map[string]string
}

// Program builds a main package of this module with the given flags of "go build", once for all tests
// of the binary, and returns the path of the result.
func Program(tb testing.TB, pkg string, flags ...string) string {
	tb.Helper()
	requireMain(tb)
	key := strings.Join(append([]string{pkg}, flags...), " ")
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if path := programs.paths[key]; path != "" {
		return path
	}
	path, err := build(tb, pkg, flags)
	if err != nil {
		tb.Fatal(err)
	}
	if programs.paths == nil {
		programs.paths = make(map[string]string)
	}
	programs.paths[key] = path
	return path
}

// build puts the program into the scratch directory, which outlives the test.
func build(tb testing.TB, pkg string, flags []string) (string, error) {
	tb.Helper()
	dir, err := tempDir("program-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	args := append(append([]string{"build", "-o", path}, flags...), pkg)
	if out, err := exec.CommandContext(tb.Context(), "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return path, nil
}

// StartCommand starts a program of the caller's own: out of our process group, and, on Linux, killed when
// this process dies, however that comes about. The caller waits for it.
func StartCommand(cmd *exec.Cmd) error {
	cmd.SysProcAttr = sysProcAttr(syscall.SIGKILL)
	return startChild(cmd)
}
