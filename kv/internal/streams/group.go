package streams

import (
	"iter"
	"slices"
	"sort"
)

// UnknownRead is the number of entries that a group has read, when it cannot be known.
const UnknownRead = -1

// nobody is the owner of what is pending and not assigned yet.
const nobody = ^uint32(0)

// Group is a group of consumers.
type Group struct {
	stamp uint32
	name  string
	last  ID    // the last that was delivered
	read  int64 // entries up to last, or UnknownRead
	pel   sorted[Pending]

	slots []*Consumer // what a Pending's owner is an index of; nil where there is none
	order []uint32    // the slots that have a consumer, by name
}

// Pending is an entry that a consumer has been given and has not acknowledged.
type Pending struct {
	ID    ID
	Time  int64  // of the last delivery, unix ms
	Count uint64 // of deliveries
	owner uint32
}

func (p Pending) key() ID { return p.ID }

// Consumer is a member of a group.
type Consumer struct {
	stamp uint32
	slot  uint32
	name  string
	seen  int64
	pel   sorted[ID]
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// Last returns the last ID that was delivered.
func (g *Group) Last() ID { return g.last }

// EntriesRead returns how many entries there were up to Last, or UnknownRead.
func (g *Group) EntriesRead() int64 { return g.read }

// PendingCount returns how many entries are pending.
func (g *Group) PendingCount() int { return g.pel.n }

// Pending returns what is pending, from an ID on.
func (g *Group) Pending(from ID) iter.Seq[Pending] { return g.pel.all(from) }

// Owner returns who has what is pending.
func (g *Group) Owner(p Pending) *Consumer { return g.slots[p.owner] }

// ConsumerCount returns the number of consumers.
func (g *Group) ConsumerCount() int { return len(g.order) }

// Consumers returns the consumers in the order of their names.
func (g *Group) Consumers() iter.Seq[*Consumer] {
	return func(yield func(*Consumer) bool) {
		for _, slot := range g.order {
			if !yield(g.slots[slot]) {
				return
			}
		}
	}
}

// Name returns the consumer's name.
func (c *Consumer) Name() string { return c.name }

// Seen returns when the consumer was last heard of, in unix ms.
func (c *Consumer) Seen() int64 { return c.seen }

// PendingCount returns how many entries the consumer has not acknowledged.
func (c *Consumer) PendingCount() int { return c.pel.n }

// Pending returns the IDs of the entries that the consumer has not acknowledged, from an ID on.
func (c *Consumer) Pending(from ID) iter.Seq[ID] { return c.pel.all(from) }

// Groups returns the groups in the order of their names.
func (s *Stream) Groups() []*Group { return s.groups }

func (s *Stream) findGroup(name []byte) (int, bool) {
	i := sort.Search(len(s.groups), func(i int) bool { return s.groups[i].name >= string(name) })
	return i, i < len(s.groups) && s.groups[i].name == string(name)
}

// Group returns the group of a name for reading, or nil.
func (s *Stream) Group(name []byte) *Group {
	if i, found := s.findGroup(name); found {
		return s.groups[i]
	}
	return nil
}

// EditGroup returns the group of a name for changing, or nil. It may copy what the group keeps of its
// consumers, and pointers to chunks of what is pending.
func (s *Stream) EditGroup(name []byte) *Group {
	i, found := s.findGroup(name)
	if !found {
		return nil
	}
	g := s.groups[i]
	if g.stamp != s.stamp {
		c := *g
		c.stamp = s.stamp
		c.pel = g.pel.clone()
		c.slots, c.order = slices.Clone(g.slots), slices.Clone(g.order)
		g = &c
		s.groups[i] = g
	}
	return g
}

// CreateGroup adds a group, for changing. It returns nil if there is one of that name.
func (s *Stream) CreateGroup(name []byte, last ID, read int64) *Group {
	i, found := s.findGroup(name)
	if found {
		return nil
	}
	g := &Group{stamp: s.stamp, name: string(name), last: last, read: read}
	s.groups = slices.Insert(s.groups, i, g)
	s.bytes += groupSize + len(name)
	return g
}

// destroyGroup removes a group, and reports whether there was one.
func (s *Stream) destroyGroup(name []byte) bool {
	i, found := s.findGroup(name)
	if !found {
		return false
	}
	g := s.groups[i]
	s.bytes -= groupSize + len(name) + pendingSize*g.pel.n
	for c := range g.Consumers() {
		s.bytes -= consumerSize + len(c.name)
	}
	s.groups = slices.Delete(s.groups, i, i+1)
	return true
}

func (g *Group) findConsumer(name []byte) (int, bool) {
	i := sort.Search(len(g.order), func(i int) bool { return g.slots[g.order[i]].name >= string(name) })
	return i, i < len(g.order) && g.slots[g.order[i]].name == string(name)
}

// Consumer returns the consumer of a name for reading, or nil.
func (g *Group) Consumer(name []byte) *Consumer {
	if i, found := g.findConsumer(name); found {
		return g.slots[g.order[i]]
	}
	return nil
}

// own returns the consumer of a slot of a group that may be changed, for changing.
func (g *Group) own(slot uint32) *Consumer {
	c := g.slots[slot]
	if c.stamp != g.stamp {
		d := *c
		d.stamp = g.stamp
		d.pel = c.pel.clone()
		c = &d
		g.slots[slot] = c
	}
	return c
}

// editConsumer returns the consumer of a name for changing, or nil.
func (g *Group) editConsumer(name []byte) *Consumer {
	if i, found := g.findConsumer(name); found {
		return g.own(g.order[i])
	}
	return nil
}

// The methods of the stream that follow change groups, which EditGroup or CreateGroup has returned.

// CreateConsumer adds a consumer, for changing. It returns nil if there is one of that name.
func (s *Stream) CreateConsumer(g *Group, name []byte, seen int64) *Consumer {
	i, found := g.findConsumer(name)
	if found {
		return nil
	}
	slot := len(g.slots)
	if slot > len(g.order) {
		slot = slices.Index(g.slots, nil)
	} else {
		g.slots = append(g.slots, nil)
	}
	c := &Consumer{stamp: g.stamp, slot: uint32(slot), name: string(name), seen: seen}
	g.slots[slot] = c
	g.order = slices.Insert(g.order, i, c.slot)
	s.bytes += consumerSize + len(name)
	return c
}

// deleteConsumer removes a consumer with what it has not acknowledged, and returns how many entries that
// were; false if there was none.
func (s *Stream) deleteConsumer(g *Group, name []byte) (pending int, found bool) {
	i, found := g.findConsumer(name)
	if !found {
		return 0, false
	}
	c := g.slots[g.order[i]]
	for id := range c.pel.all(ID{}) {
		g.pel.delete(g.stamp, id)
	}
	g.slots[c.slot] = nil
	g.order = slices.Delete(g.order, i, i+1)
	s.bytes -= consumerSize + len(name) + pendingSize*c.pel.n
	return c.pel.n, true
}

// assign makes what is pending the consumer's, with the time and count that p has.
func (s *Stream) assign(g *Group, c *Consumer, p Pending) {
	old, had := g.pel.get(p.ID)
	if had && old.owner != c.slot && old.owner != nobody {
		g.own(old.owner).pel.delete(g.stamp, p.ID)
	}
	p.owner = c.slot
	g.pel.put(g.stamp, p)
	if !had {
		s.bytes += pendingSize
	}
	if !had || old.owner != c.slot {
		c.pel.put(g.stamp, p.ID)
	}
}

// acknowledge removes what is pending, and reports whether it was.
func (s *Stream) acknowledge(g *Group, id ID) bool {
	p, had := g.pel.get(id)
	if !had {
		return false
	}
	g.pel.delete(g.stamp, id)
	g.own(p.owner).pel.delete(g.stamp, id)
	s.bytes -= pendingSize
	return true
}
