package lists

import (
	"math/bits"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// node is a listpack, or one element. It is changed in place only if its stamp is the list's.
type node struct {
	stamp uint32
	plain bool
	at    int    // where the listpack begins: what is before it is room for pushes at the front
	buf   []byte // the listpack is buf[at:]; a plain node's element is buf
}

const (
	nodeSize = 48 // bytes of a node
	minNode  = 64 // bytes of the first node of a list
	nextNode = 1024

	// overhead is the most bytes that an element of a node has besides its text.
	overhead = 8
	// emptyPack is the size of a listpack without elements.
	emptyPack = 7
	// safeSize limits, in bytes, the nodes that have their elements counted.
	safeSize = 8192

	// firstPos is where every listpack has its first element.
	firstPos = 6
)

func (n *node) pack() listpack.Pack { return listpack.Pack(n.buf[n.at:]) }

// limit returns how many bytes a node may have.
func (l *List) limit() int {
	if l.fill >= 0 {
		return safeSize
	}
	return 2048 << -l.fill
}

// large reports whether an element of so many bytes has a node by itself.
func (l *List) large(size int) bool { return size+overhead+emptyPack > l.limit() }

// fits reports whether node at takes another element of size bytes.
func (l *List) fits(at, size int) bool {
	r := &l.all[l.lo+at]
	if r.n.plain || len(r.n.buf)-r.n.at+size+overhead > l.limit() {
		return false
	}
	return l.fill < 0 || r.count < int(l.fill)
}

// account counts a node that comes into the list.
func (l *List) account(n *node) *node {
	l.bytes += nodeSize + cap(n.buf)
	return n
}

// newNode returns a node that has only v. It has room at its front or at its back.
func (l *List) newNode(v []byte, front bool) *node {
	n := &node{stamp: l.stamp}
	if l.large(len(v)) {
		n.plain, n.buf = true, append(make([]byte, 0, len(v)), v...)
		return l.account(n)
	}
	size := minNode
	if l.NodeCount() > 0 {
		size = nextNode
	}
	if size = min(size, l.limit()); l.fill >= 0 && l.fill <= 1 {
		size = 0
	}
	need := len(v) + overhead + emptyPack
	n.buf = make([]byte, 0, max(size, need))
	if front {
		n.at = cap(n.buf) - need
		n.buf = n.buf[:n.at]
	}
	n.buf = append(n.buf, listpack.New()...)
	n.set(n.pack().Append(v))
	return l.account(n)
}

// set notes the listpack after a change in place, for which there was room.
func (n *node) set(p listpack.Pack) { n.buf = n.buf[:n.at+len(p)] }

// own returns node at for changing.
func (l *List) own(at int) *node {
	r := &l.all[l.lo+at]
	if r.n.stamp != l.stamp {
		c := *r.n
		c.stamp = l.stamp
		c.buf = append(make([]byte, 0, cap(c.buf)), c.buf...)
		l.bytes += cap(c.buf) - cap(r.n.buf)
		r.n = &c
	}
	return r.n
}

// room makes room for size more bytes at the front or the back of a node, in its array by moving the listpack
// to the other end, or in one that is about twice as large.
func (l *List) room(n *node, size int, front bool) {
	need := len(n.buf) - n.at + size
	to, had := n.buf[:cap(n.buf)], cap(n.buf)
	c := max(minNode, 1<<bits.Len(uint(need-1)))
	if limit := l.limit(); c > limit && need <= limit {
		c = limit
	}
	if c > had {
		to = make([]byte, c)
		l.bytes += c - had
	}
	l.move(n, to, front)
}

// move puts the listpack at the end of an array for pushes at the front, else at its start.
func (*List) move(n *node, to []byte, front bool) {
	p := n.pack()
	at := 0
	if front {
		at = len(to) - len(p)
	}
	copy(to[at:], p)
	n.at, n.buf = at, to[:at+len(p)]
}

// shrink gives back memory when a node uses less than a quarter of its own.
func (l *List) shrink(n *node, front bool) {
	used := len(n.buf) - n.at
	if c := cap(n.buf); c > 4*minNode && 4*used < c {
		to := make([]byte, max(2*used, minNode))
		l.bytes += len(to) - c
		l.move(n, to, front)
	}
}

// add puts v before the element at pos of node at, which takes it, or behind the last if pos is -1.
func (l *List) add(at, pos int, v []byte) {
	n := l.own(at)
	l.all[l.lo+at].count++
	l.len++
	if pos == firstPos {
		to, ok := listpack.Prepend(n.buf, n.at, v)
		if !ok {
			l.room(n, len(v)+overhead, true)
			to, _ = listpack.Prepend(n.buf, n.at, v)
		}
		n.at = to
		return
	}
	if len(n.buf)+len(v)+overhead > cap(n.buf) {
		l.room(n, len(v)+overhead, false)
	}
	n.set(n.pack().Insert(pos, v))
}

// cut removes count elements from pos of node at on, which has as many; the node too, if it has no more.
func (l *List) cut(at, pos, count int) {
	r := &l.all[l.lo+at]
	if r.count == count {
		l.removeRefs(at, at+1)
		return
	}
	n := l.own(at)
	r.count -= count
	l.len -= count
	if pos == firstPos {
		n.at = listpack.Shift(n.buf, n.at, count)
	} else {
		n.set(n.pack().Delete(pos, count))
	}
	l.shrink(n, pos != firstPos)
}

// split has node at end before pos, where it has an element that is not its first, and puts what follows in a
// new node behind it.
func (l *List) split(at, pos int) {
	n := l.own(at)
	p := n.pack()
	before := 0
	for q := p.First(); q < pos; q = p.Next(q) {
		before++
	}
	after := l.all[l.lo+at].count - before
	tail := &node{stamp: l.stamp, buf: p.Clone()}
	tail.at = listpack.Shift(tail.buf, 0, before)
	l.cut(at, pos, after)
	l.insertRef(at+1, l.account(tail), after)
}

// merge makes one node of at and the one behind it, if both are there and are small enough.
func (l *List) merge(at int) {
	if at < 0 || at+1 >= l.NodeCount() {
		return
	}
	a, b := l.nodes()[at], l.nodes()[at+1]
	if a.n.plain || b.n.plain || l.fill >= 0 && a.count+b.count > int(l.fill) {
		return
	}
	p, q := a.n.pack(), b.n.pack()
	if len(p)+len(q)-emptyPack > l.limit() {
		return
	}
	n := l.own(at)
	if more := len(q) - emptyPack; len(n.buf)+more > cap(n.buf) {
		l.room(n, more, false)
	}
	n.set(n.pack().Concat(q))
	l.removeRefs(at+1, at+2)
	l.all[l.lo+at].count += b.count
	l.len += b.count
}
