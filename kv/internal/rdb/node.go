package rdb

import "github.com/zmsg/zmsg/kv/internal/listpack"

// The flags of a stream's entry.
const (
	entryDeleted    = 1
	entrySameFields = 2
)

// walk goes through the elements of a listpack.
type walk struct {
	p   listpack.Pack
	pos int
	bad bool
}

// int returns the next element, which must be an integer.
func (w *walk) int() int64 {
	if w.pos < 0 || w.bad {
		w.bad = true
		return 0
	}
	_, n, isInt := w.p.Get(w.pos)
	w.bad = !isInt
	w.pos = w.p.Next(w.pos)
	return n
}

// skip goes on by n elements, if there are as many.
func (w *walk) skip(n int64) {
	if n < 0 {
		w.bad = true
	}
	for ; n > 0 && !w.bad; n-- {
		if w.bad = w.pos < 0; !w.bad {
			w.pos = w.p.Next(w.pos)
		}
	}
}

// checkNode reports whether a listpack is a node of a stream, and how many entries it has that are not
// deleted. A node begins with a master entry:
//
//	entries | deleted ones | fields | field … | 0
//
// and has, for each entry, deleted or not, where the fields may be left out if they are the master entry's:
//
//	flags | ms and seq, both less the node's | fields | field | value … | elements so far
func checkNode(p listpack.Pack) (live int64, ok bool) {
	w := &walk{p: p, pos: p.First()}
	live = w.int()
	deleted := w.int()
	fields := w.int()
	w.skip(fields)
	if w.int() != 0 || w.bad || live < 0 || deleted < 0 {
		return 0, false
	}
	seen := int64(0)
	for i := live + deleted; i > 0 && !w.bad; i-- {
		flags := w.int()
		w.int()
		w.int()
		if flags&entryDeleted != 0 {
			seen++
		}
		if flags&entrySameFields != 0 {
			w.skip(fields)
			w.bad = w.int() != fields+3 || w.bad
			continue
		}
		n := w.int()
		if n < 0 || n > int64(len(p)) {
			return 0, false
		}
		w.skip(2 * n)
		w.bad = w.int() != 2*n+4 || w.bad
	}
	return live, !w.bad && w.pos < 0 && seen == deleted
}
