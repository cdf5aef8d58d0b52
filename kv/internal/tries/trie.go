package tries

import (
	"bytes"
	"slices"
	"strings"
	"unsafe"
)

// Trie maps fields to values, in the order of the fields' bytes. It is a compressed radix tree: what
// fields have in common is kept once, and how long a lookup takes depends on the field's length alone,
// not on how many fields there are.
//
// Snapshots share nodes: a node is changed in place only if its stamp is the trie's.
type Trie struct {
	root  *node // has no prefix; never nil
	count int
	bytes int
	stamp uint32
}

// A node stands for the field that the prefixes on the way to it spell. All but the root have a prefix,
// and a value or two children at least.
type node struct {
	stamp  uint32
	has    bool   // a value: the field is stored
	prefix string // replaced, never changed in place, as is value: copies of the node share both
	value  string
	kids   *branch // nil: a leaf; belongs to this node alone
}

// A branch has the children of a node, by the first byte of their prefixes.
type branch struct {
	labels []byte // sorted
	nodes  []*node
}

// New returns an empty trie that may be changed under this stamp.
func New(stamp uint32) *Trie {
	t := &Trie{root: &node{stamp: stamp}, stamp: stamp}
	t.bytes = int(unsafe.Sizeof(*t)) + t.root.size()
	return t
}

// Len is the number of fields.
func (t *Trie) Len() int { return t.count }

// Get returns the value of a field.
func (t *Trie) Get(field []byte) (value string, ok bool) {
	n := t.root
	for len(field) > 0 {
		kid := n.kid(field[0])
		if kid == nil || len(field) < len(kid.prefix) || string(field[:len(kid.prefix)]) != kid.prefix {
			return "", false
		}
		n, field = kid, field[len(kid.prefix):]
	}
	return n.value, n.has
}

// LongestPrefix returns the length and the value of the longest stored field that s begins with.
func (t *Trie) LongestPrefix(s []byte) (length int, value string, ok bool) {
	n, at := t.root, 0
	for {
		if n.has {
			length, value, ok = at, n.value, true
		}
		if at == len(s) {
			return length, value, ok
		}
		kid := n.kid(s[at])
		if kid == nil || len(s)-at < len(kid.prefix) || string(s[at:at+len(kid.prefix)]) != kid.prefix {
			return length, value, ok
		}
		n, at = kid, at+len(kid.prefix)
	}
}

// Put sets the value of a field, and reports whether the field is new. It keeps neither slice.
func (t *Trie) Put(field, value []byte) (added bool) {
	t.root = t.own(t.root)
	n := t.root
	for len(field) > 0 {
		i, found := n.find(field[0])
		if !found {
			t.adopt(n, i, &node{stamp: t.stamp, has: true, prefix: string(field), value: string(value)})
			t.count++
			return true
		}
		kid := t.own(n.kids.nodes[i])
		if c := common(kid.prefix, field); c < len(kid.prefix) {
			kid = t.split(kid, c)
		}
		n.kids.nodes[i] = kid
		n, field = kid, field[len(kid.prefix):]
	}
	if n.has && n.value == string(value) {
		return false
	}
	t.bytes -= n.size()
	added = !n.has
	n.has, n.value = true, string(value)
	t.bytes += n.size()
	if added {
		t.count++
	}
	return added
}

// Delete removes a field and reports whether it was there.
func (t *Trie) Delete(field []byte) bool {
	if _, ok := t.Get(field); !ok {
		return false
	}
	t.root = t.own(t.root)
	// grand → parent → n are the last three nodes of the way; the indexes are places among siblings.
	var grand, parent *node
	var parentAt, at int
	n := t.root
	for len(field) > 0 {
		grand, parent, parentAt = parent, n, at
		at, _ = n.find(field[0])
		n = t.own(n.kids.nodes[at])
		parent.kids.nodes[at] = n
		field = field[len(n.prefix):]
	}
	t.bytes -= n.size()
	n.has, n.value = false, ""
	t.bytes += n.size()
	t.count--
	switch {
	case parent == nil: // the root stays as it is
	case n.kids == nil:
		t.disown(parent, at)
		if grand != nil && !parent.has {
			t.join(grand, parentAt)
		}
	default:
		t.join(parent, at)
	}
	return true
}

