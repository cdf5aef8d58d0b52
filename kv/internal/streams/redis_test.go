package streams_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/oracle"
	"github.com/zmsg/zmsg/kv/internal/resp"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/streams"
)

// generator makes commands of this package: sensible ones, odd ones, and wrong ones.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) key() string {
	if g.IntN(60) == 0 {
		return g.pick("string", "none")
	}
	return g.pick("s1", "s1", "s2")
}

func (g generator) group() string {
	if g.IntN(40) == 0 {
		return "nogroup"
	}
	return g.pick("g1", "g2")
}

func (g generator) consumer() string { return g.pick("alice", "bob", "b", "") }

func (g generator) id() string {
	switch g.IntN(30) {
	case 0:
		return g.pick("-", "+", "x", "", "1-", "-1", "1-x", "1-2-3", "1--3", "1--03", " 7", "+7-+0", "007-01", "1 -1", "18446744073709551616", "1-18446744073709551615",
			"18446744073709551615-18446744073709551615", "9223372036854775808-9223372036854775808", "*", "5-*", "$", ">", "0", "0-0", strings.Repeat("0", 126)+"1", strings.Repeat("0", 128)+"1")
	case 1, 2:
		return strconv.Itoa(g.IntN(130))
	default:
		return strconv.Itoa(g.IntN(130)) + "-" + strconv.Itoa(g.IntN(3))
	}
}

func (g generator) end(edge string) string {
	switch g.IntN(6) {
	case 0:
		return "(" + g.id()
	case 1, 2:
		return edge
	default:
		return g.id()
	}
}

func (g generator) number() string {
	switch g.IntN(12) {
	case 0:
		return g.pick("x", "-1", "1.5", "-5", "9223372036854775807", "9223372036854775808")
	case 1:
		return "0"
	default:
		return strconv.Itoa(g.IntN(20))
	}
}

// maybe returns words half of the time, or one time in ten with a letter changed.
func (g generator) maybe(words ...string) []string {
	if g.IntN(2) == 0 {
		return nil
	}
	if g.IntN(40) == 0 {
		words = words[:len(words)-1]
	}
	if len(words) > 0 && g.IntN(8) == 0 {
		words[0] = strings.ToLower(words[0])
	}
	return words
}

func (g generator) trim() []string {
	by := g.pick("MAXLEN", "MAXLEN", "MINID")
	words := []string{by}
	if n := g.IntN(3); n > 0 {
		words = append(words, []string{"~", "="}[n-1])
	}
	if by == "MINID" {
		words = append(words, g.id())
	} else {
		words = append(words, g.number())
	}
	if g.IntN(5) == 0 {
		words = append(words, "LIMIT", g.number())
	}
	if g.IntN(40) == 0 {
		words = append(words, "MAXLEN", "5")
	}
	return words
}

func (g generator) fields() (words []string) {
	for range 1 + g.IntN(3) {
		words = append(words, g.pick("f", "f", "g", "1"), g.pick("v", "17", "-5", "99999999999", "", strings.Repeat("x", 100)))
	}
	if g.IntN(60) == 0 {
		words = words[1:]
	}
	return words
}

// add makes an XADD whose ID is mostly behind the last one: clock runs.
func (g generator) add(clock *int) []string {
	words := []string{"XADD", g.key()}
	words = append(words, g.maybe("NOMKSTREAM")...)
	if g.IntN(4) == 0 {
		words = append(words, g.trim()...)
	}
	switch g.IntN(20) {
	case 0:
		words = append(words, g.id())
	case 1, 2:
		words = append(words, strconv.Itoa(*clock)+"-*")
	default:
		if g.IntN(3) == 0 {
			*clock++
		}
		words = append(words, strconv.Itoa(*clock)+"-"+strconv.Itoa(g.IntN(3)))
	}
	return append(words, g.fields()...)
}

func (g generator) ids() (ids []string) {
	for range 1 + g.IntN(4) {
		ids = append(ids, g.id())
	}
	return ids
}

func (g generator) readGroup() []string {
	words := []string{"XREADGROUP", "GROUP", g.group(), g.consumer()}
	words = append(words, g.maybe("COUNT", g.number())...)
	if g.IntN(4) == 0 {
		words = append(words, "NOACK")
	}
	words = append(words, "STREAMS")
	n := 1 + g.IntN(2)
	for range n {
		words = append(words, g.key())
	}
	for range n {
		words = append(words, g.pick(">", ">", ">", "0", g.id()))
	}
	return words
}

