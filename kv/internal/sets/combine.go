package sets

import (
	"bytes"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// inputs returns the sets of keys for reading: none for a key that is not there.
func inputs(c *engine.Client, keys [][]byte) (list []*Set, ok bool) {
	list = make([]*Set, len(keys))
	for i, key := range keys {
		if list[i], ok = reading(c, key); !ok {
			return nil, false
		}
	}
	return list, true
}

// store puts a result under a key, whatever was there, and replies how many members it has. An empty result
// removes the key.
func store(c *engine.Client, key []byte, s *Set, event string) {
	if s.Len() > 0 {
		c.DB().SetValue(key, s, 0)
		c.Changed(key, engine.EventSet, event)
	} else if c.DB().Remove(key) {
		c.Changed(key, engine.EventGeneric, "del")
	}
	c.Count(s.Len())
}

// intersect calls yield for the members that all sets have, until it reports false. It sorts the sets.
func intersect(list []*Set, yield func(member []byte) bool) {
	slices.SortStableFunc(list, func(a, b *Set) int { return a.Len() - b.Len() })
	first := list[0]
	others := slices.DeleteFunc(slices.Clone(list), func(s *Set) bool { return s == first })
next:
	for member := range first.All() {
		for _, s := range others {
			if !s.Has(member) {
				continue next
			}
		}
		if !yield(member) {
			return
		}
	}
}

func sinter(c *engine.Client, args [][]byte) {
	list, ok := inputs(c, args[1:])
	if !ok {
		return
	}
	if len(list) == 1 {
		c.Set(list[0].Len())
		for member := range list[0].All() {
			c.Bulk(member)
		}
		return
	}
	mark, n := c.Later(), 0
	intersect(list, func(member []byte) bool {
		c.Bulk(member)
		n++
		return true
	})
	c.SetLen(mark, '~', n)
}

func sinterstore(c *engine.Client, args [][]byte) {
	list, ok := inputs(c, args[2:])
	if !ok {
		return
	}
	result, lim := New(c.DB().Stamp()), limit(c)
	intersect(list, func(member []byte) bool {
		result.Add(member, lim)
		return true
	})
	store(c, args[1], result, "sinterstore")
}

func sintercard(c *engine.Client, args [][]byte) {
	n, ok := engine.ParseInt(args[1])
	switch {
	case !ok || n < 1:
		c.Error("ERR numkeys should be greater than 0")
		return
	case n > int64(len(args)-2):
		c.Error("ERR Number of keys can't be greater than number of args")
		return
	}
	most := int64(0)
	for options := args[2+n:]; len(options) > 0; options = options[2:] {
		if len(options) < 2 || !engine.EqualFold(options[0], "LIMIT") {
			c.Error(engine.ErrSyntax)
			return
		}
		if most, ok = engine.ParseInt(options[1]); !ok || most < 0 {
			c.Error("ERR LIMIT can't be negative")
			return
		}
	}
	list, ok := inputs(c, args[2:2+n])
	if !ok {
		return
	}
	found := int64(0)
	intersect(list, func([]byte) bool {
		found++
		return found != most
	})
	c.Int(found)
}

// union returns the members that are in any of the sets.
func union(c *engine.Client, list []*Set) *Set {
	result, lim := New(c.DB().Stamp()), limit(c)
	for _, s := range list {
		for member := range s.All() {
			result.Add(member, lim)
		}
	}
	return result
}

// replyUnion replies the members that are in any of the sets.
func replyUnion(c *engine.Client, list []*Set) { reply(c, union(c, list)) }

func reply(c *engine.Client, s *Set) {
	c.Set(s.Len())
	for member := range s.All() {
		c.Bulk(member)
	}
}

func sunion(c *engine.Client, args [][]byte) {
	if list, ok := inputs(c, args[1:]); ok {
		replyUnion(c, list)
	}
}

func sunionstore(c *engine.Client, args [][]byte) {
	if list, ok := inputs(c, args[2:]); ok {
		store(c, args[1], union(c, list), "sunionstore")
	}
}

// difference returns the members of the first set that are in none of the others, or nil if one of the keys
// holds something else.
func difference(c *engine.Client, keys [][]byte) *Set {
	list, ok := inputs(c, keys)
	if !ok {
		return nil
	}
	result, lim := New(c.DB().Stamp()), limit(c)
	for _, key := range keys[1:] {
		if bytes.Equal(key, keys[0]) {
			return result
		}
	}
	first, others := list[0], list[1:]
	total, passes := 0, 0
	for _, s := range list {
		if s != none {
			total += s.Len()
			passes++
		}
	}
	if first.Len()*passes/2 > total {
		// There are so many sets that it takes less time to go through all of them once.
		for member := range first.All() {
			result.Add(member, lim)
		}
		for _, s := range others {
			for member := range s.All() {
				result.Remove(member)
			}
		}
		return result
	}
	slices.SortStableFunc(others, func(a, b *Set) int { return b.Len() - a.Len() })
next:
	for member := range first.All() {
		for _, s := range others {
			if s.Has(member) {
				continue next
			}
		}
		result.Add(member, lim)
	}
	return result
}

func sdiff(c *engine.Client, args [][]byte) {
	if result := difference(c, args[1:]); result != nil {
		reply(c, result)
	}
}

func sdiffstore(c *engine.Client, args [][]byte) {
	if result := difference(c, args[2:]); result != nil {
		store(c, args[1], result, "sdiffstore")
	}
}
