package scalars

import (
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// lookForWriting returns the entry of a key (nil if there is none) and its string, to be read before grow.
// If it reports false, that is of another type, and it has replied so.
func lookForWriting(c *engine.Client, key []byte) (en *table.Entry, s []byte, ok bool) {
	if en = c.DB().Write(key); en == nil {
		return nil, nil, true
	}
	if s, ok = engine.StringOf(en); !ok {
		c.Error(engine.ErrWrongType)
	}
	return en, s, ok
}

// grow returns the string of an entry that lookForWriting has returned, to be changed in place. It is made
// size bytes long, with zeros at the end, if it is shorter.
func grow(c *engine.Client, key []byte, en *table.Entry, size int) *engine.Raw {
	var old []byte
	var deadline int64
	if en != nil {
		if b := en.Box(); b != nil {
			r := b.Val.(*engine.Raw)
			r.B = extend(r.B, size)
			return r
		}
		old, deadline = en.Value(), en.Deadline()
	}
	b := make([]byte, max(size, len(old)))
	copy(b, old)
	r := engine.NewRaw(c.DB().Stamp(), b)
	c.DB().SetValue(key, r, deadline)
	return r
}

// extend makes b at least size bytes long, with zeros.
func extend(b []byte, size int) []byte {
	n := len(b)
	if n >= size {
		return b
	}
	b = slices.Grow(b, size-n)[:size]
	clear(b[n:])
	return b
}

// fits reports whether a string may be size bytes long. If not, it replies the error.
func fits(c *engine.Client, size int64) bool {
	if size < 0 || size > int64(c.Engine().Config().ProtoMaxBulk) && !c.Engine().Loading() {
		c.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
		return false
	}
	return true
}

func appendTo(c *engine.Client, args [][]byte) {
	key, tail := args[1], args[2]
	en, s, ok := lookForWriting(c, key)
	if !ok {
		return
	}
	size := len(s) + len(tail)
	switch {
	case en == nil:
		c.DB().SetString(key, tail, 0)
	case !fits(c, int64(size)):
		return
	default:
		r := grow(c, key, en, 0)
		r.B = append(r.B, tail...)
	}
	c.Changed(key, engine.EventString, "append")
	c.Count(size)
}

func strLen(c *engine.Client, args [][]byte) {
	if s, _, ok := engine.GetString(c, args[1]); ok {
		c.Count(len(s))
	}
}

func setRange(c *engine.Client, args [][]byte) {
	key, patch := args[1], args[3]
	offset, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if offset < 0 {
		c.Error("ERR offset is out of range")
		return
	}
	en, s, ok := lookForWriting(c, key)
	if !ok {
		return
	}
	if len(patch) == 0 {
		c.Count(len(s))
		return
	}
	if !fits(c, offset+int64(len(patch))) {
		return
	}
	r := grow(c, key, en, int(offset)+len(patch))
	copy(r.B[offset:], patch)
	c.Changed(key, engine.EventString, "setrange")
	c.Count(len(r.B))
}

func getRange(c *engine.Client, args [][]byte) {
	start, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	end, ok := c.ParseInt(args[3])
	if !ok {
		return
	}
	s, _, ok := engine.GetString(c, args[1])
	if !ok {
		return
	}
	backwards := start < 0 && end < 0 && start > end
	if start, end = span(start, end, int64(len(s))); backwards || start > end {
		c.Bulk(nil)
		return
	}
	c.Bulk(s[start : end+1])
}

// span makes places in a string of n elements, which count from its end if they are negative, ones within
// it. The range is empty if start > end.
func span(start, end, n int64) (int64, int64) {
	if start < 0 {
		start = max(0, n+start)
	}
	if end < 0 {
		end = max(0, n+end)
	}
	return start, min(end, n-1)
}
