package scalars

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestBitsAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Long runs of the same byte are what the fast paths skip.
		var b []byte
		for range rapid.IntRange(1, 4).Draw(t, "runs") {
			x := rapid.SampledFrom([]byte{0, 0xff, 1, 0x80, 0x5a}).Draw(t, "byte")
			b = append(b, bytes.Repeat([]byte{x}, rapid.IntRange(1, 70).Draw(t, "length"))...)
		}
		first := rapid.Int64Range(0, int64(len(b))*8-1).Draw(t, "first")
		last := rapid.Int64Range(first, int64(len(b))*8-1).Draw(t, "last")
		count, pos := 0, map[bool]int64{true: -1, false: -1}
		for i := first; i <= last; i++ {
			bit := b[i/8]>>(7-i%8)&1 == 1
			if bit {
				count++
			}
			if pos[bit] < 0 {
				pos[bit] = i
			}
		}
		if got := popcountRange(b, first, last); got != count {
			t.Fatalf("%d bits from %d to %d, not %d", got, first, last, count)
		}
		for bit, want := range pos {
			if got := bitposRange(b, first, last, bit); got != want {
				t.Fatalf("first %v from %d to %d at %d, not %d", bit, first, last, got, want)
			}
		}
	})
}

func TestCombineAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 4).Draw(t, "sources")
		for _, op := range []bitOp{opAnd, opOr, opXor, opNot} {
			if op == opNot {
				sources = sources[:1]
			}
			got := combine(op, sources)
			for i := range got {
				var want byte
				for j, s := range sources {
					var x byte
					if i < len(s) {
						x = s[i]
					}
					switch {
					case op == opNot:
						want = ^x
					case j == 0:
						want = x
					case op == opAnd:
						want &= x
					case op == opOr:
						want |= x
					default:
						want ^= x
					}
				}
				if got[i] != want {
					t.Fatalf("byte %d of %x by %d is %x, not %x", i, sources, op, got[i], want)
				}
			}
		}
	})
}

func TestFieldArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := field{signed: rapid.Bool().Draw(t, "signed"), width: uint(rapid.IntRange(1, 63).Draw(t, "width"))}
		f.offset = int64(rapid.IntRange(0, 100).Draw(t, "offset"))
		b := rapid.SliceOfN(rapid.Byte(), 24, 24).Draw(t, "bytes")
		before := bytes.Clone(b)
		old, incr := f.get(b), rapid.Int64().Draw(t, "incr")>>rapid.IntRange(0, 63).Draw(t, "shift")
		lowest, highest := f.bounds()
		if old < lowest || old > highest {
			t.Fatalf("%d is not from %d to %d", old, lowest, highest)
		}
		sum := new(big.Int).Add(big.NewInt(old), big.NewInt(incr))
		inside := sum.Cmp(big.NewInt(lowest)) >= 0 && sum.Cmp(big.NewInt(highest)) <= 0
		wrapped, fits := f.add(old, incr, wrap)
		if fits != inside || inside && wrapped != sum.Int64() {
			t.Fatalf("%d%+d is %d, fits %v", old, incr, wrapped, fits)
		}
		diff := new(big.Int).Sub(sum, big.NewInt(wrapped))
		if diff.Mod(diff, new(big.Int).Lsh(big.NewInt(1), f.width)).Sign() != 0 || wrapped < lowest || wrapped > highest {
			t.Fatalf("%d%+d wraps to %d", old, incr, wrapped)
		}
		if capped, _ := f.add(old, incr, saturate); !inside && capped != lowest && capped != highest || inside && capped != wrapped {
			t.Fatalf("%d%+d saturates to %d", old, incr, capped)
		}
		f.set(b, wrapped)
		if f.get(b) != wrapped {
			t.Fatalf("%d was written, %d read", wrapped, f.get(b))
		}
		f.set(b, old)
		if !bytes.Equal(b, before) {
			t.Fatal("other bits have changed")
		}
	})
}

func TestFloats(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ a, b, want string }{
		{"10.50", "0.1", "10.6"},
		{"5.0e3", "2.0e2", "5200"},
		{"0.1", "0.2", "0.3"},
		{"100.1", "0.2", "100.3"},
		{"0.1", "-0.1", "0"},
		{"-1e-19", "0", "0"},
		{"3", "1e-17", "3.00000000000000001"},
		{"1e18", "0.5", "1000000000000000000.5"},
		{"0x1p4", "0X.8p1", "17"},
		{"inf", "1", ""},
		{"1e4932", "1e4932", ""},
	} {
		a, okA := parseFloat([]byte(test.a))
		b, okB := parseFloat([]byte(test.b))
		if !okA || !okB {
			t.Fatalf("%s + %s", test.a, test.b)
		}
		sum, ok := addFloats(a, b)
		if ok != (test.want != "") || ok && string(appendFloat(nil, sum)) != test.want {
			t.Errorf("%s + %s = %v, %v", test.a, test.b, sum, ok)
		}
	}
	for _, bad := range []string{"", "+", "-", ".", "e5", "1e", "1e+", "1e5x", "1..2", " 1", "1 ", "0x", "0xp1", "nan", "infin", "1e5000", "1e-5000", "1e99999999999999999999", "--1", "1_0"} {
		if f, ok := parseFloat([]byte(bad)); ok {
			t.Errorf("%q is %v", bad, f)
		}
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, s := range []string{"1.5e10", "-0x1.fp-3", "inf", "1e-4945", "0e99999999999"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x, ok := parseFloat(text)
		if !ok || x.IsInf() {
			return
		}
		printed := appendFloat(nil, x)
		y, ok := parseFloat(printed)
		if !ok || !bytes.Equal(appendFloat(nil, y), printed) {
			t.Fatalf("%q prints as %q, and that as %v", text, printed, y)
		}
	})
}

// FuzzHyperLogLog has damaged strings taken for HyperLogLogs.
func FuzzHyperLogLog(f *testing.F) {
	f.Add(newHLL()[hllHeader:], byte(hllSparse), []byte("x"))
	f.Add([]byte{0x7f}, byte(hllSparse), []byte("y"))
	f.Add(bytes.Repeat([]byte{0x83, 0x7f, 0xff}, 50), byte(hllSparse), []byte("z"))
	f.Fuzz(func(t *testing.T, body []byte, encoding byte, element []byte) {
		h := slices.Concat(newHLL()[:hllHeader], body)
		h[hllEncoding] = encoding
		if !isHLL(h) {
			return
		}
		var u registers
		sound := u.merge(h)
		if _, ok := histogram(h); ok != sound {
			t.Fatalf("%x is sound or not", h)
		}
		h, _, ok := hllAdd(h, element, 3000)
		if sound && !ok {
			t.Fatalf("%x takes no element", h)
		}
		if !sound {
			return
		}
		index, rank := hllPlace(element)
		u[index] = max(u[index], rank)
		var after registers
		if !after.merge(h) || after != u {
			t.Fatalf("%x has other registers", h)
		}
	})
}
