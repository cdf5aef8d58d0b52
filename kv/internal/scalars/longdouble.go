package scalars

import "math/big"

// ParseFloat reads a number as INCRBYFLOAT reads it: in C's long double. It reports false for what is none,
// or is out of that type's range. An infinity is a number.
func ParseFloat(text []byte) (*big.Float, bool) { return parseFloat(text) }

// AddFloats returns the sum of two numbers as INCRBYFLOAT has it, or false if it is infinite or no number.
func AddFloats(a, b *big.Float) (*big.Float, bool) { return addFloats(a, b) }

// AppendFloat appends a number as INCRBYFLOAT shows it: with up to 17 decimals and without an exponent.
func AppendFloat(dst []byte, f *big.Float) []byte { return appendFloat(dst, f) }
