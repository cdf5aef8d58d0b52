// Package table has the hash table of the keyspace and of the large hashes and sets.
//
// It is made for three things. A key with its value takes one allocation that the collector need not look
// into. A table of any size never pauses to grow: it is a directory of segments of about a thousand slots,
// chosen by the first bits of a key's hash, and a segment that is full splits in two (extendible hashing).
// And a snapshot costs a copy of the directory: whatever carries another stamp than its table is shared with
// a clone, and is copied before it is changed.
//
// A table has no lock. A table that has been cloned is never changed again, and may be read by other
// goroutines while its clone is changed, provided that nobody calls Entry.SetLRU and SetFlag meanwhile.
package table

import "hash/maphash"

// seed is the process's: tables with the same keys in the same order are built alike.
var seed = maphash.MakeSeed()

func hash(key []byte) uint64 { return maphash.Bytes(seed, key) }

// Table maps keys to values. New makes one.
type Table struct {
	dir   []*segment // by the first bits of the hash; a segment that needs fewer bits has several places
	bits  uint8      // as many as the directory takes: len(dir) is 1<<bits
	stamp uint32
	count int
	bytes int

	expiry expiry
	touch  uint32 // what Prefetch has read, so that it is read
}

// New returns an empty table. The stamp is that of its parts: see the package's description.
func New(stamp uint32) *Table {
	t := &Table{stamp: stamp, expiry: newExpiry()}
	t.reset()
	return t
}

// reset makes the table as it was when it was new.
func (t *Table) reset() {
	s := newSegment(t.stamp, 0, sizes[0])
	t.dir, t.bits = []*segment{s}, 0
	t.bytes = s.bytes() + 8
}

// Len returns the number of entries.
func (t *Table) Len() int { return t.count }

// Bytes returns how much memory the table and its entries take, the values in boxes not included. It costs
// nothing.
func (t *Table) Bytes() int { return t.bytes }

// Stamp returns the table's stamp: parts with another are shared with a clone.
func (t *Table) Stamp() uint32 { return t.stamp }

// segment returns the segment that has the entries with hash h.
func (t *Table) segment(h uint64) *segment { return t.dir[h>>((64-t.bits)&127)] }

// Find returns the entry of key, or nil.
func (t *Table) Find(key []byte) *Entry {
	h := hash(key)
	s := t.segment(h)
	if i := s.find(h, key); i >= 0 {
		return s.slots[i]
	}
	return nil
}

// Put stores a value under a key, both copied, with a deadline in unix milliseconds (0 is none). It returns
// the entry, and whether the key was new. The entry that was there before may have been changed in place;
// if not, the new one takes over its LRU and its Flag.
func (t *Table) Put(key, value []byte, deadline int64) (e *Entry, added bool) {
	h := hash(key)
	s := t.segment(h)
	i := s.find(h, key)
	if i < 0 {
		e = newInline(t.stamp, 0, key, value, deadline)
		t.insert(s, h, e)
		return e, true
	}
	e = s.slots[i]
	if e.stamp == t.stamp {
		before := e.Deadline()
		if e.overwrite(value, deadline) { // the segment is the table's own, too
			t.moveDeadline(s, before, deadline)
			return e, false
		}
	}
	e = newInline(t.stamp, e.meta, key, value, deadline)
	t.replace(s, h, i, e)
	return e, false
}

// PutBox stores a Go value under a key, which is copied, as Put does. The box is always a new one.
func (t *Table) PutBox(key []byte, val any, deadline int64) (b *Box, added bool) {
	h := hash(key)
	s := t.segment(h)
	i := s.find(h, key)
	b = &Box{
		Entry:    Entry{stamp: t.stamp, meta: flagBox, klen: uint32(len(key))},
		deadline: deadline, key: string(key), Val: val,
	}
	if i < 0 {
		t.insert(s, h, &b.Entry)
		return b, true
	}
	b.meta |= s.slots[i].meta &^ flagDeadline
	t.replace(s, h, i, &b.Entry)
	return b, false
}

