package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// severally runs random commands on several connections, in an order that both see: each command has been
// executed, or its client is blocked, before the next is sent.
func severally(t *testing.T, links int, prepare func(p *pair), templates ...string) {
	t.Helper()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			p := newPair(t, proto, links)
			g := newGrammar(rand.New(rand.NewPCG(uint64(*seedFlag), uint64(proto))), templates...)
			for p.ran < *commandsFlag/2 {
				prepare(p)
				p.round(g)
			}
		})
	}
}

// round gives some commands to connections chosen at random, and compares the keys in the end.
func (p *pair) round(g *grammar) {
	p.t.Helper()
	for range 20 + g.IntN(100) {
		i := g.IntN(len(p.links))
		if p.blocked(p.links[i]) {
			continue
		}
		for _, args := range g.next() {
			if !p.step(i, args) {
				return
			}
		}
	}
	for i := range p.links {
		if !p.release(i) || !p.step(i, []string{"RESET"}) || !p.step(i, []string{"HELLO", strconv.Itoa(p.proto)}) {
			return
		}
	}
	if p.compareState(g) && g.IntN(4) == 0 {
		p.step(0, []string{"FLUSHALL"})
	}
}

// blocked reports whether the engine's client is blocked.
func (p *pair) blocked(l *link) bool {
	p.e.Lock()
	defer p.e.Unlock()
	return l.ours.Blocked()
}

// step gives a command to both on connection i and compares what that has been sent since the last time.
// It reports whether there was no difference.
func (p *pair) step(i int, args []string) bool {
	p.t.Helper()
	l := p.links[i]
	p.ran++
	l.theirs.write(encode(args))
	ours := p.execute(l, args)
	if p.blocked(l) {
		if !p.parked(l) {
			return p.fails(i, args, "blocked", "not blocked")
		}
		if args[len(args)-1] == moment {
			for deadline := time.Now().Add(patience); p.blocked(l) && time.Now().Before(deadline); {
				<-time.After(time.Millisecond)
			}
			ours = p.e.Take(l.ours, ours)
		}
	}
	return p.compare(i, args, ours)
}

// parked waits until Redis shows the client as blocked.
func (p *pair) parked(l *link) bool {
	p.t.Helper()
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); {
		_, flags, _ := strings.Cut(string(p.control.mustSend(p.t, "CLIENT", "LIST", "ID", l.id)), " flags=")
		flags, _, _ = strings.Cut(flags, " ")
		if strings.Contains(flags, "b") {
			return true
		}
		if l.theirs.in.Buffered() > 0 {
			return false
		}
	}
	return false
}

// release unblocks connection i.
func (p *pair) release(i int) bool {
	p.t.Helper()
	l := p.links[i]
	if p.blocked(l) {
		reason := []string{"TIMEOUT", "ERROR"}[p.ran%2]
		p.control.mustSend(p.t, "CLIENT", "UNBLOCK", l.id, reason)
		p.e.Lock()
		l.ours.Unblock(reason == "ERROR")
		p.e.Unlock()
	}
	return p.drain(i)
}

// drain compares what connection i has been sent.
func (p *pair) drain(i int) bool {
	p.t.Helper()
	return p.compare(i, []string{"(out of turn)"}, p.e.Take(p.links[i].ours, nil))
}

// compare compares the engine's replies on connection i, of which the last is that to args, with as many
// of Redis's.
func (p *pair) compare(i int, args []string, ours []byte) bool {
	p.t.Helper()
	n := count(ours)
	theirs, err := p.links[i].theirs.read(n)
	if err != nil {
		return p.fails(i, args, string(ours), err.Error())
	}
	p.note(i, args, ours, theirs)
	if string(ours) == string(theirs) {
		return true
	}
	a, b := split(ours), split(theirs)
	if unordered, ok := strings.CutSuffix(strings.ToUpper(args[0]), "UNSUBSCRIBE"); ok && len(args) == 1 {
		a, b = farewells(a, strings.ToLower(unordered)), farewells(b, strings.ToLower(unordered))
	}
	a, b = sortMatches(a), sortMatches(b)
	for j := range a {
		if !same(p.suite, args, a[j], b[j]) {
			return p.fails(i, args, string(a[j]), string(b[j]))
		}
	}
	return true
}

func (p *pair) fails(i int, args []string, ours, theirs string) bool {
	p.t.Helper()
	p.note(i, args, []byte(ours), []byte(theirs))
	p.differs(args, []byte(ours), []byte(theirs))
	p.restart()
	return false
}

// split cuts replies apart.
func split(b []byte) (all [][]byte) {
	for len(b) > 0 {
		_, rest := parse(b)
		all = append(all, b[:len(b)-len(rest)])
		b = rest
	}
	return all
}

// farewells puts the replies to UNSUBSCRIBE without arguments in order: they come in any.
func farewells(replies [][]byte, kind string) [][]byte {
	var names, counts []string
	out := replies[:0:0]
	for _, r := range replies {
		if n, _ := parse(r); len(n.elems) == 3 && n.elems[0].text == kind+"unsubscribe" {
			names, counts = append(names, n.elems[1].String()), append(counts, n.elems[2].text)
			continue
		}
		out = append(out, r)
	}
	slices.Sort(names)
	for i := range names {
		out = append(out, fmt.Appendf(nil, "+%s %s\r\n", names[i], counts[i]))
	}
	return out
}

// sortMatches puts copies of one message that came through several patterns in order: they come in any.
func sortMatches(replies [][]byte) [][]byte {
	key := func(r []byte) string {
		if n, _ := parse(r); len(n.elems) == 4 && n.elems[0].text == "pmessage" {
			return n.elems[2].text + "\x00" + n.elems[3].text
		}
		return ""
	}
	for from := 0; from < len(replies); {
		to := from + 1
		for k := key(replies[from]); k != "" && to < len(replies) && key(replies[to]) == k; {
			to++
		}
		slices.SortFunc(replies[from:to], func(a, b []byte) int { return strings.Compare(string(a), string(b)) })
		from = to
	}
	return replies
}
