package hashes

import (
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scalars"
)

func hincrby(c *engine.Client, args [][]byte) {
	n, ok := c.ParseInt(args[3])
	if !ok {
		return
	}
	key, field := args[1], args[2]
	h, found, ok := editing(c, key)
	if !ok {
		return
	}
	old, there := h.get(field)
	value := old.n
	if there && !old.isInt {
		if value, ok = engine.ParseInt(old.b); !ok {
			c.Error("ERR hash value is not an integer")
			return
		}
	}
	if n < 0 && value < math.MinInt64-n || n > 0 && value > math.MaxInt64-n {
		c.Error(engine.ErrOverflow)
		return
	}
	var buf [20]byte
	h.Set(field, strconv.AppendInt(buf[:0], value+n, 10), limits(c))
	stored(c, key, h, found, "hincrby")
	c.Int(value + n)
}

var wordHSet = []byte("HSET")

func hincrbyfloat(c *engine.Client, args [][]byte) {
	n, ok := scalars.ParseFloat(args[3])
	switch {
	case !ok:
		c.Error(engine.ErrNotFloat)
		return
	case n.IsInf():
		c.Error("ERR value is NaN or Infinity")
		return
	}
	key, field := args[1], args[2]
	h, found, ok := editing(c, key)
	if !ok {
		return
	}
	if old, there := h.get(field); there {
		var buf [24]byte
		value, ok := scalars.ParseFloat(old.bytes(buf[:]))
		if !ok {
			c.Error("ERR hash value is not a float")
			return
		}
		if n, ok = scalars.AddFloats(value, n); !ok {
			c.Error("ERR increment would produce NaN or Infinity")
			return
		}
	}
	var buf [64]byte
	sum := scalars.AppendFloat(buf[:0], n)
	h.Set(field, sum, limits(c))
	stored(c, key, h, found, "hincrbyfloat")
	c.Bulk(sum)
	c.Propagate(wordHSet, key, field, sum)
}
