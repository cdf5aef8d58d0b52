package persist_test

import "github.com/zmsg/zmsg/kv/internal/engine"

var keysCommands = []*engine.Command{{Name: "del", Arity: -2, Flags: engine.Write, First: 1, Last: -1, Step: 1, Run: func(c *engine.Client, args [][]byte) {
	n := int64(0)
	for _, k := range args[1:] {
		if c.DB().Remove(k) {
			n++
			c.Changed(k, engine.EventGeneric, "del")
		}
	}
	c.Int(n)
}}}
