package sets

import (
	"bytes"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scan"
)

// Commands are the commands of sets.
var Commands = []*engine.Command{
	write("sadd", -3, engine.DenyOOM|engine.Fast, 1, sadd),
	write("srem", -3, engine.Fast, 1, srem),
	write("spop", -2, engine.Fast, 1, spop),
	write("smove", 4, engine.Fast, 2, smove),
	write("sinterstore", -3, engine.DenyOOM, -1, sinterstore),
	write("sunionstore", -3, engine.DenyOOM, -1, sunionstore),
	write("sdiffstore", -3, engine.DenyOOM, -1, sdiffstore),

	read("sismember", 3, engine.Fast, 1, sismember),
	read("smismember", -3, engine.Fast, 1, smismember),
	read("scard", 2, engine.Fast, 1, scard),
	read("smembers", 2, 0, 1, sinter),
	read("srandmember", -2, 0, 1, srandmember),
	read("sscan", -3, 0, 1, sscan),
	read("sinter", -2, 0, -1, sinter),
	read("sunion", -2, 0, -1, sunion),
	read("sdiff", -2, 0, -1, sdiff),
	{
		Name: "sintercard", Arity: -3, Flags: engine.ReadOnly | engine.MovableKeys,
		Keys: countedKeys, Run: sintercard,
	},
}

type run = func(c *engine.Client, args [][]byte)

// write and read are commands whose arguments from the first to last are keys.
func write(name string, arity int, flags engine.Flag, last int, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.Write, First: 1, Last: last, Step: 1, Run: f}
}

func read(name string, arity int, flags engine.Flag, last int, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.ReadOnly, First: 1, Last: last, Step: 1, Run: f}
}

// countedKeys are the keys of a command whose first argument is their number.
func countedKeys(args [][]byte) (keys []int) {
	if len(args) < 2 {
		return nil
	}
	n, ok := engine.ParseInt(args[1])
	if !ok || n < 1 || n > int64(len(args)-2) {
		return nil
	}
	for i := range int(n) {
		keys = append(keys, 2+i)
	}
	return keys
}

// none stands for the set of a key that is not there. It is never changed.
var none = New(0)

// reading returns the set of a key for reading: none if there is no such key. ok is false if it holds
// something else, and the client has been told so.
func reading(c *engine.Client, key []byte) (s *Set, ok bool) {
	s, found, ok := engine.Get[*Set](c, key)
	if !found {
		return none, ok
	}
	return s, ok
}

// editing returns the set of a key for writing. If there is no such key it is a new one, which is not in the
// keyspace yet.
func editing(c *engine.Client, key []byte) (s *Set, found, ok bool) {
	s, found, ok = engine.Edit[*Set](c, key)
	if ok && !found {
		s = New(c.DB().Stamp())
	}
	return s, found, ok
}

// lost notes that a set has lost members, and removes its key if they were the last.
func lost(c *engine.Client, key []byte, s *Set, event string) {
	empty := s.Len() == 0
	if empty {
		c.DB().Remove(key)
	}
	c.Changed(key, engine.EventSet, event)
	if empty {
		c.Changed(key, engine.EventGeneric, "del")
	}
}

func limit(c *engine.Client) Limit { return LimitOf(c.Engine().Config()) }

func sadd(c *engine.Client, args [][]byte) {
	key := args[1]
	s, found, ok := editing(c, key)
	if !ok {
		return
	}
	lim, added := limit(c), 0
	for _, member := range args[2:] {
		if s.Add(member, lim) {
			added++
		}
	}
	if added > 0 {
		if !found {
			c.DB().SetValue(key, s, 0)
		}
		c.Changed(key, engine.EventSet, "sadd")
	}
	c.Count(added)
}

func srem(c *engine.Client, args [][]byte) {
	key := args[1]
	s, _, ok := editing(c, key)
	if !ok {
		return
	}
	removed := 0
	for _, member := range args[2:] {
		if s.Remove(member) {
			removed++
		}
	}
	if removed > 0 {
		lost(c, key, s, "srem")
	}
	c.Count(removed)
}

func smove(c *engine.Client, args [][]byte) {
	from, to, member := args[1], args[2], args[3]
	src, found, ok := engine.Edit[*Set](c, from)
	switch {
	case !ok:
		return
	case !found:
		c.Int(0)
		return
	case bytes.Equal(from, to):
		c.Bool01(src.Has(member))
		return
	}
	dst, found, ok := editing(c, to)
	if !ok {
		return
	}
	if !src.Remove(member) {
		c.Int(0)
		return
	}
	lost(c, from, src, "srem")
	added := dst.Add(member, limit(c))
	if !found {
		c.DB().SetValue(to, dst, 0)
	}
	if added {
		c.Changed(to, engine.EventSet, "sadd")
	}
	c.Int(1)
}

func sismember(c *engine.Client, args [][]byte) {
	if s, ok := reading(c, args[1]); ok {
		c.Bool01(s.Has(args[2]))
	}
}

func smismember(c *engine.Client, args [][]byte) {
	s, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Array(len(args) - 2)
	for _, member := range args[2:] {
		c.Bool01(s.Has(member))
	}
}

func scard(c *engine.Client, args [][]byte) {
	if s, ok := reading(c, args[1]); ok {
		c.Count(s.Len())
	}
}

func sscan(c *engine.Client, args [][]byte) {
	cursor, ok := scan.Cursor(c, args[2])
	if !ok {
		return
	}
	s, ok := reading(c, args[1])
	if !ok {
		return
	}
	if s == none {
		scan.Nothing(c)
		return
	}
	o := scan.Options{Count: 10}
	if !o.Parse(c, args[3:]) {
		return
	}
	o.Reply(c, cursor, 1, func(cursor uint64, take func([]byte) bool) uint64 {
		return s.Scan(cursor, func(member []byte) {
			if take(member) {
				c.Bulk(member)
			}
		})
	})
}
