package keys

import "bytes"

// untilNUL is what C takes for the string.
func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// equalFold is C's strcasecmp in its own locale.
func equalFold(b []byte, lower string) bool {
	b = untilNUL(b)
	if len(b) != len(lower) {
		return false
	}
	for i, x := range b {
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if x != lower[i] {
			return false
		}
	}
	return true
}
