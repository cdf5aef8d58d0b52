package persist_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

const (
	logDir   = "/data/appendonlydir/"
	incr1    = logDir + "appendonly.aof.1.incr.aof"
	base1    = logDir + "appendonly.aof.1.base.rdb"
	manifest = logDir + "appendonly.aof.manifest"
)

// put makes a file durable that holds text, with its directory.
func put(t *testing.T, fsys vfs.FS, name, text string) {
	t.Helper()
	dir := name[:strings.LastIndexByte(name, '/')]
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte(text))
	if err := errors.Join(err, f.Sync(), f.Close(), fsys.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
}

// closed returns the files of a database in which commands have been executed.
func closed(t *testing.T, lines ...string) (*vfs.Mem, string) {
	t.Helper()
	m := vfs.NewMem()
	d := open(t, m, configured("/data"))
	d.must(lines...)
	state := d.state()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	return m, state
}

func words(w ...string) string { return string(engine.AppendCommand(nil, bytesOf(w))) }

func bytesOf(w []string) [][]byte {
	args := make([][]byte, len(w))
	for i := range w {
		args[i] = []byte(w[i])
	}
	return args
}

// TestTornEnd has a crash cut the log short in various ways.
func TestTornEnd(t *testing.T) {
	t.Parallel()
	whole := words("SELECT", "0") + words("SET", "a", "1")
	for name, end := range map[string]string{
		"half a command":     words("SETRANGE", "b", "2", "x")[:15],
		"open transaction":   words("MULTI") + words("SET", "b", "2"),
		"zeros":              strings.Repeat("\x00", 100),
		"half an annotation": "#TS:17",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, empty := range []bool{false, true} { // a next file has been prepared
				m, _ := closed(t)
				put(t, m, incr1, whole+end)
				if empty {
					put(t, m, logDir+"appendonly.aof.2.incr.aof", "")
					put(t, m, manifest, string(contents(t, m, manifest))+"file appendonly.aof.2.incr.aof seq 2 type i\n")
				}
				config := configured("/data")
				config.LoadTruncated = false
				_, err := tryOpen(t, m, config, persist.Options{})
				var broken *aof.Error
				if !errors.As(err, &broken) || broken.File != incr1 || broken.Offset != int64(len(whole)) || !errors.Is(err, aof.ErrTorn) {
					t.Fatalf("with aof-load-truncated no: %v", err)
				}
				d := open(t, m, configured("/data"))
				d.must("SET c 3")
				if got := string(contents(t, m, incr1)); !strings.HasPrefix(got, whole) || strings.Contains(got, end) {
					t.Errorf("the file has %q", got)
				}
				want := d.state()
				if err := d.s.Close(); err != nil {
					t.Fatal(err)
				}
				if got := open(t, m, config).state(); got != want || !strings.Contains(got, `"c"`) {
					t.Errorf("reopened with %s", got)
				}
			}
		})
	}
}

