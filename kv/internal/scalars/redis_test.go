package scalars

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// TestAgainstRedis gives random commands to a redis-server and to this package: replies, contents and logs
// must be the same.
func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			compare(t, proto)
		})
	}
}

func compare(t *testing.T, proto int) {
	t.Helper()
	o, s := startOracle(t), newSubject(t)
	o.do(words("HELLO " + strconv.Itoa(proto)))
	s.c.SetProto(proto)
	g := generator{rand.New(rand.NewPCG(1, uint64(proto)))}
	makers := g.commands()
	const rounds, batch = 300, 100
	for range rounds {
		var commands [][][]byte
		for range batch {
			var args [][]byte
			for _, w := range makers[g.IntN(len(makers))]() {
				args = append(args, []byte(w))
			}
			commands = append(commands, args)
		}
		// A look at the contents, which the HyperLogLog's commands do not show.
		for _, prefix := range []string{"k", "hk"} {
			for i := range 6 {
				commands = append(commands, [][]byte{[]byte("GET"), []byte(prefix + strconv.Itoa(i))})
			}
		}
		for i, want := range o.do(commands...) {
			if got := s.do(commands[i]); !bytes.Equal(got, want) {
				t.Fatalf("%q\n got %q\nwant %q", commands[i], got, want)
			}
		}
	}
	got, want := logLines(t, s.j.b), o.log()
	for i := range min(len(got), len(want)) {
		if !strings.EqualFold(got[i], want[i]) {
			t.Fatalf("entry %d of the log\n got %s\nwant %s\nafter %s", i, got[i], want[i], got[max(0, i-1)])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries in the log, not %d", len(got), len(want))
	}
}

// TestHyperLogLogAgainstRedis fills HyperLogLogs from empty over sparse to dense: the strings must be the
// same byte for byte all the way, and so must the estimates.
func TestHyperLogLogAgainstRedis(t *testing.T) {
	t.Parallel()
	o, s := startOracle(t), newSubject(t)
	r := rand.New(rand.NewPCG(3, 4))
	for step := range 220 {
		key := fmt.Appendf(nil, "h%d", step%4)
		add := [][]byte{[]byte("PFADD"), key}
		for range r.IntN(1 + step*(step%4+1)) {
			add = append(add, strconv.AppendUint(nil, r.Uint64N(1<<(10+6*(step%4))), 36))
		}
		other := fmt.Appendf(nil, "h%d", r.IntN(4))
		union := fmt.Appendf(nil, "u%d", r.IntN(8))
		commands := [][][]byte{
			add,
			{[]byte("GET"), key},
			{[]byte("PFCOUNT"), key},
			{[]byte("GET"), key},
			{[]byte("PFCOUNT"), key, other, union},
			{[]byte("PFMERGE"), union, key},
			{[]byte("GET"), union},
			{[]byte("PFCOUNT"), union},
		}
		if step%50 == 49 {
			commands = append(commands, [][]byte{[]byte("PFMERGE"), union, key, other}, [][]byte{[]byte("GETDEL"), union})
		}
		for i, want := range o.do(commands...) {
			if got := s.do(commands[i]); !bytes.Equal(got, want) {
				t.Fatalf("step %d: %.60q\n got %.300q\nwant %.300q", step, commands[i], got, want)
			}
		}
	}
}

// TestCommandTableAgainstRedis compares arities, flags and keys with COMMAND INFO.
func TestCommandTableAgainstRedis(t *testing.T) {
	t.Parallel()
	o := startOracle(t)
	for _, c := range Commands {
		reply := string(o.do([][]byte{[]byte("COMMAND"), []byte("INFO"), []byte(c.Name)})[0])
		reply = strings.ReplaceAll(reply, "\r\n", " ")
		names := (c.Flags &^ engine.MayReplicate).Names()
		slices.Sort(names)
		fields := strings.Fields(reply)
		// *1 *10 $n name :arity *flags +flag … :first :last :step
		flags := fields[6 : 6+len(names)]
		for i := range flags {
			flags[i] = strings.TrimPrefix(flags[i], "+")
		}
		slices.Sort(flags)
		got := fmt.Sprintf(":%d *%d %v :%d :%d :%d", c.Arity, len(names), names, c.First, c.Last, c.Step)
		want := fmt.Sprintf("%s %s %v %s", fields[4], fields[5], flags, strings.Join(fields[6+len(names):9+len(names)], " "))
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", c.Name, got, want)
		}
	}
}
