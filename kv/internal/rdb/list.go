package rdb

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/lists"
)

// list writes a list, node by node.
func (s *sink) list(l *lists.List) {
	s.length(uint64(l.NodeCount()))
	for p, plain := range l.Nodes() {
		if p != nil {
			s.length(nodePacked)
			s.text(p)
		} else {
			s.length(nodePlain)
			s.verbatim(plain)
		}
	}
}

func (d *decoder) list(kind byte) engine.Value {
	l := lists.New(d.stamp, d.config.ListMaxListpackSize)
	n := uint64(1)
	if kind != typeListZiplist {
		n = d.length()
	}
	for i := uint64(0); d.more(i, n); i++ {
		switch kind {
		case typeList:
			if d.scratch = d.text(d.scratch[:0]); d.err == nil {
				l.PushBack(d.scratch)
			}
		case typeListQuicklist2:
			d.node(l)
		default:
			l.AppendPack(d.ziplist())
		}
	}
	d.found(l.Len())
	return l
}

// node reads a node of a list.
func (d *decoder) node(l *lists.List) {
	switch container := d.length(); container {
	case nodePacked:
		l.AppendPack(d.pack())
	case nodePlain:
		if v := d.blob(); d.err == nil {
			l.AppendPlain(v)
		}
	default:
		d.fail("unknown form %d of a list's node", container)
	}
}
