package hashes

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scan"
)

// Commands are the commands of hashes.
var Commands = []*engine.Command{
	write("hset", -4, engine.DenyOOM|engine.Fast, hset),
	write("hmset", -4, engine.DenyOOM|engine.Fast, hset),
	write("hsetnx", 4, engine.DenyOOM|engine.Fast, hsetnx),
	write("hincrby", 4, engine.DenyOOM|engine.Fast, hincrby),
	write("hincrbyfloat", 4, engine.DenyOOM|engine.Fast, hincrbyfloat),
	write("hdel", -3, engine.Fast, hdel),

	read("hget", 3, engine.Fast, hget),
	read("hmget", -3, engine.Fast, hmget),
	read("hlen", 2, engine.Fast, hlen),
	read("hstrlen", 3, engine.Fast, hstrlen),
	read("hexists", 3, engine.Fast, hexists),
	read("hkeys", 2, 0, hkeys),
	read("hvals", 2, 0, hvals),
	read("hgetall", 2, 0, hgetall),
	read("hrandfield", -2, 0, hrandfield),
	read("hscan", -3, 0, hscan),
}

type run = func(c *engine.Client, args [][]byte)

// write and read are commands of one key, the first argument.
func write(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.Write, First: 1, Last: 1, Step: 1, Run: f}
}

func read(name string, arity int, flags engine.Flag, f run) *engine.Command {
	return &engine.Command{Name: name, Arity: arity, Flags: flags | engine.ReadOnly, First: 1, Last: 1, Step: 1, Run: f}
}

// none stands for the hash of a key that is not there. It is never changed.
var none = New(0)

// reading returns the hash of a key for reading: none if there is no such key. ok is false if it holds
// something else, and the client has been told so.
func reading(c *engine.Client, key []byte) (h *Hash, ok bool) {
	h, found, ok := engine.Get[*Hash](c, key)
	if !found {
		return none, ok
	}
	return h, ok
}

// editing returns the hash of a key for writing. If there is no such key it is a new one, which is not in the
// keyspace yet: stored puts it there.
func editing(c *engine.Client, key []byte) (h *Hash, found, ok bool) {
	h, found, ok = engine.Edit[*Hash](c, key)
	if ok && !found {
		h = New(c.DB().Stamp())
	}
	return h, found, ok
}

// stored notes a change of a hash from editing.
func stored(c *engine.Client, key []byte, h *Hash, found bool, event string) {
	if !found {
		c.DB().SetValue(key, h, 0)
	}
	c.Changed(key, engine.EventHash, event)
}

func limits(c *engine.Client) Limits { return LimitsOf(c.Engine().Config()) }

func hset(c *engine.Client, args [][]byte) {
	if len(args)%2 == 1 {
		c.WrongArity(c.Command().Name)
		return
	}
	key := args[1]
	h, found, ok := editing(c, key)
	if !ok {
		return
	}
	lim, added := limits(c), 0
	for i := 2; i < len(args); i += 2 {
		if h.Set(args[i], args[i+1], lim) {
			added++
		}
	}
	stored(c, key, h, found, "hset")
	if c.Command().Name == "hmset" {
		c.OK()
		return
	}
	c.Count(added)
}

func hsetnx(c *engine.Client, args [][]byte) {
	key, field := args[1], args[2]
	h, found, ok := editing(c, key)
	if !ok {
		return
	}
	if _, there := h.get(field); there {
		c.Int(0)
		return
	}
	h.Set(field, args[3], limits(c))
	stored(c, key, h, found, "hset")
	c.Int(1)
}

func hdel(c *engine.Client, args [][]byte) {
	key := args[1]
	h, found, ok := engine.Edit[*Hash](c, key)
	if !ok {
		return
	}
	deleted := 0
	for _, field := range args[2:] {
		if found && h.Delete(field) {
			deleted++
		}
	}
	if deleted > 0 {
		empty := h.Len() == 0
		if empty {
			c.DB().Remove(key)
		}
		c.Changed(key, engine.EventHash, "hdel")
		if empty {
			c.Changed(key, engine.EventGeneric, "del")
		}
	}
	c.Count(deleted)
}

