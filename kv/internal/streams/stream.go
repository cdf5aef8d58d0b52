// Package streams has Redis's streams: the value and its commands.
//
// A stream is a row of nodes. Each node is a listpack of up to some hundred entries, in exactly the layout
// that Redis uses in memory and in its files, and is known by the ID of its first entry:
//
//	entries | deleted ones | fields | field … | 0                      the master entry
//	flags | ms and seq, both less the node's | value … | elements so far   an entry with the same fields
//	flags | ms | seq | fields | field | value … | elements so far          an entry with fields of its own
//
// Entries are only ever appended. A deleted entry is marked; a node goes when all its entries have gone.
//
// Groups of consumers keep what their consumers have been given and not acknowledged, in the order of IDs.
package streams

import (
	"iter"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// Stream is a stream. The zero value is not usable.
type Stream struct {
	stamp  uint32
	blocks []*block
	nodes  int
	groups []*Group // by name
	bytes  int      // of the nodes, the groups and what they have
	meta   Meta

	// How far behind the master entry of the first node its first entry is that is not deleted, if that is known:
	// a stream that is kept at a length has many deleted ones before it. 0 is not known, or none.
	head int
}

// Meta is what is known of a stream besides its entries and groups.
type Meta struct {
	Length       uint64 // entries that are not deleted
	Last         ID     // that was ever given to an entry, or set
	First        ID     // of the first entry; 0-0 without one
	MaxDeleted   ID     // the largest ID that XDEL has deleted
	EntriesAdded uint64 // ever
}

// About what the parts take, in bytes.
const (
	streamSize   = 176
	nodeSize     = 64
	groupSize    = 200
	consumerSize = 120
	pendingSize  = 72 // in the group and with its consumer
)

// New returns an empty stream.
func New(stamp uint32) *Stream { return &Stream{stamp: stamp} }

// Type implements engine.Value.
func (*Stream) Type() engine.Type { return engine.TypeStream }

// Encoding implements engine.Value.
func (*Stream) Encoding() string { return "stream" }

// Stamp implements engine.Value.
func (s *Stream) Stamp() uint32 { return s.stamp }

// Bytes implements engine.Value.
func (s *Stream) Bytes() int { return streamSize + s.bytes }

// Clone implements engine.Value: it copies the pointers to blocks of nodes and to groups, and later each part
// before it is changed.
func (s *Stream) Clone(stamp uint32) engine.Value {
	c := *s
	c.stamp = stamp
	c.blocks = append(make([]*block, 0, len(s.blocks)+1), s.blocks...)
	c.groups = append(make([]*Group, 0, len(s.groups)), s.groups...)
	return &c
}

// Meta returns what is known of the stream.
func (s *Stream) Meta() Meta { return s.meta }

// Len returns the number of entries.
func (s *Stream) Len() int { return int(s.meta.Length) }

// NodeCount returns the number of nodes.
func (s *Stream) NodeCount() int { return s.nodes }

// Nodes returns the nodes in the order of the IDs that they are known by. They may not be changed; they are
// valid until the stream's next change, or for good if the stream has been cloned.
func (s *Stream) Nodes() iter.Seq2[ID, listpack.Pack] {
	return func(yield func(ID, listpack.Pack) bool) {
		for _, b := range s.blocks {
			for _, n := range b.nodes {
				if !yield(n.id, n.pack) {
					return
				}
			}
		}
	}
}
