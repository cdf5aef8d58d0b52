// Package intset is Redis's intset: a sorted array of distinct integers, all as wide as the widest needs.
//
// The layout is Redis's own, byte for byte: width (4 bytes, little endian: 2, 4 or 8) | count (4) | integers.
package intset

import (
	"encoding/binary"
	"errors"
	"math"
)

const headerSize = 8

// ErrCorrupt says that bytes are not an intset.
var ErrCorrupt = errors.New("intset: corrupt")

// Set is an intset. Its owner owns the array: methods that change it do so in place where there is room,
// and return the header to go on with.
type Set []byte

// New returns an empty set.
func New() Set { return Set{2, 0, 0, 0, 0, 0, 0, 0} }

// Len returns the number of integers.
func (s Set) Len() int { return int(binary.LittleEndian.Uint32(s[4:])) }

// Bytes returns the size of the encoding in bytes; cap(s) is what the array takes.
func (s Set) Bytes() int { return len(s) }

// Clone returns a copy that shares nothing, without spare room.
func (s Set) Clone() Set { return append(make(Set, 0, len(s)), s...) }

// At returns the integer at i, from 0 to Len()-1, in ascending order.
func (s Set) At(i int) int64 { return s.at(i, s.width()) }

// Has reports whether v is in the set. Time is logarithmic.
func (s Set) Has(v int64) bool {
	_, found := s.Find(v)
	return found
}

// Find returns the index of v, or the index at which it would be.
func (s Set) Find(v int64) (i int, found bool) {
	w := s.width()
	lo, hi := 0, s.Len()
	for lo < hi {
		mid := (lo + hi) / 2
		switch at := s.at(mid, w); {
		case at == v:
			return mid, true
		case at < v:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// Add puts v into the set and reports whether it was not there. Time is linear.
func (s Set) Add(v int64) (Set, bool) {
	i, found := s.Find(v)
	if found {
		return s, false
	}
	w := s.width()
	if need := widthOf(v); need > w {
		s, w = s.widened(need), need
	}
	was := len(s)
	s = append(s, make([]byte, w)...)
	at := headerSize + i*w
	copy(s[at+w:], s[at:was])
	s.put(i, w, v)
	s.setLen(s.Len() + 1)
	return s, true
}

// Remove takes v out of the set and reports whether it was there. Time is linear; the width stays.
func (s Set) Remove(v int64) (Set, bool) {
	i, found := s.Find(v)
	if !found {
		return s, false
	}
	w := s.width()
	at := headerSize + i*w
	copy(s[at:], s[at+w:])
	s = s[:len(s)-w]
	s.setLen(s.Len() - 1)
	return s, true
}

// Check returns b as a set after it has looked at every integer. b is not copied. The error is ErrCorrupt.
func Check(b []byte) (Set, error) {
	if len(b) < headerSize {
		return nil, ErrCorrupt
	}
	s := Set(b)
	w := s.width()
	if w != 2 && w != 4 && w != 8 || uint64(s.Len())*uint64(w) != uint64(len(b)-headerSize) {
		return nil, ErrCorrupt
	}
	for i := 1; i < s.Len(); i++ {
		if s.at(i-1, w) >= s.at(i, w) {
			return nil, ErrCorrupt
		}
	}
	return s, nil
}

func (s Set) width() int { return int(binary.LittleEndian.Uint32(s)) }

func (s Set) setLen(n int) { binary.LittleEndian.PutUint32(s[4:], uint32(n)) }

func (s Set) at(i, w int) int64 {
	b := s[headerSize+i*w:]
	switch w {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	default:
		return int64(binary.LittleEndian.Uint64(b))
	}
}

func (s Set) put(i, w int, v int64) {
	b := s[headerSize+i*w:]
	switch w {
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, uint64(v))
	}
}

// widened returns a copy with integers of w bytes, and room for one more.
func (s Set) widened(w int) Set {
	n := s.Len()
	wide := make(Set, headerSize+n*w, headerSize+(n+1)*w)
	binary.LittleEndian.PutUint32(wide, uint32(w))
	wide.setLen(n)
	for i := range n {
		wide.put(i, w, s.At(i))
	}
	return wide
}

func widthOf(v int64) int {
	switch {
	case v >= math.MinInt16 && v <= math.MaxInt16:
		return 2
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return 4
	default:
		return 8
	}
}
