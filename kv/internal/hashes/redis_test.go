package hashes_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/redistest"
)

func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			g := generator{rand.New(rand.NewPCG(4, uint64(proto)))}
			redistest.Compare(t, proto, hashes.Commands, sorted, g.next)
		})
	}
}

// sorted sorts the lines of replies whose order is that of a hash table.
func sorted(command []string, reply string) string {
	switch command[0] {
	case "HGETALL", "HKEYS", "HVALS", "HSCAN", "HRANDFIELD":
		lines := strings.Split(reply, "\r\n")
		slices.Sort(lines)
		return strings.Join(lines, "|")
	}
	return reply
}

type generator struct{ *rand.Rand }

func (g generator) of(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) key() string { return g.of("a", "b", "c", "d", "none", "str") }

func (g generator) field() string {
	return g.of("f", "g", "h", "", "1", "-7", "12345", "float", strings.Repeat("y", 64), "num")
}

func (g generator) value() string {
	switch g.IntN(8) {
	case 0:
		return g.of("", "text", "9223372036854775807", "-9223372036854775808", "007", " 1", "1e3", "inf", "nan", strings.Repeat("z", 64))
	case 1:
		if g.IntN(20) == 0 {
			return strings.Repeat("z", 65)
		}
		return g.of("3.25", "-0.1", "1e-20", "5e20", "1e4000")
	}
	return strconv.Itoa(g.IntN(1000) - 300)
}

func (g generator) some(f func() string) (list []string) {
	for range 1 + g.IntN(6) {
		list = append(list, f())
	}
	return list
}

func (g generator) pairs() (list []string) {
	if g.IntN(10) == 0 {
		first := g.IntN(1000)
		for i := range 50 + g.IntN(300) {
			list = append(list, "k"+strconv.Itoa(first+i), "v")
		}
		return list
	}
	for range 1 + g.IntN(4) {
		list = append(list, g.field(), g.value())
	}
	if g.IntN(20) == 0 {
		list = append(list, g.field())
	}
	return list
}

func (g generator) next() []string {
	switch g.IntN(17) {
	case 0, 1, 2:
		return append([]string{g.of("HSET", "HMSET"), g.key()}, g.pairs()...)
	case 3:
		return []string{"HSETNX", g.key(), g.field(), g.value()}
	case 4:
		return []string{"HGET", g.key(), g.field()}
	case 5:
		return append([]string{"HMGET", g.key()}, g.some(g.field)...)
	case 6:
		return append([]string{"HDEL", g.key()}, g.some(g.field)...)
	case 7:
		return []string{g.of("HGETALL", "HKEYS", "HVALS", "HLEN"), g.key()}
	case 8:
		return []string{g.of("HEXISTS", "HSTRLEN"), g.key(), g.field()}
	case 9, 10:
		return []string{"HINCRBY", g.key(), g.field(), g.value()}
	case 11, 12:
		return []string{"HINCRBYFLOAT", g.key(), g.field(), g.value()}
	case 13:
		return []string{"OBJECT", "ENCODING", g.key()}
	case 14:
		if g.IntN(3) == 0 {
			return []string{"DEL", g.key()}
		}
		command := []string{"HRANDFIELD", g.key(), g.of("0", "100000", "x", "-9223372036854775808", "9223372036854775807")}
		switch g.IntN(3) {
		case 0:
			command = append(command, g.of("WITHVALUES", "WITHVALUES", "x"))
		case 1:
			command = append(command, "WITHVALUES")[:3+g.IntN(2)]
		}
		return command
	case 15:
		command := []string{"HSCAN", g.key(), g.of("0", "", "x", "1x", "99999999999999999999"), "COUNT", g.of("100000", "0", "x", "-1")}
		switch g.IntN(4) {
		case 0:
			command = append(command, "MATCH", g.of("*", "k1*", "[fg]", ""))
		case 1:
			command = append(command, g.of("COUNT", "TYPE", "MATCH"))
		}
		return command
	}
	return g.of2(
		[]string{"HRANDFIELD", "missing"}, []string{"HRANDFIELD", "text"}, []string{"HSET", "one", "field", "1"},
		[]string{"HRANDFIELD", "one"}, []string{"HRANDFIELD", "one", "-3", "withvalues"}, []string{"HRANDFIELD", "one", "1"},
		[]string{"HRANDFIELD", "a", "1", "withvalues", "x"}, []string{"HINCRBYFLOAT", "new", "f", "inf"},
		[]string{"HINCRBYFLOAT", "new", "f", "nan"}, []string{"HDEL", "one", "field", "field"}, []string{"HSET", "a"},
		[]string{"HINCRBYFLOAT", "two", "float", "0.1"}, []string{"HINCRBY", "two", strings.Repeat("w", 65), "1"},
		[]string{"OBJECT", "ENCODING", "two"}, []string{"DEL", "one"}, []string{"DEL", "two"},
	)
}

func (g generator) of2(commands ...[]string) []string { return commands[g.IntN(len(commands))] }
