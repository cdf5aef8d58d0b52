package engine_test

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func TestBlockedAreServedInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: blpop k 0", "", "b: blpop k 0", "", "c: blpop other k 0", "")
	r.logged()
	r.expect(
		"d: rpush k 1 2", ":2|", "a:", "*2|$1|k|$1|1|", "b:", "*2|$1|k|$1|2|", "c:", "",
		"d: rpush other 3", ":1|", "c:", "*2|$5|other|$1|3|",
		"d: exists k other", ":0|",
	)
	if got, want := r.logged(), "SELECT 0; rpush k 1 2; LPOP k; LPOP k; rpush other 3; LPOP other"; got != want {
		t.Errorf("logged %q, not %q", got, want)
	}
}

// What one waiting client moves serves the next.
func TestServingChains(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"c: blpop z 0", "", "b: blmove y z left right 0", "", "a: blmove x y left right 0", "",
		"d: rpush x 1", ":1|", "a:", "$1|1|", "b:", "$1|1|", "c:", "*2|$1|z|$1|1|", "d: exists x y z", ":0|",
	)
}

func TestServingWaitsForTransactions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: blpop k 0", "",
		"b: multi", "+OK|", "b: rpush k 1", "+QUEUED|", "b: del k", "+QUEUED|", "b: exec", "*2|:1|:1|", "a:", "",
	)
	r.e.DoAll(r.client("b"), func(run func(...[]byte) []byte) {
		run([]byte("rpush"), []byte("k"), []byte("1"))
		run([]byte("rpush"), []byte("k"), []byte("2"))
		run([]byte("lpop"), []byte("k"))
	})
	r.expect("a:", "*2|$1|k|$1|2|")
}

func TestBlockedClientsThatEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: blpop k 0", "", "b: blpop k 0", "", "c: blpop k 0", "")
	r.client("a").Close()
	r.expect("d: client kill addr b", ":1|", "d: client kill addr b", ":0|", "d: rpush k 1", ":1|", "c:", "*2|$1|k|$1|1|")
	if r.e.BlockedClients() != 0 {
		t.Error("somebody is blocked")
	}
}

func TestUnblock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: client id", ":1|", "a: blpop k 0", "", "b: client unblock 1 error", ":1|",
		"a:", "-UNBLOCKED client unblocked via CLIENT UNBLOCK|", "b: client unblock 1", ":0|",
		"a: blpop k 0", "", "b: client unblock 1", ":1|", "a:", "*-1|", "b: client unblock 99", ":0|")
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: blpop k 0.001", "")
	got := ""
	eventually(t, "the time runs out", func() bool { got += r.take("a"); return got != "" })
	if got != "*-1|" {
		t.Errorf("reply %q", got)
	}
	r.expect("b: rpush k 1", ":1|", "b: llen k", ":1|")
}

func TestMutedReplies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: client reply skip", "", "a: client reply skip", "", "a: ping", "", "a: ping", "+PONG|",
		"a: client reply off", "", "a: ping", "", "a: client reply skip", "", "a: ping", "", "a: client reply on", "+OK|",
		"a: client reply skip", "", "a: blpop k 0", "", "b: rpush k 1", ":1|", "a:", "", "a: ping", "+PONG|",
	)
}

func TestPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: client pause 100000 write", "+OK|", "b: get k", "$-1|", "a: client pause 1 write", "+OK|")
	out, left := r.pipe("b", "PING", "SET k 1", "GET k")
	if out != "+PONG|" || left != len("GET k\r\n") {
		t.Fatalf("the pipeline has replied %q with %d bytes left", out, left)
	}
	r.expect("b:", "", "c: get k", "$-1|", "a: client unpause", "+OK|", "b:", "+OK|", "c: get k", "$1|1|", "b: get k", "$1|1|")
	// Of all commands.
	r.expect("a: client pause 100000", "+OK|", "b: get k", "", "a: client unpause", "+OK|", "b:", "$1|1|")
	// Clients that end while they are held up are not executed.
	r.expect("a: client pause 100000 write", "+OK|", "b: set k 2", "", "c: set k 3", "")
	r.client("c").Close()
	r.expect("a: client unpause", "+OK|", "a: get k", "$1|2|")
}

// What was held up follows the transaction that ends the pause.
func TestUnpauseInTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect(
		"a: multi", "+OK|", "a: client unpause", "+QUEUED|", "a: get k", "+QUEUED|",
		"c: client pause 100000 write", "+OK|", "b: set k 1", "",
		"a: exec", "*2|+OK|$-1|", "b:", "+OK|",
	)
	if got := r.logged(); got != "SELECT 0; set k 1" {
		t.Errorf("logged %q", got)
	}
	r.expect("c: client pause 100000 write", "+OK|", "a: multi", "+OK|", "a: exec", "*0|", "a: multi", "+OK|", "a: set k 2", "",
		"c: client unpause", "+OK|", "a:", "+QUEUED|", "a: exec", "*1|+OK|")
}

func TestPauseEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.e.Start()
	r.expect("a: client pause 1", "+OK|", "b: incr k", "")
	got := ""
	eventually(t, "the pause ends", func() bool { got += r.take("b"); return got != "" })
	if got != ":1|" {
		t.Errorf("reply %q", got)
	}
}

// A client that ends while it is paused leaves nothing behind.
func TestPausedClientsThatEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.expect("a: client pause 100000", "+OK|")
	c := r.e.NewClient(engine.Front{})
	ref := weak.Make(c)
	r.e.Do(c, [][]byte{[]byte("set"), []byte("k"), []byte("v")}, nil)
	c.Close()
	c = nil //nolint:wastedassign // so that nothing refers to it
	for deadline := time.Now().Add(10 * time.Second); ref.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("something refers to the client still")
		}
	}
	r.expect("a: client unpause", "+OK|", "a: exists k", ":0|")
}