func (g generator) claim() []string {
	idle := g.pick("0", "0", "0", "200000", "200000", "100000000000", "-5", "x")
	if g.IntN(2) == 0 {
		words := []string{"XAUTOCLAIM", g.key(), g.group(), g.consumer(), idle, g.end("0")}
		words = append(words, g.maybe("COUNT", g.number())...)
		return append(words, g.maybe("JUSTID")...)
	}
	words := append([]string{"XCLAIM", g.key(), g.group(), g.consumer(), idle}, g.ids()...)
	for _, option := range [][]string{
		{"IDLE", "500000"}, {"TIME", g.pick("1000", "-5", "9000000000000")}, {"RETRYCOUNT", g.number()}, {"FORCE"}, {"FORCE"}, {"JUSTID"}, {"LASTID", g.id()},
	} {
		if g.IntN(3) == 0 {
			words = append(words, g.maybe(option...)...)
		}
	}
	if g.IntN(60) == 0 {
		words = append(words, "NONSENSE")
	}
	return words
}

func (g generator) groups() []string {
	switch g.IntN(8) {
	case 0:
		return []string{"XGROUP", "DESTROY", g.key(), g.group()}
	case 1:
		words := []string{"XGROUP", "SETID", g.key(), g.group(), g.pick("$", g.id())}
		return append(words, g.maybe("ENTRIESREAD", g.number())...)
	case 2:
		return []string{"XGROUP", "CREATECONSUMER", g.key(), g.group(), g.consumer()}
	case 3:
		return []string{"XGROUP", "DELCONSUMER", g.key(), g.group(), g.consumer()}
	default:
		words := []string{"XGROUP", "CREATE", g.key(), g.group(), g.pick("$", "0", g.id())}
		words = append(words, g.maybe("MKSTREAM")...)
		return append(words, g.maybe("ENTRIESREAD", g.number())...)
	}
}

func (g generator) info() []string {
	switch g.IntN(6) {
	case 0:
		return []string{"XINFO", "STREAM", g.key()}
	case 1:
		return []string{"XINFO", "GROUPS", g.key()}
	case 2:
		return []string{"XINFO", "CONSUMERS", g.key(), g.group()}
	case 3:
		return g.pickWords("XINFO HELP", "XGROUP HELP", "XINFO", "XGROUP", "XINFO STREAM s1 FUL", "XINFO STREAM s1 FULL COUNT", "xinfo stream s1 full 1 2", "XINFO x", "XGROUP x y",
			"XGROUP CREATE s1 g1 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM", "XGROUP SETID s1 g1 0 ENTRIESREAD 1 ENTRIESREAD 2", "XINFO GROUPS s1 x", "XGROUP DESTROY s1")
	default:
		return append([]string{"XINFO", "STREAM", g.key(), "FULL"}, g.maybe("COUNT", g.number())...)
	}
}

func (g generator) pickWords(commands ...string) []string { return strings.Fields(g.pick(commands...)) }

func (g generator) next(clock *int) []string {
	switch n := g.IntN(100); {
	case n < 30:
		return g.add(clock)
	case n < 33:
		return append([]string{"XTRIM", g.key()}, g.trim()...)
	case n < 40:
		return append([]string{"XDEL", g.key()}, g.ids()...)
	case n < 48:
		name := g.pick("XRANGE", "XREVRANGE")
		edges := map[string][]string{"XRANGE": {"-", "+"}, "XREVRANGE": {"+", "-"}}[name]
		return append([]string{name, g.key(), g.end(edges[0]), g.end(edges[1])}, g.maybe("COUNT", g.number())...)
	case n < 53:
		words := append([]string{"XREAD"}, g.maybe("COUNT", g.number())...)
		return append(words, "STREAMS", g.key(), g.key(), g.id(), g.pick("$", g.id()))
	case n < 65:
		return g.readGroup()
	case n < 70:
		return append([]string{"XACK", g.key(), g.group()}, g.ids()...)
	case n < 77:
		words := append([]string{"XPENDING", g.key(), g.group()}, g.maybe("IDLE", g.pick("0", "200000", "100000000000"))...)
		words = append(words, g.maybe(g.end("-"), g.end("+"), g.number())...)
		return append(words, g.maybe(g.consumer())...)
	case n < 85:
		return g.claim()
	case n < 90:
		return g.groups()
	case n < 91:
		words := []string{"XSETID", g.key(), g.id()}
		words = append(words, g.maybe("ENTRIESADDED", g.number())...)
		return append(words, g.maybe("MAXDELETEDID", g.id())...)
	case n < 92:
		return g.pickWords("XLEN s1", "XLEN none", "XLEN string", "XADD auto * a b", "XADD auto MAXLEN ~ 3 * a b", "XADD s1", "XREAD STREAMS s1 > ", "XREAD STREAMS s1", "XREAD COUNT 1",
			"XREAD NOACK STREAMS s1 0", "XREAD GROUP g1 a STREAMS s1 0", "XREADGROUP NOACK NOACK NOACK STREAMS s1 0", "XREAD BLOCK x STREAMS s1 $", "XREAD BLOCK -1 STREAMS s1 $",
			"XREADGROUP GROUP g1 a STREAMS s1 $", "XADD s1 LIMIT 5 1-1 a b", "XTRIM s1 LIMIT 5", "XTRIM s1 NOMKSTREAM", "XTRIM s1 MAXLEN -1", "XPENDING s1 g1 IDLE 5 -", "XADD s1 0-0 a b", "XADD s1 0-* a b")
	default:
		return g.info()
	}
}

