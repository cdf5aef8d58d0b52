package zsets

import (
	"bytes"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/table"
)

const (
	leafCap  = 128 // entries of a leaf: an array of 2,048 bytes
	innerCap = 64  // children of an inner node
)

// item is one entry of a tree. In an inner node it is a lower bound of what the child beside it holds: the
// entry itself may be gone.
type item struct {
	score float64
	entry *table.Entry // of the dict: the member
}

// node is a leaf (kids is nil) or an inner node. A node is changed only by the tree whose stamp it has.
type node struct {
	stamp  uint32
	items  []item
	kids   []*node
	counts []uint32 // entries below each child
}

// tree is a B+tree of entries in the order of (score, member), with the number of entries below each child,
// so that ranks cost O(log n). Any two neighbouring children together fill more than half a node: what shrinks
// is merged before, and what splits leaves halves behind.
type tree struct {
	stamp         uint32
	root          *node // nil when empty
	len           int
	leaves, inner int // nodes, for the account of memory
}

const (
	leafBytes  = 96 + leafCap*16
	innerBytes = 96 + innerCap*(16+8+4)
)

func (t *tree) bytes() int { return t.leaves*leafBytes + t.inner*innerBytes }

// before reports whether it sorts before (score, member).
func (it *item) before(score float64, member []byte) bool {
	if it.score != score {
		return it.score < score
	}
	return bytes.Compare(it.entry.Key(), member) < 0
}

