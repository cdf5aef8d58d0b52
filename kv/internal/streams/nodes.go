package streams

import (
	"slices"
	"sort"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// blockSize is how many nodes a block has at most. A stream of a hundred million entries has some thousand
// blocks, which are quick to copy.
const blockSize = 512

// block is a part of the row of nodes. It is never empty.
type block struct {
	stamp uint32
	nodes []*node
}

type node struct {
	stamp uint32
	id    ID // of its first entry
	pack  listpack.Pack
}

// place is where a node is in the row.
type place struct{ block, node int }

// at returns the node at a place, or nil if there is none.
func (s *Stream) at(p place) *node {
	if p.block < 0 || p.block >= len(s.blocks) {
		return nil
	}
	return s.blocks[p.block].nodes[p.node]
}

// end returns the place of the last node, if there is one.
func (s *Stream) end() place {
	if s.nodes == 0 {
		return place{-1, 0}
	}
	b := len(s.blocks) - 1
	return place{b, len(s.blocks[b].nodes) - 1}
}

func (s *Stream) after(p place) place {
	if p.node++; p.node == len(s.blocks[p.block].nodes) {
		return place{p.block + 1, 0}
	}
	return p
}

func (s *Stream) before(p place) place {
	switch {
	case p.node > 0:
		return place{p.block, p.node - 1}
	case p.block > 0:
		return place{p.block - 1, len(s.blocks[p.block-1].nodes) - 1}
	}
	return place{-1, 0}
}

// seek returns the place of the last node that begins at id or before it; there may be none.
func (s *Stream) seek(id ID) place {
	b := sort.Search(len(s.blocks), func(i int) bool { return id.less(s.blocks[i].nodes[0].id) }) - 1
	if b < 0 {
		return place{-1, 0}
	}
	nodes := s.blocks[b].nodes
	return place{b, sort.Search(len(nodes), func(i int) bool { return id.less(nodes[i].id) }) - 1}
}

// own returns the node at a place, which may then be changed.
func (s *Stream) own(p place) *node {
	b := s.ownBlock(p.block)
	n := b.nodes[p.node]
	if n.stamp != s.stamp {
		s.bytes += len(n.pack) - cap(n.pack)
		n = &node{stamp: s.stamp, id: n.id, pack: n.pack.Clone()}
		b.nodes[p.node] = n
	}
	return n
}

func (s *Stream) ownBlock(i int) *block {
	b := s.blocks[i]
	if b.stamp != s.stamp {
		b = &block{stamp: s.stamp, nodes: slices.Clone(b.nodes)}
		s.blocks[i] = b
	}
	return b
}

// push puts a node behind the last one.
func (s *Stream) push(n *node) {
	last := len(s.blocks) - 1
	if last < 0 || len(s.blocks[last].nodes) >= blockSize {
		s.blocks = append(s.blocks, &block{stamp: s.stamp})
		last++
	}
	b := s.ownBlock(last)
	b.nodes = append(b.nodes, n)
	s.nodes++
	s.bytes += nodeSize + cap(n.pack)
}

// remove takes a node out of the row.
func (s *Stream) remove(p place) {
	if p == (place{}) {
		s.head = 0
	}
	b := s.ownBlock(p.block)
	s.nodes--
	s.bytes -= nodeSize + cap(b.nodes[p.node].pack)
	b.nodes = cut(b.nodes, p.node)
	if len(b.nodes) == 0 {
		s.blocks = cut(s.blocks, p.block)
	}
}

// cut removes an element. The first one, which is the most frequent, moves nothing.
func cut[E any](list []*E, i int) []*E {
	if i == 0 {
		list[0] = nil
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
}

// header is the head of a node's master entry.
type header struct {
	live, deleted, fields int64
	names                 int // the position of the first field, or of the end of the master entry
}

func readHeader(p listpack.Pack) (h header) {
	pos := p.First()
	_, h.live, _ = p.Get(pos)
	pos = p.Next(pos)
	_, h.deleted, _ = p.Get(pos)
	pos = p.Next(pos)
	_, h.fields, _ = p.Get(pos)
	h.names = p.Next(pos)
	return h
}

// count sets how many entries a node has, and how many deleted ones.
func (s *Stream) count(n *node, live, deleted int64) {
	had := cap(n.pack)
	n.pack = n.pack.ReplaceInt(n.pack.First(), live)
	n.pack = n.pack.ReplaceInt(n.pack.Next(n.pack.First()), deleted)
	s.bytes += cap(n.pack) - had
}
