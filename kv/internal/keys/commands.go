// Package keys has the commands that work on keys of every type: they remove, move, copy and find them, set
// when they expire, tell what is under them, sort it, and write it as text that RESTORE reads.
package keys

import "github.com/zmsg/zmsg/kv/internal/engine"

const (
	reads      = engine.ReadOnly
	readsFast  = engine.ReadOnly | engine.Fast
	writes     = engine.Write
	writesFast = engine.Write | engine.Fast
	grows      = engine.Write | engine.DenyOOM
)

// Commands are the commands of this package.
var Commands = []*engine.Command{
	{Name: "del", Arity: -2, Flags: writes, First: 1, Last: -1, Step: 1, Run: del},
	{Name: "unlink", Arity: -2, Flags: writesFast, First: 1, Last: -1, Step: 1, Run: del},
	{Name: "exists", Arity: -2, Flags: readsFast, First: 1, Last: -1, Step: 1, Run: exists},
	{Name: "touch", Arity: -2, Flags: readsFast, First: 1, Last: -1, Step: 1, Run: touch},
	{Name: "type", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: typeOf},

	{Name: "expire", Arity: -3, Flags: writesFast, First: 1, Last: 1, Step: 1, Run: expire(seconds)},
	{Name: "pexpire", Arity: -3, Flags: writesFast, First: 1, Last: 1, Step: 1, Run: expire(0)},
	{Name: "expireat", Arity: -3, Flags: writesFast, First: 1, Last: 1, Step: 1, Run: expire(seconds | absolute)},
	{Name: "pexpireat", Arity: -3, Flags: writesFast, First: 1, Last: 1, Step: 1, Run: expire(absolute)},
	{Name: "ttl", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: timeToLive(seconds)},
	{Name: "pttl", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: timeToLive(0)},
	{Name: "expiretime", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: timeToLive(seconds | absolute)},
	{Name: "pexpiretime", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: timeToLive(absolute)},
	{Name: "persist", Arity: 2, Flags: writesFast, First: 1, Last: 1, Step: 1, Run: persist},

	{Name: "keys", Arity: 2, Flags: reads, Run: keys},
	{Name: "scan", Arity: -2, Flags: reads, Run: scanKeys},
	{Name: "randomkey", Arity: 1, Flags: reads, Run: randomKey},
	{Name: "dbsize", Arity: 1, Flags: readsFast, Run: size},

	{Name: "rename", Arity: 3, Flags: writes, First: 1, Last: 2, Step: 1, Run: rename},
	{Name: "renamenx", Arity: 3, Flags: writesFast, First: 1, Last: 2, Step: 1, Run: renameNX},
	{Name: "move", Arity: 3, Flags: writesFast, First: 1, Last: 1, Step: 1, Run: move},
	{Name: "copy", Arity: -3, Flags: grows, First: 1, Last: 2, Step: 1, Run: copyKey},
	{Name: "dump", Arity: 2, Flags: reads, First: 1, Last: 1, Step: 1, Run: dump},
	{Name: "restore", Arity: -4, Flags: grows, First: 1, Last: 1, Step: 1, Run: restore},

	{
		Name: "sort", Arity: -2, Flags: grows | engine.MovableKeys, First: 1, Last: 1, Step: 1,
		Keys: sortKeys, Run: sort,
	},
	{Name: "sort_ro", Arity: -2, Flags: reads | engine.MovableKeys, First: 1, Last: 1, Step: 1, Run: sort},
	{Name: "object", Arity: -2, Sub: object},
}
