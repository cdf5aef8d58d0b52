package scan

import "github.com/zmsg/zmsg/kv/internal/engine"

// LongestReply is how many bytes a client is sent at most of elements that are chosen again and again.
const LongestReply = 32 << 20

// Repeat calls one, which replies an element, n times: for commands whose count may ask for more than there
// is memory, or for longer than others can wait. After most bytes it gives up, and replies an error in place
// of all since from.
func Repeat(c *engine.Client, from engine.Mark, n int64, most int, one func()) {
	for ; n > 0; n-- {
		if len(c.Since(from)) > most {
			c.Undo(from)
			c.Error("ERR value is out of range, the reply would be too long")
			return
		}
		one()
	}
}
