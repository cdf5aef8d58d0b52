package difftest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// node is a decoded reply that still knows how it was written: a null of RESP2 has its own kinds.
type node struct {
	kind  byte
	text  string // of scalars, and "-1" of null arrays and bulk strings with their null set
	null  bool
	elems []node
}

// parse decodes the reply at the start of b and returns the rest. It is for replies that are known to be
// whole.
func parse(b []byte) (node, []byte) {
	i := bytes.Index(b, []byte("\r\n"))
	if i < 1 {
		return node{kind: '?', text: string(b)}, nil
	}
	n := node{kind: b[0], text: string(b[1:i]), null: b[0] == '_'}
	b = b[i+2:]
	size, _ := strconv.Atoi(n.text)
	switch n.kind {
	case '$', '=', '!':
		if n.null = size < 0; !n.null {
			n.text, b = string(b[:size]), b[size+2:]
		}
	case '*', '%', '~', '>':
		if n.null = size < 0; n.null {
			break
		}
		n.text = ""
		if n.kind == '%' {
			size *= 2
		}
		n.elems = make([]node, size)
		for i := range n.elems {
			n.elems[i], b = parse(b)
		}
	}
	return n, b
}

// count returns how many replies b consists of.
func count(b []byte) int {
	n := 0
	for len(b) > 0 {
		_, b = parse(b)
		n++
	}
	return n
}

// String writes a reply so that two are equal if and only if the texts are.
func (n node) String() string {
	if n.elems == nil {
		if n.null {
			return string(n.kind) + "null"
		}
		return fmt.Sprintf("%c%q", n.kind, n.text)
	}
	var s strings.Builder
	s.WriteByte(n.kind)
	s.WriteByte('[')
	for i, e := range n.elems {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(e.String())
	}
	s.WriteByte(']')
	return s.String()
}

// number returns the integer that a scalar reply is.
func (n node) number() (int64, bool) {
	v, err := strconv.ParseInt(n.text, 10, 64)
	return v, err == nil && !n.null && n.elems == nil
}

// texts returns the elements' texts.
func (n node) texts() []string {
	all := make([]string, len(n.elems))
	for i, e := range n.elems {
		all[i] = e.text
	}
	return all
}

// sorted returns the reply with its elements, taken in groups of size, in order.
func (n node) sorted(size int) node {
	if len(n.elems)%size != 0 {
		return n
	}
	groups := slices.Collect(slices.Chunk(n.elems, size))
	slices.SortStableFunc(groups, func(a, b []node) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	n.elems = slices.Concat(groups...)
	return n
}

// replace returns the reply with f applied to each scalar in it, given the path of indexes to it.
func (n node) replace(f func(n node) node) node {
	if n.elems == nil {
		return f(n)
	}
	elems := make([]node, len(n.elems))
	for i, e := range n.elems {
		elems[i] = e.replace(f)
	}
	n.elems = elems
	return n
}
