package aof_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

func text(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func create(t *testing.T, fsys vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fsys.OpenAppend(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := fsys.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	return f
}

// wait lets time pass, and returns when all goroutines have come to rest.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// inBubble runs a test with its own time, on a file system that counts syncs.
func inBubble(t *testing.T, policy aof.Policy, test func(t *testing.T, m *vfs.Mem, l *aof.Log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		l := aof.NewLog(create(t, m, "/1"), 0, policy)
		defer func() { _ = l.Close() }()
		test(t, m, l)
	})
}

// survives returns what file /1 holds after a crash in which nothing survives by luck.
func survives(t *testing.T, m *vfs.Mem, name string) string {
	t.Helper()
	shortest := text(t, m, name)
	for seed := range uint64(64) {
		// A crash ends the file system, so each is asked of a copy: AfterCrash of the first has it all.
		after := m.AfterCrash(seed)
		if got := text(t, after, name); len(got) < len(shortest) {
			shortest = got
		}
	}
	return shortest
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy aof.Policy
		pause  time.Duration
		want   string
	}{
		{aof.Always, 0, "abc"},
		{aof.EverySec, 0, ""},
		{aof.EverySec, 1100 * time.Millisecond, "abc"},
		{aof.No, 5 * time.Second, ""},
	} {
		inBubble(t, tc.policy, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
			t.Helper()
			l.Append([]byte("ab"))
			if end := l.Append([]byte("c")); end != 3 {
				t.Fatalf("end = %d", end)
			}
			if err := l.Commit(3); err != nil {
				t.Fatal(err)
			}
			if got := text(t, m, "/1"); got != "abc" {
				t.Errorf("policy %d: written %q", tc.policy, got)
			}
			wait(tc.pause)
			if got := survives(t, m, "/1"); got != tc.want {
				t.Errorf("policy %d: after %v %q survives, want %q", tc.policy, tc.pause, got, tc.want)
			}
		})
	}
}

func TestSyncWhateverThePolicy(t *testing.T) {
	t.Parallel()
	inBubble(t, aof.No, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
		t.Helper()
		if err := l.Sync(l.Append([]byte("abc"))); err != nil {
			t.Fatal(err)
		}
		if got := survives(t, m, "/1"); got != "abc" {
			t.Errorf("%q survives", got)
		}
	})
}

func TestWritesWithoutCommitFollowWithinASecond(t *testing.T) {
	t.Parallel()
	inBubble(t, aof.EverySec, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
		t.Helper()
		l.Append([]byte("abc"))
		wait(1100 * time.Millisecond)
		if got := text(t, m, "/1"); got != "abc" {
			t.Errorf("written: %q", got)
		}
	})
}

