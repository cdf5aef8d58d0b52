package persist_test

import (
	"slices"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/vfs"
)

func TestReopen(t *testing.T) {
	t.Parallel()
	m := vfs.NewMem()
	d := open(t, m, configured("/data"))
	d.must("SET a 1", "INCR a", "MULTI", "SET b x", "APPEND b y", "EXEC", "SET c 1 PX 100000000")
	want := d.state()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, m, configured("/data"))
	if got := d.state(); got != want {
		t.Fatalf("reopened:\n%s\nwant:\n%s", got, want)
	}
	d.must("INCR a")
	d.rewrite()
	d.must("INCR a")
	want = d.state()
	names := list(t, m, "/data/appendonlydir")
	if !slices.Equal(names, []string{"appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest"}) {
		t.Errorf("files: %q", names)
	}
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, m, configured("/data"))
	if got := d.state(); got != want {
		t.Fatalf("reopened:\n%s\nwant:\n%s", got, want)
	}
}
