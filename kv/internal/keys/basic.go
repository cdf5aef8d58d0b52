package keys

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// look is Keyspace.Read without counting as a use for eviction: asking about a key is none.
func look(c *engine.Client, key []byte) *table.Entry {
	en := c.DB().Peek(key)
	if en == nil {
		c.Engine().Stats().Misses++
	} else {
		c.Engine().Stats().Hits++
	}
	return en
}

// del is DEL, and UNLINK: there is nothing to be freed, so neither takes time.
func del(c *engine.Client, args [][]byte) {
	removed := 0
	for _, key := range args[1:] {
		if c.DB().Remove(key) {
			c.Changed(key, engine.EventGeneric, "del")
			removed++
		}
	}
	c.Count(removed)
}

func exists(c *engine.Client, args [][]byte) {
	found := 0
	for _, key := range args[1:] {
		if look(c, key) != nil {
			found++
		}
	}
	c.Count(found)
}

func touch(c *engine.Client, args [][]byte) {
	found := 0
	for _, key := range args[1:] {
		if c.DB().Read(key) != nil {
			found++
		}
	}
	c.Count(found)
}

func typeOf(c *engine.Client, args [][]byte) {
	t := engine.TypeNone
	if en := look(c, args[1]); en != nil {
		t = engine.TypeOf(en)
	}
	c.Simple(string(t))
}

func size(c *engine.Client, _ [][]byte) { c.Count(c.DB().Len()) }
