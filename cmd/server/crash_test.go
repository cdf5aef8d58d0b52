package main

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/testenv"
)

// One of two replicas kills itself at the n-th pass of a line where a crash hurts most, while clients
// write through both. The other one takes over, and nothing that was acknowledged is lost or doubled.
func TestP1_KillAtEveryCrashPoint(t *testing.T) {
	t.Parallel()
	points := crashPoints(t)
	for _, point := range points {
		for _, n := range []int{1, 30} {
			t.Run(point+":"+strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				killAt(t, point, n)
			})
		}
	}
}

// crashPoints returns the names of all points in the source, so that a new one is tested at once.
func crashPoints(t *testing.T) []string {
	t.Helper()
	call := regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)
	var names []string
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 5 {
		t.Fatalf("found the points %q only", names)
	}
	return names
}

func killAt(t *testing.T, point string, n int) {
	t.Helper()
	w := newWorld(t)
	survivor := launch(t, w.env()...)
	armed := spawn(t, testenv.Program(t, program, "-tags=failpoints"),
		w.env(failpoint.Env+"="+point+":"+strconv.Itoa(n))...)
	// A point that is passed at the start ends the process before it serves.
	eventually(t, 30*time.Second, "the armed replica serves or dies", func() bool { return armed.findAddr() || armed.hasExited() })
	eventually(t, takeover, "the replicas share the shards", func() bool { return survivor.peers(t) == 2 || armed.hasExited() })
	l := startLoad(t, 4, survivor, survivor)
	if armed.URL != "" {
		l.targets[1].set(armed)
	}
	select {
	case <-armed.exited:
	case <-time.After(30 * time.Second):
		t.Fatal("the armed replica did not die")
	}
	died, acked, backlog := time.Now(), l.acked(), w.backlog(t)
	if n > 1 {
		l.stop() // nobody's write must be needed to have the backlog drained
	}
	if s := armed.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Fatalf("the armed replica ended otherwise: %s", armed.cmd.ProcessState)
	}
	eventually(t, takeover, "the other replica has drained the backlog", func() bool { return w.drained(t, backlog) })
	full := len(slices.DeleteFunc(backlog, func(end string) bool { return end == "" }))
	t.Logf("the backlog of %d shards was drained %v after the death", full, time.Since(died))
	if n == 1 {
		eventually(t, takeover, "writes go on", func() bool { return l.acked() > acked+50 })
	}
	l.finish(t)
	l.verify(t, w, survivor)
}

// A replica is killed and started again at random moments.
func TestP1_Kill9UnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*process{launch(t, w.env()...), launch(t, w.env()...)}
	l := startLoad(t, 4, replicas...)
	end := time.Now().Add(10 * time.Second)
	kills := 0
	for ; time.Now().Before(end); kills++ {
		victim := rand.IntN(len(replicas))
		acked := l.acked()
		more := 20 + rand.Int64N(200) // so that the kill meets writes, at a moment of no choice
		eventually(t, 20*time.Second, "writes go on", func() bool { return l.acked() > acked+more })
		replicas[victim].Kill(t)
		replicas[victim] = launch(t, w.env()...)
		l.targets[victim].set(replicas[victim])
	}
	l.finish(t)
	t.Logf("%d kills, %d acknowledged requests", kills, l.acked())
	l.verify(t, w, replicas[0])
}
