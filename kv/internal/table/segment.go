package table

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"
)

// A segment has a part of the hashes: those that begin with its depth first bits. In it, the next homeBits
// bits of a hash tell the slot from which its entry is looked for, in order: a greater hash has no lesser
// home. So a range of hashes is a range of slots, whatever the segment's size, and that is what Scan's
// cursors build on.
type segment struct {
	tags  []byte // one for each slot, and the first eight again
	slots []*Entry

	stamp     uint32
	depth     uint8
	live      int32 // entries
	used      int32 // entries and deleted slots
	deadlines int32 // entries that have a deadline
	lowest    int64 // no entry's deadline is lower
}

const (
	homeBits = 24
	group    = 8 // tags that are compared at a time

	tagEmpty   = 0
	tagDeleted = 1
	tagFull    = 0x80 // and seven bits of the hash

	never = math.MaxInt64
)

// sizes are the numbers of slots that a segment may have. With the eight tags more, and with the word that
// the collector keeps for a large object with pointers, each fills one of the allocator's sizes.
var sizes = [...]int{8, 24, 56, 120, 248, 504, 760, 1016}

const maxSlots = 1016

// sizeFor is the size for n entries with room for some more.
func sizeFor(n int) int {
	for _, s := range sizes {
		if n*4 <= s*3 {
			return s
		}
	}
	return maxSlots
}

func newSegment(stamp uint32, depth uint8, size int) *segment {
	return &segment{
		tags: make([]byte, size+group), slots: make([]*Entry, size),
		stamp: stamp, depth: depth, lowest: never,
	}
}

// bytes is the memory that the segment takes.
func (s *segment) bytes() int { return segmentBytes(len(s.slots)) }

func segmentBytes(size int) int {
	n := classSize(int(unsafe.Sizeof(segment{}))) + size + group + size*8
	if size*8 > 512 {
		n += 8
	}
	return n
}

func (s *segment) clone(stamp uint32) *segment {
	c := *s
	c.stamp = stamp
	c.tags = append(make([]byte, 0, len(s.tags)), s.tags...)
	c.slots = append(make([]*Entry, 0, len(s.slots)), s.slots...)
	return &c
}

// home is the slot from which the entry with hash h is looked for.
func (s *segment) home(h uint64) int {
	return int(h << (s.depth & 63) >> (64 - homeBits) * uint64(len(s.slots)) >> homeBits)
}

// full reports whether one more slot must not be used.
func (s *segment) full() bool { return int(s.used) >= len(s.slots)/8*7 }

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

func tagOf(h uint64) byte { return tagFull | byte(h) }

// find returns the slot of key, which has hash h, or -1.
func (s *segment) find(h uint64, key []byte) int {
	i := s.home(h)
	// Half of the keys are at home. To look there first lets the processor fetch the tag and the slot at
	// the same time.
	if e := s.slots[i]; s.tags[i] == tagOf(h) && e.is(key) {
		return i
	}
	for want := lows * uint64(tagOf(h)); ; {
		w := binary.LittleEndian.Uint64(s.tags[i:])
		x := w ^ want
		// The lowest bit that is set belongs to an equal tag. Another may belong to one that differs in the
		// last bit: that is an entry, too, whose key tells.
		for m := (x - lows) &^ x & highs; m != 0; m &= m - 1 {
			j := i + bits.TrailingZeros64(m)/8
			if j >= len(s.slots) {
				j -= len(s.slots)
			}
			if s.slots[j].is(key) {
				return j
			}
		}
		if (w-lows)&^w&highs != 0 {
			return -1
		}
		if i += group; i >= len(s.slots) {
			i -= len(s.slots)
		}
	}
}

// add puts an entry, whose key is not in the segment, into a slot that is free.
func (s *segment) add(h uint64, e *Entry) {
	i := s.home(h)
	for {
		m := ^binary.LittleEndian.Uint64(s.tags[i:]) & highs
		if m != 0 {
			i += bits.TrailingZeros64(m) / 8
			break
		}
		if i += group; i >= len(s.slots) {
			i -= len(s.slots)
		}
	}
	if i >= len(s.slots) {
		i -= len(s.slots)
	}
	if s.tags[i] == tagEmpty {
		s.used++
	}
	s.setTag(i, tagOf(h))
	s.slots[i] = e
	s.live++
	s.gain(e.Deadline())
}

// remove empties a slot.
func (s *segment) remove(i int) {
	s.lose(s.slots[i].Deadline())
	s.slots[i] = nil
	s.live--
	if s.tags[i+1] != tagEmpty {
		s.setTag(i, tagDeleted)
		return
	}
	// No search has to go on from here, nor from the deleted slots before.
	for {
		s.setTag(i, tagEmpty)
		s.used--
		if i--; i < 0 {
			i += len(s.slots)
		}
		if s.tags[i] != tagDeleted {
			return
		}
	}
}

func (s *segment) setTag(i int, tag byte) {
	s.tags[i] = tag
	if i < group {
		s.tags[len(s.slots)+i] = tag
	}
}

// gain and lose count a deadline; 0 is none.
func (s *segment) gain(deadline int64) {
	if deadline != 0 {
		s.deadlines++
		s.lowest = min(s.lowest, deadline)
	}
}

func (s *segment) lose(deadline int64) {
	if deadline == 0 {
		return
	}
	if s.deadlines--; s.deadlines == 0 {
		s.lowest = never
	}
}
