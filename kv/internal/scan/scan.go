// Package scan is what SSCAN, HSCAN and their like have in common: the cursor, the options and the form of the
// reply.
package scan

import (
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/glob"
)

// Options are what a scan is told.
type Options struct {
	Count   int64  // about how many elements one call shall look at
	Pattern []byte // the names that are replied; nil is all
}

// ParseCursor reads a cursor as Redis does, with C's strtoul: there may be a sign, and nothing at all is 0.
func ParseCursor(text []byte) (uint64, bool) {
	if len(text) == 0 {
		return 0, true
	}
	digits, negative := text, false
	if text[0] == '-' || text[0] == '+' {
		digits, negative = text[1:], text[0] == '-'
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// Parse reads COUNT and MATCH from the arguments behind the cursor. It reports false when it has replied an
// error.
func (o *Options) Parse(c *engine.Client, args [][]byte) (ok bool) {
	for ; len(args) > 0; args = args[2:] {
		switch {
		case len(args) > 1 && engine.EqualFold(args[0], "COUNT"):
			if o.Count, ok = c.ParseInt(args[1]); !ok {
				return false
			}
			if o.Count < 1 {
				c.Error(engine.ErrSyntax)
				return false
			}
		case len(args) > 1 && engine.EqualFold(args[0], "MATCH"):
			if o.Pattern = args[1]; string(o.Pattern) == "*" {
				o.Pattern = nil
			}
		default:
			c.Error(engine.ErrSyntax)
			return false
		}
	}
	return true
}

// Match reports whether an element of that name is to be replied.
func (o *Options) Match(name []byte) bool {
	return o.Pattern == nil || glob.Match(o.Pattern, name, false)
}

// Cursor reads the cursor argument; it replies the error if it is none.
func Cursor(c *engine.Client, arg []byte) (cursor uint64, ok bool) {
	if cursor, ok = ParseCursor(arg); !ok {
		c.Error("ERR invalid cursor")
	}
	return cursor, ok
}

// Nothing replies the end of a scan without elements: that of a key which is not there.
func Nothing(c *engine.Client) {
	c.Array(2)
	c.BulkString("0")
	c.Array(0)
}

// Reply goes on with a scan from a cursor, as the options say, and replies the elements and the cursor to
// go on with. step looks at some elements: for each it calls take with its name, and if that reports true it
// replies the width bulk strings that the element has; it returns the next cursor, 0 at the end.
func (o *Options) Reply(c *engine.Client, cursor uint64, width int, step func(cursor uint64, take func(name []byte) bool) uint64) {
	c.Array(2)
	mark := c.Later()
	seen, taken := int64(0), 0
	take := func(name []byte) bool {
		seen++
		if !o.Match(name) {
			return false
		}
		taken++
		return true
	}
	// Where the table is sparse, a call must not keep everybody waiting for so many elements.
	steps := o.Count
	if steps <= math.MaxInt64/10 {
		steps *= 10
	}
	for ; ; steps-- {
		if cursor = step(cursor, take); cursor == 0 || seen >= o.Count || steps <= 0 {
			break
		}
	}
	rows := append([]byte(nil), c.Since(mark)...)
	c.Undo(mark)
	c.BulkString(strconv.FormatUint(cursor, 10))
	c.Array(width * taken)
	c.Reply(rows)
}
