package admin

import (
	"slices"
	"strings"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/glob"
)

var commandSubs = map[string]*engine.Command{
	"count":   {Name: "count", Arity: 2, Flags: always, Run: commandCount},
	"list":    {Name: "list", Arity: -2, Flags: always, Run: commandList},
	"info":    {Name: "info", Arity: -2, Flags: always, Run: commandInfo},
	"docs":    {Name: "docs", Arity: -2, Flags: always, Run: commandDocs},
	"getkeys": {Name: "getkeys", Arity: -4, Flags: always, Run: commandGetKeys},
	"help": {Name: "help", Arity: 2, Flags: always, Run: help("COMMAND",
		"(no subcommand)", "    Return details about all commands.",
		"COUNT", "    Return the total number of commands.",
		"DOCS [<command-name> ...]", "    Return documentation details about multiple commands.",
		"GETKEYS <full-command>", "    Return the keys from a full command.",
		"INFO [<command-name> ...]", "    Return details about multiple commands.",
		"LIST [FILTERBY PATTERN <pattern>]", "    Return a list of all commands.")},
}

func commandAll(c *engine.Client, _ [][]byte) {
	all := c.Engine().Commands()
	c.Array(len(all))
	for _, x := range all {
		describeCommand(c, x)
	}
}

// describeCommand replies what COMMAND INFO tells of a command.
func describeCommand(c *engine.Client, x *engine.Command) {
	c.Array(10)
	c.BulkString(x.FullName())
	c.Int(int64(x.Arity))
	flags := x.Flags.Names()
	c.Set(len(flags))
	for _, f := range flags {
		c.Simple(f)
	}
	c.Int(int64(x.First))
	c.Int(int64(x.Last))
	c.Int(int64(x.Step))
	categories := categoriesOf(x)
	c.Set(len(categories))
	for _, category := range categories {
		c.Simple(category)
	}
	c.Array(0) // tips
	c.Array(0) // key specifications
	names := subNames(x)
	c.Array(len(names))
	for _, name := range names {
		describeCommand(c, x.Sub[name])
	}
}

func subNames(x *engine.Command) []string {
	names := make([]string, 0, len(x.Sub))
	for name := range x.Sub {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func categoriesOf(x *engine.Command) []string {
	var all []string
	if x.Flags&engine.Write != 0 {
		all = append(all, "@write")
	}
	if x.Flags&engine.ReadOnly != 0 {
		all = append(all, "@read")
	}
	if x.Flags&engine.Admin != 0 {
		all = append(all, "@admin", "@dangerous")
	}
	if x.Flags&engine.PubSub != 0 {
		all = append(all, "@pubsub")
	}
	if x.Flags&engine.Blocking != 0 {
		all = append(all, "@blocking")
	}
	if x.Flags&engine.Fast != 0 {
		return append(all, "@fast")
	}
	return append(all, "@slow")
}

func commandCount(c *engine.Client, _ [][]byte) { c.Count(len(c.Engine().Commands())) }

func commandList(c *engine.Client, args [][]byte) {
	pattern := []byte("*")
	switch {
	case len(args) == 2:
	case len(args) == 5 && engine.EqualFold(args[2], "FILTERBY") && engine.EqualFold(args[3], "PATTERN"):
		pattern = args[4]
	default:
		c.Error(engine.ErrSyntax)
		return
	}
	mark, n := c.Later(), 0
	list := func(x *engine.Command) {
		if glob.Match(pattern, []byte(x.FullName()), true) {
			c.BulkString(x.FullName())
			n++
		}
	}
	for _, x := range c.Engine().Commands() {
		list(x)
		for _, name := range subNames(x) {
			list(x.Sub[name])
		}
	}
	c.SetLen(mark, '*', n)
}

func commandInfo(c *engine.Client, args [][]byte) {
	if len(args) == 2 {
		commandAll(c, args)
		return
	}
	c.Array(len(args) - 2)
	for _, name := range args[2:] {
		if x := c.Engine().Command(name); x != nil {
			describeCommand(c, x)
		} else {
			c.NullArray()
		}
	}
}

func commandDocs(c *engine.Client, args [][]byte) {
	var found []*engine.Command
	if len(args) == 2 {
		found = c.Engine().Commands()
	}
	for _, name := range args[2:] {
		if x := c.Engine().Command(name); x != nil {
			found = append(found, x)
		}
	}
	c.Map(len(found))
	for _, x := range found {
		c.BulkString(x.Name)
		c.Map(2)
		c.BulkString("summary")
		c.BulkString("As in Redis " + Version + ".")
		c.BulkString("arity")
		c.Int(int64(x.Arity))
	}
}

func commandGetKeys(c *engine.Client, args [][]byte) {
	full := args[2:]
	x := c.Engine().Command(full[0])
	if x == nil {
		c.Error("ERR Invalid command specified")
		return
	}
	if x.Sub != nil && len(full) > 1 {
		if x = x.Sub[strings.ToLower(string(full[1]))]; x == nil {
			c.Error("ERR Invalid command specified")
			return
		}
	}
	if x.Arity > 0 && len(full) != x.Arity || len(full) < -x.Arity {
		c.Error("ERR Invalid number of arguments specified for command")
		return
	}
	positions := x.KeyPositions(full)
	if len(positions) == 0 {
		switch {
		case x.First == 0 && x.Keys == nil:
			c.Error("ERR The command has no key arguments")
		case x.Flags&engine.NoMandatoryKeys != 0:
			c.Array(0)
		default:
			c.Error("ERR Invalid arguments specified for command")
		}
		return
	}
	c.Array(len(positions))
	for _, p := range positions {
		c.Bulk(full[p])
	}
}
