package scalars

import (
	"bytes"
	"math/big"
	"strconv"
)

// INCRBYFLOAT counts in C's long double, as Redis on x86: 64 bits of mantissa, a 15 bit exponent. Numbers
// are rounded as that type rounds, so results are the same to the last digit. Only denormal numbers (below
// 1e-4931) keep more digits here, which no result shows: it has 17 decimals.
const (
	longDoubleBits = 64
	longDoubleMax  = 16384  // numbers below 2^longDoubleMax are finite
	longDoubleMin  = -16446 // numbers below 2^longDoubleMin are 0
	longestFloat   = 5*1024 - 1
	decimals       = 17
)

// parseFloat reads a number as strtold does in Redis: decimal or hexadecimal, or an infinity. It reports
// false for what is none, has anything around it, or is too large or too small to be told from 0.
func parseFloat(text []byte) (*big.Float, bool) {
	if len(text) == 0 || len(text) > longestFloat {
		return nil, false
	}
	body, negative := text, false
	if body[0] == '+' || body[0] == '-' {
		negative = body[0] == '-'
		body = body[1:]
	}
	f := new(big.Float).SetPrec(longDoubleBits)
	if bytes.EqualFold(body, []byte("inf")) || bytes.EqualFold(body, []byte("infinity")) {
		return f.SetInf(negative), true
	}
	base := 10
	if len(body) > 2 && body[0] == '0' && body[1]|0x20 == 'x' {
		base, body = 16, body[2:]
	}
	m, ok := readNumber(body, base)
	if !ok {
		return nil, false
	}
	if !m.setFloat(f) {
		return nil, false
	}
	if negative {
		f.Neg(f)
	}
	return f, true
}

// number is a number as it is written: digits × base^point × exponentBase^exponent.
type number struct {
	digits   string // without the point and leading zeros
	base     int
	point    int // minus the number of digits behind the point
	exponent int // of 10, or of 2 for hexadecimal numbers
}

// readNumber reads a number without its sign.
func readNumber(b []byte, base int) (n number, ok bool) {
	n.base = base
	digits := make([]byte, 0, len(b))
	seen, point, i := false, false, 0
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '.' && !point:
			point = true
			continue
		case !isDigit(c, base):
			if n.exponent, ok = readExponent(b[i:], base); !ok || !seen {
				return n, false
			}
			n.digits = string(digits)
			return n, true
		case c != '0' || len(digits) > 0:
			digits = append(digits, c)
		}
		seen = true
		if point {
			n.point--
		}
	}
	n.digits = string(digits)
	return n, seen
}

func isDigit(c byte, base int) bool {
	return '0' <= c && c <= '9' || base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f'
}

// readExponent reads "e+5", or "p+5" of a hexadecimal number. An exponent that is beyond all bounds is told
// as one that is just beyond them.
func readExponent(b []byte, base int) (int, bool) {
	letter := byte('e')
	if base == 16 {
		letter = 'p'
	}
	if len(b) < 2 || b[0]|0x20 != letter {
		return 0, false
	}
	digits := b[1:]
	if digits[0] == '+' || digits[0] == '-' {
		digits = digits[1:]
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	const bound = 100_000 // more than any exponent that the longest text can make up for
	e, err := strconv.Atoi(string(b[1:]))
	if err != nil && len(digits) < 10 {
		return 0, false
	}
	if err != nil {
		e = bound
		if b[1] == '-' {
			e = -bound
		}
	}
	return max(-bound, min(e, bound)), true
}

// setFloat sets f to the number, rounded once. It reports false if that is beyond the range.
func (n number) setFloat(f *big.Float) bool {
	if n.digits == "" {
		return true
	}
	exp := new(big.Int)
	mantissa, _ := new(big.Int).SetString(n.digits, n.base)
	if n.base == 16 {
		f.SetInt(mantissa).SetMantExp(f, 4*n.point+n.exponent)
		return n.inRange(f)
	}
	// What is far out of range is not worth computing.
	scale := n.point + n.exponent
	if magnitude := scale + len(n.digits); magnitude > 4940 || magnitude < -4960 {
		return false
	}
	if scale >= 0 {
		f.SetInt(mantissa.Mul(mantissa, exp.Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	} else {
		f.SetRat(new(big.Rat).SetFrac(mantissa, exp.Exp(big.NewInt(10), big.NewInt(int64(-scale)), nil)))
	}
	return n.inRange(f)
}

func (number) inRange(f *big.Float) bool {
	e := f.MantExp(nil)
	return e <= longDoubleMax && e > longDoubleMin
}

// addFloats returns the sum, or false if it is infinite or no number.
func addFloats(a, b *big.Float) (*big.Float, bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum := new(big.Float).SetPrec(longDoubleBits).Add(a, b)
	return sum, sum.MantExp(nil) <= longDoubleMax
}

// appendFloat appends f with up to 17 decimals, without trailing zeros and without an exponent.
func appendFloat(dst []byte, f *big.Float) []byte {
	start := len(dst)
	dst = f.Append(dst, 'f', decimals)
	dst = bytes.TrimRight(dst, "0")
	dst = bytes.TrimSuffix(dst, []byte("."))
	if string(dst[start:]) == "-0" {
		return append(dst[:start], '0')
	}
	return dst
}
