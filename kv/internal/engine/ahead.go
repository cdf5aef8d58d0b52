package engine

import "github.com/zmsg/zmsg/kv/internal/resp"

const (
	// aheadFrom is the number of keys from which on a look-up misses the caches.
	aheadFrom = 1 << 14
	// aheadBytes is what more than one request has at the least that asks for a key.
	aheadBytes = 50
)

// lookAhead has the memory of the next requests' keys read before the first of them waits for its own. It
// returns how much of in that was for.
func (c *Client) lookAhead(in []byte) int {
	if len(in) < aheadBytes || c.db.t.Len() < aheadFrom {
		return len(in)
	}
	keys, seen := resp.Peek(in, c.e.aheadKeys[:0])
	c.db.t.Prefetch(keys)
	clear(keys) // they keep the input alive
	return max(1, seen)
}
