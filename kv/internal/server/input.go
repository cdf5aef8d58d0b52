package server

// bigRead is how much of a long request is read at once.
const bigRead = 256 << 10

// input is what a connection has received and not executed: nothing, most of the time. A short rest is
// copied to the front of a shared buffer before more is read; a long one grows in place.
type input struct {
	own     []byte
	inPlace bool // the window is own's free end
}

// window returns where to read to. want is how many bytes the request has at the least, 0 if unknown.
func (in *input) window(shared []byte, want int) []byte {
	if in.inPlace = len(in.own) > len(shared)/4; in.inPlace {
		in.own = grow(in.own, want)
		return in.own[len(in.own):min(cap(in.own), len(in.own)+bigRead)]
	}
	return shared[copy(shared, in.own):]
}

// add returns all input, after n bytes were read to the window.
func (in *input) add(shared []byte, n int) []byte {
	if !in.inPlace {
		return shared[:len(in.own)+n]
	}
	in.own = in.own[:len(in.own)+n]
	return in.own
}

// join returns all input, after b was read elsewhere. It is in.own.
func (in *input) join(b []byte, want int) []byte {
	in.own = append(grow(in.own, want), b...)
	return in.own
}

// keep holds the rest of what add returned, or of own itself if aliased.
func (in *input) keep(rest []byte, aliased bool) {
	switch {
	case len(rest) == 0:
		in.own = nil
	case aliased && (len(rest) == len(in.own) || 4*len(rest) >= cap(in.own)):
		in.own = rest
	case len(rest) <= cap(in.own) && cap(in.own) <= readSize:
		in.own = append(in.own[:0], rest...)
	default:
		in.own = append([]byte(nil), rest...)
	}
}

// grow returns b with room at its end. The room is in proportion to what has arrived, so that a claim
// costs nothing and copying takes linear time; it does not exceed what the claim needs.
func grow(b []byte, want int) []byte {
	if cap(b)-len(b) >= readSize/4 || len(b) < want && want <= cap(b) {
		return b
	}
	size := 2*len(b) + readSize
	if want > len(b) {
		size = min(size, want)
	}
	bigger := make([]byte, len(b), size)
	copy(bigger, b)
	return bigger
}
