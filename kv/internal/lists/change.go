package lists

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// push is LPUSH, RPUSH, LPUSHX and RPUSHX.
func push(e end, onlyExisting bool) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		key := args[1]
		l, found, ok := edit(c, key)
		switch {
		case !ok:
			return
		case !found && onlyExisting:
			c.Count(0)
			return
		case !found:
			l = create(c, key)
		}
		for _, v := range args[2:] {
			l.push(e, v)
		}
		c.Count(l.Len())
		c.Changed(key, engine.EventList, e.pushEvent())
		dirtied(c, len(args)-3)
	}
}

func insert(c *engine.Client, args [][]byte) {
	after := engine.EqualFold(args[2], "AFTER")
	if !after && !engine.EqualFold(args[2], "BEFORE") {
		c.Error(engine.ErrSyntax)
		return
	}
	l, found, ok := edit(c, args[1])
	if !found {
		if ok {
			c.Count(0)
		}
		return
	}
	at := l.At(0)
	for at.Valid() && !at.Equal(args[3]) {
		at.Next()
	}
	if !at.Valid() {
		c.Int(-1)
		return
	}
	if after {
		l.InsertAfter(at, args[4])
	} else {
		l.InsertBefore(at, args[4])
	}
	c.Count(l.Len())
	c.Changed(args[1], engine.EventList, "linsert")
}

func set(c *engine.Client, args [][]byte) {
	l, found, ok := edit(c, args[1])
	if !found {
		if ok {
			c.Error(engine.ErrNoKey)
		}
		return
	}
	i, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if i < 0 {
		i += int64(l.Len())
	}
	if i < 0 || i >= int64(l.Len()) {
		c.Error(engine.ErrOutOfRange)
		return
	}
	l.Set(int(i), args[3])
	c.OK()
	c.Changed(args[1], engine.EventList, "lset")
}

// clamp makes the indexes of a first and a last element, negative ones counted from the end, those of
// elements of a list: from and below to.
func clamp(first, last int64, size int) (from, to int) {
	n := int64(size)
	if first < 0 {
		first = max(first+n, 0)
	}
	if last < 0 {
		last += n
	}
	last = min(last, n-1)
	if first > last {
		return 0, 0
	}
	return int(first), int(last) + 1
}

func trim(c *engine.Client, args [][]byte) {
	first, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	last, ok := c.ParseInt(args[3])
	if !ok {
		return
	}
	l, found, ok := edit(c, args[1])
	if !found {
		if ok {
			c.OK()
		}
		return
	}
	from, to := clamp(first, last, l.Len())
	gone := l.Len() - (to - from)
	l.Delete(to, l.Len()-to)
	l.Delete(0, from)
	c.OK()
	lost(c, args[1], l, gone, "ltrim")
	if gone == 0 {
		c.PropagateNothing() // the event and the watchers are told of it nevertheless
	}
}

func remove(c *engine.Client, args [][]byte) {
	n, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	n = max(n, -math.MaxInt64) // so that it can be negated
	l, found, ok := edit(c, args[1])
	if !found {
		if ok {
			c.Count(0)
		}
		return
	}
	limit := n
	if n < 0 {
		limit = -n
	} else if n == 0 {
		limit = math.MaxInt64
	}
	removed := l.Remove(args[3], int(limit), n < 0)
	c.Count(removed)
	if removed > 0 {
		lost(c, args[1], l, removed, "lrem")
	}
}
