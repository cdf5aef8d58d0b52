package admin

import (
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const slowFlags = always | engine.Admin

var slowSubs = map[string]*engine.Command{
	"get": {Name: "get", Arity: -2, Flags: slowFlags, Run: slowGet},
	"len": {Name: "len", Arity: 2, Flags: slowFlags, Run: func(c *engine.Client, _ [][]byte) {
		c.Int(int64(len(c.Engine().SlowCommands())))
	}},
	"reset": {Name: "reset", Arity: 2, Flags: slowFlags, Run: func(c *engine.Client, _ [][]byte) {
		c.Engine().ResetSlowCommands()
		c.OK()
	}},
	"help": {Name: "help", Arity: 2, Flags: always, Run: help("SLOWLOG",
		"GET [<count>]",
		"    The latest entries, 10 without count, all with -1: id, unix time, microseconds,",
		"    arguments, the client's address and its name.",
		"LEN",
		"    How many entries there are.",
		"RESET",
		"    Empties the log.",
	)},
}

func slowGet(c *engine.Client, args [][]byte) {
	count := int64(10)
	switch {
	case len(args) > 3:
		c.Error("ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.")
		return
	case len(args) == 3:
		n, ok := engine.ParseInt(args[2])
		if !ok || n < -1 {
			c.Error("ERR count should be greater than or equal to -1")
			return
		}
		count = n
	}
	entries := c.Engine().SlowCommands()
	if count < 0 || count > int64(len(entries)) {
		count = int64(len(entries))
	}
	c.Array(int(count))
	for i := range int(count) {
		s := entries[len(entries)-1-i]
		c.Array(6)
		c.Int(s.ID)
		c.Int(s.At.Unix())
		c.Int(int64(s.Took / time.Microsecond))
		c.Array(len(s.Args))
		for _, a := range s.Args {
			c.Bulk(a)
		}
		c.BulkString(s.Addr)
		c.BulkString(s.Name)
	}
}
