package scalars

import "math"

// histogram counts the registers of a HyperLogLog by rank, or reports false if that is damaged.
func histogram(h []byte) (byRank [64]int, ok bool) {
	if h[hllEncoding] == hllDense {
		eachDense(h, func(_ int, rank byte) { byRank[rank]++ })
		return byRank, true
	}
	seen := 0
	ok = eachSparse(h, func(_ int, rank byte) { byRank[rank]++; seen++ })
	byRank[0] = hllRegisters - seen
	return byRank, ok
}

// registers are those of a union: one byte each.
type registers [hllRegisters]byte

// merge raises the registers to those of h. It reports false if h is damaged.
func (u *registers) merge(h []byte) bool {
	raise := func(index int, rank byte) { u[index] = max(u[index], rank) }
	if h[hllEncoding] == hllSparse {
		return eachSparse(h, raise)
	}
	eachDense(h, raise)
	return true
}

// count estimates how many elements the union has.
func (u *registers) count() uint64 {
	var byRank [64]int
	for _, rank := range u {
		byRank[rank&63]++
	}
	return estimate(byRank)
}

// estimate is Otmar Ertl's estimator of "New cardinality estimation algorithms for HyperLogLog sketches"
// (2017), which Redis uses. The conversions keep the compiler from fusing operations, which would round
// otherwise than Redis does.
func estimate(byRank [64]int) uint64 {
	const m, alpha = float64(hllRegisters), 0.721347520444481703680
	z := m * tau((m-float64(byRank[hllRankBits+1]))/m)
	for rank := hllRankBits; rank >= 1; rank-- {
		z = float64(z+float64(byRank[rank])) * 0.5
	}
	z += float64(m * sigma(float64(byRank[0])/m))
	return uint64(math.Round(alpha * m * m / z))
}

// tau corrects for registers that are at their end.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		before := z
		x = math.Sqrt(x)
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}

// sigma corrects for registers that are still 0.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		before := z
		x *= x
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}
