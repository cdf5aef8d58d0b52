package persist_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// window is what may be lost under everysec: what was executed since the last sync began, and the moments
// until a change of the policy is noticed.
const window = 1300 * time.Millisecond

// crashSeed has TestCrash run one seed, and tell what happens.
var crashSeed = flag.Int64("crash.seed", -1, "run TestCrash with this seed alone, and log its operations")

// TestCrash crashes the machine at seeded operations of a random workload, and looks at what a new start
// finds: the state after some prefix of what was executed, with everything that was acknowledged.
func TestCrash(t *testing.T) {
	t.Parallel()
	const shards = 4
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < crashPoints; seed += shards {
				if *crashSeed >= 0 && seed != uint64(*crashSeed) {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					t.Helper()
					newWorkload(t, seed).run()
				})
				if t.Failed() {
					return
				}
			}
		})
	}
}

// workload executes random commands until the crash.
type workload struct {
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	m      *vfs.Mem
	p      *process
	config *engine.Config
	d      *db

	states []string    // after each command; the first is before all
	at     []time.Time // when it was executed
	acked  int         // the state that has been acknowledged under always
	// written is the state that has been acknowledged under any policy.
	written int
	lazy    time.Time // when the policy was "no" last
	faulty  bool      // the disk was full, or a sync has failed
}

func newWorkload(t *testing.T, seed uint64) *workload {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	w := &workload{t: t, seed: seed, r: r, m: vfs.NewMem(), config: configured("/data")}
	w.config.Databases = 2
	w.config.RewriteMinSize = int64(200 + r.IntN(1000))
	w.config.AppendFsync = w.policy()
	w.states, w.at = []string{""}, []time.Time{time.Now()}
	return w
}

func (w *workload) policy() string {
	return []string{"always", "always", "everysec", "no"}[w.r.IntN(4)]
}

func (w *workload) run() {
	w.m.CrashAt(1+w.r.IntN(150), w.seed)
	if *crashSeed >= 0 {
		w.m.SetFault(func(op vfs.Op) (int, error) {
			w.trace("%s %s %d", op.Kind, op.Name, op.N)
			return 0, nil
		})
	}
	err := w.open()
	if err == nil {
		for range 10 + w.r.IntN(100) {
			w.step()
			if _, crashed := w.m.Crashed(); crashed || w.d == nil {
				break
			}
		}
	} else if !errors.Is(err, vfs.ErrCrashed) {
		w.t.Fatalf("seed %d: Open: %v", w.seed, err)
	}
	crashed, ok := w.m.Crashed()
	if !ok {
		crashed = time.Now()
	}
	after := w.m.AfterCrash(w.seed)
	if w.d != nil {
		w.p.g.free()
		_ = w.d.s.Close()
	}
	w.look(after, crashed)
}

// trace tells what happens, if that was asked for.
func (w *workload) trace(format string, args ...any) {
	if *crashSeed >= 0 {
		w.t.Logf("%v: "+format, append([]any{time.Now().Format("05.000")}, args...)...)
	}
}

// open opens the database, with nothing held up.
func (w *workload) open() error {
	p := &process{FS: w.m, g: newGate(w.m)}
	d, err := tryOpen(w.t, p, w.config, persist.Options{})
	if err != nil {
		return err
	}
	p.up.Store(true)
	w.d, w.p = d, p
	return nil
}

// kill ends the process, and starts another: everything that was written is there, and from now on it is
// durable.
func (w *workload) kill() {
	synctest.Wait() // what is acknowledged while a sync goes on is written after it
	w.trace("kill")
	w.p.dead.Store(true)
	w.p.g.free()
	_ = w.d.s.Close()
	w.d = nil
	if err := w.open(); err != nil {
		if !errors.Is(err, vfs.ErrCrashed) && !w.faulty {
			w.t.Fatalf("seed %d: Open after a kill: %v", w.seed, err)
		}
		return
	}
	got := w.d.state()
	found := slices.Index(w.states[w.written:], got)
	if found < 0 {
		_ = w.d.s.Close()
		w.t.Fatalf("seed %d: after a kill there is\n%s\nthe state %d of %d was acknowledged:\n%s",
			w.seed, got, w.written, len(w.states)-1, w.states[w.written])
	}
	last := w.written + found
	w.states, w.at = w.states[:last+1], w.at[:last+1]
	w.acked, w.written = last, last
}

// step does the next thing.
func (w *workload) step() {
	r := w.r
	switch n := r.IntN(100); {
	case n < 60:
		w.command(w.line())
	case n < 68:
		w.command("MULTI")
		for range 1 + r.IntN(3) {
			w.command(w.line())
		}
		w.command("EXEC")
	case n < 74:
		w.d.locked(func() { _, _ = w.d.s.StartRewrite() })
	case n < 77:
		w.d.locked(func() { _, _ = w.d.s.StartSave(true) })
	case n < 80:
		policy := w.policy()
		if w.config.AppendFsync == "no" {
			w.lazy = time.Now()
		}
		w.d.locked(func() { w.config.AppendFsync = policy })
	case n < 90:
		w.p.g.let(1 + r.IntN(8))
	case n < 91:
		w.kill()
	case n < 97:
		<-time.After(time.Duration(r.IntN(1500)) * time.Millisecond)
		synctest.Wait()
	case w.seed%4 == 0:
		w.fault()
	}
}

