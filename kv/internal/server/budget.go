package server

import "sync"

// kicker is a connection that can be closed from elsewhere.
type kicker interface{ kick() }

// budget bounds the input that all connections hold.
type budget struct {
	mu    sync.Mutex
	limit int64
	total int64
	held  map[kicker]int64
}

// set notes how many bytes k holds. When it is too much for all, who holds the most is closed.
func (b *budget) set(k kicker, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.change(k, int64(bytes))
	for b.total > b.limit {
		var largest kicker
		for other, n := range b.held {
			if largest == nil || n > b.held[largest] {
				largest = other
			}
		}
		b.change(largest, 0)
		largest.kick()
	}
}

func (b *budget) change(k kicker, bytes int64) {
	b.total += bytes - b.held[k]
	if bytes == 0 {
		delete(b.held, k)
	} else {
		b.held[k] = bytes
	}
}
