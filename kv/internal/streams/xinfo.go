package streams

import (
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// infoStream returns the stream that XINFO is asked about; it replies the error.
func infoStream(c *engine.Client, key []byte) *Stream {
	s, found, ok := engine.Get[*Stream](c, key)
	if ok && !found {
		c.Error(engine.ErrNoKey)
	}
	return s
}

func xinfoStream(c *engine.Client, args [][]byte) {
	s := infoStream(c, args[2])
	if s == nil {
		return
	}
	full := len(args) > 3
	count := int64(10)
	if full {
		if len(args) != 4 && len(args) != 6 || !engine.EqualFold(args[3], "FULL") || len(args) == 6 && !engine.EqualFold(args[4], "COUNT") {
			wrongSubcommand(c, args)
			return
		}
		if len(args) == 6 {
			n, ok := c.ParseInt(args[5])
			if !ok {
				return
			}
			if n >= 0 {
				count = n
			}
		}
	}
	if full {
		c.Map(9)
	} else {
		c.Map(10)
	}
	replyMeta(c, s)
	if full {
		c.BulkString("entries")
		replyEntries(c, s.walk(ID{}, maxID, false), count)
		c.BulkString("groups")
		c.Array(len(s.groups))
		for _, g := range s.groups {
			replyGroup(c, s, g, count)
		}
		return
	}
	c.BulkString("groups")
	c.Count(len(s.groups))
	for i, name := range []string{"first-entry", "last-entry"} {
		c.BulkString(name)
		if w := s.walk(ID{}, maxID, i == 1); w.next() {
			replyEntry(c, w)
		} else {
			c.Null()
		}
	}
}

func replyMeta(c *engine.Client, s *Stream) {
	m := &s.meta
	c.BulkString("length")
	c.Int(int64(m.Length))
	c.BulkString("radix-tree-keys")
	c.Count(s.nodes)
	c.BulkString("radix-tree-nodes")
	c.Count(s.radixNodes())
	c.BulkString("last-generated-id")
	bulkID(c, m.Last)
	c.BulkString("max-deleted-entry-id")
	bulkID(c, m.MaxDeleted)
	c.BulkString("entries-added")
	c.Int(int64(m.EntriesAdded))
	c.BulkString("recorded-first-entry-id")
	bulkID(c, m.First)
}

// replyCounters replies how far a group is.
func replyCounters(c *engine.Client, s *Stream, g *Group) {
	c.BulkString("last-delivered-id")
	bulkID(c, g.last)
	c.BulkString("entries-read")
	if g.read == UnknownRead {
		c.Null()
	} else {
		c.Int(g.read)
	}
	c.BulkString("lag")
	if lag, known := s.lag(g); known {
		c.Int(lag)
	} else {
		c.Null()
	}
}

// replyGroup replies all about a group, with at most count of each list, if that is positive.
func replyGroup(c *engine.Client, s *Stream, g *Group, count int64) {
	c.Map(7)
	c.BulkString("name")
	c.BulkString(g.name)
	replyCounters(c, s, g)
	c.BulkString("pel-count")
	c.Count(g.pel.n)
	c.BulkString("pending")
	mark, n := c.Later(), int64(0)
	for p := range g.pel.all(ID{}) {
		if count > 0 && n == count {
			break
		}
		c.Array(4)
		bulkID(c, p.ID)
		c.BulkString(g.slots[p.owner].name)
		c.Int(p.Time)
		c.Int(int64(p.Count))
		n++
	}
	c.SetLen(mark, '*', int(n))
	c.BulkString("consumers")
	c.Array(len(g.order))
	for consumer := range g.Consumers() {
		replyConsumer(c, g, consumer, count)
	}
}

func replyConsumer(c *engine.Client, g *Group, consumer *Consumer, count int64) {
	c.Map(4)
	c.BulkString("name")
	c.BulkString(consumer.name)
	c.BulkString("seen-time")
	c.Int(consumer.seen)
	c.BulkString("pel-count")
	c.Count(consumer.pel.n)
	c.BulkString("pending")
	mark, n := c.Later(), int64(0)
	for id := range consumer.pel.all(ID{}) {
		if count > 0 && n == count {
			break
		}
		p, _ := g.pel.get(id)
		c.Array(3)
		bulkID(c, id)
		c.Int(p.Time)
		c.Int(int64(p.Count))
		n++
	}
	c.SetLen(mark, '*', int(n))
}

func xinfoGroups(c *engine.Client, args [][]byte) {
	s := infoStream(c, args[2])
	if s == nil {
		return
	}
	c.Array(len(s.groups))
	for _, g := range s.groups {
		c.Map(6)
		c.BulkString("name")
		c.BulkString(g.name)
		c.BulkString("consumers")
		c.Count(len(g.order))
		c.BulkString("pending")
		c.Count(g.pel.n)
		replyCounters(c, s, g)
	}
}

func xinfoConsumers(c *engine.Client, args [][]byte) {
	s := infoStream(c, args[2])
	if s == nil {
		return
	}
	g := s.Group(args[3])
	if g == nil {
		c.Error(fmt.Sprintf("NOGROUP No such consumer group '%s' for key name '%s'", engine.CText(args[3]), engine.CText(args[2])))
		return
	}
	c.Array(len(g.order))
	for consumer := range g.Consumers() {
		c.Map(3)
		c.BulkString("name")
		c.BulkString(consumer.name)
		c.BulkString("pending")
		c.Count(consumer.pel.n)
		c.BulkString("idle")
		c.Int(max(c.Engine().Now()-consumer.seen, 0))
	}
}
