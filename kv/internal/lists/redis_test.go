package lists_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/oracle"
	"github.com/zmsg/zmsg/kv/internal/scalars"
)

// generator makes commands of this package: sensible ones, odd ones, and wrong ones.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) key() string {
	if g.IntN(40) == 0 {
		return "string"
	}
	return "k" + strconv.Itoa(g.IntN(5))
}

func (g generator) value() string {
	switch g.IntN(12) {
	case 0:
		return g.pick("", "0", "-0", "01", "9223372036854775807", "-9223372036854775808", "9223372036854775808")
	case 1:
		return strings.Repeat(g.pick("a", "b"), g.IntN(9000))
	case 2, 3:
		return strconv.Itoa(g.IntN(100000) - 50000)
	default:
		return g.pick("a", "b", "c", "1", "2", "3")
	}
}

func (g generator) values() []string {
	n := 1 + g.IntN(3)
	if g.IntN(10) == 0 {
		n = g.IntN(500)
	}
	all := make([]string, n)
	for i := range all {
		all[i] = g.value()
	}
	return all
}

func (g generator) number() string {
	switch g.IntN(12) {
	case 0:
		return g.pick("x", "", "9223372036854775807", "-9223372036854775808", "-9223372036854775807", "9223372036854775808", "1.5")
	case 1, 2:
		return strconv.Itoa(g.IntN(2000) - 1000)
	default:
		return strconv.Itoa(g.IntN(20) - 10)
	}
}

func (g generator) end() string {
	return g.pick("LEFT", "right", "RIGHT", "left", "RIGHT", "LEFT", "up")
}

func (g generator) timeout() string {
	// None of these waits: what would wait is in a transaction.
	return g.pick("0", "1", "0.5", "-1", "x", "", "1e300", "nan", "inf", "-inf", "0x10", "0x1p-3", " 1", "1 ", "-0.0001", "9223372036854775807", "1_0", "9223372036854775.807")
}

func (g generator) some(n int, f func() []string) []string {
	var all []string
	for range g.IntN(n) {
		all = append(all, f()...)
	}
	return all
}

func (g generator) popOption() []string {
	if g.IntN(6) == 0 {
		return []string{g.pick("COUNT", "junk")}
	}
	return []string{g.pick("COUNT", "count"), g.pick("1", "2", "300", "3", "0", "-1", "x")}
}

func (g generator) posOption() []string {
	return [][]string{{"RANK", g.number()}, {"rank", g.number()}, {"COUNT", g.number()}, {"MAXLEN", g.number()}, {g.pick("RANK", "junk")}}[g.IntN(5)]
}

func (g generator) keys() []string { return []string{g.key()} }

func (g generator) mpop() []string {
	keys := append(g.keys(), g.some(3, g.keys)...)
	n := strconv.Itoa(len(keys))
	if g.IntN(10) == 0 {
		n = g.pick("0", "-1", "x", "2", "9223372036854775807", "9223372036854775806")
	}
	return slices.Concat([]string{n}, keys, []string{g.end()}, g.some(3, g.popOption))
}

func (g generator) commands() []func() []string {
	cmd := func(name string, parts ...[]string) []string {
		return append([]string{name}, slices.Concat(parts...)...)
	}
	key := g.keys
	one := func(f func() string) []string { return []string{f()} }
	waiting := func(f func() []string) func() []string {
		return func() []string { return append([]string{"MULTI"}, append(f(), "EXEC")...) }
	}
	return []func() []string{
		func() []string { return cmd(g.pick("LPUSH", "RPUSH"), key(), g.values()) },
		func() []string { return cmd(g.pick("LPUSH", "RPUSH"), key(), g.values()) },
		func() []string { return cmd(g.pick("LPUSHX", "RPUSHX"), key(), g.values()) },
		func() []string {
			return cmd("LINSERT", key(), one(func() string { return g.pick("BEFORE", "after", "after", "x") }), one(g.value), one(g.value))
		},
		func() []string { return cmd("LSET", key(), one(g.number), one(g.value)) },
		func() []string { return cmd(g.pick("LPOP", "RPOP"), key()) },
		func() []string { return cmd(g.pick("LPOP", "RPOP"), key(), one(g.number)) },
		func() []string { return cmd(g.pick("LPOP", "LLEN"), key(), one(g.number), one(g.number)) },
		func() []string { return cmd("LTRIM", key(), one(g.number), one(g.number)) },
		func() []string { return cmd("LREM", key(), one(g.number), one(g.value)) },
		func() []string { return cmd("LLEN", key()) },
		func() []string { return cmd("LINDEX", key(), one(g.number)) },
		func() []string { return cmd("LRANGE", key(), one(g.number), one(g.number)) },
		func() []string { return cmd("LPOS", key(), one(g.value), g.some(4, g.posOption)) },
		func() []string { return cmd("RPOPLPUSH", key(), key()) },
		func() []string { return cmd("LMOVE", key(), key(), one(g.end), one(g.end)) },
		func() []string { return cmd("LMPOP", g.mpop()) },
		waiting(func() []string { return cmd(g.pick("BLPOP", "BRPOP"), key(), g.some(3, g.keys), one(g.timeout)) }),
		waiting(func() []string { return cmd("BLMPOP", one(g.timeout), g.mpop()) }),
		waiting(func() []string { return cmd("BLMOVE", key(), key(), one(g.end), one(g.end), one(g.timeout)) }),
		waiting(func() []string { return cmd("BRPOPLPUSH", key(), key(), one(g.timeout)) }),
		func() []string { return cmd("LTRIM", key(), []string{"1", "0"}) },
	}
}

