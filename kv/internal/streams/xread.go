package streams

import (
	"bytes"
	"fmt"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// reading is what XREAD or XREADGROUP asks for.
type reading struct {
	blocks          bool
	timeout         time.Duration
	count           int64 // 0 is all
	noAck           bool
	group, consumer []byte // nil of XREAD
	keys            [][]byte
	after           []ID // by key; the largest ID stands for ">" of XREADGROUP
}

// blockedCount is how many entries a client that waited gets at most, if it has not said.
const blockedCount = 1000

func xread(c *engine.Client, args [][]byte) {
	defer c.PropagateNothing()
	r := &reading{}
	if !r.parse(c, args) || !r.resolve(c, args) {
		return
	}
	mark, n := c.Later(), 0
	for i, key := range r.keys {
		if r.serve(c, key, r.after[i]) {
			n++
		}
	}
	switch {
	case n > 0:
		// RESP2 has an array of pairs.
		if c.Proto() == 3 {
			c.SetLen(mark, '%', n)
		} else {
			c.SetLen(mark, '*', n)
		}
	case r.blocks && c.CanBlock():
		r.park(c)
	default:
		c.NullArray()
	}
}

// parse reads the arguments up to the IDs; it replies the error.
func (r *reading) parse(c *engine.Client, args [][]byte) (ok bool) {
	grouped := len(args[0]) == len("XREADGROUP")
	for i := 1; i < len(args); i++ {
		arg, more := args[i], len(args)-i-1
		switch {
		case more > 0 && engine.EqualFold(arg, "BLOCK"):
			i++
			if ok = r.parseBlock(c, args[0], args[i]); !ok {
				return false
			}
		case more > 0 && engine.EqualFold(arg, "COUNT"):
			i++
			if r.count, ok = c.ParseInt(args[i]); !ok {
				return false
			}
			r.count = max(r.count, 0)
		case more > 0 && engine.EqualFold(arg, "STREAMS"):
			if more%2 != 0 {
				c.Error("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
				return false
			}
			r.keys = args[i+1 : i+1+more/2]
			return r.parsed(c, grouped)
		case more > 1 && engine.EqualFold(arg, "GROUP"):
			if !grouped {
				c.Error("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
				return false
			}
			r.group, r.consumer = args[i+1], args[i+2]
			i += 2
		case engine.EqualFold(arg, "NOACK"):
			if !grouped {
				c.Error("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
				return false
			}
			r.noAck = true
		default:
			c.Error(engine.ErrSyntax)
			return false
		}
	}
	c.Error(engine.ErrSyntax)
	return false
}

func (r *reading) parsed(c *engine.Client, grouped bool) bool {
	if grouped && r.group == nil {
		c.Error("ERR Missing GROUP option for XREADGROUP")
		return false
	}
	return true
}

func (r *reading) parseBlock(c *engine.Client, name, arg []byte) bool {
	if c.InScript() {
		c.Error("ERR " + string(name) + " command is not allowed with BLOCK option from scripts")
		return false
	}
	ms, ok := engine.ParseInt(arg)
	switch {
	case !ok:
		c.Error("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.Error("ERR timeout is negative")
	default:
		r.blocks, r.timeout = true, time.Duration(min(ms, 1<<40))*time.Millisecond
		return true
	}
	return false
}

// resolve reads the IDs, and makes sure that the groups are there; it replies the error.
func (r *reading) resolve(c *engine.Client, args [][]byte) bool {
	r.after = make([]ID, len(r.keys))
	for i, text := range args[len(args)-len(r.keys):] {
		key := r.keys[i]
		s, found, ok := engine.Get[*Stream](c, key)
		if !ok {
			return false
		}
		if r.group != nil && (!found || s.Group(r.group) == nil) {
			c.Error(fmt.Sprintf("NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option", engine.CText(key), engine.CText(r.group)))
			return false
		}
		switch {
		case len(text) == 1 && text[0] == '$':
			if r.group != nil {
				c.Error("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this " +
					"consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return " +
					"an empty result set.")
				return false
			}
			if found {
				r.after[i] = s.meta.Last
			}
		case len(text) == 1 && text[0] == '>':
			if r.group == nil {
				c.Error("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
				return false
			}
			r.after[i] = maxID
		default:
			if r.after[i], ok = parseID(c, strict, text); !ok {
				return false
			}
		}
	}
	return true
}

// serve replies a key with the entries behind an ID. It reports false, and replies nothing, if there are none.
func (r *reading) serve(c *engine.Client, key []byte, after ID) bool {
	if r.group == nil {
		s, found, _ := engine.Get[*Stream](c, key)
		if !found || !after.less(s.lastLive()) {
			return false
		}
		r.replyKey(c, key)
		from, _ := after.next()
		replyEntries(c, s.walk(from, maxID, false), r.count)
		return true
	}
	s, _, _ := engine.Edit[*Stream](c, key)
	g := s.EditGroup(r.group)
	history := after != maxID
	if !history {
		if after = g.last; !after.less(s.lastLive()) {
			return false
		}
	}
	r.replyKey(c, key)
	consumer := g.editConsumer(r.consumer)
	if consumer == nil {
		consumer = s.CreateConsumer(g, r.consumer, 0)
		dirtied(c, key, "xgroup-createconsumer")
		if r.noAck {
			c.Propagate([]byte("XGROUP"), []byte("CREATECONSUMER"), key, r.group, r.consumer)
		}
	}
	consumer.seen = c.Engine().Now()
	from, _ := after.next()
	if history {
		r.replyHistory(c, s, g, consumer, from)
	} else {
		r.replyNew(c, key, s, g, consumer, from)
	}
	c.Dirtied()
	return true
}

func (r *reading) replyKey(c *engine.Client, key []byte) {
	if c.Proto() != 3 {
		c.Array(2)
	}
	c.Bulk(key)
}

// replyNew replies entries that the group has not been given, and gives them to the consumer.
func (r *reading) replyNew(c *engine.Client, key []byte, s *Stream, g *Group, consumer *Consumer, from ID) {
	mark, n := c.Later(), int64(0)
	now := c.Engine().Now()
	moved := false
	w := s.walk(from, maxID, false)
	for w.next() {
		if g.last.less(w.id) {
			s.advance(g, w.id)
			moved = true
		}
		replyEntry(c, w)
		if !r.noAck {
			p := Pending{ID: w.id, Time: now, Count: 1}
			s.assign(g, consumer, p)
			logClaim(c, key, g, consumer, p, nil)
		}
		if n++; n == r.count {
			break
		}
	}
	if r.noAck && moved {
		logGroupID(c, key, g)
	}
	c.SetLen(mark, '*', int(n))
}

// replyHistory replies entries that the consumer has been given and has not acknowledged.
func (r *reading) replyHistory(c *engine.Client, s *Stream, g *Group, consumer *Consumer, from ID) {
	mark, n := c.Later(), int64(0)
	for id := range consumer.pel.all(from) {
		if r.count > 0 && n == r.count {
			break
		}
		if replyOne(c, s, id) {
			p, _ := g.pel.get(id)
			p.Time = c.Engine().Now()
			p.Count++
			g.pel.put(g.stamp, p)
		} else {
			c.Array(2)
			bulkID(c, id)
			c.NullArray()
		}
		n++
	}
	c.SetLen(mark, '*', int(n))
}

// park has the client wait for an entry.
func (r *reading) park(c *engine.Client) {
	w := &reading{count: r.count, noAck: r.noAck, group: bytes.Clone(r.group), consumer: bytes.Clone(r.consumer)}
	if w.count == 0 {
		w.count = blockedCount
	}
	after := make(map[string]ID, len(r.keys))
	for i, key := range r.keys {
		if _, twice := after[string(key)]; !twice {
			after[string(key)] = r.after[i]
		}
	}
	c.Park(engine.Wait{
		Keys:    r.keys,
		Timeout: r.timeout,
		Serve:   func(c *engine.Client, key []byte) bool { return w.wake(c, key, after[string(key)]) },
		Expired: (*engine.Client).NullArray,
	})
}

// wake replies to a client that waits for a key, if it can.
func (r *reading) wake(c *engine.Client, key []byte, after ID) bool {
	var s *Stream
	if en := c.DB().Peek(key); en != nil && en.Box() != nil {
		s, _ = en.Box().Val.(*Stream)
	}
	switch {
	case s == nil && r.group == nil:
		return false
	case s == nil:
		c.Error("UNBLOCKED the stream key no longer exists")
		return true
	case r.group != nil && s.Group(r.group) == nil:
		c.Error("NOGROUP the consumer group this client was blocked on no longer exists")
		return true
	}
	if c.Proto() == 3 {
		c.Map(1)
	} else {
		c.Array(1)
	}
	return r.serve(c, key, after)
}
