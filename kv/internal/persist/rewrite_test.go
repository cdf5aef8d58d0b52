package persist_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// reopened returns what a database finds that is opened on the same files.
func reopened(t *testing.T, d *db, m *vfs.Mem) string {
	t.Helper()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	config := *d.e.Config()
	config.AppendOnly = true
	d, err := tryOpen(t, m, &config, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.s.Close() }()
	return d.state()
}

func TestGrowthStartsARewrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		config := configured("/data")
		config.RewriteMinSize = 10000
		d := open(t, m, config)
		d.must("SET n 1")
		for range 400 {
			d.must("INCR n")
		}
		<-time.After(250 * time.Millisecond)
		if n := d.field("aof_rewrites"); n != "0" {
			t.Fatalf("%s rewrites below the least size", n)
		}
		for range 400 {
			d.must("INCR n")
		}
		<-time.After(250 * time.Millisecond)
		if d.field("aof_rewrites") != "1" || d.field("aof_last_bgrewrite_status") != "ok" {
			t.Fatalf("%s rewrites: %s", d.field("aof_rewrites"), d.field("aof_last_bgrewrite_status"))
		}
		if n := d.field("aof_current_size"); len(n) > 3 {
			t.Errorf("the log has still %s bytes", n)
		}
		want := d.state()
		if got := reopened(t, d, m); got != want {
			t.Errorf("reopened with %s, want %s", got, want)
		}
	})
}

// TestTurnedOnAndOff turns the log on and off at run time.
func TestTurnedOnAndOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		config := configured("/data")
		config.AppendOnly = false
		d := open(t, m, config)
		set := func(on bool) {
			d.locked(func() {
				if err := errors.Join(d.s.SetAppend(on), d.s.SetAppend(on)); err != nil {
					t.Fatal(err)
				}
			})
		}
		d.must("SET a 1")
		if _, err := m.List("/data/appendonlydir"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("there is a log: %v", err)
		}
		set(true)
		d.must("SET b 2")
		synctest.Wait()
		d.must("SET c 3")
		if d.field("aof_enabled") != "1" || d.field("aof_pending_rewrite") != "0" {
			t.Errorf("enabled %s, pending %s", d.field("aof_enabled"), d.field("aof_pending_rewrite"))
		}
		after := m.AfterCrash(1)
		_ = d.s.Close()
		d = open(t, after, configured("/data"))
		if got := d.state(); !strings.Contains(got, `"a"`) {
			t.Errorf("after a crash there is %q", got)
		}
		set(false)
		d.must("SET d 4")
		set(true)
		set(false)
		set(true)
		synctest.Wait()
		<-time.After(3 * time.Second)
		d.must("SET e 5")
		want := d.state()
		if got := reopened(t, d, after); got != want {
			t.Errorf("reopened with %s\nwant %s", got, want)
		}
		if names := list(t, after, "/data/appendonlydir"); len(names) != 3 {
			t.Errorf("files: %q", names)
		}
	})
}

// TestRewriteWhileOff makes files for a later start with the log turned on, as Redis does.
func TestRewriteWhileOff(t *testing.T) {
	t.Parallel()
	m, _ := closed(t, "SET old 1")
	config := configured("/data")
	config.AppendOnly = false
	d := open(t, m, config)
	d.must("SET a 1")
	for range 2 {
		d.rewrite()
	}
	want := d.state()
	if names := list(t, m, "/data/appendonlydir"); !slices.Equal(names, []string{"appendonly.aof.3.base.rdb", "appendonly.aof.manifest"}) {
		t.Errorf("files: %q", names)
	}
	if got := reopened(t, d, m); got != want {
		t.Errorf("reopened with %s, want %s", got, want)
	}
}

