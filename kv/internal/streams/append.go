package streams

import "github.com/zmsg/zmsg/kv/internal/listpack"

// The flags of an entry.
const (
	flagDeleted    = 1
	flagSameFields = 2
)

// Limits are the sizes at which a node is full.
type Limits struct {
	Bytes   int // 0 is 1 GB
	Entries int // deleted ones included; 0 has no limit
}

// full reports whether a node with a header may not take an entry with texts of size bytes.
func (l Limits) full(n *node, h header, size int) bool {
	most := l.Bytes
	if most <= 0 || most > listpack.MaxSize {
		most = listpack.MaxSize
	}
	if len(n.pack)+size >= most {
		return true
	}
	return l.Entries > 0 && h.live+h.deleted >= int64(l.Entries)
}

// textSize returns how many bytes of text fields have.
func textSize(fields [][]byte) (n int) {
	for _, f := range fields {
		n += len(f)
	}
	return n
}

// Append adds an entry behind the last one. fields are names and values in turn, of together at most 1 GB; id
// must be behind Meta().Last. O(len(fields)).
func (s *Stream) Append(id ID, fields [][]byte, limits Limits) {
	at := s.end()
	tail := s.at(at)
	var h header
	if tail != nil {
		h = readHeader(tail.pack)
	}
	if tail == nil || limits.full(tail, h, textSize(fields)) {
		s.push(s.newNode(tail, id, fields))
	} else {
		n := s.own(at)
		had := cap(n.pack)
		n.append(h, id, fields)
		s.bytes += cap(n.pack) - had
	}
	m := &s.meta
	m.Length++
	m.EntriesAdded++
	m.Last = id
	if m.Length == 1 {
		m.First = id
	}
}

// newNode returns a node with one entry, and with as much room as the node before it has needed.
func (s *Stream) newNode(tail *node, id ID, fields [][]byte) *node {
	room := 64
	if tail != nil {
		if spare := cap(tail.pack) - len(tail.pack); spare > 512 && tail.stamp == s.stamp {
			tail.pack = tail.pack.Clone()
			s.bytes -= spare
		}
		room = min(len(tail.pack)+64, 4096)
	}
	p := append(make(listpack.Pack, 0, room), listpack.New()...)
	p = p.AppendInt(1).AppendInt(0).AppendInt(int64(len(fields) / 2))
	for i := 0; i < len(fields); i += 2 {
		p = p.Append(fields[i])
	}
	p = appendEntry(p.AppendInt(0), ID{}, fields, true)
	return &node{stamp: s.stamp, id: id, pack: p}
}

// append adds an entry to a node with a header.
func (n *node) append(h header, id ID, fields [][]byte) {
	same := h.sameFields(n.pack, fields)
	p := n.pack.ReplaceInt(n.pack.First(), h.live+1)
	n.pack = appendEntry(p, ID{id.Ms - n.id.Ms, id.Seq - n.id.Seq}, fields, same)
}

// sameFields reports whether the fields of the master entry are those of an entry.
func (h header) sameFields(p listpack.Pack, fields [][]byte) bool {
	if h.fields != int64(len(fields)/2) {
		return false
	}
	pos := h.names
	for i := 0; i < len(fields); i += 2 {
		if !p.Equal(pos, fields[i]) {
			return false
		}
		pos = p.Next(pos)
	}
	return true
}

// appendEntry appends an entry; diff is its ID less the node's.
func appendEntry(p listpack.Pack, diff ID, fields [][]byte, same bool) listpack.Pack {
	if same {
		p = p.AppendInt(flagSameFields).AppendInt(int64(diff.Ms)).AppendInt(int64(diff.Seq))
		for i := 1; i < len(fields); i += 2 {
			p = p.Append(fields[i])
		}
		return p.AppendInt(int64(len(fields)/2 + 3))
	}
	p = p.AppendInt(0).AppendInt(int64(diff.Ms)).AppendInt(int64(diff.Seq)).AppendInt(int64(len(fields) / 2))
	for _, f := range fields {
		p = p.Append(f)
	}
	return p.AppendInt(int64(len(fields) + 4))
}