// TestGroupCommit has many append and commit at once: everything is synced when Commit returns, with far
// fewer syncs than commits.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	syncs := 0
	m.SetFault(func(op vfs.Op) (int, error) {
		if op.Kind == vfs.OpSync {
			syncs++
		}
		return 0, nil
	})
	l := aof.NewLog(slow{create(t, m, "/1")}, 0, aof.Always)
	var wg sync.WaitGroup
	const callers, rounds = 32, 20
	for caller := range callers {
		wg.Go(func() {
			for round := range rounds {
				if err := l.Commit(l.Append(fmt.Appendf(nil, "%d-%d\n", caller, round))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text(t, m, "/1"), "\n"); n != callers*rounds {
		t.Errorf("%d entries", n)
	}
	if syncs > callers*rounds/4 {
		t.Errorf("%d syncs for %d commits", syncs, callers*rounds)
	}
	if err := l.Commit(l.Append([]byte("x"))); !errors.Is(err, aof.ErrClosed) {
		t.Errorf("Commit after Close = %v", err)
	}
}

// slow is a file whose syncs take a millisecond.
type slow struct{ vfs.File }

func (f slow) Sync() error {
	<-time.After(time.Millisecond)
	return f.File.Sync()
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, policy := range []aof.Policy{aof.Always, aof.EverySec} {
		inBubble(t, policy, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
			t.Helper()
			if err := l.Commit(l.Append([]byte("one."))); err != nil {
				t.Fatal(err)
			}
			m.SetSpace(2)
			end := l.Append([]byte("two."))
			err := l.Commit(end)
			if !errors.Is(err, syscall.ENOSPC) || err.Error() != "Errors writing to the AOF file: No space left on device" {
				t.Fatalf("Commit = %v", err)
			}
			if !errors.Is(l.Err(), syscall.ENOSPC) {
				t.Errorf("Err = %v", l.Err())
			}
			if got := text(t, m, "/1"); got != "one." {
				t.Errorf("after a short write %q", got)
			}
			end = l.Append([]byte("three."))
			wait(1100 * time.Millisecond) // still full
			if err := l.Commit(end); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Commit = %v", err)
			}
			m.SetSpace(-1)
			wait(1100 * time.Millisecond)
			if err := errors.Join(l.Err(), l.Commit(end)); err != nil {
				t.Errorf("with room again: %v", err)
			}
			if got := text(t, m, "/1"); got != "one.two.three." {
				t.Errorf("with room again %q", got)
			}
		})
	}
}

// TestFullDiskAndNoTruncate leaves half a write in the file: it is cut off before the next.
func TestFullDiskAndNoTruncate(t *testing.T) {
	t.Parallel()
	inBubble(t, aof.Always, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
		t.Helper()
		m.SetFault(func(vfs.Op) (int, error) { return 1, syscall.EIO })
		if err := l.Commit(l.Append([]byte("abc"))); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if got := text(t, m, "/1"); got != "a" {
			t.Fatalf("left %q", got)
		}
		m.SetFault(nil)
		wait(1100 * time.Millisecond)
		if got := text(t, m, "/1"); got != "abc" || l.Err() != nil {
			t.Fatalf("%q, %v", got, l.Err())
		}
	})
}

// TestFailedSync shows that a file whose sync has failed is not used any more, and how another replaces it.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	for _, policy := range []aof.Policy{aof.Always, aof.EverySec} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			l := aof.NewLog(create(t, m, "/1"), 0, policy)
			defer func() { _ = l.Close() }()
			var healed atomic.Bool
			m.SetFault(func(op vfs.Op) (int, error) {
				if op.Kind == vfs.OpSync && !healed.Load() {
					return 0, syscall.EIO
				}
				return 0, nil
			})
			end := l.Append([]byte("lost."))
			err := l.Commit(end)
			if policy == aof.Always && !errors.Is(err, syscall.EIO) || policy != aof.Always && err != nil {
				t.Fatalf("Commit = %v", err)
			}
			wait(1100 * time.Millisecond)
			healed.Store(true)
			wait(5 * time.Second)
			if !l.Broken() || !errors.Is(l.Err(), syscall.EIO) {
				t.Fatalf("Err = %v", l.Err())
			}
			end = l.Append([]byte("also."))
			if err := l.Commit(end); !errors.Is(err, syscall.EIO) {
				t.Fatalf("Commit = %v", err)
			}
			at, used := l.Switch(create(t, m, "/2"))
			if !used || at != end {
				t.Fatalf("Switch = %d, %v", at, used)
			}
			end = l.Append([]byte("new."))
			if err := l.Finish(); !errors.Is(err, syscall.EIO) {
				t.Fatalf("Finish = %v", err)
			}
			l.Rebase(at)
			if err := errors.Join(l.Err(), l.Commit(end), l.Sync(end)); err != nil {
				t.Fatal(err)
			}
			if got := survives(t, m, "/2"); got != "new." {
				t.Errorf("the new file has %q", got)
			}
		})
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	inBubble(t, aof.EverySec, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
		t.Helper()
		l.Append([]byte("old."))
		at, used := l.Switch(create(t, m, "/2"))
		if at != 4 || !used || !l.Switching() {
			t.Fatalf("Switch = %d, %v", at, used)
		}
		end := l.Append([]byte("new."))
		if err := l.Commit(end); err != nil {
			t.Fatal(err)
		}
		if a, b := text(t, m, "/1"), text(t, m, "/2"); a != "old." || b != "" {
			t.Errorf("before the old file is synced: %q, %q", a, b)
		}
		if err := l.Finish(); err != nil {
			t.Fatal(err)
		}
		l.Rebase(at)
		if st := l.Stats(); st.Size != 4 || st.Buffered != 0 {
			t.Errorf("Stats = %+v", st)
		}
		if b, a := text(t, m, "/2"), survives(t, m, "/1"); a != "old." || b != "new." {
			t.Errorf("files: %q, %q", a, b)
		}
	})
}

