package sets_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/redistest"
	"github.com/zmsg/zmsg/kv/internal/sets"
)

func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			g := generator{rand.New(rand.NewPCG(3, uint64(proto)))}
			redistest.Compare(t, proto, sets.Commands, sorted, g.next)
		})
	}
}

// sorted sorts the lines of replies whose order is that of a hash table.
func sorted(command []string, reply string) string {
	switch command[0] {
	case "SMEMBERS", "SUNION", "SINTER", "SDIFF", "SSCAN", "SPOP", "SRANDMEMBER":
		lines := strings.Split(reply, "\r\n")
		slices.Sort(lines)
		return strings.Join(lines, "|")
	}
	return reply
}

type generator struct{ *rand.Rand }

func (g generator) of(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) key() string {
	return g.of("a", "b", "c", "d", "e", "none", "str")
}

func (g generator) member() string {
	if g.IntN(4) == 0 {
		return g.of("", "x", "y", "-0", "007", "9223372036854775807", "-9223372036854775808", "9223372036854775808", strings.Repeat("z", 70))
	}
	return strconv.Itoa(g.IntN(40) - 10)
}

func (g generator) some(f func() string) (list []string) {
	for range 1 + g.IntN(6) {
		list = append(list, f())
	}
	return list
}

func (g generator) many() (list []string) {
	first := g.IntN(100_000)
	for i := range 100 + g.IntN(300) {
		list = append(list, strconv.Itoa(first+i))
	}
	return list
}

func (g generator) next() []string {
	switch g.IntN(22) {
	case 0, 1, 2, 3:
		return append([]string{"SADD", g.key()}, g.some(g.member)...)
	case 4:
		return append([]string{"SADD", g.key()}, g.many()...)
	case 5:
		return append([]string{"SREM", g.key()}, g.some(g.member)...)
	case 6:
		return []string{"DEL", g.key()}
	case 7, 8:
		return []string{"SMOVE", g.key(), g.key(), g.member()}
	case 9:
		return []string{g.of("SMEMBERS", "SCARD"), g.key()}
	case 10:
		return []string{"SISMEMBER", g.key(), g.member()}
	case 11:
		return append([]string{"SMISMEMBER", g.key()}, g.some(g.member)...)
	case 12, 13:
		return append([]string{g.of("SUNION", "SINTER", "SDIFF")}, g.some(g.key)...)
	case 14, 15:
		return append([]string{g.of("SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"), g.key()}, g.some(g.key)...)
	case 16:
		return g.sintercard()
	case 17:
		command := []string{"SSCAN", g.key(), g.of("0", "", "x", "1x", "99999999999999999999"), "COUNT", g.of("100000", "0", "x", "-1")}
		switch g.IntN(4) {
		case 0:
			command = append(command, "MATCH", g.of("*", "1*", "x", ""))
		case 1:
			command = append(command, g.of("COUNT", "TYPE", "MATCH"))
		}
		return command
	case 18:
		return []string{"OBJECT", "ENCODING", g.of("a", "b", "c", "d", "e", "none")}
	case 19: // what is chosen by chance must not depend on chance
		return []string{"SPOP", g.key(), g.of("0", "100000", "-1", "x", "9223372036854775808", "99999999999999")}
	case 20:
		return []string{"SRANDMEMBER", g.key(), g.of("0", "100000", "x", "-9223372036854775808", "9223372036854775807")}
	}
	return g.of2(
		[]string{"SPOP", "missing"}, []string{"SPOP", "text"}, []string{"SRANDMEMBER", "missing"}, []string{"SPOP", "a", "1", "2"}, []string{"SPOP"},
		[]string{"SADD", "one", "member"}, []string{"SPOP", "one"}, []string{"SRANDMEMBER", "one"}, []string{"SRANDMEMBER", "one", "-3"},
		[]string{"SRANDMEMBER", "text"}, []string{"SRANDMEMBER", "a", "1", "2"}, []string{"SADD", "a"}, []string{"DEL", "one"},
	)
}

func (g generator) of2(commands ...[]string) []string { return commands[g.IntN(len(commands))] }

func (g generator) sintercard() []string {
	keys := g.some(g.key)
	command := append([]string{"SINTERCARD", g.of("0", "-1", "x", "99", strconv.Itoa(len(keys)), strconv.Itoa(len(keys)))}, keys...)
	if g.IntN(2) == 0 {
		command = append(command, "LIMIT", g.of("0", "1", "3", "-1", "x"))
	}
	if g.IntN(5) == 0 {
		command = append(command, g.of("LIMIT", "x"))
	}
	return command
}
