package listpack

import (
	"encoding/binary"
	"math"
)

// Append adds v behind the last element, in amortised constant time.
func (p Pack) Append(v []byte) Pack {
	if n, ok := ParseInt(v); ok {
		return p.AppendInt(n)
	}
	q := appendString(p[:len(p)-1], v)
	return q.appended(len(p) - 1)
}

// AppendInt adds v behind the last element, in amortised constant time.
func (p Pack) AppendInt(v int64) Pack {
	q := appendInt(p[:len(p)-1], v)
	return q.appended(len(p) - 1)
}

// appended ends what Append began: the element at pos is the last and has no length behind it yet.
func (p Pack) appended(pos int) Pack {
	p = append(appendBack(p, len(p)-pos), end)
	p.setHeader(1)
	return p
}

// Insert puts v before the element at pos, or behind the last if pos is -1. v may not alias the pack.
func (p Pack) Insert(pos int, v []byte) Pack {
	if n, ok := ParseInt(v); ok {
		return p.InsertInt(pos, n)
	}
	if pos < 0 {
		return p.Append(v)
	}
	p = p.gap(pos, pos, EntrySize(v))
	appendBack(appendString(p[:pos], v), stringLen(len(v)))
	p.setHeader(1)
	return p
}

// InsertInt puts v before the element at pos, or behind the last if pos is -1.
func (p Pack) InsertInt(pos int, v int64) Pack {
	if pos < 0 {
		return p.AppendInt(v)
	}
	n := intLen(v)
	p = p.gap(pos, pos, n+1)
	appendBack(appendInt(p[:pos], v), n)
	p.setHeader(1)
	return p
}

// Replace puts v in the place of the element at pos. v may not alias the pack.
func (p Pack) Replace(pos int, v []byte) Pack {
	if n, ok := ParseInt(v); ok {
		return p.ReplaceInt(pos, n)
	}
	p = p.gap(pos, p.after(pos), EntrySize(v))
	appendBack(appendString(p[:pos], v), stringLen(len(v)))
	p.setHeader(0)
	return p
}

// ReplaceInt puts v in the place of the element at pos.
func (p Pack) ReplaceInt(pos int, v int64) Pack {
	n := intLen(v)
	p = p.gap(pos, p.after(pos), n+1)
	appendBack(appendInt(p[:pos], v), n)
	p.setHeader(0)
	return p
}

// Delete removes n elements from pos on, or as many as there are. Behind it, pos is the position of the
// element that followed; Here says whether there is one.
func (p Pack) Delete(pos, n int) Pack {
	to, gone := pos, 0
	for ; gone < n && p[to] != end; gone++ {
		to = p.after(to)
	}
	p = p.gap(pos, to, 0)
	p.setHeader(-gone)
	return p
}

// Concat adds the elements of q behind the last one of p.
func (p Pack) Concat(q Pack) Pack {
	n, m := p.count(), q.count()
	p = append(p[:len(p)-1], q[headerSize:]...)
	binary.LittleEndian.PutUint16(p[4:], uint16(min(n+m, unknownCount)))
	p.setHeader(0)
	return p
}

// gap replaces the bytes from pos to old by size bytes of any content.
func (p Pack) gap(pos, old, size int) Pack {
	n := len(p) + size - (old - pos)
	if n == len(p) {
		return p
	}
	if n < len(p) {
		copy(p[pos+size:], p[old:])
		return p[:n]
	}
	was := len(p)
	if n <= cap(p) {
		p = p[:n]
	} else {
		p = append(p, make([]byte, n-was)...)
	}
	copy(p[pos+size:], p[old:was])
	return p
}

// setHeader writes the size, and the number of elements, which has changed by delta.
func (p Pack) setHeader(delta int) {
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	if n := p.count(); n != unknownCount {
		binary.LittleEndian.PutUint16(p[4:], uint16(min(n+delta, unknownCount)))
	}
}

// EntrySize returns the bytes that v takes as an element.
func EntrySize(v []byte) int {
	n := stringLen(len(v))
	if num, ok := ParseInt(v); ok {
		n = intLen(num)
	}
	return n + backLen(n)
}

// EntrySizeAt returns the bytes that the element at pos takes.
func (p Pack) EntrySizeAt(pos int) int { return p.after(pos) - pos }

// ParseInt returns the integer that v is the canonical decimal text of: no plus, no leading zeros, no -0.
func ParseInt(v []byte) (int64, bool) {
	digits := v
	if len(v) > 1 && v[0] == '-' {
		digits = v[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(v) > 1 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if len(digits) < len(v) {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

func stringLen(n int) int {
	switch {
	case n < 1<<6:
		return 1 + n
	case n < 1<<12:
		return 2 + n
	default:
		return 5 + n
	}
}

func appendString(dst, v []byte) Pack {
	switch n := len(v); {
	case n < 1<<6:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<12:
		dst = append(dst, 0xe0|byte(n>>8), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0xf0), uint32(n))
	}
	return append(dst, v...)
}

func intLen(v int64) int {
	switch {
	case v >= 0 && v <= 127:
		return 1
	case v >= -1<<12 && v < 1<<12:
		return 2
	case v >= -1<<15 && v < 1<<15:
		return 3
	case v >= -1<<23 && v < 1<<23:
		return 4
	case v >= -1<<31 && v < 1<<31:
		return 5
	default:
		return 9
	}
}

func appendInt(dst []byte, v int64) Pack {
	switch intLen(v) {
	case 1:
		return append(dst, byte(v))
	case 2:
		return append(dst, 0xc0|byte(v>>8)&0x1f, byte(v))
	case 3:
		return append(dst, 0xf1, byte(v), byte(v>>8))
	case 4:
		return append(dst, 0xf2, byte(v), byte(v>>8), byte(v>>16))
	case 5:
		return binary.LittleEndian.AppendUint32(append(dst, 0xf3), uint32(v))
	default:
		return binary.LittleEndian.AppendUint64(append(dst, 0xf4), uint64(v))
	}
}

// appendBack appends the length n so that it can be read backwards.
func appendBack(dst Pack, n int) Pack {
	size := backLen(n)
	for i := size - 1; i >= 0; i-- {
		b := byte(n>>(7*i)) & 127
		if i < size-1 {
			b |= 128
		}
		dst = append(dst, b)
	}
	return dst
}
