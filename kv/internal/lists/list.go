// Package lists has Redis's lists: the value and its commands.
//
// A list is Redis's quicklist: a row of nodes of at most some kilobytes, each a listpack, or one element that
// is too large for a listpack (a plain node). The row is an array of pointers to nodes, with the number of
// elements of each beside the pointer, and with room at both ends. What is pushed or popped at an end moves
// nothing, neither in the row nor in the node.
package lists

import (
	"bytes"
	"iter"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// List is a list of strings. The zero value is not usable.
type List struct {
	stamp uint32
	fill  int32
	len   int
	bytes int // of the nodes
	all   []ref
	// The nodes are all[lo:hi].
	lo, hi int
}

// ref is a node in the row. Its number of elements is here, so that going to an index passes over nodes
// without looking at them.
type ref struct {
	n     *node
	count int
}

const (
	listSize = 80 // bytes of a List
	refSize  = 16
)

// New returns an empty list. fill is list-max-listpack-size: -1 to -5 limit a node to 4, 8, 16, 32 or 64 KB,
// other negative numbers to what -5 does, positive ones limit it to so many elements and 8 KB; 0 is 1.
func New(stamp uint32, fill int) *List {
	return &List{stamp: stamp, fill: int32(min(max(fill, -5), 1<<15-1))}
}

// Type implements engine.Value.
func (*List) Type() engine.Type { return engine.TypeList }

// Encoding implements engine.Value.
func (*List) Encoding() string { return "quicklist" }

// Stamp implements engine.Value.
func (l *List) Stamp() uint32 { return l.stamp }

// Bytes implements engine.Value.
func (l *List) Bytes() int { return listSize + refSize*len(l.all) + l.bytes }

// Clone implements engine.Value: it copies the row, and later each node before it is changed.
func (l *List) Clone(stamp uint32) engine.Value {
	c := *l
	c.stamp = stamp
	c.all = append(make([]ref, 0, len(l.all)), l.all...)
	return &c
}

// Len returns the number of elements.
func (l *List) Len() int { return l.len }

// Nodes returns the nodes from first to last: each is a listpack, or an element that is a node by itself, and
// then the listpack is nil. Neither may be changed; they are valid until the list's next change, or for good if
// the list has been cloned.
func (l *List) Nodes() iter.Seq2[listpack.Pack, []byte] {
	return func(yield func(listpack.Pack, []byte) bool) {
		for _, r := range l.nodes() {
			if r.n.plain && !yield(nil, r.n.buf) || !r.n.plain && !yield(r.n.pack(), nil) {
				return
			}
		}
	}
}

// NodeCount returns the number of nodes.
func (l *List) NodeCount() int { return l.hi - l.lo }

// All returns the elements as text, each in memory of its own.
func (l *List) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := l.At(0); c.Valid(); c.Next() {
			if !yield(c.AppendValue(nil)) {
				return
			}
		}
	}
}

// PushBack puts v behind the last element, in constant time. v is copied.
func (l *List) PushBack(v []byte) {
	if last := l.NodeCount() - 1; last >= 0 && l.fits(last, len(v)) {
		l.add(last, -1, v)
		return
	}
	l.insertRef(l.NodeCount(), l.newNode(v, false), 1)
}

// PushFront puts v before the first element, in constant time. v is copied.
func (l *List) PushFront(v []byte) {
	if l.NodeCount() > 0 && l.fits(0, len(v)) {
		l.add(0, firstPos, v)
		return
	}
	l.insertRef(0, l.newNode(v, true), 1)
}

// AppendPack puts the elements of p, which has been checked, behind the last, as a node. The list owns p from
// now on.
func (l *List) AppendPack(p listpack.Pack) {
	if count := p.Len(); count > 0 {
		l.insertRef(l.NodeCount(), l.account(&node{stamp: l.stamp, buf: p}), count)
	}
}

// AppendPlain puts v behind the last element as a node by itself. The list owns v from now on.
func (l *List) AppendPlain(v []byte) {
	l.insertRef(l.NodeCount(), l.account(&node{stamp: l.stamp, plain: true, buf: v}), 1)
}

// Delete removes n elements from index i on, or as many as there are. Nodes that go as a whole cost nothing but
// the move of the shorter side of the row.
func (l *List) Delete(i, n int) {
	n = min(n, l.len-i)
	if n <= 0 || i < 0 {
		return
	}
	at, offset := l.locate(i)
	if offset > 0 {
		here := min(n, l.nodes()[at].count-offset)
		l.cut(at, l.nodes()[at].n.pack().Seek(offset), here)
		n -= here
		at++
	}
	to := at
	for ; n > 0 && l.nodes()[to].count <= n; to++ {
		n -= l.nodes()[to].count
	}
	l.removeRefs(at, to)
	if n > 0 {
		l.cut(at, firstPos, n)
	}
}

// Remove removes up to limit elements that are v, beginning from the last one if back is set, and returns how
// many these were.
func (l *List) Remove(v []byte, limit int, back bool) (removed int) {
	if back {
		for at := l.NodeCount() - 1; at >= 0 && removed < limit; at-- {
			removed += l.removeIn(at, v, limit-removed, true)
		}
		return removed
	}
	for at := 0; at < l.NodeCount() && removed < limit; {
		nodes := l.NodeCount()
		removed += l.removeIn(at, v, limit-removed, false)
		if l.NodeCount() == nodes {
			at++
		}
	}
	return removed
}

// removeIn is Remove in one node.
func (l *List) removeIn(at int, v []byte, limit int, back bool) (removed int) {
	r := l.nodes()[at]
	if r.n.plain {
		if !bytes.Equal(r.n.buf, v) {
			return 0
		}
		l.removeRefs(at, at+1)
		return 1
	}
	p := r.n.pack()
	pos := p.Find(p.First(), v, 0)
	if pos < 0 {
		return 0 // and the node is not copied
	}
	left := r.count
	if back {
		pos = p.Last()
	}
	for pos >= 0 && removed < limit {
		p = l.nodes()[at].n.pack()
		next := -1
		if back {
			next = p.Prev(pos)
		}
		if p.Equal(pos, v) {
			removed++
			left--
			l.cut(at, pos, 1)
			if left == 0 {
				break
			}
			p = l.nodes()[at].n.pack()
			if !back {
				next = p.Find(p.Here(pos), v, 0)
			}
		}
		pos = next
	}
	return removed
}
