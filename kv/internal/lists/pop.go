package lists

import (
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// replyEnd replies n elements from an end on.
func replyEnd(c *engine.Client, l *List, e end, n int) {
	c.Array(n)
	at, step := l.last(e), (*Cursor).Next
	if e == back {
		step = (*Cursor).Prev
	}
	for range n {
		replyElement(c, &at)
		step(&at)
	}
}

// pop is LPOP and RPOP.
func pop(e end) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		if len(args) > 3 {
			c.WrongArity(c.Command().FullName())
			return
		}
		count, counted := int64(1), len(args) == 3
		if counted {
			var ok bool
			if count, ok = atLeast(c, args[2], 0, engine.ErrNotPositive); !ok {
				return
			}
		}
		l, found, ok := edit(c, args[1])
		switch {
		case !ok:
		case !found && counted:
			c.NullArray()
		case !found:
			c.Null()
		case count == 0:
			c.Array(0)
		case !counted:
			at := l.last(e)
			replyElement(c, &at)
			l.drop(e, 1)
			lost(c, args[1], l, 1, e.popEvent())
		default:
			n := int(min(count, int64(l.Len())))
			replyEnd(c, l, e, n)
			l.drop(e, n)
			lost(c, args[1], l, n, e.popEvent())
		}
	}
}

// pops is one of the commands that take elements from the first of several keys that there is.
type pops struct {
	from  end
	count int64 // 0: one, which is replied by itself
}

// take replies the key and elements, and removes these. The list is not empty.
func (p *pops) take(c *engine.Client, key []byte, l *List) {
	c.Array(2)
	c.Bulk(key)
	if p.count == 0 {
		at := l.last(p.from)
		replyElement(c, &at)
		l.drop(p.from, 1)
		c.Propagate(p.from.popWord(), key)
		lost(c, key, l, 1, p.from.popEvent())
		return
	}
	n := int(min(p.count, int64(l.Len())))
	replyEnd(c, l, p.from, n)
	l.drop(p.from, n)
	c.Propagate(p.from.popWord(), key, strconv.AppendInt(nil, int64(n), 10))
	lost(c, key, l, n, p.from.popEvent())
}

// first takes from the first of the keys that there is. It reports whether it has replied.
func (p *pops) first(c *engine.Client, keys [][]byte) bool {
	for _, key := range keys {
		l, found, ok := edit(c, key)
		if !ok {
			return true
		}
		if found {
			p.take(c, key, l)
			return true
		}
	}
	return false
}

// await takes from the first of the keys that there is, now or before the time is over.
func (p pops) await(c *engine.Client, keys [][]byte, seconds []byte) {
	timeout, ok := c.ParseTimeout(seconds)
	if !ok || p.first(c, keys) {
		return
	}
	if !c.CanBlock() {
		c.NullArray()
		return
	}
	c.Park(engine.Wait{
		Keys:    keys,
		Timeout: timeout,
		Serve: func(c *engine.Client, key []byte) bool {
			l := there(c, key)
			if l == nil {
				return false
			}
			p.take(c, key, l)
			return true
		},
		Expired: (*engine.Client).NullArray,
	})
}

// there returns the list of a key for writing, or nil if the key holds none.
func there(c *engine.Client, key []byte) *List {
	en := c.DB().Peek(key)
	if en == nil || engine.TypeOf(en) != engine.TypeList {
		return nil
	}
	l, _, _ := edit(c, key)
	return l
}

// blockingPop is BLPOP and BRPOP.
func blockingPop(e end) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		pops{from: e}.await(c, args[1:len(args)-1], args[len(args)-1])
	}
}

func lmpop(c *engine.Client, args [][]byte) {
	if p, keys, ok := parsePops(c, args[1:]); ok && !p.first(c, keys) {
		c.NullArray()
	}
}

func blmpop(c *engine.Client, args [][]byte) {
	if p, keys, ok := parsePops(c, args[2:]); ok {
		p.await(c, keys, args[1])
	}
}

// parsePops reads "numkeys key … LEFT|RIGHT [COUNT count]".
func parsePops(c *engine.Client, args [][]byte) (p pops, keys [][]byte, ok bool) {
	n, ok := atLeast(c, args[0], 1, "ERR numkeys should be greater than 0")
	if !ok {
		return p, nil, false
	}
	if n >= int64(len(args)-1) {
		c.Error(engine.ErrSyntax)
		return p, nil, false
	}
	keys, args = args[1:1+n], args[1+n:]
	if p.from, ok = parseEnd(c, args[0]); !ok {
		return p, nil, false
	}
	for args = args[1:]; len(args) > 0; args = args[2:] {
		if p.count > 0 || len(args) < 2 || !engine.EqualFold(args[0], "COUNT") {
			c.Error(engine.ErrSyntax)
			return p, nil, false
		}
		if p.count, ok = atLeast(c, args[1], 1, "ERR count should be greater than 0"); !ok {
			return p, nil, false
		}
	}
	p.count = max(p.count, 1)
	return p, keys, true
}
