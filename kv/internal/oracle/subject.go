package oracle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// Subject is an engine to compare with a redis-server.
type Subject struct {
	t       testing.TB
	E       *engine.Engine
	C       *engine.Client // number 0
	clients []*engine.Client
	log     journal
}

// journal is an engine.Journal in memory.
type journal struct{ b []byte }

func (j *journal) Append(p []byte) int64 {
	j.b = append(j.b, p...)
	return int64(len(j.b))
}
func (*journal) Commit(int64) error { return nil }
func (*journal) Sync(int64) error   { return nil }
func (*journal) Err() error         { return nil }

// NewSubject returns an engine with commands. It is closed with the test.
func NewSubject(tb testing.TB, commands ...[]*engine.Command) *Subject {
	tb.Helper()
	s := &Subject{t: tb, E: engine.New(engine.Defaults())}
	for _, some := range commands {
		s.E.Register(some...)
	}
	s.E.Lock()
	s.E.SetJournal(&s.log)
	s.E.Unlock()
	s.connect(0)
	s.C = s.clients[0]
	tb.Cleanup(s.E.Close)
	return s
}

func (s *Subject) connect(i int) {
	for len(s.clients) <= i {
		s.clients = append(s.clients, s.E.NewClient(engine.Front{}))
	}
}

// Do executes a command and returns its reply, as it is.
func (s *Subject) Do(args [][]byte) []byte { return s.E.Do(s.C, args, nil) }

// Log returns what has been logged, as Redis.Log does.
func (s *Subject) Log(t *testing.T) []string {
	t.Helper()
	s.E.Lock()
	defer s.E.Unlock()
	return logLines(t, slices.Clone(s.log.b))
}

// Compare has both execute commands, and fails at the first reply that differs.
func Compare(t *testing.T, r *Redis, s *Subject, commands ...[][]byte) {
	t.Helper()
	for i, want := range r.Do(commands...) {
		if got := s.Do(commands[i]); !bytes.Equal(got, want) {
			t.Fatalf("%.300q\n got %.1000q\nwant %.1000q", commands[i], got, want)
		}
	}
}

// CompareLogs fails at the first line of the logs that differs.
func CompareLogs(t *testing.T, r *Redis, s *Subject) {
	t.Helper()
	got, want := s.Log(t), r.Log()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("entry %d of the log\n got %s\nwant %s\nafter %q", i, got[i], want[i], got[max(0, i-3):i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries in the log, not %d; the last are\n%q\n%q", len(got), len(want), got[max(0, len(got)-3):], want[max(0, len(want)-3):])
	}
}

// Play has both play a scene of several clients, one line after the other: "2 BLPOP a 0" has client 2 execute
// a command, and "2" waits until client 2, which is blocked, has its reply. It fails at the first line after
// which clients are blocked, or get replies, that are not the same.
func Play(t *testing.T, r *Redis, s *Subject, scene string) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(scene)) {
		words := Words(line)
		i := int(words[0][0] - '0')
		r.connect(i)
		s.connect(i)
		want := r.play(i, words[1:])
		if got := s.play(i, words[1:]); got != want {
			t.Fatalf("%s\nafter %s\n got %s\nwant %s", scene, line, got, want)
		}
	}
}

// play executes a line and tells what replies clients get because of it, and who is blocked then.
func (r *Redis) play(i int, args [][]byte) string {
	r.t.Helper()
	before := r.blocked()
	replies := make([]string, len(r.conns))
	var after []bool
	if len(args) == 0 {
		replies[i] = string(r.reply(r.conns[i]))
		before[i] = false
		after = r.blocked()
	} else {
		replies[i], after = r.send(r.conns[i], i, args)
	}
	for n, c := range r.conns {
		if before[n] && !after[n] {
			replies[n] += string(r.reply(c))
		}
	}
	return describe(replies, after)
}

// send executes a command of client i. It returns the reply, or none when the client is blocked, and who is
// blocked then.
func (r *Redis) send(c *conn, i int, args [][]byte) (string, []bool) {
	r.t.Helper()
	if _, err := c.Write(engine.AppendCommand(nil, args)); err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case reply := <-c.replies:
			return string(reply), r.blocked()
		case <-time.After(time.Millisecond):
			if now := r.blocked(); now[i] {
				return "", now
			}
		}
	}
	r.t.Fatal("redis-server neither answers nor blocks")
	return "", nil
}

// blocked tells which clients are blocked.
func (r *Redis) blocked() []bool {
	r.t.Helper()
	now := make([]bool, len(r.conns))
	list := string(r.on(r.control, Words("CLIENT LIST"))[0])
	for n, c := range r.conns {
		_, line, _ := strings.Cut(list, "id="+c.id+" ")
		line, _, _ = strings.Cut(line, "\n")
		_, flags, _ := strings.Cut(line, " flags=")
		flags, _, _ = strings.Cut(flags, " ")
		now[n] = strings.Contains(flags, "b")
	}
	return now
}

func (s *Subject) play(i int, args [][]byte) string {
	replies := make([]string, len(s.clients))
	if len(args) > 0 {
		replies[i] = string(s.E.Do(s.clients[i], args, nil))
	}
	for deadline := time.Now().Add(patience); len(args) == 0 && replies[i] == "" && time.Now().Before(deadline); {
		replies[i] = string(s.E.Take(s.clients[i], nil))
	}
	now := make([]bool, len(s.clients))
	for n, c := range s.clients {
		replies[n] += string(s.E.Take(c, nil))
		s.E.Lock()
		now[n] = c.Blocked()
		s.E.Unlock()
	}
	return describe(replies, now)
}

func describe(replies []string, blocked []bool) string {
	var text strings.Builder
	for n, reply := range replies {
		if reply != "" || blocked[n] {
			fmt.Fprintf(&text, "%d gets %q, blocked %t; ", n, reply, blocked[n])
		}
	}
	return text.String()
}

// CompareTable compares arities, flags and keys of commands with what COMMAND INFO tells.
func CompareTable(t *testing.T, r *Redis, commands []*engine.Command) {
	t.Helper()
	for _, c := range commands {
		reply := string(r.Do(Words("COMMAND INFO " + c.Name))[0])
		names := (c.Flags &^ engine.MayReplicate).Names()
		slices.Sort(names)
		fields := strings.Fields(reply)
		// *1 *10 $n name :arity *flags +flag … :first :last :step
		flags := fields[6:]
		for i, f := range flags {
			if f[0] != '+' {
				fields, flags = flags[i:], flags[:i]
				break
			}
			flags[i] = f[1:]
		}
		slices.Sort(flags)
		got := fmt.Sprintf("%d %v %d %d %d", c.Arity, names, c.First, c.Last, c.Step)
		want := fmt.Sprintf("%s %v %s", strings.Fields(reply)[4][1:], flags, strings.ReplaceAll(strings.Join(fields[:3], " "), ":", ""))
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", c.Name, got, want)
		}
	}
}
