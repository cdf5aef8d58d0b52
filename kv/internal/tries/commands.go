// Package tries has a type that Redis lacks: maps from fields to values that are kept in the order of
// their fields and know what the fields begin with.
//
//	TRIE.PUT key field value [field value …]     sets values; the number of new fields
//	TRIE.GET key field                           the value, or null
//	TRIE.DEL key field [field …]                 removes fields; the number removed
//	TRIE.LEN key                                 the number of fields
//	TRIE.SCAN key prefix [AFTER field] [COUNT n] [NOVALUES]
//	                                             the fields that begin with prefix, in the order of their
//	                                             bytes, with their values: a map, of at most n fields that
//	                                             come after the one told; or an array of the fields alone
//	TRIE.PREFIX key string                       the longest field that string begins with, and its value;
//	                                             or a null array
package tries

import "github.com/zmsg/zmsg/kv/internal/engine"

// Commands are the commands of this package.
var Commands = []*engine.Command{
	{Name: "trie.put", Arity: -4, Flags: engine.Write | engine.DenyOOM | engine.Fast, First: 1, Last: 1, Step: 1, Run: put},
	{Name: "trie.get", Arity: 3, Flags: engine.ReadOnly | engine.Fast, First: 1, Last: 1, Step: 1, Run: get},
	{Name: "trie.del", Arity: -3, Flags: engine.Write | engine.Fast, First: 1, Last: 1, Step: 1, Run: del},
	{Name: "trie.len", Arity: 2, Flags: engine.ReadOnly | engine.Fast, First: 1, Last: 1, Step: 1, Run: length},
	{Name: "trie.scan", Arity: -3, Flags: engine.ReadOnly, First: 1, Last: 1, Step: 1, Run: scan},
	{Name: "trie.prefix", Arity: 3, Flags: engine.ReadOnly | engine.Fast, First: 1, Last: 1, Step: 1, Run: prefix},
}

func put(c *engine.Client, args [][]byte) {
	if len(args)%2 != 0 {
		c.WrongArity(c.Command().FullName())
		return
	}
	key := args[1]
	t, found, ok := engine.Edit[*Trie](c, key)
	if !ok {
		return
	}
	if !found {
		t = New(c.DB().Stamp())
		c.DB().SetValue(key, t, 0)
	}
	added := 0
	for i := 2; i < len(args); i += 2 {
		if t.Put(args[i], args[i+1]) {
			added++
		}
	}
	c.Changed(key, engine.EventTrie, "trie.put")
	c.Count(added)
}

func get(c *engine.Client, args [][]byte) {
	t, found, ok := engine.Get[*Trie](c, args[1])
	if !ok {
		return
	}
	if found {
		if value, has := t.Get(args[2]); has {
			c.BulkString(value)
			return
		}
	}
	c.Null()
}

func del(c *engine.Client, args [][]byte) {
	key := args[1]
	t, found, ok := engine.Edit[*Trie](c, key)
	if !ok {
		return
	}
	removed := 0
	if found {
		for _, field := range args[2:] {
			if t.Delete(field) {
				removed++
			}
		}
	}
	if removed > 0 {
		c.Changed(key, engine.EventTrie, "trie.del")
		if t.Len() == 0 {
			c.DB().Remove(key)
			c.Changed(key, engine.EventGeneric, "del")
		}
	}
	c.Count(removed)
}

func length(c *engine.Client, args [][]byte) {
	t, found, ok := engine.Get[*Trie](c, args[1])
	switch {
	case found:
		c.Count(t.Len())
	case ok:
		c.Int(0)
	}
}

// scanOptions are those of TRIE.SCAN.
type scanOptions struct {
	after    []byte // nil: from the start
	count    int64  // 0: all
	noValues bool
}

func parseScan(c *engine.Client, args [][]byte) (o scanOptions, ok bool) {
	for i := 0; i < len(args); i++ {
		switch arg, more := args[i], i+1 < len(args); {
		case engine.EqualFold(arg, "NOVALUES"):
			o.noValues = true
		case engine.EqualFold(arg, "AFTER") && more:
			i++
			o.after = append([]byte{}, args[i]...) // not nil, even if it is empty
		case engine.EqualFold(arg, "COUNT") && more:
			i++
			if o.count, ok = c.ParseInt(args[i]); !ok {
				return o, false
			}
			if o.count <= 0 {
				c.Error(engine.ErrNotPositive)
				return o, false
			}
		default:
			c.Error(engine.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

func scan(c *engine.Client, args [][]byte) {
	o, ok := parseScan(c, args[3:])
	if !ok {
		return
	}
	t, found, ok := engine.Get[*Trie](c, args[1])
	if !ok {
		return
	}
	head, n := c.Later(), int64(0)
	if found {
		for field, value := range t.Scan(args[2], o.after) {
			c.Bulk(field)
			if !o.noValues {
				c.BulkString(value)
			}
			if n++; n == o.count {
				break
			}
		}
	}
	if o.noValues {
		c.SetLen(head, '*', int(n))
	} else {
		c.SetLen(head, '%', int(n))
	}
}

func prefix(c *engine.Client, args [][]byte) {
	t, found, ok := engine.Get[*Trie](c, args[1])
	if !ok {
		return
	}
	if found {
		if n, value, has := t.LongestPrefix(args[2]); has {
			c.Array(2)
			c.Bulk(args[2][:n])
			c.BulkString(value)
			return
		}
	}
	c.NullArray()
}