// fault fills the disk or makes room on it, or has a sync fail.
func (w *workload) fault() {
	w.faulty = true
	switch w.r.IntN(3) {
	case 0:
		w.m.SetSpace(int64(w.r.IntN(100)))
	case 1:
		w.m.SetSpace(-1)
	case 2:
		after := w.r.IntN(5)
		w.m.SetFault(func(op vfs.Op) (int, error) {
			if op.Kind != vfs.OpSync && op.Kind != vfs.OpSyncDir {
				return 0, nil
			}
			after--
			if after == 0 {
				return 0, syscall.EIO
			}
			return 0, nil
		})
	}
}

// line is a random command.
func (w *workload) line() string {
	r := w.r
	key, value := string(rune('a'+r.IntN(6))), strings.Repeat("x", r.IntN(20))+fmt.Sprint(r.IntN(1000))
	return []string{
		"SET " + key + " " + value,
		"APPEND " + key + " " + value,
		"INCR n" + key,
		"DEL " + key,
		fmt.Sprintf("SET %s %s PX %d", key, value, 1+r.IntN(3000)),
		"GET " + key,
		fmt.Sprintf("SELECT %d", r.IntN(2)),
		"MSET " + key + " 1 " + value + " 2",
		"RPUSH l" + key + " " + value + " 2 3",
		"LPOP l" + key,
		"HSET h" + key + " f" + value[len(value)-1:] + " " + value,
		"HDEL h" + key + " f1 f2 f3",
		fmt.Sprintf("PEXPIRE %s %d", key, 1+r.IntN(3000)),
		"RENAME " + key + " " + string(rune('a'+r.IntN(6))),
		"COPY l" + key + " l" + string(rune('a'+r.IntN(6))) + " REPLACE",
		"XADD x" + key + " * f " + value,
		"ZINCRBY z" + key + " 1 " + value[len(value)-1:],
		"FLUSHDB",
	}[r.IntN(17*20+1)/20]
}

// command executes a command, and notes whether it was acknowledged. What was acknowledged under another
// policy is not synced by a command that only reads.
func (w *workload) command(line string) {
	_, err := w.d.do(line)
	last := len(w.states) - 1
	w.trace("%d. %s (%s): %v", last+1, line, w.config.AppendFsync, err)
	w.states, w.at = append(w.states, w.d.state()), append(w.at, time.Now())
	if err == nil {
		w.written = last + 1
	}
	if w.config.AppendFsync == "always" && err == nil && (w.acked == last || w.states[last+1] != w.states[last]) {
		w.acked = last + 1
	}
}

// look opens what the crash has left.
func (w *workload) look(after *vfs.Mem, crashed time.Time) {
	w.t.Helper()
	if w.r.IntN(4) == 0 { // another crash, during the start
		after.CrashAt(1+w.r.IntN(20), w.seed+1)
		if d, err := tryOpen(w.t, after, w.config, persist.Options{}); err == nil {
			_ = d.s.Close()
		}
		after = after.AfterCrash(w.seed + 1)
	}
	must := w.acked
	if w.config.AppendFsync == "no" {
		w.lazy = crashed
	}
	if safe := crashed.Add(-window); !w.faulty && w.lazy.Before(safe) {
		for must+1 < len(w.at) && w.at[must+1].Before(safe) {
			must++
		}
	}
	d, err := tryOpen(w.t, after, w.config, persist.Options{})
	if err != nil {
		w.t.Fatalf("seed %d: Open after the crash: %v", w.seed, err)
	}
	got := d.state()
	if slices.Index(w.states[must:], got) < 0 {
		_ = d.s.Close()
		w.t.Fatalf("seed %d: after the crash there is\n%s\nthe state %d of %d was acknowledged:\n%s\nthe last is\n%s\nthe state found is number %d",
			w.seed, got, must, len(w.states)-1, w.states[must], w.states[len(w.states)-1], slices.Index(w.states, got))
	}
	w.goOn(d, after)
}

// goOn shows that the database goes on where it was found, and is whole.
func (w *workload) goOn(d *db, fsys *vfs.Mem) {
	w.t.Helper()
	for range 3 {
		if _, err := d.do(w.line()); err != nil {
			w.t.Fatalf("seed %d: after the crash: %v", w.seed, err)
		}
	}
	want := d.state()
	if err := d.s.Close(); err != nil {
		w.t.Fatalf("seed %d: Close: %v", w.seed, err)
	}
	if _, err := persist.Check(fsys, newEngine(w.config), false); err != nil {
		w.t.Fatalf("seed %d: Check: %v", w.seed, err)
	}
	d, err := tryOpen(w.t, fsys, w.config, persist.Options{})
	if err != nil {
		w.t.Fatalf("seed %d: second Open: %v", w.seed, err)
	}
	if got := d.state(); got != want {
		w.t.Fatalf("seed %d: closed with\n%s\nand opened with\n%s", w.seed, want, got)
	}
	if err := d.s.Close(); err != nil {
		w.t.Fatal(err)
	}
}
