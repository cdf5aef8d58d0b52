package table

import (
	"math/rand/v2"
	"testing"
)

const benchKeys = 1_000_000

func loaded(n int) (*Table, [][]byte) {
	tab, keys := New(1), make([][]byte, n)
	for i := range keys {
		keys[i] = number(i)
		tab.Put(keys[i], keys[i], 0)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return tab, keys
}

// write writes number(i) to dst without taking memory, nor long.
func write(dst []byte, i int) {
	for p := len(dst) - 1; i > 0; p-- {
		dst[p] = byte('0' + i%10)
		i /= 10
	}
}

// jump is a number below benchKeys for each i, all over the place.
func jump(i int) int { return int(uint32(i*2654435761)>>8) * 15625 >> 18 }

func BenchmarkFind(b *testing.B) {
	tab, keys := loaded(benchKeys)
	b.Run("random", func(b *testing.B) {
		key := number(0)
		for i := range b.N {
			copy(key[4:], "000000000000")
			write(key, jump(i))
			if tab.Find(key) == nil {
				b.Fatal("lost")
			}
		}
	})
	b.Run("hot", func(b *testing.B) {
		for i := range b.N {
			if tab.Find(keys[i%64]) == nil {
				b.Fatal("lost")
			}
		}
	})
	b.Run("prefetched", func(b *testing.B) {
		batch := make([][]byte, 32)
		for i := range batch {
			batch[i] = number(0)
		}
		for i := 0; i < b.N; i += 32 {
			for j, k := range batch {
				copy(k[4:], "000000000000")
				write(k, jump(i+j))
				tab.Prefetch(k)
			}
			for _, k := range batch {
				if tab.Find(k) == nil {
					b.Fatal("lost")
				}
			}
		}
	})
	b.Run("missing", func(b *testing.B) {
		key := []byte("key:missing00000")
		for i := range b.N {
			key[15] = byte(i)
			if tab.Find(key) != nil {
				b.Fatal("found")
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	b.Run("overwrite", func(b *testing.B) {
		tab, keys := loaded(benchKeys)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			tab.Put(keys[i%len(keys)], keys[0], 0)
		}
	})
	b.Run("new", func(b *testing.B) {
		_, keys := loaded(benchKeys)
		tab := New(1)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if i%len(keys) == 0 {
				tab = New(1)
			}
			tab.Put(keys[i%len(keys)], keys[0], 0)
		}
	})
}

func BenchmarkDelete(b *testing.B) {
	tab, keys := loaded(benchKeys)
	b.ResetTimer()
	for i := range b.N {
		if i%len(keys) == 0 && i > 0 {
			b.StopTimer()
			tab, keys = loaded(benchKeys)
			b.StartTimer()
		}
		tab.Delete(keys[i%len(keys)])
	}
}

func BenchmarkClone(b *testing.B) {
	tab, _ := loaded(benchKeys)
	for b.Loop() {
		tab.Clone(2)
	}
}

func BenchmarkScan(b *testing.B) {
	tab, _ := loaded(benchKeys)
	n, cursor := 0, uint64(0)
	for b.Loop() {
		cursor = tab.Scan(cursor, func(*Entry) { n++ })
	}
	b.ReportMetric(float64(n)/float64(b.N), "entries/op")
}
