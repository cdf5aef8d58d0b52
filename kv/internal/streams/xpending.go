package streams

import (
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func xack(c *engine.Client, args [][]byte) {
	s, found, ok := engine.Edit[*Stream](c, args[1])
	if !ok {
		return
	}
	if !found || s.Group(args[2]) == nil {
		c.Int(0)
		return
	}
	ids, ok := parseIDs(c, args[3:])
	if !ok {
		return
	}
	g := s.EditGroup(args[2])
	done := 0
	for _, id := range ids {
		if s.acknowledge(g, id) {
			done++
			c.Dirtied()
		}
	}
	c.Count(done)
}

// noGroup replies that there is no such key or group.
func noGroup(c *engine.Client, key, group []byte) {
	c.Error(fmt.Sprintf("NOGROUP No such key '%s' or consumer group '%s'", engine.CText(key), engine.CText(group)))
}

// pendingRange is what XPENDING asks for.
type pendingRange struct {
	idle     int64 // ms, 0 is any
	from, to ID
	count    int64
	consumer []byte // nil is all
}

// parsePending reads the arguments of XPENDING from the range on; it replies the error.
func parsePending(c *engine.Client, args [][]byte) (r pendingRange, ok bool) {
	at := 3
	if engine.EqualFold(args[3], "IDLE") {
		if r.idle, ok = c.ParseInt(args[4]); !ok {
			return r, false
		}
		if len(args) < 8 {
			c.Error(engine.ErrSyntax)
			return r, false
		}
		at = 5
	}
	if r.count, ok = c.ParseInt(args[at+2]); !ok {
		return r, false
	}
	if r.from, ok = parseLow(c, args[at]); !ok {
		return r, false
	}
	if r.to, ok = parseHigh(c, args[at+1]); !ok {
		return r, false
	}
	if at+3 < len(args) {
		r.consumer = args[at+3]
	}
	return r, true
}

func xpending(c *engine.Client, args [][]byte) {
	var r pendingRange
	summary := len(args) == 3
	if !summary {
		if len(args) < 6 || len(args) > 9 {
			c.Error(engine.ErrSyntax)
			return
		}
		var ok bool
		if r, ok = parsePending(c, args); !ok {
			return
		}
	}
	s, found, ok := engine.Get[*Stream](c, args[1])
	if !ok {
		return
	}
	var g *Group
	if found {
		g = s.Group(args[2])
	}
	switch {
	case g == nil:
		noGroup(c, args[1], args[2])
	case summary:
		summarise(c, g)
	default:
		r.reply(c, g)
	}
}

func summarise(c *engine.Client, g *Group) {
	c.Array(4)
	c.Count(g.pel.n)
	if g.pel.n == 0 {
		c.Null()
		c.Null()
		c.NullArray()
		return
	}
	first, _ := g.pel.from(ID{})
	bulkID(c, first.ID)
	bulkID(c, g.pel.last().ID)
	mark, n := c.Later(), 0
	for consumer := range g.Consumers() {
		if consumer.pel.n > 0 {
			c.Array(2)
			c.BulkString(consumer.name)
			c.BulkInt(int64(consumer.pel.n))
			n++
		}
	}
	c.SetLen(mark, '*', n)
}

func (r *pendingRange) reply(c *engine.Client, g *Group) {
	mark, n := c.Later(), 0
	now := c.Engine().Now()
	// one replies what is pending; it reports false when there is no more.
	one := func(p Pending) bool {
		if r.count <= 0 || r.to.less(p.ID) {
			return false
		}
		if r.idle != 0 && now-p.Time < r.idle {
			return true
		}
		c.Array(4)
		bulkID(c, p.ID)
		c.BulkString(g.slots[p.owner].name)
		c.Int(max(now-p.Time, 0))
		c.Int(int64(p.Count))
		n++
		r.count--
		return true
	}
	if r.consumer == nil {
		g.pel.all(r.from)(one)
	} else if consumer := g.Consumer(r.consumer); consumer != nil {
		consumer.pel.all(r.from)(func(id ID) bool {
			p, _ := g.pel.get(id)
			return one(p)
		})
	}
	c.SetLen(mark, '*', n)
}
