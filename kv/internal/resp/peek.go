package resp

// peekArgs is how many arguments a request has at most that Peek looks at.
const peekArgs = 8

// Peek calls first with the first argument, which is most commands' key, of up to n requests at the start
// of in, and returns how many bytes it has looked at. It stops at a request that is incomplete, long, or
// not of the usual form: it is for preparing what Next will return, and says nothing about it.
func Peek(in []byte, n int, first func(arg []byte)) (seen int) {
	for range n {
		count, at := digits(in, seen+1)
		if at == 0 || count > peekArgs || in[seen] != '*' {
			return seen
		}
		for i := range count {
			if at >= len(in) || in[at] != '$' {
				return seen
			}
			size, from := digits(in, at+1)
			if from == 0 || len(in)-from < size+2 {
				return seen
			}
			if i == 1 {
				first(in[from : from+size])
			}
			at = from + size + 2
		}
		seen = at
	}
	return seen
}
