package lists

import (
	"bytes"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// Cursor is a place in a list: an element, or beyond the ends. It is good until the list changes.
type Cursor struct {
	l    *List
	at   int // the node
	pos  int // in the node's listpack, -1 beyond the ends
	pack listpack.Pack
}

// At returns the place of the element of index i, where -1 is the last one. It passes over at most half of the
// list's nodes, and half of the elements of one.
func (l *List) At(i int) Cursor {
	if i < 0 {
		i += l.len
	}
	if i < 0 || i >= l.len {
		return Cursor{l: l, pos: -1}
	}
	at, offset := l.locate(i)
	c := Cursor{l: l, at: at}
	if n := l.nodes()[at].n; !n.plain {
		c.pack = n.pack()
		c.pos = c.pack.Seek(offset)
	}
	return c
}

// Valid reports whether there is an element.
func (c *Cursor) Valid() bool { return c.pos >= 0 }

// Next goes to the next element, or beyond the last.
func (c *Cursor) Next() {
	if c.pack != nil {
		if c.pos = c.pack.Next(c.pos); c.pos >= 0 {
			return
		}
	}
	if c.at++; c.enter() {
		c.pos = c.pack.First()
	}
}

// Prev goes to the element before, or beyond the first.
func (c *Cursor) Prev() {
	if c.pack != nil {
		if c.pos = c.pack.Prev(c.pos); c.pos >= 0 {
			return
		}
	}
	if c.at--; c.enter() {
		c.pos = c.pack.Last()
	}
}

// enter goes to node at. It reports whether that is a listpack, in which there is a place to choose.
func (c *Cursor) enter() bool {
	c.pack, c.pos = nil, -1
	if c.at < 0 || c.at >= c.l.NodeCount() {
		return false
	}
	n := c.l.nodes()[c.at].n
	if n.plain {
		c.pos = 0
		return false
	}
	c.pack = n.pack()
	return true
}

// Get returns the element: an integer, or bytes that are the list's own.
func (c *Cursor) Get() (str []byte, num int64, isInt bool) {
	if c.pack == nil {
		return c.l.nodes()[c.at].n.buf, 0, false
	}
	return c.pack.Get(c.pos)
}

// AppendValue appends the element to dst as text.
func (c *Cursor) AppendValue(dst []byte) []byte {
	if c.pack == nil {
		return append(dst, c.l.nodes()[c.at].n.buf...)
	}
	return c.pack.AppendValue(dst, c.pos)
}

// Equal reports whether the element is v.
func (c *Cursor) Equal(v []byte) bool {
	if c.pack == nil {
		return bytes.Equal(c.l.nodes()[c.at].n.buf, v)
	}
	return c.pack.Equal(c.pos, v)
}

// InsertBefore puts v before the element of a place, which is not good afterwards. v is copied.
func (l *List) InsertBefore(c Cursor, v []byte) { l.insert(c.at, c.pos, v) }

// InsertAfter puts v behind the element of a place, which is not good afterwards. v is copied.
func (l *List) InsertAfter(c Cursor, v []byte) {
	pos := -1
	if c.pack != nil {
		pos = c.pack.Next(c.pos)
	}
	l.insert(c.at, pos, v)
}

// insert puts v before the element at pos of node at, or behind its last if pos is -1.
func (l *List) insert(at, pos int, v []byte) {
	size := len(v)
	first := pos == firstPos || pos == 0
	switch {
	case l.fits(at, size):
		l.add(at, pos, v)
	case first && at > 0 && l.fits(at-1, size):
		l.add(at-1, -1, v)
	case first:
		l.insertRef(at, l.newNode(v, false), 1)
	case pos < 0 && at+1 < l.NodeCount() && l.fits(at+1, size):
		l.add(at+1, firstPos, v)
	case pos < 0:
		l.insertRef(at+1, l.newNode(v, false), 1)
	default:
		l.split(at, pos)
		nodes := l.NodeCount()
		l.insert(at, -1, v)
		l.merge(at + 1 + l.NodeCount() - nodes)
		l.merge(at - 1)
	}
}

// Set replaces the element of index i, which must be there, by v. v is copied.
func (l *List) Set(i int, v []byte) {
	if i < 0 {
		i += l.len
	}
	c := l.At(i)
	if c.pack == nil || l.large(len(v)) || len(c.pack)-c.pack.EntrySizeAt(c.pos)+len(v)+overhead > l.limit() {
		l.InsertBefore(c, v)
		l.Delete(i+1, 1)
		return
	}
	n := l.own(c.at)
	if len(n.buf)+len(v)+overhead > cap(n.buf) {
		l.room(n, len(v)+overhead, false)
	}
	n.set(n.pack().Replace(c.pos, v))
}
