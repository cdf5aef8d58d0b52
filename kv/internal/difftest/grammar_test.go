package difftest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A grammar makes commands of templates such as
//
//	3 SET key value { [EX ttl] [NX|XX] [GET] }
//
// A leading number is the template's weight. Words in upper case, numbers and what is in quotes stand for
// themselves; words in lower case are of the vocabulary, with what stands before a colon in front. […] is left out half of the time, {…} changes its
// order, (…)+ repeats, and (…)^ repeats now and then so often that collections leave their small form.
// Several commands with ; between them are always made together. They, and those behind an exclamation
// mark, are made as they stand: others are spoilt now and then.
type grammar struct {
	*rand.Rand
	templates []*part
	weights   []int
	total     int
	last      string   // the key made last
	clock     int      // of stream IDs
	dumps     []string // what RESTORE may be given
}

// part is a piece of a template.
type part struct {
	kind  byte // 'w' words to choose from; '[', '{', '(' groups
	words []string
	parts []*part
	many  byte // of a group in parentheses: '+', '*' or '^'
	exact bool // never spoilt
}

// spaced sets brackets apart.
var spaced = strings.NewReplacer("[", " [ ", "]", " ] ", "{", " { ", "}", " } ", "(", " ( ", ")+", " )+ ", ")*", " )* ", ")^", " )^ ", ")", " ) ")

func newGrammar(r *rand.Rand, templates ...string) *grammar {
	g := &grammar{Rand: r}
	for _, lines := range templates {
		for l := range strings.Lines(lines) {
			fields := strings.Fields(spaced.Replace(l))
			if len(fields) == 0 {
				continue
			}
			weight, err := strconv.Atoi(fields[0])
			if err == nil {
				fields = fields[1:]
			} else {
				weight = 1
			}
			p := &part{kind: '.', exact: fields[0] == "!" || slices.Contains(fields, ";")}
			if fields[0] == "!" {
				fields = fields[1:]
			}
			p.parse(fields)
			g.templates, g.weights = append(g.templates, p), append(g.weights, weight)
			g.total += weight
		}
	}
	return g
}

// parse reads a group's content up to its end and returns the rest.
func (p *part) parse(fields []string) []string {
	for len(fields) > 0 {
		f := fields[0]
		fields = fields[1:]
		switch {
		case strings.ContainsAny(f, "[{("):
			sub := &part{kind: f[0]}
			fields = sub.parse(fields)
			p.parts = append(p.parts, sub)
		case strings.ContainsAny(f[:1], "]})"):
			if len(f) > 1 {
				p.many = f[1]
			}
			return fields
		default:
			words := strings.Split(f, "|")
			for _, w := range words {
				_, name, _ := strings.Cut(":"+w, ":")
				name = name[strings.Index(name, ":")+1:]
				if w != "" && w[0] >= 'a' && w[0] <= 'z' && vocabulary[name] == nil {
					panic("no word " + w)
				}
			}
			p.parts = append(p.parts, &part{kind: 'w', words: words})
		}
	}
	return nil
}

// next makes a command, or several that belong together.
func (g *grammar) next() [][]string {
	n := g.IntN(g.total)
	for i, w := range g.weights {
		if n -= w; n >= 0 {
			continue
		}
		words := g.expand(nil, g.templates[i])
		if !g.templates[i].exact {
			words = g.mangle(words)
		}
		var commands [][]string
		for len(words) > 0 {
			end := slices.Index(words, ";")
			if end < 0 || !g.templates[i].exact {
				end = len(words)
			}
			commands = append(commands, words[:end:end])
			words = words[min(len(words), end+1):]
		}
		if !g.templates[i].exact && slices.ContainsFunc(commands, harmful) {
			return g.next()
		}
		return commands
	}
	panic("unreachable")
}

func (g *grammar) expand(out []string, p *part) []string {
	switch p.kind {
	case 'w':
		return g.word(out, p.words[g.IntN(len(p.words))])
	case '[':
		if g.IntN(2) == 0 {
			return out
		}
	case '{':
		for _, i := range g.Perm(len(p.parts)) {
			out = g.expand(out, p.parts[i])
		}
		return out
	case '(':
		for range g.times(p.many) {
			for _, sub := range p.parts {
				out = g.expand(out, sub)
			}
		}
		return out
	}
	for _, sub := range p.parts {
		out = g.expand(out, sub)
	}
	return out
}

