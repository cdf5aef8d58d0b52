// Package pubsub has the commands of publish and subscribe. What clients have subscribed to, the engine keeps.
package pubsub

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/glob"
)

const (
	listen  = engine.PubSub | engine.NoScript | engine.Loading | engine.Stale
	publish = engine.PubSub | engine.Loading | engine.Stale | engine.Fast
	ask     = engine.PubSub | engine.Loading | engine.Stale
)

// Commands are the package's commands.
var Commands = []*engine.Command{
	{Name: "subscribe", Arity: -2, Flags: listen, Run: subscriber(engine.Channels, "subscribe")},
	{Name: "psubscribe", Arity: -2, Flags: listen, Run: subscriber(engine.Patterns, "psubscribe")},
	{Name: "ssubscribe", Arity: -2, Flags: listen, First: 1, Last: -1, Step: 1, Run: subscriber(engine.Shards, "ssubscribe")},
	{Name: "unsubscribe", Arity: -1, Flags: listen, Run: unsubscriber(engine.Channels, "unsubscribe")},
	{Name: "punsubscribe", Arity: -1, Flags: listen, Run: unsubscriber(engine.Patterns, "punsubscribe")},
	{Name: "sunsubscribe", Arity: -1, Flags: listen, First: 1, Last: -1, Step: 1, Run: unsubscriber(engine.Shards, "sunsubscribe")},
	{Name: "publish", Arity: 3, Flags: publish | engine.MayReplicate, Run: func(c *engine.Client, args [][]byte) {
		c.Count(c.Engine().Publish(args[1], args[2]))
	}},
	{Name: "spublish", Arity: 3, Flags: publish | engine.MayReplicate, First: 1, Last: 1, Step: 1, Run: func(c *engine.Client, args [][]byte) {
		c.Count(c.Engine().PublishShard(args[1], args[2]))
	}},
	{Name: "pubsub", Arity: -2, Sub: map[string]*engine.Command{
		"channels":      {Name: "channels", Arity: -2, Flags: ask, Run: channels(engine.Channels)},
		"shardchannels": {Name: "shardchannels", Arity: -2, Flags: ask, Run: channels(engine.Shards)},
		"numsub":        {Name: "numsub", Arity: -2, Flags: ask, Run: counts(engine.Channels)},
		"shardnumsub":   {Name: "shardnumsub", Arity: -2, Flags: ask, Run: counts(engine.Shards)},
		"numpat": {Name: "numpat", Arity: 2, Flags: ask, Run: func(c *engine.Client, _ [][]byte) {
			c.Count(len(c.Engine().Listeners(engine.Patterns)))
		}},
		"help": {Name: "help", Arity: 2, Flags: engine.Loading | engine.Stale, Run: help},
	}},
}

// total is the number that (un)subscribing replies: shard channels are counted by themselves.
func total(c *engine.Client, kind engine.Kind) int {
	if kind == engine.Shards {
		return len(c.Subscribed(kind))
	}
	return len(c.Subscribed(engine.Channels)) + len(c.Subscribed(engine.Patterns))
}

func confirm(c *engine.Client, kind engine.Kind, word string, name []byte) {
	c.Push(3)
	c.BulkString(word)
	if name == nil {
		c.Null()
	} else {
		c.Bulk(name)
	}
	c.Count(total(c, kind))
}

func subscriber(kind engine.Kind, word string) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		// A client that expects one reply to a command cannot listen. Transactions always could, but not to shards.
		if _, open := c.InTransaction(); !c.CanBlock() && (!open || kind == engine.Shards) {
			c.Error("ERR " + strings.ToUpper(word) + " isn't allowed for a DENY BLOCKING client")
			return
		}
		for _, name := range args[1:] {
			c.Subscribe(kind, name)
			confirm(c, kind, word, name)
		}
	}
}

func unsubscriber(kind engine.Kind, word string) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		names := args[1:]
		if len(names) == 0 {
			names = sorted(c.Subscribed(kind))
			if len(names) == 0 {
				confirm(c, kind, word, nil)
			}
		}
		for _, name := range names {
			c.Unsubscribe(kind, name)
			confirm(c, kind, word, name)
		}
	}
}

func sorted[V any](set map[string]V) [][]byte {
	names := make([][]byte, 0, len(set))
	for name := range set {
		names = append(names, []byte(name))
	}
	slices.SortFunc(names, slices.Compare)
	return names
}

func channels(kind engine.Kind) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		if len(args) > 3 {
			c.Error(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try PUBSUB HELP.", args[1]))
			return
		}
		mark, n := c.Later(), 0
		for _, name := range sorted(c.Engine().Listeners(kind)) {
			if len(args) == 2 || glob.Match(args[2], name, false) {
				c.Bulk(name)
				n++
			}
		}
		c.SetLen(mark, '*', n)
	}
}

func counts(kind engine.Kind) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		c.Array(2 * (len(args) - 2))
		for _, name := range args[2:] {
			c.Bulk(name)
			c.Count(len(c.Engine().Listeners(kind)[string(name)]))
		}
	}
}

func help(c *engine.Client, _ [][]byte) {
	lines := []string{
		"PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"CHANNELS [<pattern>]",
		"    Return the currently active channels matching a <pattern> (default: '*').",
		"NUMPAT",
		"    Return number of subscriptions to patterns.",
		"NUMSUB [<channel> ...]",
		"    Return the number of subscribers for the specified channels, excluding",
		"    pattern subscriptions(default: no channels).",
		"SHARDCHANNELS [<pattern>]",
		"    Return the currently active shard level channels matching a <pattern> (default: '*').",
		"SHARDNUMSUB [<shardchannel> ...]",
		"    Return the number of subscribers for the specified shard level channel(s)",
		"HELP",
		"    Prints this help.",
	}
	c.Array(len(lines))
	for _, l := range lines {
		c.Simple(l)
	}
}
