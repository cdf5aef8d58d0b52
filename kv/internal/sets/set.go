// Package sets is the set: the value, and its commands.
//
// A small set of integers is an intset, byte for byte Redis's own; any other set is a hash table. Both share
// all parts with their clones and copy a part before they change it.
package sets

import (
	"iter"
	"math/rand/v2"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/intset"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// Limit is how many integers an intset may have; a set with more is a hash table.
type Limit int

// LimitOf returns the limit that a configuration sets.
func LimitOf(c *engine.Config) Limit { return Limit(min(c.SetMaxIntsetEntries, 1<<30)) }

// Set is a set. It implements engine.Value. Members that it hands out are valid until it is changed or the
// next one is asked for.
type Set struct {
	stamp  uint32
	shared bool         // a clone has the intset too
	ints   intset.Set   // nil when there is a table
	dict   *table.Table // of members without values; nil when there is an intset
}

var _ engine.Value = (*Set)(nil)

// New returns an empty set.
func New(stamp uint32) *Set { return &Set{stamp: stamp, ints: intset.New()} }

// FromIntset returns the set of an intset's integers. It owns s from now on.
func FromIntset(stamp uint32, s intset.Set, lim Limit) *Set {
	set := &Set{stamp: stamp, ints: s}
	if s.Len() > int(lim) {
		set.grow()
	}
	return set
}

// Expect prepares an empty set for n members: what will be a hash table is one from the start, which is
// faster.
func (s *Set) Expect(n int, lim Limit) {
	if s.dict == nil && n > int(lim) {
		s.grow()
	}
}

// Intset returns the bytes of a set that is an intset, or nil of another. They must not be changed.
func (s *Set) Intset() intset.Set { return s.ints }

// Type implements engine.Value.
func (*Set) Type() engine.Type { return engine.TypeSet }

// Encoding implements engine.Value.
func (s *Set) Encoding() string {
	if s.dict == nil {
		return "intset"
	}
	return "hashtable"
}

// Stamp implements engine.Value.
func (s *Set) Stamp() uint32 { return s.stamp }

// Bytes implements engine.Value.
func (s *Set) Bytes() int {
	const header = 48
	if s.dict == nil {
		return header + cap(s.ints)
	}
	return header + s.dict.Bytes()
}

// Clone implements engine.Value.
func (s *Set) Clone(stamp uint32) engine.Value {
	c := *s
	c.stamp = stamp
	if s.dict == nil {
		c.shared = true
	} else {
		c.dict = s.dict.Clone(stamp)
	}
	return &c
}

// Len returns the number of members.
func (s *Set) Len() int {
	if s.dict == nil {
		return s.ints.Len()
	}
	return s.dict.Len()
}

// Has reports whether member is in the set.
func (s *Set) Has(member []byte) bool {
	if s.dict != nil {
		return s.dict.Find(member) != nil
	}
	n, isInt := engine.ParseInt(member)
	return isInt && s.ints.Has(n)
}

// Add puts a member, which it copies, into the set, and reports whether it was not there. It may not alias
// the set.
func (s *Set) Add(member []byte, lim Limit) (added bool) {
	if s.dict == nil {
		n, isInt := engine.ParseInt(member)
		if isInt {
			if s.ints.Has(n) {
				return false
			}
			s.own()
			s.ints, _ = s.ints.Add(n)
			if s.ints.Len() > int(lim) {
				s.grow()
			}
			return true
		}
		s.grow()
	}
	if s.dict.Find(member) != nil {
		return false
	}
	s.dict.Put(member, nil, 0)
	return true
}

// Remove takes a member out of the set and reports whether it was there.
func (s *Set) Remove(member []byte) bool {
	if s.dict != nil {
		return s.dict.Delete(member) != nil
	}
	n, isInt := engine.ParseInt(member)
	if !isInt || !s.ints.Has(n) {
		return false
	}
	s.own()
	s.ints, _ = s.ints.Remove(n)
	return true
}

// All goes through the members: integers in order, if the set is an intset. The set may not be changed
// meanwhile.
func (s *Set) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.dict != nil {
			for en := range s.dict.All() {
				if !yield(en.Key()) {
					return
				}
			}
			return
		}
		var buf [24]byte
		for i := range s.ints.Len() {
			if !yield(strconv.AppendInt(buf[:0], s.ints.At(i), 10)) {
				return
			}
		}
	}
}

// Random returns any member, each with the same probability; it stays valid when the member is removed. The
// set may not be empty.
func (s *Set) Random(r *rand.Rand) []byte {
	if s.dict != nil {
		return s.dict.Random(r).Key()
	}
	return strconv.AppendInt(nil, s.ints.At(r.IntN(s.ints.Len())), 10)
}

// Sample hands k different members to take, every selection with the same probability. k may not be more
// than Len.
func (s *Set) Sample(r *rand.Rand, k int, take func(member []byte)) {
	if s.dict != nil && k*3 <= s.Len() {
		taken := make(map[*table.Entry]struct{}, k)
		for len(taken) < k {
			en := s.dict.Random(r)
			if _, again := taken[en]; !again {
				taken[en] = struct{}{}
				take(en.Key())
			}
		}
		return
	}
	left := s.Len()
	for member := range s.All() {
		if k == 0 {
			return
		}
		if r.IntN(left) < k {
			take(member)
			k--
		}
		left--
	}
}

// Scan hands some members to emit, as table.Scan does, and returns the cursor to go on with; 0 is the end. An
// intset is gone through at once.
func (s *Set) Scan(cursor uint64, emit func(member []byte)) (next uint64) {
	if s.dict != nil {
		return s.dict.Scan(cursor, func(en *table.Entry) { emit(en.Key()) })
	}
	for member := range s.All() {
		emit(member)
	}
	return 0
}

// own makes sure that no clone sees what is changed in the intset.
func (s *Set) own() {
	if s.shared {
		s.ints, s.shared = s.ints.Clone(), false
	}
}

// grow turns an intset into a hash table.
func (s *Set) grow() {
	dict := table.New(s.stamp)
	for member := range s.All() {
		dict.Put(member, nil, 0)
	}
	s.dict, s.ints, s.shared = dict, nil, false
}
