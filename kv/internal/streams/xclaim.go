package streams

import (
	"fmt"
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// The words of what the log gets.
var (
	wordXClaim, wordZero, wordTime = []byte("XCLAIM"), []byte("0"), []byte("TIME")
	wordRetry, wordForce           = []byte("RETRYCOUNT"), []byte("FORCE")
	wordJustID, wordLastID         = []byte("JUSTID"), []byte("LASTID")
)

// logClaim tells the log what is pending as a command that has the same effect however often it is executed.
// text is the ID as it was given, or nil.
func logClaim(c *engine.Client, key []byte, g *Group, owner *Consumer, p Pending, text []byte) {
	if c.Engine().Journal() == nil {
		return
	}
	var buf [128]byte
	id := p.ID.AppendText(buf[:0])
	at := strconv.AppendInt(id[len(id):], p.Time, 10)
	count := strconv.AppendUint(at[len(at):], p.Count, 10)
	last := g.last.AppendText(count[len(count):])
	if text != nil {
		id = text
	}
	c.Propagate(wordXClaim, key, []byte(g.name), []byte(owner.name), wordZero, id, wordTime, at, wordRetry, count,
		wordForce, wordJustID, wordLastID, last)
}

// logGroupID tells the log what the group has been given.
func logGroupID(c *engine.Client, key []byte, g *Group) {
	c.Propagate([]byte("XGROUP"), []byte("SETID"), key, []byte(g.name), g.last.AppendText(nil), []byte("ENTRIESREAD"), appendInt(g.read))
}

// claim is what XCLAIM or XAUTOCLAIM does with what is pending.
type claim struct {
	c        *engine.Client
	key      []byte
	s        *Stream
	g        *Group
	name     []byte    // of the new owner
	consumer *Consumer // nil until it gets the first entry
	minIdle  int64     // ms
	at       int64     // the time of delivery, unix ms
	retries  int64     // the number of deliveries; -1 is one more, or as many with justID
	justID   bool
}

// begin finds the stream and the group; it replies the error.
func (m *claim) begin(c *engine.Client, args [][]byte) bool {
	s, found, ok := engine.Edit[*Stream](c, args[1])
	if !ok {
		return false
	}
	if found {
		m.g = s.EditGroup(args[2])
	}
	if m.g == nil {
		noGroup(c, args[1], args[2])
		return false
	}
	m.c, m.key, m.s, m.name = c, args[1], s, args[3]
	return true
}

// parseIdle reads the shortest idle time.
func (m *claim) parseIdle(c *engine.Client, arg []byte, command string) bool {
	n, ok := engine.ParseInt(arg)
	if !ok {
		c.Error("ERR Invalid min-idle-time argument for " + command)
	}
	m.minIdle = max(n, 0)
	return ok
}

// drop forgets what is pending, because the entry has gone. text is the ID as it was given, or nil.
func (m *claim) drop(p Pending, text []byte) {
	logClaim(m.c, m.key, m.g, m.g.slots[p.owner], p, text)
	m.c.Dirtied()
	m.s.acknowledge(m.g, p.ID)
}

// give makes an entry, which is there, the new owner's, and replies it. text is the ID as it was given, or nil.
func (m *claim) give(p Pending, text []byte) {
	if m.consumer == nil {
		if m.consumer = m.g.editConsumer(m.name); m.consumer == nil {
			m.consumer = m.s.CreateConsumer(m.g, m.name, 0)
			dirtied(m.c, m.key, "xgroup-createconsumer")
		}
		m.consumer.seen = m.c.Engine().Now()
	}
	p.Time = m.at
	if m.retries >= 0 {
		p.Count = uint64(m.retries)
	} else if !m.justID {
		p.Count++
	}
	m.s.assign(m.g, m.consumer, p)
	if m.justID {
		bulkID(m.c, p.ID)
	} else {
		replyOne(m.c, m.s, p.ID)
	}
	logClaim(m.c, m.key, m.g, m.consumer, p, text)
	m.c.Dirtied()
}

func xclaim(c *engine.Client, args [][]byte) {
	m := &claim{retries: -1}
	if !m.begin(c, args) || !m.parseIdle(c, args[4], "XCLAIM") {
		return
	}
	var ids []ID
	for _, text := range args[5:] {
		id, _, ok := strict.parse(text)
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	force, last, ok := m.parseOptions(args[5+len(ids):])
	if !ok {
		return
	}
	c.PropagateNothing()
	moved := m.g.last.less(last)
	if moved {
		m.g.last = last
	}
	mark, n := c.Later(), 0
	for i, id := range ids {
		given, logged := m.one(id, args[5+i], force)
		if given {
			n++
		}
		moved = moved && !logged
	}
	if moved {
		logGroupID(c, m.key, m.g)
		c.Dirtied()
	}
	c.SetLen(mark, '*', n)
}

// one claims one entry, if it may be claimed. logged says that the log was told of it.
func (m *claim) one(id ID, text []byte, force bool) (given, logged bool) {
	p, pending := m.g.pel.get(id)
	if _, there := m.s.find(id); !there {
		if pending {
			m.drop(p, text)
		}
		return false, pending
	}
	switch {
	case !pending && !force:
		return false, false
	case !pending:
		p = Pending{ID: id, Count: 1}
	case m.minIdle > 0 && m.c.Engine().Now()-p.Time < m.minIdle:
		return false, false
	}
	m.give(p, text)
	return true, true
}

// parseOptions reads what follows the IDs of XCLAIM; it replies the error.
func (m *claim) parseOptions(args [][]byte) (force bool, last ID, ok bool) {
	now := m.c.Engine().Now()
	m.at = -1
	for i := 0; i < len(args); i++ {
		arg, more := args[i], i+1 < len(args)
		ok = true
		switch {
		case engine.EqualFold(arg, "FORCE"):
			force = true
		case engine.EqualFold(arg, "JUSTID"):
			m.justID = true
		case more && engine.EqualFold(arg, "IDLE"):
			i++
			m.at, ok = m.option(args[i], "IDLE")
			m.at = now - m.at
		case more && engine.EqualFold(arg, "TIME"):
			i++
			m.at, ok = m.option(args[i], "TIME")
		case more && engine.EqualFold(arg, "RETRYCOUNT"):
			i++
			m.retries, ok = m.option(args[i], "RETRYCOUNT")
		case more && engine.EqualFold(arg, "LASTID"):
			i++
			last, ok = parseID(m.c, strict, args[i])
		default:
			m.c.Error(fmt.Sprintf("ERR Unrecognized XCLAIM option '%s'", engine.CText(arg)))
			ok = false
		}
		if !ok {
			return false, last, false
		}
	}
	if m.at < 0 || m.at > now {
		m.at = now
	}
	return force, last, true
}

func (m *claim) option(arg []byte, name string) (int64, bool) {
	n, ok := engine.ParseInt(arg)
	if !ok {
		m.c.Error("ERR Invalid " + name + " option argument for XCLAIM")
	}
	return n, ok
}

func xautoclaim(c *engine.Client, args [][]byte) {
	m := &claim{retries: -1, at: c.Engine().Now()}
	if !m.parseIdle(c, args[4], "XAUTOCLAIM") {
		return
	}
	from, ok := parseLow(c, args[5])
	if !ok {
		return
	}
	count, ok := m.parseAuto(c, args[6:])
	if !ok || !m.begin(c, args) {
		return
	}
	c.PropagateNothing()
	start := c.Later()
	n := 0
	var gone []ID
	p, more := m.g.pel.from(from)
	for attempts := 10 * count; more && attempts > 0 && count > 0; attempts-- {
		if _, there := m.s.find(p.ID); !there {
			m.drop(p, nil)
			gone = append(gone, p.ID)
			count--
		} else if m.minIdle == 0 || m.at-p.Time >= m.minIdle {
			m.give(p, nil)
			n++
			count--
		}
		next, inside := p.ID.next()
		if p, more = m.g.pel.from(next); !inside {
			more = false
		}
	}
	c.SetLen(start, '*', n)
	var end ID
	if more {
		end = p.ID
	}
	entries := append([]byte{}, c.Since(start)...)
	c.Undo(start)
	c.Array(3)
	bulkID(c, end)
	c.Reply(entries)
	c.Array(len(gone))
	for _, id := range gone {
		bulkID(c, id)
	}
}

// parseAuto reads what follows the ID of XAUTOCLAIM; it replies the error.
func (m *claim) parseAuto(c *engine.Client, args [][]byte) (count int64, ok bool) {
	count = 100
	for i := 0; i < len(args); i++ {
		switch {
		case i+1 < len(args) && engine.EqualFold(args[i], "COUNT"):
			i++
			if count, ok = engine.ParseInt(args[i]); !ok || count < 1 || count > math.MaxInt64/16 {
				c.Error("ERR COUNT must be > 0")
				return 0, false
			}
		case engine.EqualFold(args[i], "JUSTID"):
			m.justID = true
		default:
			c.Error(engine.ErrSyntax)
			return 0, false
		}
	}
	return count, true
}
