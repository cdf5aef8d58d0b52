package streams

// distance returns how many entries were ever added up to id, or UnknownRead if that cannot be known.
func (s *Stream) distance(id ID) int64 {
	m := &s.meta
	switch {
	case m.EntriesAdded == 0:
		return 0
	case m.Length == 0 && !m.Last.less(id), id == m.Last:
		return int64(m.EntriesAdded)
	case m.Last.less(id):
		return UnknownRead
	case m.MaxDeleted.isZero() || m.MaxDeleted.less(m.First):
		if id.less(m.First) {
			return int64(m.EntriesAdded - m.Length)
		}
		if id == m.First {
			return int64(m.EntriesAdded-m.Length) + 1
		}
	}
	return UnknownRead
}

// gaps reports whether an entry from id on has been deleted by XDEL, as far as is known.
func (s *Stream) gaps(id ID) bool {
	m := &s.meta
	if m.Length == 0 || m.MaxDeleted.isZero() || m.MaxDeleted.less(m.First) {
		return false
	}
	return !m.MaxDeleted.less(id)
}

// lag returns how many entries a group has still to be given, or false if that cannot be known.
func (s *Stream) lag(g *Group) (int64, bool) {
	added := int64(s.meta.EntriesAdded)
	if added == 0 {
		return 0, true
	}
	if g.read != UnknownRead && !s.gaps(g.last) {
		return added - g.read, true
	}
	read := s.distance(g.last)
	return added - read, read != UnknownRead
}

// advance notes that an entry behind all that the group has been given is delivered.
func (s *Stream) advance(g *Group, id ID) {
	if g.read != UnknownRead && !s.gaps(id) {
		g.read++
	} else if s.meta.EntriesAdded > 0 {
		g.read = s.distance(id)
	}
	g.last = id
}

// radixNodes returns how many nodes a radix tree of the stream's nodes has in Redis. O(nodes).
//
// Each node of the stream is a leaf. Each place where keys of 16 bytes part is a node, and so are the bytes
// in between, if there are any.
func (s *Stream) radixNodes() int {
	if s.nodes == 0 {
		return 1
	}
	total := 0
	var depths []int // of the places where the path to the last key parts from keys before it
	var last ID
	first := true
	part := func(depth int) { // the last key's path is complete down to depth
		below := 16 // of a leaf
		for len(depths) > 0 && depths[len(depths)-1] > depth {
			top := depths[len(depths)-1]
			depths = depths[:len(depths)-1]
			total += chain(top+1, below) + 1
			below = top
		}
		if len(depths) > 0 && depths[len(depths)-1] == depth {
			total += chain(depth+1, below)
			return
		}
		if depth >= 0 {
			depths = append(depths, depth)
			total += chain(depth+1, below)
			return
		}
		total += chain(0, below)
	}
	for id := range s.Nodes() {
		total++ // its leaf
		if !first {
			part(common(last, id))
		}
		first, last = false, id
	}
	part(-1)
	return total
}

// chain is 1 if there are bytes between two depths.
func chain(from, to int) int {
	if to > from {
		return 1
	}
	return 0
}

// common returns how many leading bytes two IDs have in common.
func common(a, b ID) int {
	for i := range 16 {
		if byteOf(a, i) != byteOf(b, i) {
			return i
		}
	}
	return 16
}

func byteOf(id ID, i int) byte {
	if i < 8 {
		return byte(id.Ms >> (56 - 8*i))
	}
	return byte(id.Seq >> (120 - 8*i))
}
