package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
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

// hard names the points that are not passed while all is well, and after how many passes to die there.
var hard = map[string][]int{
	"release.unfinished": {1, 3},
	"open.after_claim":   {1}, "open.after_script": {1, 10}, "open.before_confirm": {1},
	"leftovers.before_commit": {1, 3}, "leftovers.after_commit": {1, 3},
	"flush.before_commit": {1, 3}, "flush.after_commit": {1, 3},
	"direct.before_commit": {1, 30}, "direct.after_commit": {1, 30},
}

// One of two replicas kills itself at the n-th pass of a line where a crash hurts most, while clients
// write through both. The other one takes over, and nothing that was acknowledged is lost or doubled.
func TestP1_KillAtEveryCrashPoint(t *testing.T) {
	t.Parallel()
	points := crashPoints(t)
	for _, point := range points {
		if hard[point] != nil {
			continue
		}
		for _, n := range []int{1, 30} {
			t.Run(point+":"+strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				killAt(t, point, n)
			})
		}
	}
	for point := range hard {
		if !slices.Contains(points, point) {
			t.Errorf("there is no %s", point)
		}
	}
}

// The same while Redis is killed and comes back, so that shards move.
func TestP1_KillAtEveryCrashPointOfAMove(t *testing.T) {
	t.Parallel()
	for point, passes := range hard {
		for _, n := range passes {
			if point == "release.unfinished" {
				continue
			}
			t.Run(point+":"+strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				killInMove(t, point, n)
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
	if len(names) < 15 {
		t.Fatalf("found the points %q only", names)
	}
	return names
}

// arm starts a replica that kills itself at the n-th pass of a point.
func (w *world) arm(t *testing.T, survivor *process, point string, n int, settings ...string) *process {
	t.Helper()
	armed := spawn(t, testenv.Program(t, program, "-tags=failpoints"),
		w.env(append(settings, failpoint.Env+"="+point+":"+strconv.Itoa(n))...)...)
	// A point that is passed at the start ends the process before it serves.
	eventually(t, 30*time.Second, "the armed replica serves or dies", func() bool { return armed.findAddr() || armed.hasExited() })
	eventually(t, takeover, "the replicas share the shards", func() bool { return survivor.peers(t) == 2 || armed.hasExited() })
	return armed
}

// checkKilled checks that the process, which has ended, was ended by SIGKILL.
func (p *process) checkKilled(t *testing.T) {
	t.Helper()
	if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Fatalf("the armed replica ended otherwise: %s", p.cmd.ProcessState)
	}
}

func killAt(t *testing.T, point string, n int) {
	t.Helper()
	w := newWorld(t)
	survivor := launch(t, w.env()...)
	armed := w.arm(t, survivor, point, n)
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
	armed.checkKilled(t)
	eventually(t, takeover, "the other replica has drained the backlog", func() bool { return w.drained(t, backlog) })
	full := len(slices.DeleteFunc(backlog, func(end string) bool { return end == "" }))
	t.Logf("the backlog of %d shards was drained %v after the death", full, time.Since(died))
	if n == 1 {
		eventually(t, takeover, "writes go on", func() bool { return l.acked() > acked+50 })
	}
	l.finish(t)
	l.verify(t, w, survivor)
}

// durable are the settings of a Redis that has everything again after it was killed.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// killInMove kills Redis until the armed replica has died: for a moment, so that the shards are opened in the
// next process, or for so long that they move to SQL.
func killInMove(t *testing.T, point string, n int) {
	t.Helper()
	w := newWorld(t, durable...)
	survivor := launch(t, w.env()...)
	armed := w.arm(t, survivor, point, n)
	l := startPlainLoad(t, 4, survivor, armed)
	began, round := time.Now(), 0
	for ; !armed.hasExited(); round++ {
		if time.Since(began) > 60*time.Second {
			t.Fatalf("the armed replica did not die in %d rounds", round)
		}
		l.goOn(t, armed.hasExited)
		w.kill(t)
		if round%2 == 0 {
			eventually(t, 20*time.Second, "the shards move to SQL", func() bool {
				return armed.hasExited() || survivor.metric(t, "zmsg_shards_at_sql") == allShards
			})
			l.goOn(t, armed.hasExited)
		}
		w.restart(t)
		eventually(t, 20*time.Second, "the shards move to Redis", func() bool { return armed.hasExited() || survivor.inRedis(t) })
	}
	armed.checkKilled(t)
	t.Logf("the armed replica has died in round %d", round)
	eventually(t, 20*time.Second, "the shards are in Redis", func() bool { return survivor.inRedis(t) })
	l.goOn(t, func() bool { return false })
	l.finish(t)
	l.verify(t, w, survivor)
}

// goOn waits until some more requests are acknowledged, or enough says that they need not be.
func (l *load) goOn(t *testing.T, enough func() bool) {
	t.Helper()
	acked := l.acked()
	eventually(t, 20*time.Second, "writes go on", func() bool { return enough() || l.acked() > acked+50 })
}

func (w *world) kill(t *testing.T) {
	t.Helper()
	if err := w.redis.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (w *world) restart(t *testing.T) {
	t.Helper()
	if err := w.redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// inRedis reports whether the process uses all shards, in Redis.
func (p *process) inRedis(t *testing.T) bool {
	t.Helper()
	return p.metric(t, "zmsg_shards_at_sql") == 0 && p.metric(t, "zmsg_shards_granted") == allShards
}

// A release takes several calls when many writes of a round must be looked through because the database has
// refused one of them.
func TestP1_KillInAnUnfinishedRelease(t *testing.T) {
	t.Parallel()
	const point = "release.unfinished"
	for _, n := range hard[point] {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			gather := "ZMSG_COUNTER_FLUSH_INTERVAL=1s"
			survivor := launch(t, w.env(gather)...)
			w.exec(t, "ALTER TABLE counters ADD CONSTRAINT refused CHECK (metric <> 'refused')")
			armed := w.arm(t, survivor, point, n, gather)
			l := startLoad(t, 4, survivor, survivor)
			l.targets[1].set(armed)
			bursts := 0
			for began := time.Now(); !armed.hasExited(); {
				if time.Since(began) > 30*time.Second {
					t.Fatalf("the armed replica did not die in %d bursts", bursts)
				}
				burst(t, survivor, bursts)
				bursts++
			}
			armed.checkKilled(t)
			l.goOn(t, func() bool { return false })
			l.finish(t)
			l.verify(t, w, survivor)
			for metric, want := range map[string]int{"likes": bursts * (burstSize - burstSubjects), "refused": 0} {
				if n := w.number(t, "SELECT COALESCE(sum(value), 0) FROM counters WHERE subject LIKE 'burst:%' AND metric = $1", metric); n != int64(want) {
					t.Errorf("%s: %d in SQL, acknowledged are %d", metric, n, want)
				}
			}
			if n := w.number(t, "SELECT count(*) FROM dead_letters"); n != int64(bursts*burstSubjects) {
				t.Errorf("%d dead letters of %d refused changes", n, bursts*burstSubjects)
			}
		})
	}
}

const (
	burstSize     = 1000
	burstSubjects = 16 // so that they are in all shards of counters
)

// burst sends one request with many increments, of which the database refuses one for each subject, until all
// are queued.
func burst(t *testing.T, p *process, n int) {
	t.Helper()
	var items []string
	for i := range burstSize {
		metric := "likes"
		if i < burstSubjects {
			metric = "refused"
		}
		items = append(items, fmt.Sprintf(`{"subject":"burst:%d","metric":%q,"delta":1}`, i%burstSubjects, metric))
	}
	body, c := `{"items":[`+strings.Join(items, ",")+`]}`, newClient(t)
	eventually(t, patience, "the increments are queued", func() bool {
		a, err := c.call(t.Context(), http.MethodPost, p.URL+"/counters:batchIncrement", body, "Idempotency-Key", "burst-"+strconv.Itoa(n))
		if err != nil {
			t.Fatal(err)
		}
		var said struct{ Summary struct{ Succeeded int } }
		if err := json.Unmarshal([]byte(a.body), &said); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		return said.Summary.Succeeded == burstSize
	})
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
