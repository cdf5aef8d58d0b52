package docs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// root is the module's root, as seen from here.
const root = ".."

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pages returns the text of every page, by name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.ToSlash(rel)] = read(t, rel)
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

// buildServer compiles the server into dir.
func buildServer(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(dir, "zmsg")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/server")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// output is what a process writes. Its methods are safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text []byte
}

// Write appends to the text.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	return len(b), nil
}

// String returns the text so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// serve starts the server on a database and a Redis of its own, ready to take requests, and returns
// its two addresses.
func serve(t *testing.T) (api, admin string) {
	t.Helper()
	var out output
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), buildServer(t, t.TempDir()))
	cmd.Env = append(os.Environ(), "ZMSG_POSTGRES_DSN="+testenv.DB(t), "ZMSG_REDIS_ADDR="+testenv.RedisAddr(t),
		"ZMSG_ADDR=127.0.0.1:0", "ZMSG_ADMIN_ADDR=127.0.0.1:0", "ZMSG_DRAIN_DELAY=0s")
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v\n%s", err, out.String())
		}
	})
	eventually(t, "the server tells its addresses", func() error {
		m := serving.FindStringSubmatch(out.String())
		if m == nil {
			return fmt.Errorf("it says:\n%s", out.String())
		}
		api, admin = m[1], m[2]
		return nil
	})
	eventually(t, "the server is ready", func() error {
		_, err := get(t.Context(), "http://"+api+"/readyz?verbose")
		return err
	})
	return api, admin
}

// eventually polls until f succeeds.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %v", patience, what, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
