package rdb

import (
	"encoding/binary"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/streams"
)

// id writes an ID as two lengths.
func (s *sink) id(id streams.ID) {
	s.length(id.Ms)
	s.length(id.Seq)
}

// rawID writes an ID as 16 bytes, which sort as IDs do.
func (s *sink) rawID(id streams.ID) {
	var b [16]byte
	s.raw(appendID(b[:0], id))
}

func appendID(dst []byte, id streams.ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.Ms), id.Seq)
}

// stream writes a stream.
func (s *sink) stream(v *streams.Stream) {
	s.length(uint64(v.NodeCount()))
	var key [16]byte
	for id, p := range v.Nodes() {
		s.text(appendID(key[:0], id))
		s.text(p)
	}
	meta := v.Meta()
	s.length(meta.Length)
	s.id(meta.Last)
	s.id(meta.First)
	s.id(meta.MaxDeleted)
	s.length(meta.EntriesAdded)
	groups := v.Groups()
	s.length(uint64(len(groups)))
	for _, g := range groups {
		s.group(g)
	}
}

// group writes a group: what is pending, and then for each consumer which of that is its own.
func (s *sink) group(g *streams.Group) {
	s.text([]byte(g.Name()))
	s.id(g.Last())
	s.length(uint64(g.EntriesRead()))
	s.length(uint64(g.PendingCount()))
	for p := range g.Pending(streams.ID{}) {
		s.rawID(p.ID)
		s.uint64(uint64(p.Time))
		s.length(p.Count)
	}
	s.length(uint64(g.ConsumerCount()))
	for c := range g.Consumers() {
		s.text([]byte(c.Name()))
		s.uint64(uint64(c.Seen()))
		s.length(uint64(c.PendingCount()))
		for id := range c.Pending(streams.ID{}) {
			s.rawID(id)
		}
	}
}

func (d *decoder) id() streams.ID { return streams.ID{Ms: d.length(), Seq: d.length()} }

func (d *decoder) rawID() streams.ID { return toID(d.take(16)) }

func toID(b []byte) streams.ID {
	return streams.ID{Ms: binary.BigEndian.Uint64(b), Seq: binary.BigEndian.Uint64(b[8:])}
}

func (d *decoder) stream(kind byte) engine.Value {
	s := streams.New(d.stamp)
	live := d.streamNodes(s)
	meta := streams.Meta{Length: d.length(), Last: d.id()}
	if kind == typeStreamListpacks {
		meta.First, meta.EntriesAdded = s.FirstLive(), meta.Length
	} else {
		meta.First, meta.MaxDeleted, meta.EntriesAdded = d.id(), d.id(), d.length()
	}
	if meta.Length != live {
		d.fail("a stream of %d entries that says it has %d", live, meta.Length)
	}
	s.SetMeta(meta)
	n := d.length()
	for i := uint64(0); d.more(i, n); i++ {
		d.group(s, kind)
	}
	return s
}

// streamNodes reads the nodes of a stream and returns how many entries they have.
func (d *decoder) streamNodes(s *streams.Stream) (live uint64) {
	n := d.length()
	for i := uint64(0); d.more(i, n); i++ {
		d.scratch = d.text(d.scratch[:0])
		p := d.pack()
		if d.err != nil {
			break
		}
		entries, ok := checkNode(p)
		if !ok || len(d.scratch) != 16 {
			d.fail("not a node of a stream")
		} else if entries > 0 {
			live += uint64(entries)
			d.note(s.AddNode(toID(d.scratch), p))
		}
	}
	return live
}

// note makes what a stream says of its parts an error of the file.
func (d *decoder) note(err error) {
	if err != nil {
		d.fail("%v", err)
	}
}

func (d *decoder) group(s *streams.Stream, kind byte) {
	d.scratch = d.text(d.scratch[:0])
	last := d.id()
	read := int64(0)
	if kind == typeStreamListpacks {
		read = s.EstimateRead(last)
	} else {
		read = int64(d.length())
	}
	if d.err != nil {
		return
	}
	g := s.CreateGroup(d.scratch, last, read)
	if g == nil {
		d.fail("the same group twice")
		return
	}
	n := d.length()
	for i := uint64(0); d.more(i, n); i++ {
		p := streams.Pending{ID: d.rawID(), Time: int64(d.uint64()), Count: d.length()}
		if d.err == nil {
			d.note(s.AddPending(g, p))
		}
	}
	n = d.length()
	for i := uint64(0); d.more(i, n); i++ {
		d.consumer(s, g, kind)
	}
	if d.err == nil {
		d.note(g.CheckOwners())
	}
}

func (d *decoder) consumer(s *streams.Stream, g *streams.Group, kind byte) {
	d.scratch = d.text(d.scratch[:0])
	seen := int64(d.uint64())
	if kind == typeStream3 {
		d.uint64() // when it was active
	}
	if d.err != nil {
		return
	}
	c := s.CreateConsumer(g, d.scratch, seen)
	if c == nil {
		d.fail("the same consumer twice")
		return
	}
	n := d.length()
	for i := uint64(0); d.more(i, n); i++ {
		if id := d.rawID(); d.err == nil {
			d.note(s.Own(g, c, id))
		}
	}
}
