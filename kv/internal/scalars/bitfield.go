package scalars

// A field is an integer of 1 to 64 bits at any place in a string: the type and the offset of BITFIELD.
type field struct {
	signed bool
	width  uint // bits; of an unsigned one at most 63
	offset int64
}

// overflow says what becomes of a number that does not fit its field.
type overflow int

const (
	wrap overflow = iota
	saturate
	fail
)

// bitsAt reads width bits from offset on. What is beyond the end of b is zero.
func bitsAt(b []byte, offset int64, width uint) uint64 {
	var v uint64
	for width > 0 {
		i, at := offset>>3, uint(offset&7)
		n := min(8-at, width)
		var x byte
		if i < int64(len(b)) {
			x = b[i] << at >> (8 - n)
		}
		v = v<<n | uint64(x)
		offset += int64(n)
		width -= n
	}
	return v
}

// setBitsAt writes the low width bits of v from offset on. b must be long enough.
func setBitsAt(b []byte, offset int64, width uint, v uint64) {
	for width > 0 {
		i, at := offset>>3, uint(offset&7)
		n := min(8-at, width)
		shift := 8 - at - n
		mask := byte(1<<n-1) << shift
		b[i] = b[i]&^mask | byte(v>>(width-n))<<shift&mask
		offset += int64(n)
		width -= n
	}
}

// get reads the field. What is beyond the end of b is zero.
func (f field) get(b []byte) int64 { return f.cut(bitsAt(b, f.offset, f.width)) }

// set writes the low bits of v to the field. b must be long enough.
func (f field) set(b []byte, v int64) { setBitsAt(b, f.offset, f.width, uint64(v)) }

// cut makes of the low bits of v the number that the field has when they are written to it.
func (f field) cut(v uint64) int64 {
	unused := 64 - f.width
	if f.signed {
		return int64(v<<unused) >> unused
	}
	return int64(v << unused >> unused)
}

// bounds are the lowest and the highest number that fits.
func (f field) bounds() (lowest, highest int64) {
	if f.signed {
		highest = int64(uint64(1)<<(f.width-1) - 1)
		return -highest - 1, highest
	}
	return 0, int64(uint64(1)<<f.width - 1)
}

// add returns the number that value+incr becomes in the field, and whether it fits. value may be any
// number: SET adds 0 to what is to be set. An unsigned field takes a negative value for a large one.
func (f field) add(value, incr int64, mode overflow) (result int64, fits bool) {
	lowest, highest := f.bounds()
	sum := value + incr
	var over, under bool
	if f.signed {
		// The differences wrap, as in Redis: a number far below the range counts as one above it.
		narrow := f.width < 64
		above, below := highest-value, lowest-value
		over = value > highest || narrow && incr > above || value >= 0 && incr > 0 && incr > above
		under = value < lowest || narrow && incr < below || value < 0 && incr < 0 && incr < below
	} else {
		over = uint64(value) > uint64(highest) || incr > 0 && uint64(sum) > uint64(highest)
		under = incr < 0 && sum < 0
	}
	switch {
	case !over && !under:
		return sum, true
	case mode != saturate:
		return f.cut(uint64(sum)), false
	case over:
		return highest, false
	default:
		return lowest, false
	}
}
