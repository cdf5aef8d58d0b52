package keys

import (
	"math"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// object has the subcommands of OBJECT.
var object = map[string]*engine.Command{
	"encoding": about("encoding", func(c *engine.Client, en *table.Entry) {
		c.BulkString(engine.EncodingOf(en))
	}),
	"refcount": about("refcount", func(c *engine.Client, en *table.Entry) {
		c.Int(references(c, en))
	}),
	"freq": about("freq", func(c *engine.Client, en *table.Entry) {
		if !countsUses(c) {
			c.Error("ERR An LFU maxmemory policy is not selected, access frequency not tracked. " + switching)
			return
		}
		c.Count(c.Engine().Frequency(en))
	}),
	"idletime": about("idletime", func(c *engine.Client, en *table.Entry) {
		if countsUses(c) {
			c.Error("ERR An LFU maxmemory policy is selected, idle time not tracked. " + switching)
			return
		}
		c.Int(int64(c.Engine().Idle(en) / time.Second))
	}),
	"help": {Name: "help", Arity: 2, Flags: engine.Loading | engine.Stale, Run: objectHelp},
}

const switching = "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

// about is a subcommand that tells something of a key's value.
func about(name string, tell func(c *engine.Client, en *table.Entry)) *engine.Command {
	return &engine.Command{
		Name: name, Arity: 3, Flags: reads, First: 2, Last: 2, Step: 1,
		Run: func(c *engine.Client, args [][]byte) {
			if en := look(c, args[2]); en != nil {
				tell(c, en)
			} else {
				c.Null()
			}
		},
	}
}

func countsUses(c *engine.Client) bool {
	p := c.Engine().Config().Policy
	return p == engine.AllKeysLFU || p == engine.VolatileLFU
}

// references is what Redis tells: it has the integers below 10,000 once for all keys, unless it evicts by a
// value's uses, and does not count who has them.
func references(c *engine.Client, en *table.Entry) int64 {
	n, isInt := engine.ParseInt(en.Value())
	shared := isInt && n >= 0 && n < 10_000
	if config := c.Engine().Config(); config.MaxMemory > 0 {
		p := config.Policy
		shared = shared && !countsUses(c) && p != engine.AllKeysLRU && p != engine.VolatileLRU
	}
	if shared {
		return math.MaxInt32
	}
	return 1
}

func objectHelp(c *engine.Client, _ [][]byte) {
	lines := []string{
		"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"ENCODING <key>",
		"    Return the kind of internal representation used in order to store the value",
		"    associated with a <key>.",
		"FREQ <key>",
		"    Return the access frequency index of the <key>. The returned integer is",
		"    proportional to the logarithm of the recent access frequency of the key.",
		"IDLETIME <key>",
		"    Return the idle time of the <key>, that is the approximated number of",
		"    seconds elapsed since the last access to the key.",
		"REFCOUNT <key>",
		"    Return the number of references of the value associated with the specified",
		"    <key>.",
		"HELP",
		"    Prints this help.",
	}
	c.Array(len(lines))
	for _, l := range lines {
		c.Simple(l)
	}
}
