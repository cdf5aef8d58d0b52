package streams

// Delete deletes an entry, and reports whether it was there. O(log n + the entries of a node).
func (s *Stream) Delete(id ID) bool {
	w, found := s.find(id)
	if !found {
		return false
	}
	if w.head.live == 1 {
		s.remove(w.place)
	} else {
		n := s.own(w.place)
		n.pack = n.pack.ReplaceInt(w.start, w.flags|flagDeleted) // of the same size
		s.count(n, w.head.live-1, w.head.deleted+1)
	}
	m := &s.meta
	m.Length--
	if m.MaxDeleted.less(id) {
		m.MaxDeleted = id
	}
	if id == m.First {
		s.findFirst()
	}
	return true
}

// findFirst finds the first entry after the first one was deleted.
func (s *Stream) findFirst() {
	s.meta.First = ID{}
	if w := s.walk(ID{}, maxID, false); w.next() {
		s.meta.First = w.id
		if w.place == (place{}) {
			s.head = w.start - w.head.names
		}
	}
}

// Trim says how much of a stream's beginning goes.
type Trim struct {
	ByID   bool
	MaxLen uint64 // entries that may stay, unless ByID
	MinID  ID     // all entries before it go, if ByID
	Approx bool   // only whole nodes go
	Limit  int64  // at most so many entries go, in whole nodes; 0 has no limit
}

// Trim deletes entries from the beginning, and returns how many. O(nodes that go + the entries of one node).
func (s *Stream) Trim(t Trim) (deleted int64) {
	for s.nodes > 0 && (t.ByID || s.meta.Length > t.MaxLen) {
		n := s.at(place{})
		h := readHeader(n.pack)
		if t.Limit > 0 && deleted+h.live > t.Limit {
			break
		}
		if t.ByID && s.lastOf(place{}).less(t.MinID) || !t.ByID && s.meta.Length-uint64(h.live) >= t.MaxLen {
			s.remove(place{})
			s.meta.Length -= uint64(h.live)
			deleted += h.live
			continue
		}
		if !t.Approx {
			deleted += s.trimNode(t, h)
		}
		break
	}
	if deleted > 0 {
		s.findFirst()
	}
	return deleted
}

// lastOf returns the ID of a node's last entry, deleted or not.
func (s *Stream) lastOf(at place) ID {
	w := walker{s: s, back: true, place: at}
	w.enter()
	w.read()
	return w.id
}

// trimNode deletes entries of the first node.
func (s *Stream) trimNode(t Trim, h header) (deleted int64) {
	n := s.own(place{})
	w := walker{s: s, to: maxID}
	for w.next() && w.node == n {
		if t.ByID && !w.id.less(t.MinID) || !t.ByID && s.meta.Length <= t.MaxLen {
			break
		}
		n.pack = n.pack.ReplaceInt(w.start, w.flags|flagDeleted) // of the same size
		s.meta.Length--
		deleted++
	}
	s.count(n, h.live-deleted, h.deleted+deleted)
	return deleted
}
