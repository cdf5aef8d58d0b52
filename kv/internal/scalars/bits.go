package scalars

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// Bits are numbered from the first byte's most significant bit.

// popcount counts the bits of b that are set.
func popcount(b []byte) int {
	n := 0
	for ; len(b) >= 32; b = b[32:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b)) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[8:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[16:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[24:]))
	}
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// popcountRange counts the bits from first to last, both included, that are set.
func popcountRange(b []byte, first, last int64) int {
	from, to := first>>3, last>>3
	n := popcount(b[from : to+1])
	n -= bits.OnesCount8(b[from] &^ (0xff >> (first & 7)))
	n -= bits.OnesCount8(b[to] & (0xff >> (last&7 + 1)))
	return n
}

// bitpos returns the first bit that is as told, or -1.
func bitpos(b []byte, set bool) int64 {
	var flip uint64 // what turns the bit that is sought into 1
	if !set {
		flip = ^uint64(0)
	}
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if w := binary.BigEndian.Uint64(b[i:]) ^ flip; w != 0 {
			return int64(i)*8 + int64(bits.LeadingZeros64(w))
		}
	}
	for ; i < len(b); i++ {
		if x := b[i] ^ byte(flip); x != 0 {
			return int64(i)*8 + int64(bits.LeadingZeros8(x))
		}
	}
	return -1
}

// bitposRange returns the first bit from first to last, both included, that is as told, or -1.
func bitposRange(b []byte, first, last int64, set bool) int64 {
	for ; first <= last && first&7 != 0; first++ {
		if getBit(b, first) == set {
			return first
		}
	}
	end := first
	if whole := (last + 1) >> 3; whole > first>>3 {
		if p := bitpos(b[first>>3:whole], set); p >= 0 {
			return first + p
		}
		end = whole << 3
	}
	for ; end <= last; end++ {
		if getBit(b, end) == set {
			return end
		}
	}
	return -1
}

// getBit returns bit i, which must be within b.
func getBit(b []byte, i int64) bool { return b[i>>3]&(0x80>>(i&7)) != 0 }

// A bitOp is an operation of BITOP.
type bitOp int

const (
	opAnd bitOp = iota
	opOr
	opXor
	opNot
)

// combine applies op to the sources, as if all were as long as the longest, with zeros. Not has one source.
func combine(op bitOp, sources [][]byte) []byte {
	longest := 0
	for _, s := range sources {
		longest = max(longest, len(s))
	}
	dst := make([]byte, longest)
	copy(dst, sources[0])
	if op == opNot {
		eachWord(dst, dst, func(x, _ uint64) uint64 { return ^x })
		return dst
	}
	for _, s := range sources[1:] {
		switch op {
		case opAnd:
			eachWord(dst, s, func(x, y uint64) uint64 { return x & y })
			clear(dst[len(s):])
		case opOr:
			eachWord(dst, s, func(x, y uint64) uint64 { return x | y })
		default:
			subtle.XORBytes(dst, dst, s)
		}
	}
	return dst
}

// eachWord sets dst to f of dst and src, as far as src goes, eight bytes at a time. It is small enough to
// be inlined, and f with it.
func eachWord(dst, src []byte, f func(x, y uint64) uint64) {
	i, le := 0, binary.LittleEndian
	for ; i+8 <= len(src); i += 8 {
		le.PutUint64(dst[i:], f(le.Uint64(dst[i:]), le.Uint64(src[i:])))
	}
	for ; i < len(src); i++ {
		dst[i] = byte(f(uint64(dst[i]), uint64(src[i])))
	}
}