// TestDamageIsRefused changes files in ways that no crash does.
func TestDamageIsRefused(t *testing.T) {
	t.Parallel()
	good := words("SELECT", "0") + words("SET", "a", "1")
	for name, tc := range map[string]struct {
		file, text string
		in         string // the file that the error names
		offset     int
	}{
		"in the middle":           {incr1, good + "*3\r\n$3\r\nSEX" + good, incr1, len(good)},
		"garbage at the end":      {incr1, good + "garbage", incr1, len(good)},
		"unknown command":         {incr1, good + words("FROBNICATE", "x"), incr1, len(good)},
		"unknown database":        {incr1, good + words("SELECT", "99"), incr1, len(good)},
		"in a transaction":        {incr1, good + words("MULTI") + "x" + good, incr1, len(good)},
		"base that is torn":       {base1, "REDIS0010\xfa", base1, 10},
		"base that is no RDB":     {base1, "RADIS0010", base1, 0},
		"manifest":                {manifest, "file x\n", manifest, 0},
		"empty manifest":          {manifest, "", manifest, 0},
		"torn, with more to come": {base1, good[:len(good)-3], base1, len(words("SELECT", "0"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := closed(t, "SET x 1")
			put(t, m, tc.file, tc.text)
			_, err := tryOpen(t, m, configured("/data"), persist.Options{})
			var broken *aof.Error
			if !errors.As(err, &broken) || broken.File != tc.in || broken.Offset != int64(tc.offset) {
				t.Fatalf("Open = %v; want %s at %d", err, tc.in, tc.offset)
			}
			// The directory is not left locked.
			if _, again := tryOpen(t, m, configured("/data"), persist.Options{}); again == nil || again.Error() != err.Error() {
				t.Errorf("the second time: %v", again)
			}
		})
	}
	t.Run("missing manifest", func(t *testing.T) {
		t.Parallel()
		m, _ := closed(t, "SET x 1")
		if err := m.Remove(manifest); err != nil {
			t.Fatal(err)
		}
		if _, err := tryOpen(t, m, configured("/data"), persist.Options{}); err == nil || !strings.Contains(err.Error(), manifest) {
			t.Errorf("Open = %v", err)
		}
	})
	t.Run("missing file", func(t *testing.T) {
		t.Parallel()
		m, _ := closed(t)
		if err := m.Remove(incr1); err != nil {
			t.Fatal(err)
		}
		if _, err := tryOpen(t, m, configured("/data"), persist.Options{}); err == nil || !strings.Contains(err.Error(), incr1) {
			t.Errorf("Open = %v", err)
		}
	})
}

// TestOldLayouts loads the single file of versions before 7, and a base that is no RDB file.
func TestOldLayouts(t *testing.T) {
	t.Parallel()
	_, want := closed(t, "SET a 1", "RPUSH l x y")
	m, _ := closed(t, "SET a 1")
	d := open(t, m, configured("/data"))
	d.rewrite()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	preamble := string(contents(t, m, logDir+"appendonly.aof.2.base.rdb"))
	rest := words("SELECT", "0") + words("RPUSH", "l", "x", "y")
	for name, text := range map[string]string{
		"commands":      words("SELECT", "0") + words("SET", "a", "1") + rest,
		"RDB preamble":  preamble + rest,
		"and torn":      preamble + rest + "*1\r\n",
		"with comments": "#TS:1\r\n" + words("SELECT", "0") + words("SET", "a", "1") + "#TS:2\r\n" + rest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := vfs.NewMem()
			put(t, m, "/data/appendonly.aof", text)
			for range 2 {
				d := open(t, m, configured("/data"))
				if got := d.state(); got != want {
					t.Errorf("loaded %s\nwant %s", got, want)
				}
				if err := d.s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if names := list(t, m, "/data"); !slices.Equal(names, []string{"appendonlydir"}) {
				t.Errorf("files: %q", names)
			}
			// In the new layout, as the base.
			m = vfs.NewMem()
			put(t, m, logDir+"appendonly.aof.1.base.aof", text)
			put(t, m, manifest, "file appendonly.aof.1.base.aof seq 1 type b\nfile gone seq 1 type h\n")
			if got := open(t, m, configured("/data")).state(); got != want {
				t.Errorf("as a base: %s\nwant %s", got, want)
			}
			if got := string(contents(t, m, manifest)); strings.Contains(got, "gone") {
				t.Errorf("manifest: %s", got)
			}
		})
	}
}

// TestInterruptedAdoption finds the old file where a crash has left it, with the manifest written already.
func TestInterruptedAdoption(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	put(t, m, "/data/appendonly.aof", words("SET", "a", "1"))
	put(t, m, manifest, "file appendonly.aof seq 1 type b\n")
	if got := open(t, m, configured("/data")).state(); !strings.Contains(got, `"a"`) {
		t.Errorf("loaded %q", got)
	}
}

func TestDump(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	config := configured("/data")
	config.AppendOnly = false
	d := open(t, m, config)
	d.must("SET a 1", "RPUSH l x", "SET brief 1 PX 1", "SET later 1 PX 100000000")
	d.locked(func() {
		if err := d.s.Save(); err != nil {
			t.Error(err)
		}
		if d.e.Unsaved() != 0 {
			t.Errorf("%d changes unsaved", d.e.Unsaved())
		}
	})
	<-time.After(2 * time.Millisecond)
	d.must("GET brief") // which removes it
	want := d.state()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, m, config)
	if got := d.state(); got != want {
		t.Errorf("loaded %s\nwant %s", got, want)
	}
	if d.field("rdb_last_load_keys_expired") != "1" || d.field("rdb_last_load_keys_loaded") != "3" {
		t.Errorf("loaded %s, expired %s", d.field("rdb_last_load_keys_loaded"), d.field("rdb_last_load_keys_expired"))
	}
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	// A log that is turned on later begins with the snapshot.
	d = open(t, m, configured("/data"))
	d.must("SET b 1")
	want = d.state()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, m, configured("/data")).state(); got != want || !strings.Contains(got, `"a"`) {
		t.Errorf("loaded %s\nwant %s", got, want)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 2000 {
		lines = append(lines, fmt.Sprintf("SET key:%d %d", i, i))
	}
	m, want := closed(t, lines...)
	var told []persist.Progress
	d, err := tryOpen(t, m, configured("/data"), persist.Options{Progress: func(p persist.Progress) { told = append(told, p) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.s.Close() }()
	last := told[len(told)-1]
	if last.Loaded != last.Total || last.Total < 50000 || last.Commands != 2001 || last.Rate() <= 0 {
		t.Errorf("progress %+v", last)
	}
	if got := d.state(); got != want {
		t.Error("loaded something else")
	}
}

func TestOneProcess(t *testing.T) {
	t.Parallel()
	config := configured(t.TempDir())
	open(t, vfs.OS{}, config)
	_, err := tryOpen(t, vfs.OS{}, config, persist.Options{})
	var locked *vfs.LockedError
	if !errors.As(err, &locked) {
		t.Errorf("second Open = %v", err)
	}
	if _, err := persist.Check(vfs.OS{}, newEngine(config), true); !errors.As(err, &locked) {
		t.Errorf("Check = %v", err)
	}
}