// TestAgainstRedis gives random commands to a redis-server and to this package: replies, contents and logs
// must be the same.
func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	r, s := oracle.Start(t), oracle.NewSubject(t, lists.Commands, scalars.Commands)
	g := generator{rand.New(rand.NewPCG(1, 2))}
	makers := g.commands()
	oracle.Compare(t, r, s, oracle.Words("SET string s"))
	for range 200 {
		var commands [][][]byte
		for range 100 {
			words := makers[g.IntN(len(makers))]()
			if words[0] == "MULTI" {
				commands = append(commands, oracle.Words("MULTI"), args(words[1:len(words)-1]), oracle.Words("EXEC"))
				continue
			}
			commands = append(commands, args(words))
		}
		for i := range 5 {
			commands = append(commands, oracle.Words(fmt.Sprintf("LRANGE k%d 0 -1", i)))
		}
		oracle.Compare(t, r, s, commands...)
	}
	oracle.CompareLogs(t, r, s)
}

func args(words []string) [][]byte {
	all := make([][]byte, len(words))
	for i, w := range words {
		all[i] = []byte(w)
	}
	return all
}

// TestResp3AgainstRedis compares what RESP3 says otherwise: that there is nothing.
func TestResp3AgainstRedis(t *testing.T) {
	t.Parallel()
	r, s := oracle.Start(t), oracle.NewSubject(t, lists.Commands)
	r.Do(oracle.Words("HELLO 3"))
	s.C.SetProto(3)
	for _, command := range []string{
		"LPOP k", "LPOP k 1", "LINDEX k 1", "LPOS k x", "LPOS k x COUNT 1", "LMPOP 1 k LEFT", "RPOPLPUSH k k", "LMOVE k k LEFT LEFT", "LRANGE k 0 1",
		"RPUSH k a 1", "LINDEX k 2", "LPOS k x", "LMPOP 1 k LEFT COUNT 5", "RPUSH k a 1", "LPOP k 0", "LPOP k 5",
		"MULTI", "BLPOP k 0", "BLMOVE k k LEFT LEFT 0", "BRPOPLPUSH k k 0", "BLMPOP 0 1 k LEFT", "EXEC",
	} {
		oracle.Compare(t, r, s, oracle.Words(command))
	}
}

// TestCommandTableAgainstRedis compares arities, flags and keys with COMMAND INFO.
func TestCommandTableAgainstRedis(t *testing.T) {
	t.Parallel()
	oracle.CompareTable(t, oracle.Start(t), lists.Commands)
	for _, c := range lists.Commands {
		if c.Flags&engine.MovableKeys == 0 {
			continue
		}
		for in, want := range map[string]string{"2 a b LEFT": "[1 2]", "0 a b": "[]", "3 a b": "[]", "x": "[]"} {
			command := c.Name + " " + in
			shift := 1
			if c.Name == "blmpop" {
				command, shift = c.Name+" 0 "+in, 2
			}
			keys := c.KeyPositions(oracle.Words(command))
			for i := range keys {
				keys[i] -= shift
			}
			if got := fmt.Sprint(keys); got != want {
				t.Errorf("%s: %s, want %s", command, got, want)
			}
		}
	}
}
