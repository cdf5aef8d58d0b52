package vfs_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/vfs"
)

func read(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, f vfs.File, text string) {
	t.Helper()
	n, err := f.Write([]byte(text))
	if n != len(text) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

// TestSameRules has both file systems do the same things.
func TestSameRules(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fsys vfs.FS
		root string
	}{"OS": {vfs.OS{}, t.TempDir()}, "Mem": {vfs.NewMem(), "/"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys, dir := tc.fsys, filepath.Join(tc.root, "a", "b")
			at := func(name string) string { return filepath.Join(dir, name) }
			must(t, fsys.MkdirAll(dir))
			must(t, fsys.MkdirAll(dir))
			f, err := fsys.OpenAppend(at("x"))
			must(t, err)
			write(t, f, "hello")
			must(t, f.Truncate(2))
			write(t, f, "y")
			must(t, f.Sync())
			must(t, f.Close())
			if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("second Close = %v", err)
			}
			if got := read(t, fsys, at("x")); got != "hey" {
				t.Errorf("after truncation %q", got)
			}
			must(t, fsys.Rename(at("x"), at("y")))
			f, err = fsys.Create(at("x"))
			must(t, err)
			write(t, f, "new")
			must(t, f.Close())
			must(t, fsys.SyncDir(dir))
			names, err := fsys.List(dir)
			if err != nil || len(names) != 2 || names[0] != "x" || names[1] != "y" {
				t.Errorf("List = %q, %v", names, err)
			}
			if n, err := fsys.Size(at("y")); n != 3 || err != nil {
				t.Errorf("Size = %d, %v", n, err)
			}
			must(t, fsys.Remove(at("y")))
			for what, err := range map[string]error{
				"Remove": fsys.Remove(at("y")), "Rename": fsys.Rename(at("y"), at("z")), "SyncDir": fsys.SyncDir(at("q")),
			} {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s of what is not there: %v", what, err)
				}
			}
			if _, err := fsys.Open(at("y")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Open of what is not there: %v", err)
			}
			if _, err := fsys.Size(dir); err == nil {
				t.Error("a directory has a size")
			}
		})
	}
}

func TestLockNamesItsHolder(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	held, err := vfs.OS{}.Lock(name)
	must(t, err)
	_, err = vfs.OS{}.Lock(name)
	var locked *vfs.LockedError
	if !errors.As(err, &locked) || locked.PID != strconv.Itoa(os.Getpid()) {
		t.Fatalf("second Lock: %v", err)
	}
	must(t, held.Close())
	held, err = vfs.OS{}.Lock(name)
	must(t, err)
	must(t, held.Close())
}

// TestWhatSurvives lets machines crash with all seeds of a range, and looks at what can be found after.
func TestWhatSurvives(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(500) {
		m := vfs.NewMem()
		must(t, m.MkdirAll("/d"))
		must(t, m.SyncDir("/"))
		f, err := m.OpenAppend("/d/kept")
		must(t, err)
		write(t, f, "synced")
		must(t, f.Sync())
		must(t, m.SyncDir("/d"))
		write(t, f, "-lost")
		g, err := m.Create("/d/new")
		must(t, err)
		write(t, g, "n")
		must(t, m.Rename("/d/new", "/d/named"))
		after := m.AfterCrash(seed)
		kept := read(t, after, "/d/kept")
		if len(kept) < len("synced") || kept[:6] != "synced" {
			t.Fatalf("seed %d: what was synced became %q", seed, kept)
		}
		seen[kept]++
		names, err := after.List("/d")
		must(t, err)
		for _, name := range names {
			seen[name]++
		}
		if _, err := m.Open("/d/kept"); !errors.Is(err, vfs.ErrCrashed) {
			t.Fatalf("after the crash: %v", err)
		}
		if _, err := f.Write([]byte("x")); !errors.Is(err, vfs.ErrCrashed) {
			t.Fatalf("after the crash: %v", err)
		}
	}
	for _, want := range []string{"synced", "synced-lo", "synced-lost", "synced-l\x00\x00", "new", "named"} {
		if seen[want] == 0 {
			t.Errorf("%q never survived; %v", want, seen)
		}
	}
	if seen["new"] > 400 || seen["named"] > 400 {
		t.Errorf("entries survive without being synced: %v", seen)
	}
}

// TestCrashPoint shows that the operation of the crash is done or not, and all later ones are not.
func TestCrashPoint(t *testing.T) {
	t.Parallel()
	done := map[string]int{}
	for seed := range uint64(100) {
		m := vfs.NewMem()
		f, err := m.Create("/f")
		must(t, err)
		must(t, m.SyncDir("/"))
		write(t, f, "abc")
		m.CrashAt(m.Ops()+1, seed)
		if err := f.Sync(); !errors.Is(err, vfs.ErrCrashed) {
			t.Fatalf("Sync = %v", err)
		}
		if _, crashed := m.Crashed(); !crashed {
			t.Fatal("there was no crash")
		}
		done[read(t, m.AfterCrash(seed), "/f")]++
	}
	if done["abc"] < 30 || done["abc"] == 100 || done[""] == 0 {
		t.Errorf("survivors of a sync in the crash: %v", done)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	f, err := m.Create("/f")
	must(t, err)
	m.SetSpace(4)
	write(t, f, "123")
	if n, err := f.Write([]byte("456")); n != 1 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Write on a full disk = %d, %v", n, err)
	}
	m.SetSpace(-1)
	failure := errors.New("no")
	m.SetFault(func(op vfs.Op) (int, error) {
		switch op.Kind {
		case vfs.OpWrite:
			return 2, failure
		case vfs.OpSync:
			return 0, failure
		}
		return 0, nil
	})
	if n, err := f.Write([]byte("xyz")); n != 2 || !errors.Is(err, failure) {
		t.Fatalf("short Write = %d, %v", n, err)
	}
	if err := f.Sync(); !errors.Is(err, failure) {
		t.Fatalf("Sync = %v", err)
	}
	m.SetFault(nil)
	must(t, f.Sync())
	if got := read(t, m, "/f"); got != "1234xy" {
		t.Errorf("file holds %q", got)
	}
}
