package zsets

import (
	"bytes"
	"math"
	"strconv"
)

// AppendScore appends a score as Redis keeps it as text: an integer where it is one of at most 62 bits, else
// C's %.17g.
func AppendScore(dst []byte, score float64) []byte {
	if n, ok := wholeScore(score); ok && (n != 0 || !math.Signbit(score)) {
		return strconv.AppendInt(dst, n, 10)
	}
	return appendLong(dst, score)
}

// appendLong appends a score as C's %.17g.
func appendLong(dst []byte, score float64) []byte {
	switch {
	case math.IsInf(score, 1):
		return append(dst, "inf"...)
	case math.IsInf(score, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(score):
		return append(dst, "nan"...)
	}
	return strconv.AppendFloat(dst, score, 'g', 17, 64)
}

// wholeScore returns the integer that a score is, if it is one in the range that Redis keeps as integers.
func wholeScore(score float64) (int64, bool) {
	if !(-1<<62 <= score && score <= 1<<62) {
		return 0, false
	}
	n := int64(score)
	return n, float64(n) == score
}

// ParseScore reads a score as Redis reads one from a command: C's syntax of floating point numbers, "inf"
// too, without spaces around it. It reports false for NaN and for what is too large or too small to be told
// from infinity or 0.
func ParseScore(text []byte) (float64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	score, exact, ok := parseNumber(text)
	return score, exact && ok && !math.IsNaN(score)
}

// parseBound reads one end of a range of scores, without the parenthesis that leaves the end out. It is more
// lenient than ParseScore: nothing at all is 0, spaces may precede, and what is too large is infinite.
func parseBound(text []byte) (float64, bool) {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	if len(text) == 0 {
		return 0, true
	}
	score, _, ok := parseNumber(bytes.TrimLeft(text, " \t\n\v\f\r"))
	return score, ok && !math.IsNaN(score)
}

// parseNumber reads what C's strtod reads. exact is false when the number is beyond the range of its type.
func parseNumber(text []byte) (f float64, exact, ok bool) {
	if n, ok := shortInt(text); ok {
		return float64(n), true, true
	}
	if bytes.IndexByte(text, '_') >= 0 {
		return 0, false, false // Go's, not C's
	}
	digits := bytes.TrimLeft(text, "+-")
	hex := len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x'
	if hex && !bytes.ContainsAny(digits, "pP") {
		text = append(bytes.Clone(text), "p0"...)
	}
	f, err := strconv.ParseFloat(string(text), 64)
	switch {
	case err != nil:
		// A value comes with an error only when it is infinite for being out of range.
		return f, false, math.IsInf(f, 0)
	case f == 0:
		return f, isZero(digits, hex), true
	}
	return f, true, true
}

// isZero reports whether the digits of a number are all zero: it was not rounded to 0.
func isZero(digits []byte, hex bool) bool {
	exponent := byte('e')
	if hex {
		digits, exponent = digits[2:], 'p'
	}
	for _, c := range digits {
		if c|0x20 == exponent {
			break
		}
		if c != '0' && c != '.' {
			return false
		}
	}
	return true
}

// shortInt reads integers of up to 15 digits, which most scores are.
func shortInt(text []byte) (int64, bool) {
	digits := text
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 15 || digits[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n, true
}
