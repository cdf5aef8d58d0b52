package streams

import (
	"strings"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// Commands are the commands of streams.
var Commands = []*engine.Command{
	write("xadd", -5, engine.DenyOOM|engine.Fast, xadd),
	write("xtrim", -4, 0, xtrim),
	write("xdel", -3, engine.Fast, xdel),
	write("xsetid", -3, engine.DenyOOM|engine.Fast, xsetid),
	read("xlen", 2, engine.Fast, xlen),
	read("xrange", -4, 0, xrange),
	read("xrevrange", -4, 0, xrevrange),
	{Name: "xread", Arity: -4, Flags: engine.ReadOnly | engine.Blocking | engine.MovableKeys, Keys: readKeys(1), Run: xread},
	{Name: "xreadgroup", Arity: -7, Flags: engine.Write | engine.Blocking | engine.MovableKeys, Keys: readKeys(4), Run: xread},
	write("xack", -4, engine.Fast, xack),
	read("xpending", -3, 0, xpending),
	write("xclaim", -6, engine.Fast, xclaim),
	write("xautoclaim", -6, engine.Fast, xautoclaim),
	{Name: "xgroup", Arity: -2, Sub: map[string]*engine.Command{
		"create":         sub("create", -5, engine.Write|engine.DenyOOM, xgroupCreate),
		"setid":          sub("setid", -5, engine.Write, xgroupSetID),
		"destroy":        sub("destroy", 4, engine.Write, xgroupDestroy),
		"createconsumer": sub("createconsumer", 5, engine.Write|engine.DenyOOM, xgroupCreateConsumer),
		"delconsumer":    sub("delconsumer", 5, engine.Write, xgroupDeleteConsumer),
		"help": help("XGROUP",
			"CREATE <key> <groupname> <id|$> [option]",
			"    Create a new consumer group. Options are:",
			"    * MKSTREAM",
			"      Create the empty stream if it does not exist.",
			"    * ENTRIESREAD entries_read",
			"      Set the group's entries_read counter (internal use).",
			"CREATECONSUMER <key> <groupname> <consumer>",
			"    Create a new consumer in the specified group.",
			"DELCONSUMER <key> <groupname> <consumer>",
			"    Remove the specified consumer.",
			"DESTROY <key> <groupname>",
			"    Remove the specified group.",
			"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
			"    Set the current group ID and entries_read counter."),
	}},
	{Name: "xinfo", Arity: -2, Sub: map[string]*engine.Command{
		"stream":    sub("stream", -3, engine.ReadOnly, xinfoStream),
		"groups":    sub("groups", 3, engine.ReadOnly, xinfoGroups),
		"consumers": sub("consumers", 4, engine.ReadOnly, xinfoConsumers),
		"help": help("XINFO",
			"CONSUMERS <key> <groupname>",
			"    Show consumers of <groupname>.",
			"GROUPS <key>",
			"    Show the stream consumer groups.",
			"STREAM <key> [FULL [COUNT <count>]",
			"    Show information about the stream."),
	}},
}

type run = func(c *engine.Client, args [][]byte)

// write and read are commands of one key, the first argument.
func write(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.Write, First: 1, Last: 1, Step: 1, Run: f}
}

func read(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.ReadOnly, First: 1, Last: 1, Step: 1, Run: f}
}

// sub is a subcommand, whose key is the second argument.
func sub(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags, First: 2, Last: 2, Step: 1, Run: f}
}

func help(name string, lines ...string) *engine.Command {
	return &engine.Command{Name: "help", Arity: 2, Flags: engine.Loading | engine.Stale, Run: func(c *engine.Client, _ [][]byte) {
		c.Array(len(lines) + 3)
		c.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
		for _, l := range lines {
			c.Simple(l)
		}
		c.Simple("HELP")
		c.Simple("    Prints this help.")
	}}
}

// readKeys finds the keys of XREAD and XREADGROUP: the first half of what follows STREAMS.
func readKeys(from int) func(args [][]byte) []int {
	return func(args [][]byte) []int {
		for i := from; i < len(args); i++ {
			if !engine.EqualFold(args[i], "STREAMS") {
				continue
			}
			var keys []int
			for k := range (len(args) - i - 1) / 2 {
				keys = append(keys, i+1+k)
			}
			return keys
		}
		return nil
	}
}

const errInvalidID = "ERR Invalid stream ID specified as stream command argument"

// The forms of IDs: one of an entry, and the ends of a range.
var (
	strict  = form{}
	lowEnd  = form{edges: true}
	highEnd = form{edges: true, seq: maxID.Seq}
)

// parseID reads an ID; it replies the error.
func parseID(c *engine.Client, f form, text []byte) (ID, bool) {
	id, _, ok := f.parse(text)
	if !ok {
		c.Error(errInvalidID)
	}
	return id, ok
}

// parseIDs reads IDs of entries; it replies the error.
func parseIDs(c *engine.Client, args [][]byte) ([]ID, bool) {
	ids := make([]ID, len(args))
	for i, a := range args {
		var ok bool
		if ids[i], ok = parseID(c, strict, a); !ok {
			return nil, false
		}
	}
	return ids, true
}

// parseLow reads the lower end of a range, which "(" before it leaves out; it replies the error.
func parseLow(c *engine.Client, text []byte) (ID, bool) {
	if len(text) < 2 || text[0] != '(' {
		return parseID(c, lowEnd, text)
	}
	id, ok := parseID(c, strict, text[1:])
	if !ok {
		return id, false
	}
	if id, ok = id.next(); !ok {
		c.Error("ERR invalid start ID for the interval")
	}
	return id, ok
}

// parseHigh is parseLow for the upper end.
func parseHigh(c *engine.Client, text []byte) (ID, bool) {
	if len(text) < 2 || text[0] != '(' {
		return parseID(c, highEnd, text)
	}
	id, ok := parseID(c, form{seq: maxID.Seq}, text[1:])
	if !ok {
		return id, false
	}
	if id, ok = id.prev(); !ok {
		c.Error("ERR invalid end ID for the interval")
	}
	return id, ok
}

// wrongSubcommand replies that a subcommand was called as it cannot be.
func wrongSubcommand(c *engine.Client, args [][]byte) {
	name := args[1]
	if len(name) > 128 {
		name = name[:128]
	}
	c.Error("ERR unknown subcommand or wrong number of arguments for '" + string(name) + "'. Try " +
		strings.ToUpper(string(args[0])) + " HELP.")
}

// dirtied notes a change of a stream that fails no transaction which watches the key, and publishes event, if
// it is one.
func dirtied(c *engine.Client, key []byte, event string) {
	c.Dirtied()
	if event != "" {
		c.Engine().Notify(c.DB(), engine.EventStream, event, key)
	}
}

// bulkID replies an ID.
func bulkID(c *engine.Client, id ID) {
	var buf [41]byte
	c.Bulk(id.AppendText(buf[:0]))
}

// limitsOf returns the sizes of nodes that are configured.
func limitsOf(c *engine.Client) Limits {
	config := c.Engine().Config()
	return Limits{Bytes: config.StreamNodeMaxBytes, Entries: config.StreamNodeMaxEntries}
}
