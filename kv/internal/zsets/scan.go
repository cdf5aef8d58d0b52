package zsets

import (
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/glob"
)

// scanning is what ZSCAN is told.
type scanning struct {
	count   int64
	pattern []byte // nil takes all
}

func zscan(c *engine.Client, args [][]byte) {
	cursor, ok := parseCursor(args[2])
	if !ok {
		c.Error("ERR invalid cursor")
		return
	}
	z, ok := reading(c, args[1])
	if !ok {
		return
	}
	s := scanning{count: 10}
	if z != nil && !s.parse(c, args[3:]) {
		return
	}
	c.Array(2)
	mark, n := c.Later(), 0
	next := uint64(0)
	if z != nil {
		next, n = s.run(c, z, cursor)
	}
	rows := append([]byte(nil), c.Since(mark)...)
	c.Undo(mark)
	c.BulkString(strconv.FormatUint(next, 10))
	c.Array(2 * n)
	c.Reply(rows)
}

func (s *scanning) parse(c *engine.Client, args [][]byte) (ok bool) {
	for ; len(args) > 0; args = args[2:] {
		switch {
		case len(args) > 1 && engine.EqualFold(args[0], "COUNT"):
			if s.count, ok = c.ParseInt(args[1]); !ok {
				return false
			}
			if s.count < 1 {
				c.Error(engine.ErrSyntax)
				return false
			}
		case len(args) > 1 && engine.EqualFold(args[0], "MATCH"):
			if s.pattern = args[1]; string(s.pattern) == "*" {
				s.pattern = nil
			}
		default:
			c.Error(engine.ErrSyntax)
			return false
		}
	}
	return true
}

// run replies the members that the steps of one call come by, and returns how many they are.
func (s *scanning) run(c *engine.Client, z *ZSet, cursor uint64) (next uint64, n int) {
	seen := int64(0)
	var buf [40]byte
	emit := func(member []byte, score float64) {
		seen++
		if s.pattern != nil && !glob.Match(s.pattern, member, false) {
			return
		}
		n++
		c.Bulk(member)
		if z.dict == nil {
			c.Bulk(AppendScore(buf[:0], score))
		} else {
			c.Bulk(appendLong(buf[:0], score))
		}
	}
	// A sparse table must not keep everybody waiting.
	steps := s.count
	if steps <= math.MaxInt64/10 {
		steps *= 10
	}
	for next = cursor; ; steps-- {
		next = z.Scan(next, emit)
		if next == 0 || seen >= s.count || steps <= 0 {
			return next, n
		}
	}
}

// parseCursor reads a cursor as Redis does, with C's strtoul.
func parseCursor(text []byte) (uint64, bool) {
	digits, negative := text, false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		digits, negative = text[1:], text[0] == '-'
	}
	if len(text) == 0 {
		return 0, true
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}
