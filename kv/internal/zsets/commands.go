package zsets

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// Commands are the commands of sorted sets.
var Commands = []*engine.Command{
	write("zadd", -4, engine.DenyOOM|engine.Fast, zadd),
	write("zincrby", 4, engine.DenyOOM|engine.Fast, zincrby),
	write("zrem", -3, engine.Fast, zrem),
	write("zremrangebyrank", 4, 0, zremrangebyrank),
	write("zremrangebyscore", 4, 0, zremrangebyscore),
	write("zremrangebylex", 4, 0, zremrangebylex),
	write("zpopmin", -2, engine.Fast, zpopmin),
	write("zpopmax", -2, engine.Fast, zpopmax),

	read("zcard", 2, engine.Fast, zcard),
	read("zscore", 3, engine.Fast, zscore),
	read("zmscore", -3, engine.Fast, zmscore),
	read("zrank", 3, engine.Fast, zrank),
	read("zrevrank", 3, engine.Fast, zrevrank),
	read("zcount", 4, engine.Fast, zcount),
	read("zlexcount", 4, engine.Fast, zlexcount),
	read("zrandmember", -2, 0, zrandmember),
	read("zscan", -3, 0, zscan),
	read("zrange", -4, 0, zrange),
	read("zrevrange", -4, 0, zrevrange),
	read("zrangebyscore", -4, 0, zrangebyscore),
	read("zrevrangebyscore", -4, 0, zrevrangebyscore),
	read("zrangebylex", -4, 0, zrangebylex),
	read("zrevrangebylex", -4, 0, zrevrangebylex),
	{
		Name: "zrangestore", Arity: -5, Flags: engine.Write | engine.DenyOOM,
		First: 1, Last: 2, Step: 1, Run: zrangestore,
	},

	{
		Name: "bzpopmin", Arity: -3, Flags: engine.Write | engine.NoScript | engine.Fast | engine.Blocking,
		First: 1, Last: -2, Step: 1, Run: bzpopmin,
	},
	{
		Name: "bzpopmax", Arity: -3, Flags: engine.Write | engine.NoScript | engine.Fast | engine.Blocking,
		First: 1, Last: -2, Step: 1, Run: bzpopmax,
	},
	counted("zmpop", -4, engine.Write, 1, zmpop),
	counted("bzmpop", -5, engine.Write|engine.Blocking, 2, bzmpop),

	counted("zunion", -3, engine.ReadOnly, 1, zunion),
	counted("zinter", -3, engine.ReadOnly, 1, zinter),
	counted("zdiff", -3, engine.ReadOnly, 1, zdiff),
	counted("zintercard", -3, engine.ReadOnly, 1, zintercard),
	storing("zunionstore", zunionstore),
	storing("zinterstore", zinterstore),
	storing("zdiffstore", zdiffstore),
}

type run = func(c *engine.Client, args [][]byte)

// write and read are commands of one key, the first argument.
func write(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.Write, First: 1, Last: 1, Step: 1, Run: f}
}

func read(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.ReadOnly, First: 1, Last: 1, Step: 1, Run: f}
}

// counted is a command whose argument at is the number of the keys that follow it.
func counted(name string, arity int, flags engine.Flag, at int, f run) *engine.Command {
	return &engine.Command{
		Name: name, Arity: arity, Flags: flags | engine.MovableKeys, Run: f,
		Keys: func(args [][]byte) []int { return countedKeys(nil, args, at) },
	}
}

// storing is a command with the key of the result before the number of the others.
func storing(name string, f run) *engine.Command {
	return &engine.Command{
		Name: name, Arity: -4, Flags: engine.Write | engine.DenyOOM | engine.MovableKeys,
		First: 1, Last: 1, Step: 1, Run: f,
		Keys: func(args [][]byte) []int { return countedKeys([]int{1}, args, 2) },
	}
}

func countedKeys(keys []int, args [][]byte, at int) []int {
	if at >= len(args) {
		return nil
	}
	n, ok := engine.ParseInt(args[at])
	if !ok || n < 1 || n > int64(len(args)-at-1) {
		return nil
	}
	for i := range int(n) {
		keys = append(keys, at+1+i)
	}
	return keys
}

// Of returns the sorted set under an entry, or nil if there is no entry. If it holds something else, the
// client is told so, and ok is false.
func Of(c *engine.Client, en *table.Entry) (z *ZSet, ok bool) {
	if en == nil {
		return nil, true
	}
	if b := en.Box(); b != nil {
		if z, ok = b.Val.(*ZSet); ok {
			return z, true
		}
	}
	c.Error(engine.ErrWrongType)
	return nil, false
}

// reading returns the sorted set of a key for reading; see Of.
func reading(c *engine.Client, key []byte) (*ZSet, bool) { return Of(c, c.DB().Read(key)) }

// writing returns the sorted set of a key for writing; see Of.
func writing(c *engine.Client, key []byte) (*ZSet, bool) { return Of(c, c.DB().Write(key)) }

// limits returns the limits that hold for the client's command.
func limits(c *engine.Client) Limits { return LimitsOf(c.Engine().Config()) }

// lost removes the key of a set that has lost members, if it was the last ones that went, and tells of both.
func lost(c *engine.Client, key []byte, z *ZSet, event string) {
	if z.Len() > 0 {
		c.Changed(key, engine.EventZSet, event)
		return
	}
	c.DB().Remove(key)
	c.Changed(key, engine.EventZSet, event)
	c.Changed(key, engine.EventGeneric, "del")
}

// Store puts a result under a key, whatever was there, and replies how many members it has. An empty result
// removes the key.
func Store(c *engine.Client, key []byte, z *ZSet, event string) {
	if z.Len() > 0 {
		c.DB().SetValue(key, z, 0)
		c.Changed(key, engine.EventZSet, event)
	} else if c.DB().Remove(key) {
		c.Changed(key, engine.EventGeneric, "del")
	}
	c.Count(z.Len())
}

// wide reports whether members with scores are replied in pairs: RESP2 has them in one row.
func wide(c *engine.Client) bool { return c.Proto() == 3 }

// replyLen begins an array of n members, with their scores if so asked for.
func replyLen(c *engine.Client, n int, scores bool) {
	if scores && !wide(c) {
		n *= 2
	}
	c.Array(n)
}

func replyMember(c *engine.Client, member []byte, score float64, scores bool) {
	if scores && wide(c) {
		c.Array(2)
	}
	c.Bulk(member)
	if scores {
		c.Double(score)
	}
}
