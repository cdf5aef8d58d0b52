package streams_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/oracle"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/streams"
)

// scenes are played on a redis-server and on the engine; each begins without keys.
var scenes = []string{
	// Whoever waits gets what is added, once for each.
	`1 XREAD BLOCK 0 STREAMS s $
	2 XREAD BLOCK 0 COUNT 1 STREAMS other s 0 0
	0 XADD s 1-1 a b
	0 XADD s 2-1 a b`,
	// In a transaction, all that was added comes at once.
	`1 XREAD BLOCK 0 STREAMS s s $ 0
	0 MULTI
	0 XADD s 1-1 a b
	0 XADD s 2-1 a b c d
	0 EXEC`,
	// What is before the ID does not wake, nor does another type.
	`1 XREAD BLOCK 0 STREAMS s 5
	0 XADD s 4-1 a b
	0 XADD s 6-1 a b
	1 XREAD BLOCK 0 STREAMS t 0
	0 SET t x
	0 DEL t
	0 XADD t 1-1 a b`,
	// The time runs out.
	`1 XREAD BLOCK 20 STREAMS s $
	1
	0 XGROUP CREATE s g 0 MKSTREAM
	1 XREADGROUP GROUP g c BLOCK 20 STREAMS s >
	1`,
	// A group gives each entry to one.
	`0 XGROUP CREATE s g $ MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	2 XREADGROUP GROUP g bob BLOCK 0 COUNT 1 STREAMS s >
	3 XREADGROUP GROUP g carol BLOCK 0 NOACK STREAMS s >
	0 XADD s 1-1 a b
	0 XADD s 2-1 a b
	0 XADD s 3-1 a b
	0 XPENDING s g
	0 XINFO GROUPS s`,
	// History never waits.
	`0 XGROUP CREATE s g $ MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s 0`,
	// Who waits for a group that goes, or a stream that goes, is told.
	`0 XGROUP CREATE s g $ MKSTREAM
	0 XGROUP CREATE s h $
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	2 XREADGROUP GROUP h bob BLOCK 0 STREAMS s >
	3 XREAD BLOCK 0 STREAMS s $
	0 XGROUP DESTROY s g
	0 DEL s
	0 XADD s 1-1 a b`,
	`0 XGROUP CREATE s g $ MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	0 SET s x`,
	`0 XGROUP CREATE s g $ MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	0 FLUSHALL`,
	`0 XGROUP CREATE s g $ MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	0 RENAME s t`,
	`0 XGROUP CREATE s g $ MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	0 PEXPIRE s -1`,
	`0 XADD t 1-1 a b
	1 XREAD BLOCK 0 STREAMS s 0
	0 RENAME t s`,
	`0 XGROUP CREATE t g 0 MKSTREAM
	0 XADD t 1-1 a b
	0 XGROUP CREATE s g 0 MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	0 RENAME t s`,
	`0 XGROUP CREATE s g 0 MKSTREAM
	1 XREADGROUP GROUP g alice BLOCK 0 STREAMS s >
	0 MULTI
	0 DEL s
	0 XADD s 1-1 a b
	0 EXEC`,
	// In a transaction nobody waits.
	`1 MULTI
	1 XREAD BLOCK 0 STREAMS s $
	1 EXEC`,
	// A group of another stream does not matter; those that wait go on in the order in which they came.
	`0 XGROUP CREATE a g 0 MKSTREAM
	0 XGROUP CREATE b g 0 MKSTREAM
	1 XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >
	2 XREADGROUP GROUP g d BLOCK 0 STREAMS b a > >
	0 XADD b 1-1 x y
	0 XADD a 1-1 x y
	0 XINFO STREAM a`,
	// A change of a group fails no transaction.
	`0 XADD s 1-1 a b
	1 WATCH s
	0 XGROUP CREATE s g 0
	0 XREADGROUP GROUP g c STREAMS s >
	0 XACK s g 1-1
	0 XSETID s 5-5
	0 XGROUP DESTROY s g
	1 MULTI
	1 XLEN s
	1 EXEC
	1 WATCH s
	0 XADD s 6-6 a b
	1 MULTI
	1 XLEN s
	1 EXEC`,
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			r := oracle.Start(t)
			s := oracle.NewSubject(t, streams.Commands, scalars.Commands, keys.Commands, admin.Commands)
			hello := "HELLO " + strconv.Itoa(proto)
			r.Do(oracle.Words(hello))
			s.Do(oracle.Words(hello))
			for _, scene := range scenes {
				oracle.Play(t, r, s, "0 FLUSHALL\n"+scene)
			}
			compareLogs(t, s.Log(t), r.Log())
		})
	}
}

