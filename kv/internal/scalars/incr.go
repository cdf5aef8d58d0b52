package scalars

import (
	"math"
	"math/big"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func incr(c *engine.Client, args [][]byte) { add(c, args[1], 1) }

func decr(c *engine.Client, args [][]byte) { add(c, args[1], -1) }

func incrBy(c *engine.Client, args [][]byte) {
	if n, ok := c.ParseInt(args[2]); ok {
		add(c, args[1], n)
	}
}

func decrBy(c *engine.Client, args [][]byte) {
	n, ok := c.ParseInt(args[2])
	switch {
	case !ok:
	case n == math.MinInt64:
		c.Error("ERR decrement would overflow")
	default:
		add(c, args[1], -n)
	}
}

// add adds n to the integer under key.
func add(c *engine.Client, key []byte, n int64) {
	var value, deadline int64
	en := c.DB().Peek(key)
	if en != nil {
		s, ok := engine.StringOf(en)
		if !ok {
			c.Error(engine.ErrWrongType)
			return
		}
		if value, ok = c.ParseInt(s); !ok {
			return
		}
		deadline = en.Deadline()
	}
	if n < 0 && value < math.MinInt64-n || n > 0 && value > math.MaxInt64-n {
		c.Error(engine.ErrOverflow)
		return
	}
	var buf [20]byte
	text := strconv.AppendInt(buf[:0], value+n, 10)
	if en == nil || !c.DB().Overwrite(en, text) {
		c.DB().SetString(key, text, deadline)
	}
	c.Changed(key, engine.EventString, "incrby")
	c.Int(value + n)
}

func incrByFloat(c *engine.Client, args [][]byte) {
	key := args[1]
	value, deadline := new(big.Float), int64(0)
	if en := c.DB().Peek(key); en != nil {
		s, ok := engine.StringOf(en)
		if !ok {
			c.Error(engine.ErrWrongType)
			return
		}
		if value, ok = parseFloat(s); !ok {
			c.Error(engine.ErrNotFloat)
			return
		}
		deadline = en.Deadline()
	}
	n, ok := parseFloat(args[2])
	if !ok {
		c.Error(engine.ErrNotFloat)
		return
	}
	sum, ok := addFloats(value, n)
	if !ok {
		c.Error("ERR increment would produce NaN or Infinity")
		return
	}
	var buf [64]byte
	text := appendFloat(buf[:0], sum)
	c.DB().SetString(key, text, deadline)
	c.Changed(key, engine.EventString, "incrbyfloat")
	c.Bulk(text)
	c.Propagate(wordSet, key, text, wordKeepTTL)
}
