// Package listpack is Redis's listpack: a list of short strings and integers in one array of bytes.
//
// The layout is Redis's own, byte for byte, so that what is in memory can be written to an RDB file as it is:
//
//	total bytes (4, little endian) | elements (2, 65535 = count them) | element … | 0xff
//	element: encoding and data | length of these, written so that it can be read backwards
//
// A string that is a canonical 64-bit decimal integer is stored as an integer, in the fewest bytes.
// Positions are byte offsets; a change of the pack moves every position behind it.
package listpack

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

const (
	headerSize   = 6
	unknownCount = 1<<16 - 1
	end          = 0xff

	// MaxSize is the largest listpack, in bytes, that the containers make: beyond it Redis, too, begins another.
	MaxSize = 1 << 30
)

// Pack is a listpack. Its owner owns the array: methods that change it do so in place where there is room,
// and return the header to go on with.
type Pack []byte

// New returns an empty pack.
func New() Pack { return Pack{headerSize + 1, 0, 0, 0, 0, 0, end} }

// Len returns the number of elements. From 65,535 of them on it counts, which takes time linear in them.
func (p Pack) Len() int {
	n := p.count()
	if n != unknownCount {
		return n
	}
	n = 0
	for pos := p.First(); pos >= 0; pos = p.Next(pos) {
		n++
	}
	return n
}

// Bytes returns the size of the encoding in bytes; cap(p) is what the array takes.
func (p Pack) Bytes() int { return len(p) }

// Clone returns a copy that shares nothing, without spare room.
func (p Pack) Clone() Pack { return append(make(Pack, 0, len(p)), p...) }

// First returns the position of the first element, or -1 if there is none.
func (p Pack) First() int { return p.Here(headerSize) }

// Last returns the position of the last element, or -1 if there is none.
func (p Pack) Last() int { return p.Prev(len(p) - 1) }

// Here returns pos, or -1 if no element is there because it is the end: what Delete leaves behind.
func (p Pack) Here(pos int) int {
	if p[pos] == end {
		return -1
	}
	return pos
}

// Next returns the position after pos, or -1 behind the last element.
func (p Pack) Next(pos int) int { return p.Here(p.after(pos)) }

// Prev returns the position before pos, or -1 before the first element.
func (p Pack) Prev(pos int) int {
	if pos <= headerSize {
		return -1
	}
	n := 0
	for i, shift := pos-1, 0; ; i, shift = i-1, shift+7 {
		n |= int(p[i]&127) << shift
		if p[i]&128 == 0 {
			break
		}
	}
	return pos - n - backLen(n)
}

// Seek returns the position of element i, counted from 0, or from -1 backwards; -1 if there is no such element.
func (p Pack) Seek(i int) int {
	n := p.count()
	if n != unknownCount {
		if i < 0 {
			i += n
		}
		if i < 0 || i >= n {
			return -1
		}
		if i > n/2 {
			i -= n
		}
	}
	if i < 0 {
		pos := p.Last()
		for ; i < -1 && pos >= 0; i++ {
			pos = p.Prev(pos)
		}
		return pos
	}
	pos := p.First()
	for ; i > 0 && pos >= 0; i-- {
		pos = p.Next(pos)
	}
	return pos
}

// Get returns the element at pos: an integer, or bytes that alias the pack.
func (p Pack) Get(pos int) (str []byte, num int64, isInt bool) {
	b := p[pos:]
	switch c := b[0]; {
	case c < 0x80:
		return nil, int64(c), true
	case c < 0xc0:
		return b[1 : 1+int(c&0x3f)], 0, false
	case c < 0xe0:
		return nil, int64(int16(uint16(c&0x1f)<<11|uint16(b[1])<<3) >> 3), true
	case c < 0xf0:
		n := int(c&0x0f)<<8 | int(b[1])
		return b[2 : 2+n], 0, false
	case c == 0xf0:
		n := int(binary.LittleEndian.Uint32(b[1:]))
		return b[5 : 5+n], 0, false
	case c == 0xf1:
		return nil, int64(int16(binary.LittleEndian.Uint16(b[1:]))), true
	case c == 0xf2:
		return nil, int64(int32(uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24) >> 8), true
	case c == 0xf3:
		return nil, int64(int32(binary.LittleEndian.Uint32(b[1:]))), true
	default:
		return nil, int64(binary.LittleEndian.Uint64(b[1:])), true
	}
}

// AppendValue appends the element at pos to dst as text.
func (p Pack) AppendValue(dst []byte, pos int) []byte {
	str, num, isInt := p.Get(pos)
	if isInt {
		return strconv.AppendInt(dst, num, 10)
	}
	return append(dst, str...)
}

// Equal reports whether the element at pos is v as text.
func (p Pack) Equal(pos int, v []byte) bool {
	str, num, isInt := p.Get(pos)
	if !isInt {
		return bytes.Equal(str, v)
	}
	w, ok := ParseInt(v)
	return ok && w == num
}

// Find returns the position of the first element that is v, or -1. It begins at from and leaves out
// skip elements after each that it looks at: 1 looks for fields among fields and values.
func (p Pack) Find(from int, v []byte, skip int) int {
	num, numeric := ParseInt(v)
	for pos := from; pos >= 0; {
		str, n, isInt := p.Get(pos)
		if isInt && numeric && n == num || !isInt && bytes.Equal(str, v) {
			return pos
		}
		pos = p.Next(pos)
		for i := 0; i < skip && pos >= 0; i++ {
			pos = p.Next(pos)
		}
	}
	return -1
}

func (p Pack) count() int { return int(binary.LittleEndian.Uint16(p[4:])) }

// after returns the offset behind the element at pos.
func (p Pack) after(pos int) int {
	n := dataLen(p[pos:])
	return pos + n + backLen(n)
}

// dataLen returns the bytes of encoding and data that the element at the start of b has.
func dataLen(b []byte) int {
	switch c := b[0]; {
	case c < 0x80:
		return 1
	case c < 0xc0:
		return 1 + int(c&0x3f)
	case c < 0xe0:
		return 2
	case c < 0xf0:
		return 2 + (int(c&0x0f)<<8 | int(b[1]))
	case c == 0xf0:
		return 5 + int(binary.LittleEndian.Uint32(b[1:]))
	case c == 0xf1:
		return 3
	case c == 0xf2:
		return 4
	case c == 0xf3:
		return 5
	default:
		return 9
	}
}

// backLen returns the bytes in which the length n is written behind an element. The odd limits are Redis's.
func backLen(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 1<<14-1:
		return 2
	case n < 1<<21-1:
		return 3
	case n < 1<<28-1:
		return 4
	default:
		return 5
	}
}
