package table

// makeRoom returns the segment for hash h, in place of s, which is full, after one more slot has become
// free in it.
func (t *Table) makeRoom(s *segment, h uint64) *segment {
	for s.full() {
		// Where many slots are only deleted ones, the same size will do; but not for a few, or it would
		// come to that all the time.
		if int(s.live) <= maxSlots/16*13 {
			s = t.rebuild(s, h, sizeFor(int(s.live)+1))
		} else {
			s = t.split(s, h)
		}
	}
	return s
}

// rebuild replaces a segment by one of another size, without deleted slots.
func (t *Table) rebuild(s *segment, h uint64, size int) *segment {
	r := newSegment(t.stamp, s.depth, size)
	for _, e := range s.slots {
		if e != nil {
			r.add(hash(e.Key()), e)
		}
	}
	t.bytes += r.bytes() - s.bytes()
	t.install(r, h)
	return r
}

// split replaces a segment by two, and returns the one for hash h.
//
// A depth of 24 would take some 10^10 keys, or as many hashes that begin alike.
func (t *Table) split(s *segment, h uint64) *segment {
	if s.depth == t.bits {
		t.double()
	}
	depth := s.depth + 1
	bit := uint64(1) << (64 - depth)
	ones := 0
	var hashes [maxSlots]uint64
	for i, e := range s.slots {
		if e != nil {
			hashes[i] = hash(e.Key())
			if hashes[i]&bit != 0 {
				ones++
			}
		}
	}
	halves := [2]*segment{
		newSegment(t.stamp, depth, sizeFor(int(s.live)-ones)),
		newSegment(t.stamp, depth, sizeFor(ones)),
	}
	for i, e := range s.slots {
		if e != nil {
			halves[hashes[i]>>(64-depth)&1].add(hashes[i], e)
		}
	}
	t.install(halves[0], h&^bit)
	t.install(halves[1], h|bit)
	t.bytes += halves[0].bytes() + halves[1].bytes() - s.bytes()
	return halves[h>>(64-depth)&1]
}

// double makes the directory take one more bit.
func (t *Table) double() {
	dir := make([]*segment, 2*len(t.dir))
	for i, s := range t.dir {
		dir[2*i], dir[2*i+1] = s, s
	}
	t.bytes += 8 * len(t.dir)
	t.dir = dir
	t.bits++
}

// shrink makes a segment that is nearly empty smaller, or one with its neighbour: the other half of what
// was split. The directory stays as it is.
func (t *Table) shrink(s *segment, h uint64) {
	for s.depth > 0 {
		bit := uint64(1) << (64 - s.depth)
		other := t.segment(h ^ bit)
		if other.depth != s.depth || s.live+other.live > maxSlots/4 {
			break
		}
		m := newSegment(t.stamp, s.depth-1, sizeFor(int(s.live+other.live)))
		for _, part := range [2]*segment{s, other} {
			for _, e := range part.slots {
				if e != nil {
					m.add(hash(e.Key()), e)
				}
			}
		}
		t.bytes += m.bytes() - s.bytes() - other.bytes()
		t.install(m, h)
		s = m
	}
	if size := sizeFor(int(s.live)); size < len(s.slots) {
		t.rebuild(s, h, size)
	}
}
