package resp

// peekArgs is how many arguments a request has at most that Peek looks at.
const peekArgs = 8

// Peek appends to first the first argument, which is most commands' key, of the requests at the start of in,
// as far as first has room, and returns how many bytes it has looked at. It stops at a request that is
// incomplete, long, or not of the usual form: it is for preparing what Next will return, and says nothing
// about it.
func Peek(in []byte, first [][]byte) (_ [][]byte, seen int) {
	for len(first) < cap(first) {
		count, at := digits(in, seen+1)
		if at == 0 || count > peekArgs || in[seen] != '*' {
			break
		}
		var arg []byte
		for i := range count {
			if at >= len(in) || in[at] != '$' {
				return first, seen
			}
			size, from := digits(in, at+1)
			if from == 0 || len(in)-from < size+2 {
				return first, seen
			}
			if i == 1 {
				arg = in[from : from+size]
			}
			at = from + size + 2
		}
		if count > 1 {
			first = append(first, arg)
		}
		seen = at
	}
	return first, seen
}
