package sets

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scan"
)

var wordSRem, wordDel = []byte("SREM"), []byte("DEL")

func spop(c *engine.Client, args [][]byte) {
	switch {
	case len(args) > 3:
		c.Error(engine.ErrSyntax)
		return
	case len(args) == 3:
		popMany(c, args)
		return
	}
	key := args[1]
	s, found, ok := engine.Edit[*Set](c, key)
	switch {
	case !ok:
		return
	case !found:
		c.Null()
		return
	}
	member := s.Random(c.Engine().Rand())
	s.Remove(member)
	lost(c, key, s, "spop")
	c.Bulk(member)
	c.Propagate(wordSRem, key, member)
}

func popMany(c *engine.Client, args [][]byte) {
	count, ok := engine.ParseInt(args[2])
	if !ok || count < 0 {
		c.Error(engine.ErrNotPositive)
		return
	}
	key := args[1]
	s, found, ok := engine.Edit[*Set](c, key)
	switch {
	case !ok:
	case !found || count == 0:
		c.Set(0)
	case count >= int64(s.Len()):
		replyUnion(c, []*Set{s})
		c.DB().Remove(key)
		c.Changed(key, engine.EventSet, "spop")
		c.Changed(key, engine.EventGeneric, "del")
		c.Propagate(wordDel, key)
	default:
		c.Set(int(count))
		s.pop(c, key, int(count))
		c.Changed(key, engine.EventSet, "spop")
	}
}

// replyMoved is how many times as many members as remain have to be popped to have the rest moved to a new
// set. Redis has the same: a set of integers may become an intset again by it.
const replyMoved = 5

// pop removes count members, fewer than there are, and replies them.
func (s *Set) pop(c *engine.Client, key []byte, count int) {
	r := c.Engine().Rand()
	gone := func(member []byte) {
		c.Bulk(member)
		c.Propagate(wordSRem, key, member)
	}
	remaining := s.Len() - count
	if remaining*replyMoved > count {
		for range count {
			member := s.Random(r)
			s.Remove(member)
			gone(member)
		}
		return
	}
	kept := New(s.stamp)
	lim := limit(c)
	s.Sample(r, remaining, func(member []byte) { kept.Add(member, lim) })
	for member := range s.All() {
		if !kept.Has(member) {
			gone(member)
		}
	}
	*s = *kept
}

func srandmember(c *engine.Client, args [][]byte) {
	switch {
	case len(args) > 3:
		c.Error(engine.ErrSyntax)
		return
	case len(args) == 3:
		randomMembers(c, args)
		return
	}
	s, ok := reading(c, args[1])
	switch {
	case !ok:
	case s == none:
		c.Null()
	default:
		c.Bulk(s.Random(c.Engine().Rand()))
	}
}

func randomMembers(c *engine.Client, args [][]byte) {
	count, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if count == math.MinInt64 {
		c.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
		return
	}
	s, ok := reading(c, args[1])
	r := c.Engine().Rand()
	switch {
	case !ok:
	case s == none:
		c.Array(0)
	case count >= 0:
		n := int(min(count, int64(s.Len())))
		c.Array(n)
		s.Sample(r, n, c.Bulk)
	default:
		from := c.Later()
		c.Array(int(-count))
		scan.Repeat(c, from, -count, scan.LongestReply, func() { c.Bulk(s.Random(r)) })
	}
}
