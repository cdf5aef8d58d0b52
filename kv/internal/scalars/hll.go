package scalars

import (
	"encoding/binary"
	"math/bits"
)

// A HyperLogLog is a string in Redis's own format: the header
//
//	"HYLL", the encoding (1 byte), 3 unused bytes, the cached cardinality (8 bytes, little endian; the
//	highest bit says that the cache is stale)
//
// and 16384 registers, which have the largest rank seen of the elements that fell to each. They are dense
// (6 bits each, from the lowest bits of a byte up) or sparse (see sparse.go).
const (
	hllHeader    = 16
	hllEncoding  = 4 // where the header has the encoding
	hllCache     = 8 // where it has the cached cardinality
	hllDense     = 0
	hllSparse    = 1
	hllIndexBits = 14
	hllRegisters = 1 << hllIndexBits
	hllRankBits  = 64 - hllIndexBits // ranks are 1 to hllRankBits+1
	hllDenseSize = hllHeader + hllRegisters*6/8
)

// The errors of strings that are no HyperLogLog, or a damaged one.
const (
	errNotHLL     = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errCorruptHLL = "INVALIDOBJ Corrupted HLL object detected"
)

// newHLL returns an empty HyperLogLog, which is sparse.
func newHLL() []byte {
	h := make([]byte, hllHeader, hllHeader+16)
	copy(h, "HYLL")
	h[hllEncoding] = hllSparse
	return appendZeros(h, hllRegisters)
}

// isHLL reports whether a string has the form of a HyperLogLog. A sparse one may still be damaged.
func isHLL(h []byte) bool {
	return len(h) >= hllHeader && string(h[:4]) == "HYLL" &&
		(h[hllEncoding] == hllSparse || h[hllEncoding] == hllDense && len(h) == hllDenseSize)
}

// hllStale marks the cached cardinality as stale.
func hllStale(h []byte) { h[hllCache+7] |= 1 << 7 }

// hllCached returns the cached cardinality, unless that is stale.
func hllCached(h []byte) (uint64, bool) {
	return binary.LittleEndian.Uint64(h[hllCache:]), h[hllCache+7]&(1<<7) == 0
}

// hllSetCached stores the cardinality.
func hllSetCached(h []byte, n uint64) { binary.LittleEndian.PutUint64(h[hllCache:], n) }

// hllAdd adds an element, and returns the HyperLogLog, which may have moved, and whether that changed it.
// limit is how many bytes a sparse one may have. It reports ok=false if h is damaged.
func hllAdd(h, element []byte, limit int) (_ []byte, changed, ok bool) {
	index, rank := hllPlace(element)
	return hllRaise(h, index, rank, limit)
}

// hllRaise makes a register at least rank.
func hllRaise(h []byte, index int, rank byte, limit int) (_ []byte, changed, ok bool) {
	if h[hllEncoding] == hllSparse {
		return sparseRaise(h, index, rank, limit)
	}
	return h, denseRaise(h, index, rank), true
}

// hllPlace tells the register of an element, and its rank: one more than the number of zeros at the end of
// what remains of the hash.
func hllPlace(element []byte) (index int, rank byte) {
	hash := murmur64(element, 0xadc83b19)
	rest := hash>>hllIndexBits | 1<<hllRankBits
	return int(hash & (hllRegisters - 1)), byte(bits.TrailingZeros64(rest) + 1)
}

// denseRaise makes a dense register at least rank, and reports whether that changed it.
func denseRaise(h []byte, index int, rank byte) bool {
	at, shift := hllHeader+index*6/8, uint(index*6&7)
	if shift <= 2 { // within one byte
		if h[at]>>shift&63 >= rank {
			return false
		}
		h[at] = h[at]&^(63<<shift) | rank<<shift
		return true
	}
	w := binary.LittleEndian.Uint16(h[at:])
	if byte(w>>shift&63) >= rank {
		return false
	}
	binary.LittleEndian.PutUint16(h[at:], w&^(63<<shift)|uint16(rank)<<shift)
	return true
}

// eachDense calls f with the registers of a dense HyperLogLog in order.
func eachDense(h []byte, f func(index int, rank byte)) {
	p := h[hllHeader:hllDenseSize]
	for i := 0; i < hllRegisters; i += 4 {
		w := uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16
		f(i, byte(w&63))
		f(i+1, byte(w>>6&63))
		f(i+2, byte(w>>12&63))
		f(i+3, byte(w>>18))
		p = p[3:]
	}
}

// murmur64 is MurmurHash64A.
func murmur64(b []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k = (k ^ k>>r) * m
		h = (h ^ k) * m
	}
	if len(b) > 0 {
		for i, x := range b {
			h ^= uint64(x) << (8 * i)
		}
		h *= m
	}
	h = (h ^ h>>r) * m
	return h ^ h>>r
}
