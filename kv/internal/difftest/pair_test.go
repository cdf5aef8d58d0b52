package difftest

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

var (
	commandsFlag = flag.Int("difftest.commands", fromEnv("KV_DIFF_COMMANDS", 6000), "random commands per suite")
	seedFlag     = flag.Int("difftest.seed", fromEnv("KV_DIFF_SEED", 1), "seed of the random commands")
)

func fromEnv(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// maxDifferences is how many different differences a suite shows before it gives up.
const maxDifferences = 20

// pair is a redis-server and an engine that get the same commands.
type pair struct {
	t        *testing.T
	suite    string
	o        *oracle
	e        *engine.Engine
	proto    int
	links    []*link
	settings map[string]string // of Redis at the start
	control  *line             // asks Redis who is blocked
	history  []event
	seen     map[string]bool
	again    int // differences in all
	ran      int
}

// link is one connection to both.
type link struct {
	theirs *line
	ours   *engine.Client
	id     string // of the connection to Redis
}

// event is a command with what both replied.
type event struct {
	link         int
	args         []string
	ours, theirs string
}

// newPair starts both, with a number of connections.
func newPair(t *testing.T, proto, links int) *pair {
	t.Helper()
	suite, _, _ := strings.Cut(t.Name(), "/")
	p := &pair{t: t, suite: suite, o: startOracle(t), proto: proto, links: make([]*link, links), seen: make(map[string]bool)}
	var err error
	if p.control, err = p.o.dial(t); err != nil {
		t.Fatal(err)
	}
	p.settings = make(map[string]string)
	reply, _ := parse(p.control.mustSend(t, "CONFIG", "GET", "*-max-*", "maxmemory*", "notify*", "lfu*", "appendfsync"))
	for pair := range slices.Chunk(reply.texts(), 2) {
		p.settings[pair[0]] = pair[1]
	}
	p.restart()
	return p
}

// restart empties both and connects anew.
func (p *pair) restart() {
	p.t.Helper()
	for _, l := range p.links {
		if l != nil {
			l.theirs.close()
		}
	}
	if p.e != nil {
		p.e.Close()
	}
	p.e = newEngine()
	p.history = p.history[:0]
	for i := range p.links {
		theirs, err := p.o.dial(p.t)
		if err != nil {
			p.t.Fatal(err)
		}
		if i == 0 {
			theirs.mustSend(p.t, "FLUSHALL")
			theirs.mustSend(p.t, "SCRIPT", "FLUSH")
			for name, value := range p.settings {
				theirs.mustSend(p.t, "CONFIG", "SET", name, value)
			}
		}
		p.links[i] = &link{theirs: theirs, ours: p.e.NewClient(engine.Front{Addr: "127.0.0.1:1"})}
		p.links[i].id = strings.Trim(string(theirs.mustSend(p.t, "CLIENT", "ID")), ":\r\n")
		hello := []string{"HELLO", strconv.Itoa(p.proto)}
		theirs.mustSend(p.t, hello...)
		p.execute(p.links[i], hello)
		seed := []string{"EVAL", "math.randomseed(1)", "0"}
		theirs.mustSend(p.t, seed...)
		p.execute(p.links[i], seed)
	}
}

// execute has the engine execute a command.
func (p *pair) execute(l *link, args []string) []byte {
	request := encode(args)
	n, out := p.e.Process(l.ours, request, nil)
	if n != len(request) {
		p.t.Fatalf("%q was not taken", args)
	}
	return out
}

// batch gives commands to both on the first connection. It stops at a difference, and reports whether
// there was none.
func (p *pair) batch(commands [][]string) bool {
	p.t.Helper()
	_, ok := p.ask(commands)
	return ok
}

// ask is batch that returns the engine's replies and Redis's.
func (p *pair) ask(commands [][]string) (replies [][2][]byte, ok bool) {
	p.t.Helper()
	l := p.links[0]
	var request []byte
	for _, args := range commands {
		request = append(request, encode(args)...)
	}
	go l.theirs.write(request)
	for _, args := range commands {
		ours := p.execute(l, args)
		theirs, err := l.theirs.read(1)
		if err != nil {
			p.t.Fatalf("%q: %v", args, err)
		}
		p.ran++
		p.note(0, args, ours, theirs)
		if !same(p.suite, args, ours, theirs) {
			p.differs(args, ours, theirs)
			p.restart()
			return nil, false
		}
		replies = append(replies, [2][]byte{ours, theirs})
	}
	return replies, true
}

func (p *pair) note(link int, args []string, ours, theirs []byte) {
	if len(p.history) >= 4000 {
		p.history = slices.Delete(p.history, 0, 2000)
	}
	p.history = append(p.history, event{link, args, string(ours), string(theirs)})
}

// differs reports a difference, unless one like it has been reported.
func (p *pair) differs(args []string, ours, theirs []byte) {
	p.t.Helper()
	name := strings.ToUpper(args[0])
	class := fmt.Sprintf("%s %.20q %.20q", name, ours, theirs)
	if p.again++; p.seen[class] && p.again < 100 {
		return
	}
	p.seen[class] = true
	a, b := apart(ours, theirs)
	p.t.Errorf("after %d commands with seed %d: %.600q\n ours   %q\n theirs %q\n%s", p.ran, *seedFlag, args, a, b, p.context(args))
	if len(p.seen) >= maxDifferences || p.again >= 100 {
		p.t.FailNow()
	}
}

// apart cuts two long replies to where they differ.
func apart(a, b []byte) (_, _ []byte) {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	i = max(0, i-100)
	return a[i:min(len(a), i+400)], b[i:min(len(b), i+400)]
}

// context lists the last commands that have to do with the keys of args.
func (p *pair) context(args []string) string {
	var out []string
	for _, e := range slices.Backward(p.history[:max(0, len(p.history)-1)]) {
		name := strings.ToUpper(e.args[0])
		shared := len(p.links) > 1 || slices.ContainsFunc(e.args[1:], func(a string) bool {
			return vocabularyKey(a) && slices.Contains(args, a)
		})
		if shared || strings.HasPrefix(name, "FLUSH") || name == "SELECT" || name == "SWAPDB" {
			out = append(out, fmt.Sprintf("   %d %.300q -> %.80q", e.link, e.args, e.theirs))
		}
		if len(out) == 14 || strings.HasPrefix(name, "FLUSH") {
			break
		}
	}
	slices.Reverse(out)
	return strings.Join(out, "\n")
}

func vocabularyKey(s string) bool { return len(s) == 2 && s[0] == 'k' }

// suite runs random commands of templates in both protocols.
func suite(t *testing.T, templates ...string) {
	t.Helper()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, proto, 1)
			g := newGrammar(rand.New(rand.NewPCG(uint64(*seedFlag), uint64(proto))), templates...)
			for p.ran < *commandsFlag/2 {
				size := 20 + g.IntN(300)
				var commands [][]string
				for len(commands) < size {
					commands = append(commands, g.next()...)
				}
				if p.batch(commands) && p.compareState(g) && g.IntN(8) == 0 {
					p.batch([][]string{{g.pick("FLUSHALL", "FLUSHDB")}})
				}
			}
			if p.ran == 0 || bytes.Contains(p.links[0].theirs.mustSend(t, "PING"), []byte("-")) {
				t.Fatal("nothing was compared")
			}
		})
	}
}
