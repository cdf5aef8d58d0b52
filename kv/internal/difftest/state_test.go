package difftest

import (
	"strconv"
	"strings"
)

// compareState compares all keys: their types, encodings, deadlines and contents. It reports whether there
// was no difference.
func (p *pair) compareState(g *grammar) bool {
	p.t.Helper()
	const each = 3
	commands := [][]string{{"DISCARD"}, {"KEYS", "*"}, {"DBSIZE"}}
	first := len(commands)
	for i := range keys {
		key := "k" + strconv.Itoa(i)
		commands = append(commands, []string{"TYPE", key}, []string{"OBJECT", "ENCODING", key}, []string{"PTTL", key})
	}
	replies, ok := p.ask(commands)
	if !ok {
		return false
	}
	commands = commands[:0]
	for i := range keys {
		key := "k" + strconv.Itoa(i)
		kind := strings.TrimSpace(string(replies[first+each*i][1]))
		encoding, _ := parse(replies[first+each*i+1][1])
		if read := contents(kind, encoding.text, key); read != nil {
			commands = append(commands, read...)
		}
	}
	if len(commands) > 0 && !p.batch(commands) {
		return false
	}
	return p.exchange("k"+strconv.Itoa(g.IntN(keys))) && p.iterate(g)
}

// contents has the commands that read a whole value. Those whose order is defined have no tolerance.
func contents(kind, encoding, key string) [][]string {
	switch kind {
	case "+string":
		return [][]string{{"GET", key}}
	case "+list":
		return [][]string{{"LRANGE", key, "0", "-1"}}
	case "+set":
		if encoding == "intset" {
			return [][]string{{"SORT", key, "BY", "nosort"}}
		}
		return [][]string{{"SMEMBERS", key}}
	case "+zset":
		return [][]string{{"ZRANGE", key, "0", "-1", "WITHSCORES"}}
	case "+hash":
		return [][]string{{"HGETALL", key}}
	case "+stream":
		return [][]string{{"XRANGE", key, "-", "+"}, {"XINFO", "STREAM", key, "FULL", "0"}, {"XINFO", "GROUPS", key}}
	}
	return nil
}

// exchange gives each side the other's dump of a key and compares what becomes of them.
func (p *pair) exchange(key string) bool {
	p.t.Helper()
	l := p.links[0]
	ours, _ := parse(p.execute(l, []string{"DUMP", key}))
	theirs, _ := parse(l.theirs.mustSend(p.t, "DUMP", key))
	if ours.null != theirs.null {
		p.differs([]string{"DUMP", key}, []byte(ours.String()), []byte(theirs.String()))
		p.restart()
		return false
	}
	if ours.null {
		return true
	}
	restore := func(dump string) []string { return []string{"RESTORE", "x", "0", dump, "REPLACE"} }
	a, b := p.execute(l, restore(theirs.text)), l.theirs.mustSend(p.t, restore(ours.text)...)
	if string(a) != "+OK\r\n" || string(b) != "+OK\r\n" {
		p.differs([]string{"RESTORE", key, ours.text, theirs.text}, a, b)
		p.restart()
		return false
	}
	replies, ok := p.ask([][]string{{"TYPE", "x"}, {"OBJECT", "ENCODING", "x"}})
	if !ok {
		return false
	}
	encoding, _ := parse(replies[1][1])
	return p.batch(append(contents(strings.TrimSpace(string(replies[0][1])), encoding.text, "x"), []string{"DEL", "x"}))
}

// iterate runs whole iterations on each side and compares what they have found.
func (p *pair) iterate(g *grammar) bool {
	p.t.Helper()
	command := []string{g.pick("SCAN", "SSCAN", "HSCAN", "ZSCAN")}
	if command[0] != "SCAN" {
		command = append(command, "k"+strconv.Itoa(g.IntN(keys)))
	}
	at := len(command)
	command = append(command, "0")
	if g.IntN(2) == 0 {
		command = append(command, "MATCH", g.pick("*", "m*", "*1*", "k[1-3]", "?"))
	}
	if g.IntN(2) == 0 {
		command = append(command, "COUNT", g.pick("1", "3", "20", "1000"))
	}
	if command[0] == "SCAN" && g.IntN(2) == 0 {
		command = append(command, "TYPE", g.pick("string", "list", "set", "zset", "hash", "stream", "junk"))
	}
	size := 2
	if command[0] == "SCAN" || command[0] == "SSCAN" {
		size = 1
	}
	l := p.links[0]
	ours := whole(command, at, func(args []string) []byte { return p.execute(l, args) })
	theirs := whole(command, at, func(args []string) []byte { return l.theirs.mustSend(p.t, args...) })
	a, b := ours.unique(size), theirs.unique(size)
	if a != b {
		p.differs(command, []byte(a), []byte(b))
		p.restart()
		return false
	}
	return true
}

// whole runs an iteration to its end and returns all that it has found, or its error.
func whole(command []string, at int, do func(args []string) []byte) node {
	all := node{kind: '*'}
	args := append([]string(nil), command...)
	for {
		step, _ := parse(do(args))
		if len(step.elems) != 2 {
			return step
		}
		all.elems = append(all.elems, step.elems[1].elems...)
		if args[at] = step.elems[0].text; args[at] == "0" {
			return all
		}
	}
}

// unique writes the reply with its elements, taken in groups of size, in order, each once: an iteration
// may find an element twice.
func (n node) unique(size int) string {
	s := n.sorted(size)
	if len(s.elems)%size != 0 {
		return s.String()
	}
	var out strings.Builder
	last := ""
	for i := 0; i < len(s.elems); i += size {
		group := node{kind: '*', elems: s.elems[i : i+size]}.String()
		if group != last {
			out.WriteString(group)
		}
		last = group
	}
	if len(s.elems) == 0 {
		return n.String()
	}
	return out.String()
}