func (g *grammar) times(many byte) int {
	switch {
	case many == '*':
		return g.IntN(4)
	case many == '^' && g.IntN(40) == 0:
		return 60 + g.IntN(150)
	case many == '+', many == '^':
		return 1 + g.IntN(4)*g.IntN(2)
	}
	return 1
}

func (g *grammar) word(out []string, w string) []string {
	switch {
	case w == "":
		return out
	case w[0] == '\'':
		return append(out, strings.Trim(w, "'"))
	case w[0] >= 'a' && w[0] <= 'z':
		prefix, name, found := strings.Cut(w, ":")
		if !found {
			prefix, name = "", w
		}
		f, ok := vocabulary[name]
		if !ok {
			panic("no word " + w)
		}
		return append(out, prefix+f(g))
	case g.IntN(10) == 0:
		return append(out, strings.ToLower(w))
	}
	return append(out, w)
}

// mangle makes some commands wrong.
func (g *grammar) mangle(c []string) []string {
	if g.IntN(14) > 0 {
		return c
	}
	i := g.IntN(len(c))
	switch g.IntN(7) {
	case 0:
		return c[:len(c)-g.IntN(2)-len(c)/8]
	case 1:
		return append(c, g.odd())
	case 2:
		return slices.Insert(c, i, c[i])
	case 3:
		j := g.IntN(len(c))
		if i > 0 && j > 0 {
			c[i], c[j] = c[j], c[i]
		}
	case 4:
		if i > 0 {
			return slices.Delete(c, i, i+1)
		}
	default:
		if i > 0 {
			c[i] = g.odd()
		}
	}
	return c
}

// harmful reports whether a command would take too much memory or time, on either side.
func harmful(c []string) bool {
	switch strings.ToUpper(c[0]) {
	case "SAVE", "BGREWRITEAOF":
		return len(c) == 1
	case "DEBUG":
		return len(c) > 2 && strings.EqualFold(c[1], "SLEEP") && c[2] != "0"
	}
	if len(c) < 2 {
		return false
	}
	between := func(i int, low, high int64) bool {
		if i >= len(c) {
			return false
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(c[i], "#"), 10, 64)
		return err == nil && n > low && n < high
	}
	switch strings.ToUpper(c[0]) {
	case "CLIENT": // of other connections than there are
		return len(c) > 3 && strings.EqualFold(c[2], "ID") && !slices.Contains(c, "999999")
	case "SETRANGE":
		return between(2, 100_000, 1<<29)
	case "SETBIT":
		return between(2, 1_000_000, 1<<32)
	case "BITFIELD":
		for i := range c {
			if between(i, 1_000_000, 1<<36) {
				return true
			}
		}
	case "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER":
		return between(2, -1<<62, -10_000)
	case "XADD":
		return slices.Contains(c, "*") // what it makes differs
	}
	return brief(c)
}

// brief reports whether a command sets a time that runs out during the test, or waits for one.
func brief(c []string) bool {
	at := 2
	switch strings.ToUpper(c[0]) {
	case "SETEX", "PSETEX", "EXPIRE", "PEXPIRE", "RESTORE":
	case "SET", "GETEX":
		for i, a := range c[:len(c)-1] {
			if strings.EqualFold(a, "EX") || strings.EqualFold(a, "PX") {
				at = i + 1
			}
		}
	case "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BZPOPMIN", "BZPOPMAX":
		at = len(c) - 1
	case "BLMPOP", "BZMPOP":
		at = 1
	case "XREAD", "XREADGROUP":
		at = 1 + slices.IndexFunc(c, func(a string) bool { return strings.EqualFold(a, "BLOCK") })
		if at == 0 {
			return false
		}
	default:
		return false
	}
	if at >= len(c) {
		return false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(c[at]), 64)
	return err == nil && n > 0 && n < 50_000 && c[at] != moment
}

// moment is a timeout that runs out at once, but not before both have been seen to wait.
const moment = "0.1"

func (g *grammar) pick(words ...string) string { return words[g.IntN(len(words))] }