// TestMovedSwitch has a full disk keep a switch from being made; the second one moves it.
func TestMovedSwitch(t *testing.T) {
	t.Parallel()
	inBubble(t, aof.Always, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
		t.Helper()
		l.Append([]byte("old."))
		m.SetSpace(0)
		l.Switch(create(t, m, "/2"))
		l.Append([]byte("more."))
		if err := l.Finish(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Finish = %v", err)
		}
		if _, ok := l.Switch(nil); ok {
			t.Fatal("a second file was used")
		}
		if _, ok := l.MoveSwitch(); !ok {
			t.Fatal("the switch was not moved")
		}
		end := l.Append([]byte("new."))
		m.SetSpace(-1)
		wait(2100 * time.Millisecond)
		if err := errors.Join(l.Commit(end), l.Finish()); err != nil {
			t.Fatal(err)
		}
		if _, ok := l.MoveSwitch(); ok {
			t.Fatal("a switch was moved that has been made")
		}
		if a, b := text(t, m, "/1"), text(t, m, "/2"); a != "old.more." || b != "new." {
			t.Errorf("files: %q, %q", a, b)
		}
	})
}

// TestSlowSync shows that Commit does not wait for a sync in the background: at first the data stays in the
// buffer, after two seconds it is written nonetheless.
func TestSlowSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		f := &stuck{File: create(t, m, "/1"), free: make(chan struct{})}
		l := aof.NewLog(f, 0, aof.EverySec)
		commit := func(p string) {
			t.Helper()
			start := time.Now()
			if err := l.Commit(l.Append([]byte(p))); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 0 {
				t.Errorf("Commit took %v", d)
			}
		}
		commit("a")
		wait(1100 * time.Millisecond)
		commit("b")
		if got := text(t, m, "/1"); got != "a" || l.Stats().Buffered != 1 || !l.Stats().Syncing {
			t.Errorf("during the sync %q, %+v", got, l.Stats())
		}
		wait(1900 * time.Millisecond)
		commit("c")
		wait(200 * time.Millisecond)
		commit("d")
		if got := text(t, m, "/1"); got != "abcd" || l.Stats().Delayed != 1 {
			t.Errorf("after two seconds %q, %+v", got, l.Stats())
		}
		commit("e")
		close(f.free)
		synctest.Wait()
		if got := text(t, m, "/1"); got != "abcde" {
			t.Errorf("after the sync %q", got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// stuck is a file whose syncs do not end before free is closed.
type stuck struct {
	vfs.File
	free chan struct{}
}

func (f *stuck) Sync() error {
	<-f.free
	return f.File.Sync()
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	inBubble(t, aof.EverySec, func(t *testing.T, m *vfs.Mem, l *aof.Log) {
		t.Helper()
		m.SetSpace(0)
		if err := l.Commit(l.Append([]byte("x"))); err == nil {
			t.Fatal("committed on a full disk")
		}
		if err := l.Close(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Close = %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("second Close = %v", err)
		}
	})
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]aof.Policy{"no": aof.No, "everysec": aof.EverySec, "always": aof.Always} {
		if got, ok := aof.ParsePolicy(name); !ok || got != want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	if _, ok := aof.ParsePolicy("sometimes"); ok {
		t.Error("accepted")
	}
}