// own returns n if it may be changed in place, else a copy of it. The caller puts that in n's place.
func (t *Trie) own(n *node) *node {
	if n.stamp == t.stamp {
		return n
	}
	t.bytes -= n.size()
	c := *n
	c.stamp = t.stamp
	if n.kids != nil {
		c.kids = &branch{labels: slices.Clone(n.kids.labels), nodes: slices.Clone(n.kids.nodes)}
	}
	t.bytes += c.size()
	return &c
}

// split cuts n's prefix after c bytes, and returns the new node above it. n must be owned.
func (t *Trie) split(n *node, c int) *node {
	t.bytes -= n.size()
	above := &node{stamp: t.stamp, prefix: strings.Clone(n.prefix[:c])}
	above.kids = &branch{labels: []byte{n.prefix[c]}, nodes: []*node{n}}
	n.prefix = strings.Clone(n.prefix[c:])
	t.bytes += n.size() + above.size()
	return above
}

// join makes child i of n one with its only child, if it has no value and but one child. Both n and its
// child must be owned.
func (t *Trie) join(n *node, i int) {
	upper := n.kids.nodes[i]
	if upper.has || upper.kids == nil || len(upper.kids.nodes) != 1 {
		return
	}
	lower := t.own(upper.kids.nodes[0])
	t.bytes -= upper.size() + lower.size()
	lower.prefix = upper.prefix + lower.prefix
	t.bytes += lower.size()
	n.kids.nodes[i] = lower
}

// adopt makes kid the child of n at place i.
func (t *Trie) adopt(n *node, i int, kid *node) {
	t.bytes -= n.size()
	if n.kids == nil {
		n.kids = &branch{}
	}
	n.kids.labels = slices.Insert(n.kids.labels, i, kid.prefix[0])
	n.kids.nodes = slices.Insert(n.kids.nodes, i, kid)
	t.bytes += n.size() + kid.size()
}

// disown removes child i of n.
func (t *Trie) disown(n *node, i int) {
	t.bytes -= n.size() + n.kids.nodes[i].size()
	n.kids.labels = slices.Delete(n.kids.labels, i, i+1)
	n.kids.nodes = slices.Delete(n.kids.nodes, i, i+1)
	switch k := len(n.kids.nodes); {
	case k == 0:
		n.kids = nil
	case cap(n.kids.nodes) > 8 && k < cap(n.kids.nodes)/4:
		n.kids = &branch{labels: slices.Clone(n.kids.labels), nodes: slices.Clone(n.kids.nodes)}
	}
	t.bytes += n.size()
}

// kid returns the child whose prefix begins with b, or nil.
func (n *node) kid(b byte) *node {
	if n.kids == nil {
		return nil
	}
	if i := bytes.IndexByte(n.kids.labels, b); i >= 0 {
		return n.kids.nodes[i]
	}
	return nil
}

// find returns the place of the child whose prefix begins with b, or where it would be.
func (n *node) find(b byte) (i int, found bool) {
	if n.kids == nil {
		return 0, false
	}
	return slices.BinarySearch(n.kids.labels, b)
}

// size is about how much memory the node holds, without its children.
func (n *node) size() int {
	s := int(unsafe.Sizeof(*n)) + rounded(len(n.prefix)) + rounded(len(n.value))
	if n.kids != nil {
		s += int(unsafe.Sizeof(*n.kids)) + cap(n.kids.labels) + 8*cap(n.kids.nodes)
	}
	return s
}

// rounded is about how much the allocator takes for n bytes.
func rounded(n int) int {
	if n <= 8 {
		return n
	}
	return (n + 15) &^ 15
}

// common is the length of the prefix that a and b have in common.
func common(a string, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
