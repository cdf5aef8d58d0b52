package failpoint_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/zmsg/zmsg/internal/failpoint"
)

func TestHitCallsTheHookUntilTheTestEnds(t *testing.T) {
	t.Parallel()
	want := errors.New("boom")
	// Not parallel: its parent looks at what it left behind.
	t.Run("set", func(t *testing.T) {
		failpoint.Set(t, "until", func() error { return want })
		if err := failpoint.Hit("until"); !errors.Is(err, want) {
			t.Errorf("Hit returned %v, want %v", err, want)
		}
		if err := failpoint.Hit("another"); err != nil {
			t.Errorf("Hit of another name returned %v", err)
		}
	})
	if err := failpoint.Hit("until"); err != nil {
		t.Errorf("Hit after the test returned %v", err)
	}
}

func TestSetsAndHitsMayRace(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		name := fmt.Sprint("race ", i)
		wg.Go(func() {
			failpoint.Set(t, name, func() error { calls.Add(1); return nil })
			for range 100 {
				if err := failpoint.Hit(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if calls.Load() != 800 {
		t.Errorf("%d calls, want 800", calls.Load())
	}
}

// fatal records Fatalf instead of ending the test.
type fatal struct {
	testing.TB

	called bool
}

func (f *fatal) Fatalf(string, ...any) { f.called = true }

func TestSettingANameTwiceFails(t *testing.T) {
	t.Parallel()
	failpoint.Set(t, "twice", func() error { return nil })
	f := &fatal{TB: t}
	failpoint.Set(f, "twice", func() error { return errors.New("second") })
	if !f.called {
		t.Error("the second Set did not fail")
	}
	if err := failpoint.Hit("twice"); err != nil {
		t.Errorf("the second Set replaced the first hook: %v", err)
	}
}

func TestOnlyATaggedBinaryKillsItselfAtTheGivenHit(t *testing.T) {
	t.Parallel()
	tagged, plain := build(t, "-tags=failpoints"), build(t)
	for _, tt := range []struct {
		name, bin, env, want string
		killed               bool
	}{
		{"Plain", plain, "line:1", "123", false},
		{"Unset", tagged, "", "123", false},
		{"OtherName", tagged, "other:1", "123", false},
		{"First", tagged, "line:1", "", true},
		{"Third", tagged, "line:3", "12", true},
		{"Later", tagged, "line:4", "123", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), tt.bin)
			cmd.Env = append(os.Environ(), failpoint.Env+"="+tt.env)
			out, err := cmd.Output()
			if got := string(out); got != tt.want {
				t.Errorf("it got to %q, want %q", got, tt.want)
			}
			var exit *exec.ExitError
			killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
			if killed != tt.killed || (err != nil && !killed) {
				t.Errorf("it ended with %v; want killed: %v", err, tt.killed)
			}
		})
	}
}

func TestAMalformedVariableStopsTheStart(t *testing.T) {
	t.Parallel()
	bin := build(t, "-tags=failpoints")
	for _, env := range []string{"line", "line:", "line:0", "line:x", ":1"} {
		cmd := exec.CommandContext(t.Context(), bin)
		cmd.Env = append(os.Environ(), failpoint.Env+"="+env)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%s=%q: ended with %v and %q, want exit code 2", failpoint.Env, env, err, out)
		}
	}
}

// build compiles testdata/hits and returns the binary's path.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hits")
	args := append(append([]string{"build", "-o", bin}, flags...), "./testdata/hits")
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %q: %v\n%s", args, err, out)
	}
	return bin
}

func BenchmarkHit(b *testing.B) {
	for b.Loop() {
		if err := failpoint.Hit("nothing set"); err != nil {
			b.Fatal(err)
		}
	}
}
