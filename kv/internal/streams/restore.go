package streams

import (
	"errors"
	"fmt"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// errParts says that parts do not make a stream.
var errParts = errors.New("streams: parts that do not fit")

// AddNode adds a node of a file behind the last one: a listpack that has been checked to have the layout of a
// stream's node, which the stream owns from now on. Lengths are not counted: SetMeta tells them.
func (s *Stream) AddNode(id ID, pack listpack.Pack) error {
	if tail := s.at(s.end()); tail != nil && !tail.id.less(id) {
		return fmt.Errorf("%w: node %s is behind node %s", errParts, id, tail.id)
	}
	s.push(&node{stamp: s.stamp, id: id, pack: pack})
	return nil
}

// SetMeta sets what is known of the stream besides its entries and groups.
func (s *Stream) SetMeta(m Meta) { s.meta = m }

// AddPending adds a pending entry that is nobody's yet to a group which CreateGroup has returned.
func (s *Stream) AddPending(g *Group, p Pending) error {
	p.owner = nobody
	if !g.pel.put(g.stamp, p) {
		return fmt.Errorf("%w: %s is pending twice", errParts, p.ID)
	}
	s.bytes += pendingSize
	return nil
}

// Own makes a pending entry the consumer's, which CreateConsumer has returned.
func (s *Stream) Own(g *Group, c *Consumer, id ID) error {
	p, had := g.pel.get(id)
	if !had {
		return fmt.Errorf("%w: a consumer has %s, which is not pending", errParts, id)
	}
	if p.owner != nobody {
		return fmt.Errorf("%w: two consumers have %s", errParts, id)
	}
	s.assign(g, c, p)
	return nil
}

// CheckOwners returns an error if something is pending that is nobody's.
func (g *Group) CheckOwners() error {
	for p := range g.pel.all(ID{}) {
		if p.owner == nobody {
			return fmt.Errorf("%w: no consumer has %s, which is pending", errParts, p.ID)
		}
	}
	return nil
}