var (
	autoID  = regexp.MustCompile(`\$1\d\r\n1\d{12}-\d+\r\n`)
	moment  = regexp.MustCompile(`1\d{12}`)
	logAuto = regexp.MustCompile(`1\d{12}(-\d+)?`)
)

// clean makes times comparable with those of nearly the same moment.
func clean(t *testing.T, command []string, reply []byte) string {
	t.Helper()
	var idle string
	switch strings.Join(command[:min(2, len(command))], " ") {
	case "XINFO CONSUMERS":
		idle = "idle"
	default:
		if command[0] == "XPENDING" {
			idle = "XPENDING"
		}
	}
	if idle != "" && len(reply) > 0 && reply[0] != '-' {
		v, _, err := resp.Decode(reply)
		if err != nil {
			t.Fatal(err)
		}
		return moment.ReplaceAllString(describe(v, idle), "moment")
	}
	text := autoID.ReplaceAllString(string(reply), "auto ")
	return moment.ReplaceAllString(text, "moment")
}

// describe tells a reply with idle times that are rounded.
func describe(v resp.Value, idle string) string {
	if v.Kind == resp.Int {
		return fmt.Sprint(v.Int)
	}
	if v.Elems == nil {
		return fmt.Sprintf("%c%q", v.Kind, v.Str)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%c[", v.Kind)
	for i, e := range v.Elems {
		isIdle := i > 0 && string(v.Elems[i-1].Str) == idle ||
			idle == "XPENDING" && i == 2 && len(v.Elems) == 4 && e.Kind == resp.Int && v.Elems[3].Kind == resp.Int
		if isIdle {
			e.Int /= 100_000
		}
		text.WriteString(describe(e, idle) + " ")
	}
	return text.String() + "]"
}

func words(command []string) (args [][]byte) {
	for _, w := range command {
		args = append(args, []byte(w))
	}
	return args
}

// TestAgainstRedis gives the same random commands to a redis-server and to the engine, whose replies and
// logs must be the same.
func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			r, s := oracle.Start(t), oracle.NewSubject(t, streams.Commands, scalars.Commands, admin.Commands)
			r.Do(oracle.Words("CONFIG SET stream-node-max-entries 4"), oracle.Words("HELLO "+strconv.Itoa(proto)))
			s.E.Lock()
			s.C.SetProto(proto)
			s.E.Config().StreamNodeMaxEntries = 4
			s.E.Unlock()
			g := generator{rand.New(rand.NewPCG(3, uint64(proto)))}
			for round := range 300 {
				clock := 0
				commands := [][]string{{"FLUSHALL"}, {"SET", "string", "x"}}
				for range 200 {
					commands = append(commands, g.next(&clock))
				}
				var all [][][]byte
				for _, c := range commands {
					all = append(all, words(c))
				}
				for i, reply := range r.Do(all...) {
					got, want := clean(t, commands[i], s.Do(all[i])), clean(t, commands[i], reply)
					if got != want {
						t.Fatalf("round %d, command %d: %.300q\n got %.3000q\nwant %.3000q\nafter %q", round, i, commands[i], got, want, commands[max(0, i-5):i])
					}
				}
			}
			compareLogs(t, s.Log(t), r.Log())
		})
	}
}

func compareLogs(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if logAuto.ReplaceAllString(got[i], "T") != logAuto.ReplaceAllString(want[i], "T") {
			t.Fatalf("entry %d of the log\n got %s\nwant %s\nafter %q", i, got[i], want[i], got[max(0, i-3):i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries in the log, not %d", len(got), len(want))
	}
}

func TestCommandTable(t *testing.T) {
	t.Parallel()
	var plain []*engine.Command
	for _, c := range streams.Commands {
		if c.Sub == nil {
			plain = append(plain, c)
		}
	}
	oracle.CompareTable(t, oracle.Start(t), plain)
}