func hget(c *engine.Client, args [][]byte) {
	if h, ok := reading(c, args[1]); ok {
		h.replyValue(c, args[2])
	}
}

func hmget(c *engine.Client, args [][]byte) {
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Array(len(args) - 2)
	for _, field := range args[2:] {
		h.replyValue(c, field)
	}
}

func (h *Hash) replyValue(c *engine.Client, field []byte) {
	if value, found := h.get(field); found {
		value.reply(c)
	} else {
		c.Null()
	}
}

func hlen(c *engine.Client, args [][]byte) {
	if h, ok := reading(c, args[1]); ok {
		c.Count(h.Len())
	}
}

func hstrlen(c *engine.Client, args [][]byte) {
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	value, _ := h.get(args[2])
	var buf [24]byte
	c.Count(len(value.bytes(buf[:])))
}

func hexists(c *engine.Client, args [][]byte) {
	if h, ok := reading(c, args[1]); ok {
		_, found := h.get(args[2])
		c.Bool01(found)
	}
}

func hkeys(c *engine.Client, args [][]byte) {
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Array(h.Len())
	for field := range h.All() {
		c.Bulk(field)
	}
}

func hvals(c *engine.Client, args [][]byte) {
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Array(h.Len())
	for _, value := range h.All() {
		c.Bulk(value)
	}
}

func hgetall(c *engine.Client, args [][]byte) {
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Map(h.Len())
	for field, value := range h.All() {
		c.Bulk(field)
		c.Bulk(value)
	}
}

func hscan(c *engine.Client, args [][]byte) {
	cursor, ok := scan.Cursor(c, args[2])
	if !ok {
		return
	}
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	if h == none {
		scan.Nothing(c)
		return
	}
	o := scan.Options{Count: 10}
	if !o.Parse(c, args[3:]) {
		return
	}
	o.Reply(c, cursor, 2, func(cursor uint64, take func([]byte) bool) uint64 {
		return h.Scan(cursor, func(field, value []byte) {
			if take(field) {
				c.Bulk(field)
				c.Bulk(value)
			}
		})
	})
}

func hrandfield(c *engine.Client, args [][]byte) {
	if len(args) > 2 {
		randomFields(c, args)
		return
	}
	h, ok := reading(c, args[1])
	switch {
	case !ok:
	case h == none:
		c.Null()
	default:
		field, _ := h.Random(c.Engine().Rand())
		c.Bulk(field)
	}
}

func randomFields(c *engine.Client, args [][]byte) {
	count, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if count == math.MinInt64 {
		c.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
		return
	}
	values := len(args) == 4 && engine.EqualFold(args[3], "WITHVALUES")
	if len(args) > 3 && !values {
		c.Error(engine.ErrSyntax)
		return
	}
	if values && (count < -math.MaxInt64/2 || count > math.MaxInt64/2) {
		c.Error(engine.ErrOutOfRangeValue)
		return
	}
	h, ok := reading(c, args[1])
	if !ok {
		return
	}
	row := func(field, value []byte) {
		if values && c.Proto() == 3 {
			c.Array(2)
		}
		c.Bulk(field)
		if values {
			c.Bulk(value)
		}
	}
	n := count
	if count < 0 {
		n = -count
	} else {
		n = min(n, int64(h.Len()))
	}
	if h == none {
		n = 0
	}
	from := c.Later()
	if values && c.Proto() == 2 {
		c.Array(int(2 * n))
	} else {
		c.Array(int(n))
	}
	if count > 0 {
		h.Sample(c.Engine().Rand(), int(n), row)
		return
	}
	scan.Repeat(c, from, n, scan.LongestReply, func() { row(h.Random(c.Engine().Rand())) })
}
