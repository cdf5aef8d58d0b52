package scan

import "github.com/zmsg/zmsg/kv/internal/engine"

// LongestReply is how many bytes a client is sent at most of elements that are chosen again and again.
const LongestReply = 1 << 30

// Repeat calls one, which replies an element, n times: for commands whose count may ask for more than there
// is memory. After most bytes it gives up, and the connection is closed.
func Repeat(c *engine.Client, n int64, most int, one func()) {
	for ; n > 0; n-- {
		if c.Pending() > most {
			c.Kick()
			return
		}
		one()
	}
}
