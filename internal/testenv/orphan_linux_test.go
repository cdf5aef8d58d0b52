package testenv_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestServersDieWithAKilledProcessAndItsFilesAreSwept(t *testing.T) {
	t.Parallel()
	out := startOrphan(t)
	for _, addr := range out[:2] {
		eventually(t, addr+" refuses connections", func() bool {
			var d net.Dialer
			conn, err := d.DialContext(t.Context(), "tcp", addr)
			if err != nil {
				return true
			}
			_ = conn.Close()
			return false
		})
	}
	// The next process that needs a scratch directory removes those of the dead.
	startOrphan(t)
	for _, dir := range out[2:] {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s of a dead process is still there (%v)", dir, err)
		}
	}
}

// startOrphan runs an orphan until it has started its servers, kills it with SIGKILL and returns what
// it printed.
func startOrphan(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), orphanEnv+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(stdout).ReadString('\n')
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	fields := strings.Fields(line)
	if readErr != nil || len(fields) != 4 {
		t.Fatalf("the orphan printed %q (%v)", line, readErr)
	}
	return fields
}
