package tries

import (
	"bytes"
	"iter"
)

// All returns the fields, in the order of their bytes, and their values. A field is valid only during its
// step. The trie must not be changed meanwhile.
func (t *Trie) All() iter.Seq2[[]byte, string] { return t.Scan(nil, nil) }

// Scan returns the fields that begin with prefix, in the order of their bytes, and their values: all of
// them if after is nil, else those that come after it (which need not be stored; the empty field is not
// nil). A field is valid only during its step. The trie must not be changed meanwhile. Getting to the
// first costs as much as a lookup.
func (t *Trie) Scan(prefix, after []byte) iter.Seq2[[]byte, string] {
	return func(yield func([]byte, string) bool) {
		top, way := t.below(prefix)
		if top == nil {
			return
		}
		w := walker{field: append([]byte(nil), prefix[:way]...), yield: yield}
		switch {
		case after == nil:
			w.walk(top, nil, false)
		case bytes.HasPrefix(after, prefix[:way]):
			w.walk(top, after[way:], true)
		case bytes.Compare(after, prefix[:way]) < 0:
			w.walk(top, nil, false)
		}
	}
}

// below returns the highest node whose field begins with prefix, and how many bytes of prefix are spelled
// by the nodes above it.
func (t *Trie) below(prefix []byte) (top *node, way int) {
	n := t.root
	for {
		rest := prefix[way:]
		switch c := common(n.prefix, rest); {
		case c == len(rest):
			return n, way
		case c < len(n.prefix):
			return nil, 0
		}
		way += len(n.prefix)
		if n = n.kid(prefix[way]); n == nil {
			return nil, 0
		}
	}
}

// A walker goes through a trie in order. field is what the nodes on the way down spell.
type walker struct {
	field []byte
	yield func([]byte, string) bool
}

// walk goes through n and what is below it, and reports whether to go on. If it is bounded, it leaves out
// what does not come after the bound; the bound is told without what is spelled by the nodes above n.
func (w *walker) walk(n *node, after []byte, bounded bool) bool {
	if bounded {
		switch c := common(n.prefix, after); {
		case c == len(n.prefix):
			after = after[c:]
		case c < len(after) && n.prefix[c] < after[c]:
			return true // all of it comes before the bound
		default:
			bounded = false
		}
	}
	length := len(w.field)
	w.field = append(w.field, n.prefix...)
	if n.has && !bounded && !w.yield(w.field, n.value) {
		return false
	}
	if n.kids != nil && !w.descend(n, after, bounded) {
		return false
	}
	w.field = w.field[:length]
	return true
}

// descend walks the children of n.
func (w *walker) descend(n *node, after []byte, bounded bool) bool {
	first, edge := 0, false // edge: the first child is bounded, as its siblings are not
	if bounded && len(after) > 0 {
		first, edge = n.find(after[0])
	}
	for i, kid := range n.kids.nodes[first:] {
		if !w.walk(kid, after, edge && i == 0) {
			return false
		}
	}
	return true
}