// search returns how many of the node's items sort before (score, member).
func (n *node) search(score float64, member []byte) int {
	lo, hi := 0, len(n.items)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if n.items[m].before(score, member) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// child returns the index of the child in which (score, member) is or belongs.
func (n *node) child(score float64, member []byte) int {
	i := n.search(score, member)
	if i < len(n.items) && n.items[i].score == score && bytes.Equal(n.items[i].entry.Key(), member) {
		return i
	}
	return max(i-1, 0)
}

// size is the number of entries in and below the node.
func (n *node) size() int {
	if n.kids == nil {
		return len(n.items)
	}
	total := 0
	for _, c := range n.counts {
		total += int(c)
	}
	return total
}

func (t *tree) newLeaf() *node {
	t.leaves++
	return &node{stamp: t.stamp, items: make([]item, 0, leafCap)}
}

func (t *tree) newInner() *node {
	t.inner++
	return &node{
		stamp: t.stamp, items: make([]item, 0, innerCap),
		kids: make([]*node, 0, innerCap), counts: make([]uint32, 0, innerCap),
	}
}

func (t *tree) free(n *node) {
	if n.kids == nil {
		t.leaves--
	} else {
		t.inner--
	}
}

// own returns n if the tree may change it, else a copy that it may change.
func (t *tree) own(n *node) *node {
	if n.stamp == t.stamp {
		return n
	}
	c := &node{stamp: t.stamp}
	if n.kids == nil {
		c.items = append(make([]item, 0, leafCap), n.items...)
		return c
	}
	c.items = append(make([]item, 0, innerCap), n.items...)
	c.kids = append(make([]*node, 0, innerCap), n.kids...)
	c.counts = append(make([]uint32, 0, innerCap), n.counts...)
	return c
}

// kid is own for the child i of n, which the tree owns.
func (t *tree) kid(n *node, i int) *node {
	n.kids[i] = t.own(n.kids[i])
	return n.kids[i]
}

// insert adds an entry that the tree does not have.
func (t *tree) insert(it item) {
	if t.root == nil {
		t.root = t.newLeaf()
	}
	t.root = t.own(t.root)
	t.len++
	right := t.insertInto(t.root, it, true, true)
	if right == nil {
		return
	}
	root := t.newInner()
	root.attach(0, t.root)
	root.attach(1, right)
	t.root = root
}

// insertInto adds it below n, which the tree owns. first and last say that nothing is before or behind n.
// When n had to be split, it returns the right part.
func (t *tree) insertInto(n *node, it item, first, last bool) (right *node) {
	member := it.entry.Key()
	if n.kids == nil {
		i := n.search(it.score, member)
		if len(n.items) < leafCap {
			n.items = slices.Insert(n.items, i, it)
			return nil
		}
		right = t.split(n, half(i, leafCap, first, last))
		if i > len(n.items) || i == len(n.items) && len(right.items) == 0 {
			right.items = slices.Insert(right.items, i-len(n.items), it)
		} else {
			n.items = slices.Insert(n.items, i, it)
		}
		return right
	}
	i := n.child(it.score, member)
	if i == 0 && n.items[0].entry != it.entry && !n.items[0].before(it.score, member) {
		n.items[0] = it
	}
	added := t.insertInto(t.kid(n, i), it, first && i == 0, last && i == len(n.kids)-1)
	n.counts[i]++
	if added == nil {
		return nil
	}
	n.counts[i] -= uint32(added.size())
	to, at := n, i+1
	if len(n.kids) == innerCap {
		right = t.split(n, half(at, innerCap, first, last))
		if at > len(n.kids) || at == len(n.kids) && len(right.kids) == 0 {
			to, at = right, at-len(n.kids)
		}
	}
	to.attach(at, added)
	return right
}

// half is where to split a full node of n items before something is inserted at the place at. At the ends of
// the tree all go to one side: nodes are full when entries come in order.
func half(at, n int, first, last bool) int {
	if at == n && last || at == 0 && first {
		return at
	}
	return n / 2
}

// split moves the items of n from half on to a new node.
func (t *tree) split(n *node, half int) *node {
	right := t.sibling(n)
	right.items = append(right.items, n.items[half:]...)
	clear(n.items[half:])
	n.items = n.items[:half]
	if n.kids != nil {
		right.kids = append(right.kids, n.kids[half:]...)
		right.counts = append(right.counts, n.counts[half:]...)
		clear(n.kids[half:])
		n.kids, n.counts = n.kids[:half], n.counts[:half]
	}
	return right
}

func (t *tree) sibling(n *node) *node {
	if n.kids == nil {
		return t.newLeaf()
	}
	return t.newInner()
}

// attach makes kid the child i of n.
func (n *node) attach(i int, kid *node) {
	n.items = slices.Insert(n.items, i, kid.items[0])
	n.kids = slices.Insert(n.kids, i, kid)
	n.counts = slices.Insert(n.counts, i, uint32(kid.size()))
}

// detach removes the children i to j-1 of n.
func (n *node) detach(i, j int) {
	n.items = slices.Delete(n.items, i, j)
	n.kids = slices.Delete(n.kids, i, j)
	n.counts = slices.Delete(n.counts, i, j)
}

// remove removes the entry (score, member), if it is there.
func (t *tree) remove(score float64, member []byte) { t.take(score, member, nil) }

// change gives the entry (score, member) another score: it is the entry with that.
func (t *tree) change(score float64, it item) {
	if t.take(score, it.entry.Key(), &it) == removed {
		t.insert(it)
	}
}

// taking is what has become of an entry.
type taking int

const (
	absent taking = iota
	removed
	replaced
)

// take removes an entry, or puts it in its place, where that is in order.
func (t *tree) take(score float64, member []byte, it *item) taking {
	if t.root == nil {
		return absent
	}
	t.root = t.own(t.root)
	did := t.takeFrom(t.root, score, member, it)
	if did == removed {
		t.len--
		t.shrink()
	}
	return did
}

func (t *tree) takeFrom(n *node, score float64, member []byte, it *item) taking {
	if n.kids == nil {
		i := n.search(score, member)
		if i == len(n.items) || n.items[i].score != score || !bytes.Equal(n.items[i].entry.Key(), member) {
			return absent
		}
		// Between the same two neighbours it may stay, whatever its score.
		if it != nil && i > 0 && i+1 < len(n.items) &&
			n.items[i-1].before(it.score, member) && !n.items[i+1].before(it.score, member) {
			n.items[i] = *it
			return replaced
		}
		n.items = slices.Delete(n.items, i, i+1)
		return removed
	}
	i := n.child(score, member)
	did := t.takeFrom(t.kid(n, i), score, member, it)
	if did == removed {
		n.counts[i]--
		t.tidy(n, i)
	}
	return did
}

// tidy merges the child i of n, which has shrunk, with its neighbours where both fit well into one.
func (t *tree) tidy(n *node, i int) {
	kid := n.kids[i]
	if len(kid.items) == 0 {
		t.free(kid)
		n.detach(i, i+1)
		// What is now side by side was not before.
		if i > 0 && i < len(n.kids) {
			t.merge(n, i-1)
		}
		return
	}
	if len(kid.items) > fill(kid) {
		return
	}
	if i+1 < len(n.kids) {
		t.merge(n, i)
	}
	if i > 0 {
		t.merge(n, i-1)
	}
}

// fill is the most that two neighbours may hold together and be merged.
func fill(n *node) int {
	if n.kids == nil {
		return leafCap * 3 / 4
	}
	return innerCap * 3 / 4
}

// merge makes one of the children i and i+1 of n, if they fit well into one.
func (t *tree) merge(n *node, i int) {
	right := n.kids[i+1]
	if len(n.kids[i].items)+len(right.items) > fill(right) {
		return
	}
	left := t.kid(n, i)
	seam := len(left.kids) - 1
	left.items = append(left.items, right.items...)
	if right.kids != nil {
		left.kids = append(left.kids, right.kids...)
		left.counts = append(left.counts, right.counts...)
		t.merge(left, seam)
	}
	n.counts[i] += n.counts[i+1]
	n.detach(i+1, i+2)
	t.free(right)
}

// shrink drops roots that have one child, and the last leaf when it is empty.
func (t *tree) shrink() {
	for t.root != nil {
		switch {
		case len(t.root.items) == 0:
			t.free(t.root)
			t.root = nil
			return
		case len(t.root.kids) == 1:
			t.free(t.root)
			t.root = t.root.kids[0]
		default:
			return
		}
	}
}

// cut removes the entries of ranks lo to hi-1, and hands each to gone.
func (t *tree) cut(lo, hi int, gone func(item)) {
	if lo >= hi {
		return
	}
	t.root = t.own(t.root)
	t.cutFrom(t.root, lo, hi, gone)
	t.len -= hi - lo
	t.shrink()
}

func (t *tree) cutFrom(n *node, lo, hi int, gone func(item)) {
	if n.kids == nil {
		for _, it := range n.items[lo:hi] {
			gone(it)
		}
		n.items = slices.Delete(n.items, lo, hi)
		return
	}
	// The children from first on lose something; those that lose all are dropped, so that at most one on
	// either side of the gap is left to tidy.
	first, base := 0, 0
	for base+int(n.counts[first]) <= lo {
		base += int(n.counts[first])
		first++
	}
	i := first
	for i < len(n.kids) && base < hi {
		size := int(n.counts[i])
		from, to := max(lo-base, 0), min(hi-base, size)
		if from == 0 && to == size {
			t.drop(n.kids[i], gone)
			n.detach(i, i+1)
		} else {
			t.cutFrom(t.kid(n, i), from, to, gone)
			n.counts[i] -= uint32(to - from)
			i++
		}
		base += size
	}
	for j := min(i, len(n.kids)-1); j >= max(first-1, 0); j-- {
		if j < len(n.kids) {
			t.tidy(n, j)
		}
	}
}

// drop hands all entries below n to gone, and n to the collector.
func (t *tree) drop(n *node, gone func(item)) {
	t.free(n)
	if n.kids == nil {
		for _, it := range n.items {
			gone(it)
		}
		return
	}
	for _, kid := range n.kids {
		t.drop(kid, gone)
	}
}
