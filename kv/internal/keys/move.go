package keys

import (
	"fmt"
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

const errSame = "ERR source and destination objects are the same"

// carry puts what is under an entry of one keyspace under a key of another, or of the same; whatever was
// there goes. The entry's key stays, but its value may be used no more: the caller removes it.
func carry(en *table.Entry, to *engine.Keyspace, key []byte) {
	to.Remove(key)
	var landed *table.Entry
	if b := en.Box(); b != nil {
		landed = to.SetValue(key, b.Val.(engine.Value), en.Deadline())
	} else {
		landed = to.SetString(key, en.Value(), en.Deadline())
	}
	landed.SetLRU(en.LRU())
}

func rename(c *engine.Client, args [][]byte) {
	if _, ok := renameTo(c, args[1], args[2], true); ok {
		c.OK()
	}
}

func renameNX(c *engine.Client, args [][]byte) {
	if renamed, ok := renameTo(c, args[1], args[2], false); ok {
		c.Bool01(renamed)
	}
}

// renameTo gives a key another name, unless it has that already or, if replace is not set, another key has
// it. If it reports false, it has replied an error.
func renameTo(c *engine.Client, from, to []byte, replace bool) (renamed, ok bool) {
	space := c.DB()
	en := space.Write(from)
	if en == nil {
		c.Error(engine.ErrNoKey)
		return false, false
	}
	if string(from) == string(to) || !replace && space.Peek(to) != nil {
		return false, true
	}
	carry(en, space, to)
	space.Remove(from)
	c.Changed(from, engine.EventGeneric, "rename_from")
	c.Changed(to, engine.EventGeneric, "rename_to")
	return true, true
}

// database reads the number of a database. If it reports false, it has replied an error.
func database(c *engine.Client, arg []byte) (*engine.Keyspace, bool) {
	n, ok := c.ParseInt(arg)
	if !ok {
		return nil, false
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		c.Error(fmt.Sprintf("ERR value is out of range, value must between %d and %d", math.MinInt32, math.MaxInt32))
		return nil, false
	}
	if n < 0 || int(n) >= len(c.Engine().Keyspaces()) {
		c.Error("ERR DB index is out of range")
		return nil, false
	}
	return c.Engine().Keyspace(int(n)), true
}

func move(c *engine.Client, args [][]byte) {
	key, from := args[1], c.DB()
	to, ok := database(c, args[2])
	if !ok {
		return
	}
	if from == to {
		c.Error(errSame)
		return
	}
	en := from.Write(key)
	if en == nil || to.Peek(key) != nil {
		c.Int(0)
		return
	}
	carry(en, to, key)
	from.Remove(key)
	from.Changed(key, engine.EventGeneric, "move_from")
	to.Changed(key, engine.EventGeneric, "move_to")
	c.Int(1)
}
