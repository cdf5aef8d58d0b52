package zsets

import (
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// pop is one of the commands that take the first or last members out of a set.
type pop struct {
	last  bool
	count int64
	one   bool // without a count
	pairs bool // members with their scores as pairs, whatever the protocol
	named bool // the key is replied too
}

// event is the command that has the same effect, under which the log and the events know it.
func (p *pop) event() string {
	if p.last {
		return "zpopmax"
	}
	return "zpopmin"
}

func zpopmin(c *engine.Client, args [][]byte) { popOne(c, args, pop{}) }

func zpopmax(c *engine.Client, args [][]byte) { popOne(c, args, pop{last: true}) }

func popOne(c *engine.Client, args [][]byte, p pop) {
	p.count, p.one = 1, true
	switch {
	case len(args) > 3:
		c.Error(engine.ErrSyntax)
		return
	case len(args) == 3:
		n, ok := atLeast(c, args[2], 0, engine.ErrNotPositive)
		if !ok {
			return
		}
		p.count, p.one, p.pairs = n, false, wide(c)
	}
	z, ok := writing(c, args[1])
	switch {
	case !ok:
	case z == nil || p.count == 0:
		c.Array(0)
	default:
		p.take(c, args[1], z)
	}
}

// take replies members and removes them. The set is not empty, nor is the count 0. It returns how many they
// are.
func (p *pop) take(c *engine.Client, key []byte, z *ZSet) int {
	n := int(min(p.count, int64(z.Len())))
	switch {
	case p.pairs && p.named:
		c.Array(2)
		c.Bulk(key)
		c.Array(n)
	case p.pairs:
		c.Array(n)
	case p.named:
		c.Array(2*n + 1)
		c.Bulk(key)
	default:
		c.Array(2 * n)
	}
	lo, walk := 0, z.Ascend
	if p.last {
		lo, walk = z.Len()-n, z.Descend
	}
	for member, score := range walk(lo, lo+n) {
		if p.pairs {
			c.Array(2)
		}
		c.Bulk(member)
		c.Double(score)
	}
	z.RemoveSpan(lo, lo+n)
	lost(c, key, z, p.event())
	return n
}

// takeLogged is take for commands that the log knows under the name of a simpler one.
func (p *pop) takeLogged(c *engine.Client, key []byte, z *ZSet) {
	name := []byte("ZPOPMIN")
	if p.last {
		name = []byte("ZPOPMAX")
	}
	n := p.take(c, key, z)
	if p.one {
		c.Propagate(name, key)
	} else {
		c.Propagate(name, key, strconv.AppendInt(nil, int64(n), 10))
	}
}

// first takes from the first of the keys that there is. It reports whether it has replied.
func (p *pop) first(c *engine.Client, keys [][]byte) bool {
	for _, key := range keys {
		z, ok := writing(c, key)
		if !ok {
			return true
		}
		if z != nil {
			p.takeLogged(c, key, z)
			return true
		}
	}
	return false
}

func bzpopmin(c *engine.Client, args [][]byte) { popBlocking(c, args, pop{}) }

func bzpopmax(c *engine.Client, args [][]byte) { popBlocking(c, args, pop{last: true}) }

func popBlocking(c *engine.Client, args [][]byte, p pop) {
	p.count, p.one, p.named = 1, true, true
	p.await(c, args[1:len(args)-1], args[len(args)-1])
}

// await takes from the first of the keys that there is, now or before the time is over.
func (p *pop) await(c *engine.Client, keys [][]byte, seconds []byte) {
	timeout, ok := c.ParseTimeout(seconds)
	if !ok || p.first(c, keys) {
		return
	}
	if !c.CanBlock() {
		c.NullArray()
		return
	}
	waiting := *p
	c.Park(engine.Wait{
		Keys:    keys,
		Timeout: timeout,
		Serve: func(c *engine.Client, key []byte) bool {
			en := c.DB().Peek(key)
			if en == nil || engine.TypeOf(en) != engine.TypeZSet {
				return false
			}
			z, _ := writing(c, key)
			waiting.takeLogged(c, key, z)
			return true
		},
		Expired: (*engine.Client).NullArray,
	})
}

func zmpop(c *engine.Client, args [][]byte) {
	p, keys, ok := parsePops(c, args[1:])
	if ok && !p.first(c, keys) {
		c.NullArray()
	}
}

func bzmpop(c *engine.Client, args [][]byte) {
	p, keys, ok := parsePops(c, args[2:])
	if ok {
		p.await(c, keys, args[1])
	}
}

// parsePops reads "numkeys key … MIN|MAX [COUNT count]".
func parsePops(c *engine.Client, args [][]byte) (p pop, keys [][]byte, ok bool) {
	p = pop{pairs: true, named: true, count: 1}
	n, ok := atLeast(c, args[0], 1, "ERR numkeys should be greater than 0")
	if !ok {
		return p, nil, false
	}
	if n >= int64(len(args)-1) {
		c.Error(engine.ErrSyntax)
		return p, nil, false
	}
	keys, args = args[1:1+n], args[1+n:]
	p.last = engine.EqualFold(args[0], "MAX")
	if !p.last && !engine.EqualFold(args[0], "MIN") {
		c.Error(engine.ErrSyntax)
		return p, nil, false
	}
	counted := false
	for args = args[1:]; len(args) > 0; args = args[2:] {
		if counted || len(args) < 2 || !engine.EqualFold(args[0], "COUNT") {
			c.Error(engine.ErrSyntax)
			return p, nil, false
		}
		if p.count, counted = atLeast(c, args[1], 1, "ERR count should be greater than 0"); !counted {
			return p, nil, false
		}
	}
	return p, keys, true
}

// atLeast parses an integer that may not be below low. If it is none, the client is told so.
func atLeast(c *engine.Client, text []byte, low int64, complaint string) (int64, bool) {
	n, ok := engine.ParseInt(text)
	if !ok || n < low {
		c.Error(complaint)
		return 0, false
	}
	return n, true
}
