package zsets

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

func benchSet() (*ZSet, [][]byte) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(1, 2))
	z, members := New(1), make([][]byte, n)
	z.Expect(n, 16, Limits{})
	for i := range members {
		members[i] = fmt.Appendf(nil, "member:%09d", i)
		z.Add(members[i], float64(r.IntN(1<<30)), Limits{})
	}
	return z, members
}

// TestMemory holds the memory of large sets below 100 bytes a member, and its account near the truth.
func TestMemory(t *testing.T) { //nolint:paralleltest // it measures the heap
	const n = 100_000
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for order := range 3 {
		before := heap()
		z := New(1)
		r := rand.New(rand.NewPCG(5, 6))
		for i := range n {
			z.Add(fmt.Appendf(nil, "member:%09d", i), [...]float64{float64(i), float64(-i), r.Float64()}[order], Limits{})
		}
		used := heap() - before
		t.Logf("order %d: %.1f bytes a member, counted as %.1f", order, float64(used)/n, float64(z.Bytes())/n)
		if used > 100*n {
			t.Errorf("order %d: %d bytes a member", order, used/n)
		}
		if d := float64(z.Bytes()) / float64(used); d < 0.9 || d > 1.1 {
			t.Errorf("counted %d of %d bytes", z.Bytes(), used)
		}
		runtime.KeepAlive(z)
	}
}

func BenchmarkAddNew(b *testing.B) {
	z := New(1)
	r := rand.New(rand.NewPCG(1, 2))
	var buf []byte
	for i := 0; b.Loop(); i++ {
		buf = fmt.Appendf(buf[:0], "member:%09d", i)
		z.Add(buf, float64(r.IntN(1<<30)), Limits{})
	}
}

func BenchmarkUpdate(b *testing.B) {
	z, members := benchSet()
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		z.Add(members[r.IntN(len(members))], float64(r.IntN(1<<30)), Limits{})
	}
}

func BenchmarkNudge(b *testing.B) {
	z, members := benchSet()
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		member := members[r.IntN(len(members))]
		score, _ := z.Score(member)
		z.Add(member, score+1, Limits{})
	}
}

func BenchmarkRank(b *testing.B) {
	z, members := benchSet()
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		z.Rank(members[r.IntN(len(members))])
	}
}

func BenchmarkAscendHundred(b *testing.B) {
	z, _ := benchSet()
	r := rand.New(rand.NewPCG(1, 2))
	total := 0
	for b.Loop() {
		lo := r.IntN(z.Len() - 100)
		for member := range z.Ascend(lo, lo+100) {
			total += len(member)
		}
	}
}

func BenchmarkClone(b *testing.B) {
	z, _ := benchSet()
	stamp := uint32(1)
	for b.Loop() {
		stamp++
		z = z.Clone(stamp).(*ZSet)
	}
}

func BenchmarkUpdateAfterClone(b *testing.B) {
	z, members := benchSet()
	r := rand.New(rand.NewPCG(1, 2))
	z = z.Clone(2).(*ZSet)
	for b.Loop() {
		z.Add(members[r.IntN(len(members))], float64(r.IntN(1<<30)), Limits{})
	}
}

func BenchmarkSmallUpdate(b *testing.B) {
	z, lim := New(1), Limits{128, 64}
	var members [][]byte
	for i := range 100 {
		members = append(members, fmt.Appendf(nil, "member:%d", i))
		z.Add(members[i], float64(i), lim)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		z.Add(members[r.IntN(len(members))], float64(r.IntN(1000)), lim)
	}
}
