package persist_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// tolerated is how much longer a command may take because of a rewrite.
const tolerated = 50 * time.Millisecond

// TestRewriteBesideTraffic increments one key, and sets others, while the log is rewritten: afterwards the
// log is small, nothing is lost, and no command has waited long. That is about the rewrite and not about
// what else the machine does, so it is measured against the time before, and once may be bad luck.
func TestRewriteBesideTraffic(t *testing.T) { //nolint:paralleltest // it measures
	var with, without time.Duration
	for range 5 {
		without, with = besideTraffic(t)
		t.Logf("longest command without a rewrite %v, with %v", without, with)
		if with < without+tolerated {
			return
		}
	}
	t.Errorf("a command took %v during a rewrite, and %v at most without", with, without)
}

func besideTraffic(t *testing.T) (without, with time.Duration) {
	t.Helper()
	config := configured(t.TempDir())
	d := open(t, vfs.OS{}, config)
	d.must("SET n 0")
	value := strings.Repeat("v", 50)
	for i := range keysBeside {
		d.run([][]string{{"SET", "key:" + strconv.Itoa(i), value}})
	}
	done := 0
	// traffic executes commands, and returns how long the slowest took.
	traffic := func(n int) (slowest time.Duration) {
		for range n {
			began := time.Now()
			if done++; done%4 == 0 {
				d.run([][]string{{"SET", "key:" + strconv.Itoa(done*7919%keysBeside), value}})
			} else {
				d.run([][]string{{"INCR", "n"}})
			}
			slowest = max(slowest, time.Since(began))
		}
		return slowest
	}
	without = traffic(increments / 2)
	before := size(t, config.Dir)
	d.locked(func() {
		if _, err := d.s.StartRewrite(); err != nil {
			t.Fatal(err)
		}
	})
	rewritten := 0
	for d.field("aof_rewrite_in_progress") == "1" {
		with = max(with, traffic(1000))
		rewritten += 1000
	}
	with = max(with, traffic(1000))
	// What was logged meanwhile, of at most 100 bytes each, is in the log beside the base.
	if after := size(t, config.Dir); d.field("aof_last_bgrewrite_status") != "ok" || after > before*2/3+int64(rewritten)*100 {
		t.Errorf("the log had %d bytes and has %d after %d commands and a rewrite, which was %s", before, after, rewritten, d.field("aof_last_bgrewrite_status"))
	}
	traffic(max(0, increments-done))
	want := fmt.Sprint(done - done/4)
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := tryOpen(t, vfs.OS{}, config, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := d.do("GET n"); !strings.HasSuffix(got, want) {
		t.Errorf("the counter is %q, want %s", got, want)
	}
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	return without, with
}

// size is how many bytes the log's files have.
func size(t *testing.T, dir string) (total int64) {
	t.Helper()
	dir = filepath.Join(dir, "appendonlydir")
	for _, name := range list(t, vfs.OS{}, dir) {
		n, err := vfs.OS{}.Size(filepath.Join(dir, name))
		if err == nil { // it may have been removed meanwhile
			total += n
		}
	}
	return total
}