// TestRewriteNeedsRoom has the disk fill up during a rewrite: nothing is lost, and it is repeated.
func TestRewriteNeedsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		config := configured("/data")
		config.AppendFsync, config.RDBCompression = "always", false
		d := open(t, m, config)
		d.must("SET a " + strings.Repeat("x", 1000))
		m.SetSpace(500)
		d.locked(func() { _, _ = d.s.StartRewrite() })
		synctest.Wait()
		if d.field("aof_last_bgrewrite_status") != "err" {
			t.Error("it has found room")
		}
		if names := list(t, m, "/data/appendonlydir"); slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "temp") }) {
			t.Errorf("files: %q", names)
		}
		_, err := d.do("SET b " + strings.Repeat("y", 1000))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("SET = %v", err)
		}
		if reply, _ := d.do("SET c 1"); reply != "-MISCONF Errors writing to the AOF file: No space left on device" {
			t.Errorf("SET = %s", reply)
		}
		m.SetSpace(-1)
		<-time.After(1100 * time.Millisecond)
		d.must("SET c 1")
		d.rewrite()
		want := d.state()
		if got := reopened(t, d, m.AfterCrash(1)); got != want {
			t.Errorf("reopened with %s, want %s", got, want)
		}
	})
}

// TestFailedSyncHeals has a sync of the log fail: writes are refused until a rewrite has put another file
// in its place. What was acknowledged before is there after a crash at any later moment.
func TestFailedSyncHeals(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"always", "everysec"} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			config := configured("/data")
			config.AppendFsync = policy
			d := open(t, m, config)
			d.must("SET a 1")
			<-time.After(1100 * time.Millisecond)
			var healed atomic.Bool
			m.SetFault(func(op vfs.Op) (int, error) {
				if op.Kind == vfs.OpSync && !healed.Load() {
					return 0, syscall.EIO
				}
				return 0, nil
			})
			if _, err := d.do("SET b 2"); policy == "always" && !errors.Is(err, syscall.EIO) {
				t.Errorf("SET = %v", err)
			}
			<-time.After(3 * time.Second)
			if reply, _ := d.do("SET c 3"); !strings.HasPrefix(reply, "-MISCONF Errors writing to the AOF file: ") {
				t.Errorf("SET = %s", reply)
			}
			if d.field("aof_last_write_status") != "err" || d.field("aof_rewrites_consecutive_failures") == "0" {
				t.Errorf("status %s, failures %s", d.field("aof_last_write_status"), d.field("aof_rewrites_consecutive_failures"))
			}
			healed.Store(true)
			<-time.After(10 * time.Second)
			d.must("SET c 3")
			if d.field("aof_last_write_status") != "ok" || d.field("aof_last_bgrewrite_status") != "ok" {
				t.Errorf("status %s, rewrite %s", d.field("aof_last_write_status"), d.field("aof_last_bgrewrite_status"))
			}
			<-time.After(1100 * time.Millisecond)
			want := d.state()
			after := m.AfterCrash(3)
			_ = d.s.Close()
			if got := open(t, after, config).state(); got != want || !strings.Contains(got, `"b"`) {
				t.Errorf("%s: after a crash there is %s\nwant %s", policy, got, want)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		d := open(t, m, configured("/data"))
		d.must("SET a 1")
		d.locked(func() {
			for i, tc := range []struct {
				start     func() (bool, error)
				scheduled bool
				err       string
			}{
				{d.s.StartRewrite, false, ""},
				{d.s.StartRewrite, false, "Background append only file rewriting already in progress"},
				{func() (bool, error) { return d.s.StartSave(false) }, false, "Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."},
				{func() (bool, error) { return d.s.StartSave(true) }, true, ""},
			} {
				scheduled, err := tc.start()
				if scheduled != tc.scheduled || err != nil && err.Error() != tc.err || err == nil && tc.err != "" {
					t.Errorf("%d: %v, %v", i, scheduled, err)
				}
			}
		})
		synctest.Wait()
		if d.field("aof_rewrites") != "1" || d.field("rdb_saves") != "1" || d.e.Snapshotting() {
			t.Errorf("%s rewrites, %s saves", d.field("aof_rewrites"), d.field("rdb_saves"))
		}
		d.locked(func() {
			if _, err := d.s.StartSave(false); err != nil {
				t.Error(err)
			}
			if err := d.s.Save(); err == nil || err.Error() != "Background save already in progress" {
				t.Errorf("SAVE = %v", err)
			}
			if scheduled, err := d.s.StartRewrite(); !scheduled || err != nil {
				t.Errorf("BGREWRITEAOF = %v, %v", scheduled, err)
			}
		})
		synctest.Wait()
		if d.field("aof_rewrites") != "2" || d.field("rdb_saves") != "2" {
			t.Errorf("%s rewrites, %s saves", d.field("aof_rewrites"), d.field("rdb_saves"))
		}
	})
}

func TestSavePoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		config := configured("/data")
		config.AppendOnly = false
		config.SavePoints = []engine.SavePoint{{After: time.Hour, Changes: 1}, {After: time.Minute, Changes: 3}}
		d := open(t, m, config)
		saves := func(want int) {
			t.Helper()
			if got := d.field("rdb_saves"); got != fmt.Sprint(want) {
				t.Errorf("%s saves, want %d", got, want)
			}
		}
		d.must("SET a 1", "SET b 1")
		<-time.After(2 * time.Minute)
		saves(0)
		d.must("SET c 1")
		<-time.After(time.Second)
		saves(1)
		<-time.After(2 * time.Hour)
		saves(1)
		d.must("SET d 1")
		<-time.After(time.Second)
		saves(2)
		m.SetSpace(0)
		d.must("SET e 1")
		<-time.After(61 * time.Minute)
		saves(2)
		if d.field("rdb_last_bgsave_status") != "err" {
			t.Error("saved on a full disk")
		}
		if reply, _ := d.do("SET f 1"); !strings.HasPrefix(reply, "-MISCONF Redis is configured to save RDB snapshots") {
			t.Errorf("a write after a failed snapshot: %s", reply)
		}
		d.locked(func() { d.e.Config().StopWritesOnBGSave = false })
		d.must("GET e", "SET f 0")
		d.locked(func() { d.e.Config().StopWritesOnBGSave = true })
		m.SetSpace(-1)
		<-time.After(6 * time.Second)
		saves(3)
		d.must("SET f 1")
		want := d.state()
		if err := d.s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := open(t, m, config).state(); got != want {
			t.Errorf("reopened with %s, want %s", got, want)
		}
	})
}

// That writes are refused, and that they are not any more, is logged once each.
func TestRefusalIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem()
		var out strings.Builder
		d, err := tryOpen(t, m, configured("/data"), persist.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		m.SetSpace(0)
		if _, err := d.do("SET a 1"); err == nil {
			t.Error("written to a full disk")
		}
		<-time.After(3 * time.Second)
		m.SetSpace(-1)
		<-time.After(3 * time.Second)
		d.must("SET a 2")
		if err := d.s.Close(); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{`level=ERROR msg="writes are refused" error="Errors writing to the AOF file: No space left on device"`: 1, "writes are accepted again": 1} {
			if got := strings.Count(out.String(), text); got != want {
				t.Errorf("%s: %d times in\n%s", text, got, out.String())
			}
		}
	})
}

// TestReadsOnAFullDisk shows who may still be answered when the log cannot be written.
func TestReadsOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"always", "everysec", "no"} {
		synctest.Test(t, func(t *testing.T) {
			m := vfs.NewMem()
			config := configured("/data")
			config.AppendFsync = policy
			d := open(t, m, config)
			reader := d.e.NewClient(engine.Front{})
			d.must("SET a 1")
			m.SetSpace(0)
			if _, err := d.do("SET a 2"); err == nil || d.e.Readable(d.c) {
				t.Errorf("%s: a write on a full disk: %v", policy, err)
			}
			d.e.Do(reader, bytesOf([]string{"GET", "a"}), nil)
			if err := d.e.Commit(reader); err == nil {
				t.Errorf("%s: committed on a full disk", policy)
			}
			if got := d.e.Readable(reader); got != (policy != "always") {
				t.Errorf("%s: a reader may be answered: %v", policy, got)
			}
			m.SetSpace(-1)
			<-time.After(1100 * time.Millisecond)
			if err := d.e.Commit(d.c); err != nil {
				t.Errorf("with room again: %v", err)
			}
		})
	}
}
