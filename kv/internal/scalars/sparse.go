package scalars

// Sparse registers are runs, each with an opcode:
//
//	00xxxxxx           x+1 registers that are 0
//	01xxxxxx yyyyyyyy  xy+1 registers that are 0
//	1vvvvvxx           x+1 registers of rank v+1
const (
	sparseZero     = 64 // the longest run of zeros in one byte
	sparseValueRun = 4  // the longest run of a value
	sparseMaxRank  = 32 // higher ranks need the dense form
	sparseScan     = 5  // how many opcodes are looked at for runs to be joined
	sparseValueBit = 1 << 7
	sparseLongBit  = 1 << 6
)

// A run is one decoded opcode.
type run struct {
	rank byte // 0: zeros
	n    int  // registers
	size int  // bytes of the opcode
}

// runAt decodes the opcode at the start of p. It reports false if that is cut off.
func runAt(p []byte) (run, bool) {
	switch {
	case len(p) == 0:
		return run{}, false
	case p[0]&sparseValueBit != 0:
		return run{rank: p[0]>>2&31 + 1, n: int(p[0]&3) + 1, size: 1}, true
	case p[0]&sparseLongBit == 0:
		return run{n: int(p[0]&63) + 1, size: 1}, true
	case len(p) == 1:
		return run{}, false
	default:
		return run{n: int(p[0]&63)<<8 + int(p[1]) + 1, size: 2}, true
	}
}

// appendZeros appends a run of n zeros, if n is not 0.
func appendZeros(p []byte, n int) []byte {
	switch {
	case n == 0:
		return p
	case n > sparseZero:
		return append(p, sparseLongBit|byte((n-1)>>8), byte(n-1))
	default:
		return append(p, byte(n-1))
	}
}

// appendRun appends a run of n registers of a rank, if n is not 0.
func appendRun(p []byte, rank byte, n int) []byte {
	switch {
	case n == 0:
		return p
	case rank == 0:
		return appendZeros(p, n)
	default:
		return append(p, sparseValueBit|(rank-1)<<2|byte(n-1))
	}
}

// eachSparse calls f with the registers of a sparse HyperLogLog that are not 0, in order. It reports false
// if h is damaged.
func eachSparse(h []byte, f func(index int, rank byte)) bool {
	i := 0
	for p := h[hllHeader:]; len(p) > 0; {
		r, ok := runAt(p)
		if !ok || i+r.n > hllRegisters {
			return false
		}
		if r.rank > 0 {
			for j := range r.n {
				f(i+j, r.rank)
			}
		}
		i += r.n
		p = p[r.size:]
	}
	return i == hllRegisters
}

// toDense returns the dense form of a sparse HyperLogLog, or false if that is damaged.
func toDense(h []byte) ([]byte, bool) {
	dense := make([]byte, hllDenseSize)
	copy(dense, h[:hllHeader])
	dense[hllEncoding] = hllDense
	ok := eachSparse(h, func(index int, rank byte) { denseRaise(dense, index, rank) })
	return dense, ok
}

// sparseRaise makes a register of a sparse HyperLogLog at least rank. It becomes dense when it would have
// more than limit bytes. The bytes that result are those that Redis would make of it.
func sparseRaise(h []byte, index int, rank byte, limit int) (_ []byte, changed, ok bool) {
	if rank > sparseMaxRank {
		return promote(h, index, rank)
	}
	at, before, first := hllHeader, hllHeader, 0
	r, ok := runAt(h[at:])
	for ok && index >= first+r.n {
		first += r.n
		before, at = at, at+r.size
		r, ok = runAt(h[at:])
	}
	if !ok {
		return h, false, false
	}
	if r.rank >= rank {
		return h, false, true
	}
	var buf [5]byte
	p := appendRun(buf[:0], r.rank, index-first)
	p = appendRun(p, rank, 1)
	p = appendRun(p, r.rank, first+r.n-1-index)
	if grow := len(p) - r.size; grow > 0 && len(h)+grow > limit {
		return promote(h, index, rank)
	}
	h = replace(h, at, r.size, p)
	h = joinRuns(h, before)
	hllStale(h)
	return h, true, true
}

// promote makes h dense and then sets the register.
func promote(h []byte, index int, rank byte) (_ []byte, changed, ok bool) {
	dense, ok := toDense(h)
	if !ok {
		return h, false, false
	}
	return dense, denseRaise(dense, index, rank), true
}

// joinRuns makes neighbours of the same rank one, as far as one opcode can tell it, in the few opcodes from
// at on.
func joinRuns(h []byte, at int) []byte {
	for range sparseScan {
		r, ok := runAt(h[at:])
		if !ok {
			break
		}
		next, ok := runAt(h[at+r.size:])
		if ok && r.rank > 0 && r.rank == next.rank && r.n+next.n <= sparseValueRun {
			var buf [1]byte
			h = replace(h, at, 2, appendRun(buf[:0], r.rank, r.n+next.n))
			continue
		}
		at += r.size
	}
	return h
}

// replace puts p in the place of n bytes of h.
func replace(h []byte, at, n int, p []byte) []byte {
	length := len(h)
	if grow := len(p) - n; grow > 0 {
		h = append(h, p[:grow]...)
		copy(h[at+len(p):], h[at+n:length])
	} else {
		copy(h[at+len(p):], h[at+n:])
		h = h[:length+grow]
	}
	copy(h[at:], p)
	return h
}