// TestLogIsReplayed executes the log of a stream's life in another engine, which must have the same.
func TestLogIsReplayed(t *testing.T) {
	t.Parallel()
	const ask = "XINFO STREAM s FULL COUNT 0"
	s := oracle.NewSubject(t, streams.Commands)
	for _, command := range []string{
		"XGROUP CREATE s g 0 MKSTREAM", "XADD s * a b", "XADD s MAXLEN ~ 100 LIMIT 10 * a b", "XADD s MINID ~ 5 * c d", "XADD s 9999999999999-* a b",
		"XREADGROUP GROUP g alice COUNT 2 STREAMS s >", "XREADGROUP GROUP g bob NOACK COUNT 1 STREAMS s >", "XAUTOCLAIM s g carol 0 0 COUNT 1",
		"XSETID s 99999999999999-5 ENTRIESADDED 20 MAXDELETEDID 3-3", "XTRIM s MAXLEN 3",
	} {
		if reply := string(s.Do(oracle.Words(command))); reply[0] == '-' {
			t.Fatalf("%s: %s", command, reply)
		}
	}
	copied := engine.New(engine.Defaults())
	copied.Register(streams.Commands...)
	c := copied.NewClient(engine.Front{})
	copied.Lock()
	copied.SetLoading(true)
	replaying := copied.Internal()
	for _, line := range s.Log(t) {
		var args [][]byte
		for _, word := range strings.Fields(strings.Trim(line, "[]")) {
			text, err := strconv.Unquote(word)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, []byte(text))
		}
		if err := replaying.Replay(args); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	copied.SetLoading(false)
	copied.Unlock()
	got, want := string(copied.Do(c, oracle.Words(ask), nil)), string(s.Do(oracle.Words(ask)))
	// When a consumer was heard of is not logged.
	cut := func(text string) string { return logAuto.ReplaceAllString(text, "T") }
	if cut(got) != cut(want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	s := oracle.NewSubject(t, streams.Commands)
	for i := range 500 {
		s.Do(oracle.Words("XADD s " + strconv.Itoa(i+1) + " a b"))
	}
	s.Do(oracle.Words("XGROUP CREATE s g 0"))
	s.Do(oracle.Words("XREADGROUP GROUP g alice COUNT 400 STREAMS s >"))
	s.E.Lock()
	snapshot := s.E.Snapshot()
	old := snapshot.Tables[0].Find([]byte("s")).Box().Val.(*streams.Stream)
	s.E.Unlock()
	done := make(chan string)
	go func() { // without the lock, while the stream changes
		defer close(done)
		entries, pending := 0, 0
		for _, pack := range old.Nodes() {
			for pos := pack.First(); pos >= 0; pos = pack.Next(pos) {
				entries++
			}
		}
		for _, g := range old.Groups() {
			for p := range g.Pending(streams.ID{}) {
				pending += int(p.Count)
			}
			for c := range g.Consumers() {
				for range c.Pending(streams.ID{}) {
					pending++
				}
			}
		}
		done <- strconv.Itoa(entries) + " " + strconv.Itoa(pending)
	}()
	for _, command := range []string{
		"XDEL s 7 8 9", "XADD s MAXLEN 50 1000 a b", "XACK s g 1 2 3", "XAUTOCLAIM s g bob 0 100", "XREADGROUP GROUP g bob STREAMS s >",
		"XREADGROUP GROUP g alice STREAMS s 0", "XGROUP DELCONSUMER s g alice", "XGROUP CREATE s h 0", "XTRIM s MAXLEN 0",
	} {
		if reply := string(s.Do(oracle.Words(command))); reply[0] == '-' {
			t.Errorf("%s: %s", command, reply)
		}
	}
	if got, want := <-done, strconv.Itoa(500*5+5*5)+" 800"; got != want {
		t.Errorf("the snapshot has %s elements and pending entries, not %s", got, want)
	}
	snapshot.Release()
}