// Own returns an entry that may be changed in place of e, which is in the table: e itself if it has the
// table's stamp, else a copy that takes its place. The copy of a Box has the same Val.
func (t *Table) Own(e *Entry) *Entry {
	if e.stamp == t.stamp {
		return e
	}
	h, s, i := t.locate(e)
	e = e.copied(t.stamp)
	t.replace(s, h, i, e)
	return e
}

// SetDeadline sets when e, which is in the table, expires, in unix milliseconds; 0 is never. It returns the
// entry, which may be another than e.
func (t *Table) SetDeadline(e *Entry, ms int64) *Entry {
	before := e.Deadline()
	if before == ms {
		return e
	}
	h, s, i := t.locate(e)
	switch {
	case e.meta&flagBox != 0:
		if e.stamp != t.stamp {
			e = e.copied(t.stamp)
			s = t.replace(s, h, i, e)
		}
		e.box().deadline = ms
		t.moveDeadline(s, before, ms)
	case e.stamp == t.stamp && e.meta&flagDeadline != 0:
		*e.deadline() = ms
		t.moveDeadline(s, before, ms)
	default:
		e = newInline(t.stamp, e.meta, e.Key(), e.Value(), ms)
		t.replace(s, h, i, e)
	}
	return e
}

// Delete removes a key and returns its entry, which may still be read, or nil if there is none.
func (t *Table) Delete(key []byte) *Entry {
	h := hash(key)
	s := t.segment(h)
	i := s.find(h, key)
	if i < 0 {
		return nil
	}
	e := s.slots[i]
	t.count--
	t.bytes -= e.size()
	if t.count == 0 && (t.bits > 0 || len(s.slots) > sizes[0]) {
		t.reset()
		return e
	}
	s = t.writable(s, h)
	s.remove(i)
	if int(s.live)*8 < len(s.slots) && len(s.slots) > sizes[0] {
		t.shrink(s, h)
	}
	return e
}

// Clone returns a table with the same entries and another stamp. It shares all segments with t, which must
// not be changed any more. It costs a copy of the directory: a pointer for about 700 entries.
func (t *Table) Clone(stamp uint32) *Table {
	c := *t
	c.stamp = stamp
	c.dir = append(make([]*segment, 0, len(t.dir)), t.dir...)
	return &c
}

// locate finds where an entry is.
func (t *Table) locate(e *Entry) (h uint64, s *segment, i int) {
	key := e.Key()
	h = hash(key)
	s = t.segment(h)
	if i = s.find(h, key); i < 0 || s.slots[i] != e {
		panic("table: the entry is not in the table")
	}
	return h, s, i
}

// insert adds an entry whose key is not there, with hash h, to its segment s.
func (t *Table) insert(s *segment, h uint64, e *Entry) {
	s = t.writable(s, h)
	if s.full() {
		s = t.makeRoom(s, h)
	}
	s.add(h, e)
	t.count++
	t.bytes += e.size()
	t.expiry.note(e.Deadline())
}

// replace puts an entry into slot i of segment s, for the one that is there, and returns the segment, which
// may have been replaced as well.
func (t *Table) replace(s *segment, h uint64, i int, e *Entry) *segment {
	s = t.writable(s, h)
	old := s.slots[i]
	s.slots[i] = e
	t.bytes += e.size() - old.size()
	t.moveDeadline(s, old.Deadline(), e.Deadline())
	return s
}

// moveDeadline notes that an entry of segment s has another deadline.
func (t *Table) moveDeadline(s *segment, from, to int64) {
	if from == to {
		return
	}
	s.gain(to)
	s.lose(from)
	t.expiry.note(to)
}

// writable returns the segment that may be changed for s, the one of hash h.
func (t *Table) writable(s *segment, h uint64) *segment {
	if s.stamp == t.stamp {
		return s
	}
	s = s.clone(t.stamp)
	t.install(s, h)
	return s
}

// install puts a segment into its places in the directory: those of the hashes that share its first bits
// with h.
func (t *Table) install(s *segment, h uint64) {
	n := 1 << (t.bits - s.depth)
	first := int(h>>((64-t.bits)&127)) &^ (n - 1)
	for i := first; i < first+n; i++ {
		t.dir[i] = s
	}
}
