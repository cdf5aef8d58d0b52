// Package glob matches strings with Redis's patterns: *, ?, [abc], [^a-z], and \ before a character that
// stands for itself.
package glob

// Match reports whether the whole of s matches pattern; fold ignores the case of ASCII letters. Like Redis,
// it takes a class that is never closed to end with the pattern. A pattern with many stars costs at most
// len(pattern) × len(s) steps: only the last star is tried again. As in Redis 7.0, no pattern but the empty
// one matches the empty string, not even a star.
func Match(pattern, s []byte, fold bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, again := -1, 0 // where the last star was, and where in s what follows it was tried last
	for {
		if p < len(pattern) && pattern[p] == '*' {
			star, again = p, i
			p++
			continue
		}
		if i == len(s) {
			return p == len(pattern)
		}
		if p < len(pattern) {
			if next, ok := one(pattern, p, s[i], fold); ok {
				p, i = next, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		again++
		p, i = star+1, again
	}
}

// one matches one character of the pattern, and returns where the next begins.
func one(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return class(pattern, p+1, c, fold)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, equal(pattern[p], c, fold)
}

func class(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	negate := p < len(pattern) && pattern[p] == '^'
	if negate {
		p++
	}
	for ; ; p++ {
		switch {
		case p >= len(pattern):
			return len(pattern), ok != negate
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			ok = ok || pattern[p] == c
		case pattern[p] == ']':
			return p + 1, ok != negate
		case p+2 < len(pattern) && pattern[p+1] == '-':
			ok = ok || within(pattern[p], pattern[p+2], c, fold)
			p += 2
		default:
			ok = ok || equal(pattern[p], c, fold)
		}
	}
}

func within(from, to, c byte, fold bool) bool {
	if from > to {
		from, to = to, from
	}
	if fold {
		from, to, c = lower(from), lower(to), lower(c)
	}
	return from <= c && c <= to
}

func equal(a, b byte, fold bool) bool {
	return a == b || fold && lower(a) == lower(b)
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
