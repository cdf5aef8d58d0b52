package table

// expiry is how far the search for entries whose deadline has come is.
type expiry struct {
	lowest int64  // no deadline is lower
	cursor uint64 // the search goes on at the segment of this hash
	passed int64  // no deadline before the cursor is lower
}

func newExpiry() expiry { return expiry{lowest: never, passed: never} }

// note notes that an entry has got a deadline; 0 is none.
func (x *expiry) note(deadline int64) {
	if deadline != 0 {
		x.lowest = min(x.lowest, deadline)
		x.passed = min(x.passed, deadline)
	}
}

// segmentsPerDue is how many segments without a due entry cost as much of the budget as one such entry.
const segmentsPerDue = 16

// Expire calls due for entries whose deadline is now or before, for budget of them at most, and reports
// whether there may be more. due may delete the entry. Expire goes on where the last call has stopped, and
// looks into those segments only that have a due entry; if there is none in the table, it costs nothing.
func (t *Table) Expire(now int64, budget int, due func(*Entry)) (more bool) {
	if t.expiry.lowest > now {
		return false
	}
	left := budget * segmentsPerDue
	for left > 0 {
		h := t.expiry.cursor
		s := t.segment(h)
		left--
		if s.lowest <= now {
			n, all := t.expireSegment(s, now, (left+segmentsPerDue)/segmentsPerDue, due)
			left -= n * segmentsPerDue
			if !all {
				return true
			}
			s = t.segment(h) // what due has made of it
		}
		t.expiry.passed = min(t.expiry.passed, s.lowest)
		t.expiry.cursor = h&^(1<<(64-s.depth)-1) + 1<<(64-s.depth)
		if t.expiry.cursor == 0 {
			t.expiry.lowest, t.expiry.passed = t.expiry.passed, never
			return t.expiry.lowest <= now
		}
	}
	return true
}

// expireSegment calls due for at most limit entries of one segment. It returns for how many, and whether
// these were all.
func (t *Table) expireSegment(s *segment, now int64, limit int, due func(*Entry)) (n int, all bool) {
	var found []*Entry
	lowest := int64(never)
	all = true
	for _, e := range s.slots {
		if e == nil {
			continue
		}
		switch d := e.Deadline(); {
		case d == 0:
		case d > now:
			lowest = min(lowest, d)
		case len(found) == limit:
			lowest, all = min(lowest, d), false
		default:
			found = append(found, e)
		}
	}
	// This is true of a clone that shares the segment, too, and nobody reads it there.
	s.lowest = lowest
	for _, e := range found {
		key := e.Key()
		due(e)
		if kept := t.Find(key); kept != nil && kept.Deadline() != 0 {
			d := kept.Deadline()
			s := t.segment(hash(key))
			s.lowest = min(s.lowest, d)
			t.expiry.note(d)
		}
	}
	return len(found), all
}
