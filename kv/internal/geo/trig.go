package geo

import (
	"math"
	"math/big"
	"sync"
)

// Distances are stored and compared with all their digits, and C's libraries round sines correctly but for
// rare cases; Go's are less exact. These functions are off by hardly more than half of the last bit.

const (
	halfPi   = math.Pi / 2
	piRest   = 1.2246467991473532e-16 // π is math.Pi, rounded, and this
	parts    = 64                     // entries of the table per radian
	lastPart = 102                    // the table ends behind π/2
)

// wave is the sine and cosine of one angle, in two parts each.
type wave struct{ sin, sinRest, cos, cosRest float64 }

// waves has the sines and cosines of multiples of 1/64.
var waves = sync.OnceValue(func() *[lastPart]wave {
	var table [lastPart]wave
	for i := range table {
		x := float64(i) / parts
		w := &table[i]
		w.sin, w.sinRest = series(x, 1)
		w.cos, w.cosRest = series(x, 0)
	}
	return &table
})

// series sums x^k/k! - x^(k+2)/(k+2)! + … for k 0 or 1.
func series(x float64, k int64) (sum, rest float64) {
	const precision = 160
	number := func(x float64) *big.Float { return new(big.Float).SetPrec(precision).SetFloat64(x) }
	square, term, total := number(x*x), number(1), number(0)
	if k == 1 {
		term = number(x)
	}
	for ; k < 60; k += 2 {
		total.Add(total, term)
		term.Mul(term, square)
		term.Quo(term, number(-float64((k+1)*(k+2))))
	}
	sum, _ = total.Float64()
	rest, _ = total.Sub(total, number(sum)).Float64()
	return sum, rest
}

// sinParts returns the sine of x + rest in two parts, for x from 0 to π/2.
func sinParts(x, rest float64) (sum, tail float64) {
	if x < 0.25 {
		z := x * x
		p := z * (-1.0/6 + z*(1.0/120+z*(-1.0/5040+z*(1.0/362880+z*(-1.0/39916800+z*(1.0/6227020800))))))
		return twoSum(x, x*p+rest*(1-z/2))
	}
	i := int(x*parts + 0.5)
	w := &waves()[i]
	d := x - float64(i)/parts
	z := d * d
	product := w.cos * d
	missing := math.FMA(w.cos, d, -product)
	sum, tail = twoSum(w.sin, product)
	tail += missing + w.sinRest + w.cosRest*d + w.cos*rest +
		w.sin*z*(-1.0/2+z*(1.0/24-z/720)) + w.cos*d*z*(-1.0/6+z*(1.0/120-z/5040))
	return twoSum(sum, tail)
}

// twoSum returns a+b and what rounding has taken from it.
func twoSum(a, b float64) (sum, rest float64) {
	sum = a + b
	bb := sum - a
	return sum, (a - (sum - bb)) + (b - bb)
}

func sin(x float64) float64 {
	if x < 0 {
		return -sin(-x)
	}
	var s float64
	switch {
	case x <= halfPi:
		s, _ = sinParts(x, 0)
	case x <= math.Pi:
		s, _ = sinParts(math.Pi-x, piRest)
	default:
		return math.Sin(x)
	}
	return s
}

func cos(x float64) float64 {
	x = math.Abs(x)
	if !(x <= math.Pi) {
		return math.Cos(x)
	}
	y, rest := twoSum(halfPi, -x)
	rest += piRest / 2
	if y < 0 {
		s, _ := sinParts(-y, -rest)
		return -s
	}
	s, _ := sinParts(y, rest)
	return s
}

// asin is for x from 0 to 1.
func asin(x float64) float64 {
	switch {
	case x > 1:
		return math.NaN()
	case x > 0.99:
		return halfPi - (2*asin(math.Sqrt((1-x)/2)) - piRest/2)
	}
	y := math.Asin(x)
	s, rest := sinParts(y, 0)
	return y + ((x-s)-rest)/cos(y)
}
