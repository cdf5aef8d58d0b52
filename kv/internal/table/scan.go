package table

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

const (
	cursorBits = 48
	scanSlots  = 8 // slots that a step of Scan is for
)

// Scan calls emit for the entries of one small part of the table, some eight of them and perhaps none, and
// returns the cursor of the next part; 0 is both the beginning and the end. A cursor is less than 1<<48, and
// is good for any table with the same keys in this process: an entry that is there from the first step to
// the last is emitted, once or more, however the table grows and shrinks in between. emit must not change
// the table.
func (t *Table) Scan(cursor uint64, emit func(*Entry)) (next uint64) {
	cursor &= 1<<cursorBits - 1
	h := cursor << (64 - cursorBits)
	s := t.segment(h)
	size := len(s.slots)
	start := s.home(h)
	end := min(start+scanSlots, size)

	// The cursors are the first bits of hashes; next is the first with a home that is not in this step.
	next = cursor &^ (1<<(cursorBits-s.depth) - 1)
	if end == size {
		next += 1 << (cursorBits - s.depth)
	} else {
		first := (uint64(end)<<homeBits + uint64(size) - 1) / uint64(size)
		next += first << (cursorBits - homeBits - s.depth)
	}
	for n := range size {
		i := start + n
		if i >= size {
			i -= size
		}
		switch tag := s.tags[i]; {
		case tag == tagEmpty && start+n >= end-1:
			return next & (1<<cursorBits - 1)
		case tag&tagFull != 0:
			e := s.slots[i]
			if c := hash(e.Key()) >> (64 - cursorBits); c >= cursor && c < next {
				emit(e)
			}
		}
	}
	return next & (1<<cursorBits - 1)
}

// ScanMortal is Scan for the entries that have a deadline. It passes over the parts that have none, which
// takes one step for about a thousand entries.
func (t *Table) ScanMortal(cursor uint64, emit func(*Entry)) (next uint64) {
	cursor &= 1<<cursorBits - 1
	if s := t.segment(cursor << (64 - cursorBits)); s.deadlines == 0 {
		return (cursor>>(cursorBits-s.depth) + 1) << (cursorBits - s.depth) & (1<<cursorBits - 1)
	}
	return t.Scan(cursor, func(e *Entry) {
		if e.Deadline() != 0 {
			emit(e)
		}
	})
}

// All returns the entries, in the order of their hashes but for a few. The table must not be changed
// meanwhile.
func (t *Table) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := 0; i < len(t.dir); {
			s := t.dir[i]
			i += 1 << (t.bits - s.depth)
			for _, e := range s.slots {
				if e != nil && !yield(e) {
					return
				}
			}
		}
	}
}

// Random returns an entry by chance, or nil if the table is empty. All entries have the same chance, but
// in a table from which nearly everything has been deleted.
func (t *Table) Random(r *rand.Rand) *Entry {
	if t.count == 0 {
		return nil
	}
	for range 64 {
		// A segment's chance to be met is that of its hashes; correct it to that of its entries.
		s := t.segment(r.Uint64())
		room := uint64(maxSlots) << (t.bits - s.depth)
		if t.bits == 0 || r.Uint64N(room) < uint64(s.live) {
			if s.live > 0 {
				return s.random(r)
			}
		}
	}
	for i := r.IntN(len(t.dir)); ; i++ {
		if s := t.dir[i%len(t.dir)]; s.live > 0 {
			return s.random(r)
		}
	}
}

// random returns one of the segment's entries, of which there is one at least. Segments are an eighth full
// or more, or small.
func (s *segment) random(r *rand.Rand) *Entry {
	for {
		if e := s.slots[r.IntN(len(s.slots))]; e != nil {
			return e
		}
	}
}

// MaxPrefetch is how many keys Prefetch reads for at most.
const MaxPrefetch = 16

// Prefetch reads what Find will read for the first keys, so that the memory is in the caches by then: that and
// Find for each afterwards take less time than Find alone. It goes step by step, each step for all keys, in
// loops so short that the processor waits for the memory of all of them at once.
func (t *Table) Prefetch(keys [][]byte) {
	var probes [MaxPrefetch]struct {
		h uint64
		s *segment
		i int
	}
	keys = keys[:min(len(keys), MaxPrefetch)]
	for k, key := range keys {
		h := hash(key)
		probes[k].h, probes[k].s = h, t.segment(h)
	}
	var slots uintptr
	for k := range probes[:len(keys)] {
		p := &probes[k]
		p.i = p.s.home(p.h)
		slots ^= uintptr(unsafe.Pointer(p.s.slots[p.i]))
		// Without a branch on what is not there yet: the processor would wait for it when it has guessed wrong.
		x := binary.LittleEndian.Uint64(p.s.tags[p.i:]) ^ lows*uint64(tagOf(p.h))
		if p.i += bits.TrailingZeros64((x-lows)&^x&highs) / 8; p.i >= len(p.s.slots) {
			p.i -= len(p.s.slots)
		}
	}
	var lengths uint32
	for k := range probes[:len(keys)] {
		p := &probes[k]
		if e := p.s.slots[p.i]; e != nil {
			lengths ^= e.klen
		}
	}
	t.touch = lengths ^ uint32(slots)
}
