package streams

import (
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
)

func xlen(c *engine.Client, args [][]byte) {
	s, found, ok := engine.Get[*Stream](c, args[1])
	switch {
	case found:
		c.Int(int64(s.meta.Length))
	case ok:
		c.Int(0)
	}
}

func xrange(c *engine.Client, args [][]byte) { rangeOf(c, args, args[2], args[3], false) }

func xrevrange(c *engine.Client, args [][]byte) { rangeOf(c, args, args[3], args[2], true) }

func rangeOf(c *engine.Client, args [][]byte, low, high []byte, back bool) {
	from, ok := parseLow(c, low)
	if !ok {
		return
	}
	to, ok := parseHigh(c, high)
	if !ok {
		return
	}
	count := int64(-1)
	for i := 4; i < len(args); i += 2 {
		if i+1 == len(args) || !engine.EqualFold(args[i], "COUNT") {
			c.Error(engine.ErrSyntax)
			return
		}
		if count, ok = c.ParseInt(args[i+1]); !ok {
			return
		}
		count = max(count, 0)
	}
	s, found, ok := engine.Get[*Stream](c, args[1])
	switch {
	case !ok:
	case !found:
		c.Array(0)
	case count == 0:
		c.NullArray()
	default:
		replyEntries(c, s.walk(from, to, back), count)
	}
}

// replyEntries replies an array of the entries of a walk, at most count if that is positive.
func replyEntries(c *engine.Client, w *walker, count int64) {
	mark, n := c.Later(), int64(0)
	for w.next() {
		replyEntry(c, w)
		if n++; n == count {
			break
		}
	}
	c.SetLen(mark, '*', int(n))
}

// replyEntry replies the entry that a walk is at: its ID and its fields.
func replyEntry(c *engine.Client, w *walker) {
	c.Array(2)
	bulkID(c, w.id)
	c.Array(int(2 * w.fields))
	w.each(func(p listpack.Pack, name, value int) {
		replyElement(c, p, name)
		replyElement(c, p, value)
	})
}

// replyOne replies the entry of an ID. It reports false, and replies nothing, if there is none.
func replyOne(c *engine.Client, s *Stream, id ID) bool {
	w, found := s.find(id)
	if found {
		replyEntry(c, w)
	}
	return found
}

func replyElement(c *engine.Client, p listpack.Pack, pos int) {
	str, n, isInt := p.Get(pos)
	if isInt {
		c.BulkInt(n)
	} else {
		c.Bulk(str)
	}
}

func appendInt(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
