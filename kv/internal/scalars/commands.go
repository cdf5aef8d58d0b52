// Package scalars has the commands of strings, and of what strings hold: numbers, bits, integers of any
// width, and HyperLogLogs.
//
// A string is kept inline in its entry, or as an engine.Raw once it has been changed in part.
package scalars

import "github.com/zmsg/zmsg/kv/internal/engine"

// The flags that commands share.
const (
	reads     = engine.ReadOnly
	readsFast = engine.ReadOnly | engine.Fast
	sets      = engine.Write | engine.DenyOOM
	setsFast  = engine.Write | engine.DenyOOM | engine.Fast
)

// Commands are the commands of this package.
var Commands = []*engine.Command{
	{Name: "set", Arity: -3, Flags: sets | engine.Brief, First: 1, Last: 1, Step: 1, Run: set},
	{Name: "get", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: get},
	{Name: "getset", Arity: 3, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: getSet},
	{Name: "getdel", Arity: 2, Flags: engine.Write | engine.Fast, First: 1, Last: 1, Step: 1, Run: getDel},
	{Name: "getex", Arity: -2, Flags: engine.Write | engine.Fast, First: 1, Last: 1, Step: 1, Run: getEx},
	{Name: "setex", Arity: 4, Flags: sets | engine.Brief, First: 1, Last: 1, Step: 1, Run: setEx},
	{Name: "psetex", Arity: 4, Flags: sets | engine.Brief, First: 1, Last: 1, Step: 1, Run: pSetEx},
	{Name: "setnx", Arity: 3, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: setNX},
	{Name: "mset", Arity: -3, Flags: sets, First: 1, Last: -1, Step: 2, Run: mSet},
	{Name: "msetnx", Arity: -3, Flags: sets, First: 1, Last: -1, Step: 2, Run: mSetNX},
	{Name: "mget", Arity: -2, Flags: readsFast, First: 1, Last: -1, Step: 1, Run: mGet},

	{Name: "append", Arity: 3, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: appendTo},
	{Name: "strlen", Arity: 2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: strLen},
	{Name: "setrange", Arity: 4, Flags: sets, First: 1, Last: 1, Step: 1, Run: setRange},
	{Name: "getrange", Arity: 4, Flags: reads, First: 1, Last: 1, Step: 1, Run: getRange},
	{Name: "substr", Arity: 4, Flags: reads, First: 1, Last: 1, Step: 1, Run: getRange},
	{Name: "lcs", Arity: -3, Flags: reads, First: 1, Last: 2, Step: 1, Run: lcs},

	{Name: "incr", Arity: 2, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: incr},
	{Name: "decr", Arity: 2, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: decr},
	{Name: "incrby", Arity: 3, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: incrBy},
	{Name: "decrby", Arity: 3, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: decrBy},
	{Name: "incrbyfloat", Arity: 3, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: incrByFloat},

	{Name: "setbit", Arity: 4, Flags: sets, First: 1, Last: 1, Step: 1, Run: setBit},
	{Name: "getbit", Arity: 3, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: readBit},
	{Name: "bitcount", Arity: -2, Flags: reads, First: 1, Last: 1, Step: 1, Run: bitCount},
	{Name: "bitpos", Arity: -3, Flags: reads, First: 1, Last: 1, Step: 1, Run: bitPos},
	{Name: "bitop", Arity: -4, Flags: sets, First: 2, Last: -1, Step: 1, Run: bitOperation},
	{Name: "bitfield", Arity: -2, Flags: sets, First: 1, Last: 1, Step: 1, Run: bitField},
	{Name: "bitfield_ro", Arity: -2, Flags: readsFast, First: 1, Last: 1, Step: 1, Run: bitFieldRO},

	{Name: "pfadd", Arity: -2, Flags: setsFast, First: 1, Last: 1, Step: 1, Run: pfAdd},
	{Name: "pfcount", Arity: -2, Flags: reads | engine.MayReplicate, First: 1, Last: -1, Step: 1, Run: pfCount},
	{Name: "pfmerge", Arity: -2, Flags: sets, First: 1, Last: -1, Step: 1, Run: pfMerge},
}

// Words of commands as the log tells them.
var (
	wordSet       = []byte("SET")
	wordDel       = []byte("DEL")
	wordPersist   = []byte("PERSIST")
	wordPExpireAt = []byte("PEXPIREAT")
	wordPXAT      = []byte("PXAT")
	wordKeepTTL   = []byte("KEEPTTL")
)
