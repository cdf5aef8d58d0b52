package streams

import "github.com/zmsg/zmsg/kv/internal/listpack"

// walker goes through the entries between two IDs, in either direction. The stream may not change meanwhile.
type walker struct {
	s        *Stream
	from, to ID // inclusive
	back     bool
	all      bool // deleted entries too

	place place
	node  *node // nil before the first
	p     listpack.Pack
	head  header
	pos   int // going on, the next element to look at; going back, the last element of the entry to come

	// The entry.
	id     ID
	flags  int64
	start  int   // the position of its flags
	fields int64 // how many it has
	left   int64 // elements of it behind pos, without the last one
}

// walk returns a walker before its first entry.
func (s *Stream) walk(from, to ID, back bool) *walker {
	w := &walker{s: s, from: from, to: to, back: back}
	if back {
		w.place = s.seek(to)
	} else if w.place = s.seek(from); s.at(w.place) == nil && s.nodes > 0 {
		w.place = place{}
	}
	return w
}

// next goes to the next entry. It returns false behind the last one.
func (w *walker) next() bool {
	if w.from.Compare(w.to) > 0 {
		return false
	}
	for {
		switch {
		case w.node == nil:
			if !w.enter() {
				return false
			}
		case w.back:
			w.pos = w.p.Prev(w.start)
		default:
			w.skip(w.left + 1)
		}
		if !w.read() {
			w.leave()
			continue
		}
		switch {
		case w.back && w.id.less(w.from), !w.back && w.to.less(w.id):
			return false
		case w.back && w.to.less(w.id), !w.back && w.id.less(w.from), w.flags&flagDeleted != 0 && !w.all:
			continue
		}
		return true
	}
}

// enter begins the node at the place.
func (w *walker) enter() bool {
	if w.node = w.s.at(w.place); w.node == nil {
		return false
	}
	w.p = w.node.pack
	w.head = readHeader(w.p)
	if w.back {
		w.pos = w.p.Last()
		return true
	}
	w.pos = w.head.names
	if w.place == (place{}) && w.s.head > 0 && !w.all {
		w.pos += w.s.head
	} else {
		w.skip(w.head.fields + 1)
	}
	return true
}

// leave goes on to the next node.
func (w *walker) leave() {
	w.node = nil
	if w.back {
		w.place = w.s.before(w.place)
	} else {
		w.place = w.s.after(w.place)
	}
}

func (w *walker) skip(n int64) {
	for ; n > 0; n-- {
		w.pos = w.p.Next(w.pos)
	}
}

func (w *walker) int() int64 {
	_, n, _ := w.p.Get(w.pos)
	w.pos = w.p.Next(w.pos)
	return n
}

// read reads the head of an entry. It returns false if the node has no more.
func (w *walker) read() bool {
	if w.back {
		_, n, _ := w.p.Get(w.pos)
		if n == 0 {
			return false
		}
		for ; n > 0; n-- {
			w.pos = w.p.Prev(w.pos)
		}
	}
	if w.pos < 0 {
		return false
	}
	w.start = w.pos
	w.flags = w.int()
	w.id.Ms = w.node.id.Ms + uint64(w.int())
	w.id.Seq = w.node.id.Seq + uint64(w.int())
	if w.flags&flagSameFields != 0 {
		w.fields = w.head.fields
		w.left = w.fields
		return true
	}
	w.fields = w.int()
	w.left = 2 * w.fields
	return true
}

// each calls f with the positions of the entry's fields and values, once.
func (w *walker) each(f func(p listpack.Pack, name, value int)) {
	name := w.head.names
	for range w.fields {
		if w.flags&flagSameFields == 0 {
			name = w.pos
			w.pos = w.p.Next(w.pos)
		}
		f(w.p, name, w.pos)
		w.pos = w.p.Next(w.pos)
		name = w.p.Next(name)
	}
	w.left = 0
}

// find returns a walker at the entry with an ID, if there is one that is not deleted.
func (s *Stream) find(id ID) (*walker, bool) {
	w := s.walk(id, id, false)
	return w, w.next()
}

// FirstLive returns the ID of the first entry that is not deleted, or the largest ID if there is none.
func (s *Stream) FirstLive() ID { return s.first(false) }

// first returns the ID of the first entry, or the largest ID if there is none.
func (s *Stream) first(deleted bool) ID {
	w := s.walk(ID{}, maxID, false)
	w.all = deleted
	if w.next() {
		return w.id
	}
	return maxID
}

// lastLive returns the ID of the last entry that is not deleted, or 0-0.
func (s *Stream) lastLive() ID {
	if w := s.walk(ID{}, maxID, true); w.next() {
		return w.id
	}
	return ID{}
}
