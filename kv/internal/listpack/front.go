package listpack

// Prepend puts v before the first element of the pack that is buf[at:], in the bytes before it, and returns
// where the pack begins then; or false, if these bytes are too few. Only the header moves.
func Prepend(buf []byte, at int, v []byte) (int, bool) {
	num, numeric := ParseInt(v)
	n := stringLen(len(v))
	if numeric {
		n = intLen(num)
	}
	to := at - n - backLen(n)
	if to < 0 {
		return at, false
	}
	p := Pack(buf[to:])
	copy(p, buf[at:at+headerSize])
	if numeric {
		appendBack(appendInt(p[:headerSize], num), n)
	} else {
		appendBack(appendString(p[:headerSize], v), n)
	}
	p.setHeader(1)
	return to, true
}

// Shift removes the first n elements of the pack that is buf[at:], or as many as there are, and returns where
// the pack begins then. Only the header moves.
func Shift(buf []byte, at, n int) int {
	p := Pack(buf[at:])
	pos, gone := headerSize, 0
	for ; gone < n && p[pos] != end; gone++ {
		pos = p.after(pos)
	}
	to := at + pos - headerSize
	copy(buf[to:], p[:headerSize])
	Pack(buf[to:]).setHeader(-gone)
	return to
}
