package persist_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/aof"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

func TestCheckOfWhatIsWhole(t *testing.T) {
	t.Parallel()
	m, _ := closed(t, "SET a 1", "MULTI", "RPUSH l x", "SET b 1", "EXEC")
	d := open(t, m, configured("/data"))
	d.rewrite()
	d.must("SET c 1")
	d.locked(func() {
		if err := d.s.Save(); err != nil {
			t.Error(err)
		}
	})
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	reports, err := persist.Check(m, newEngine(configured("/data")), true)
	if err != nil || len(reports) != 3 {
		t.Fatalf("Check = %+v, %v", reports, err)
	}
	for i, want := range []struct{ keys, commands int64 }{{4, 0}, {3, 0}, {0, 2}} {
		if r := reports[i]; r.Keys != want.keys || r.Commands != want.commands || r.Err != nil || r.Copy != "" {
			t.Errorf("%+v", r)
		}
	}
	if _, err := persist.Check(vfs.NewMem(), newEngine(configured("/nowhere")), false); err == nil {
		t.Error("what is not there is whole")
	}
}

func TestCheckFixes(t *testing.T) {
	t.Parallel()
	good := words("SELECT", "0") + words("SET", "a", "1")
	for name, text := range map[string]string{
		"torn": good + "*3\r\n", "damaged": good + "garbage" + good, "in a transaction": good + words("MULTI") + good + "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := closed(t)
			put(t, m, incr1, text)
			put(t, m, incr1+".damaged.1", "from another time")
			_, err := persist.Check(m, newEngine(configured("/data")), false)
			var broken *aof.Error
			if !errors.As(err, &broken) || broken.File != incr1 || broken.Offset != int64(len(good)) {
				t.Fatalf("Check = %v", err)
			}
			if got := string(contents(t, m, incr1)); got != text {
				t.Errorf("looking has changed it to %q", got)
			}
			reports, err := persist.Check(m, newEngine(configured("/data")), true)
			if err != nil {
				t.Fatal(err)
			}
			r := reports[len(reports)-1]
			if r.Copy != incr1+".damaged.2" || r.Cut != int64(len(text)-len(good)) || r.Err == nil {
				t.Errorf("report %+v", r)
			}
			if a, b := string(contents(t, m, incr1)), string(contents(t, m, r.Copy)); a != good || b != text {
				t.Errorf("the file has %q, the copy %q", a, b)
			}
			if got := open(t, m, configured("/data")).state(); !strings.Contains(got, `"a"`) {
				t.Errorf("loaded %q", got)
			}
		})
	}
}

func TestCheckDoesNotFix(t *testing.T) {
	t.Parallel()
	good := words("SET", "a", "1")
	for name, tc := range map[string]struct{ file, text string }{
		"a file that is not the last": {base1, good + "x"}, "a snapshot": {"/data/dump.rdb", "REDIS0010\xfa"},
		"a base": {base1, "REDIS0010\xfa"}, "a manifest": {manifest, "file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := closed(t, "SET b 1")
			put(t, m, tc.file, tc.text)
			_, err := persist.Check(m, newEngine(configured("/data")), true)
			var broken *aof.Error
			if !errors.As(err, &broken) || broken.File != tc.file {
				t.Errorf("Check = %v", err)
			}
			if got := string(contents(t, m, tc.file)); got != tc.text {
				t.Errorf("the file has become %q", got)
			}
		})
	}
	// The single file of versions before 7.
	m := vfs.NewMem()
	put(t, m, "/data/appendonly.aof", good+"*1")
	reports, err := persist.Check(m, newEngine(configured("/data")), true)
	if err != nil || len(reports) != 1 || reports[0].Cut != 2 || reports[0].Commands != 1 {
		t.Errorf("Check = %+v, %v", reports, err)
	}
}

// uncut is a file system on which nothing can be cut off.
type uncut struct{ vfs.FS }

func (u uncut) OpenAppend(name string) (vfs.File, error) {
	f, err := u.FS.OpenAppend(name)
	return uncutFile{f}, err
}

type uncutFile struct{ vfs.File }

func (uncutFile) Truncate(int64) error { return syscall.EIO }

// A cut that has failed is not told as done.
func TestCheckCannotFix(t *testing.T) {
	t.Parallel()
	m, _ := closed(t, "SET b 1")
	put(t, m, incr1, words("SET", "a", "1")+"*1")
	reports, err := persist.Check(uncut{m}, newEngine(configured("/data")), true)
	if !errors.Is(err, syscall.EIO) || reports[1].Copy != "" || reports[1].Cut != 0 {
		t.Errorf("Check = %+v, %v", reports, err)
	}
}

// What is whole but would be refused is said to be so, and not cut off.
func TestCheckOfForeignCommands(t *testing.T) {
	t.Parallel()
	good := words("SET", "a", "1")
	for name, command := range map[string]string{
		"a command": words("FROBNICATE", "x"), "a database": words("SELECT", "99"), "no database": words("SELECT", "x"),
	} {
		m, _ := closed(t, "SET b 1")
		put(t, m, incr1, good+command+good)
		_, opening := tryOpen(t, m, configured("/data"), persist.Options{})
		_, err := persist.Check(m, newEngine(configured("/data")), true)
		var want, broken *aof.Error
		if !errors.As(opening, &want) || !errors.As(err, &broken) || broken.File != want.File || broken.Offset != want.Offset {
			t.Errorf("%s: Check = %v, Open = %v", name, err, opening)
		}
		if got := string(contents(t, m, incr1)); got != good+command+good {
			t.Errorf("%s: the file has become %q", name, got)
		}
	}
}
