package keys

import (
	"bytes"
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// weigh finds what the rows are sorted by. It reports false if one should be a number and is none.
func (s *sorting) weigh(c *engine.Client) bool {
	numbers := true
	for i := range s.rows {
		r := &s.rows[i]
		weight := r.element
		if s.by != nil {
			found := false
			if weight, found = lookUp(c, s.by, r.element); !found {
				r.missing = true
				continue
			}
		}
		if s.alpha {
			r.weight = weight
			if s.by != nil {
				r.weight = bytes.Clone(weight)
			}
			continue
		}
		var ok bool
		r.score, ok = number(weight)
		numbers = numbers && ok
	}
	return numbers
}

// compare orders rows.
func (s *sorting) compare(a, b row) int {
	order := 0
	switch {
	case !s.alpha:
		switch {
		case a.score > b.score:
			order = 1
		case a.score < b.score:
			order = -1
		default:
			order = bytes.Compare(a.element, b.element)
		}
	case a.missing != b.missing:
		order = 1
		if a.missing {
			order = -1
		}
	case s.stored:
		order = bytes.Compare(a.weight, b.weight)
	default:
		// C's strcoll, in the locale "C".
		order = bytes.Compare(untilNUL(a.weight), untilNUL(b.weight))
	}
	if s.desc {
		return -order
	}
	return order
}

// smallestNormal is the smallest number of full precision. Numbers that are closer to 0 are refused.
const smallestNormal = 0x1p-1022

// number reads a number as C's strtod does. What follows a NUL is ignored, and nothing at all is 0.
func number(text []byte) (float64, bool) {
	text = untilNUL(text)
	if len(text) == 0 {
		return 0, true
	}
	f, ok := zsets.ParseScore(bytes.TrimLeft(text, " \t\n\v\f\r"))
	return f, ok && (f == 0 || math.Abs(f) >= smallestNormal)
}

// lookUp returns what BY or GET asks for of an element: "#" is the element; else it takes the place of the
// pattern's star, which makes a key of a string, or, before "->", of a hash that has the field that follows.
// The value is valid until the next write.
func lookUp(c *engine.Client, pattern, element []byte) (value []byte, found bool) {
	if text := untilNUL(pattern); string(text) == "#" {
		return element, true
	}
	star := bytes.IndexByte(untilNUL(pattern), '*')
	if star < 0 {
		return nil, false
	}
	rest, field := pattern[star+1:], []byte(nil)
	if at := bytes.Index(untilNUL(rest), []byte("->")); at >= 0 && at+2 < len(untilNUL(rest)) {
		rest, field = rest[:at], rest[at+2:]
	}
	key := make([]byte, 0, len(pattern)+len(element))
	key = append(append(append(key, pattern[:star]...), element...), rest...)
	en := c.DB().Read(key)
	if en == nil {
		return nil, false
	}
	if field == nil {
		return engine.StringOf(en)
	}
	if b := en.Box(); b != nil {
		if h, ok := b.Val.(*hashes.Hash); ok {
			return h.Get(field)
		}
	}
	return nil, false
}
