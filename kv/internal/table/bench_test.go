package table

import (
	"math/rand/v2"
	"testing"
)

const benchKeys = 1_000_000

// loaded returns a table with benchKeys keys, and the keys in another order, one after the other in memory as those
// of requests would be.
func loaded() (*Table, [][]byte) {
	tab, keys := New(1), make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = number(i)
		tab.Put(keys[i], keys[i], 0)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(benchKeys, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var buf []byte
	for _, k := range keys {
		buf = append(buf, k...)
	}
	for i := range keys {
		keys[i] = buf[i*len(keys[0]):][:len(keys[0])]
	}
	return tab, keys
}

func BenchmarkFind(b *testing.B) {
	tab, keys := loaded()
	b.Run("random", func(b *testing.B) {
		for i := range b.N {
			if tab.Find(keys[i%len(keys)]) == nil {
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
		for i := 0; i < b.N; i += MaxPrefetch {
			batch := keys[i%(len(keys)-MaxPrefetch):][:MaxPrefetch]
			tab.Prefetch(batch)
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
		tab, keys := loaded()
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			tab.Put(keys[i%len(keys)], keys[0], 0)
		}
	})
	b.Run("new", func(b *testing.B) {
		_, keys := loaded()
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
	tab, keys := loaded()
	b.ResetTimer()
	for i := range b.N {
		if i%len(keys) == 0 && i > 0 {
			b.StopTimer()
			tab, keys = loaded()
			b.StartTimer()
		}
		tab.Delete(keys[i%len(keys)])
	}
}

func BenchmarkClone(b *testing.B) {
	tab, _ := loaded()
	for b.Loop() {
		tab.Clone(2)
	}
}

func BenchmarkScan(b *testing.B) {
	tab, _ := loaded()
	n, cursor := 0, uint64(0)
	for b.Loop() {
		cursor = tab.Scan(cursor, func(*Entry) { n++ })
	}
	b.ReportMetric(float64(n)/float64(b.N), "entries/op")
}
