package rdb

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/tries"
)

// trie writes a trie as what a hash's fields and values are.
func (s *sink) trie(t *tries.Trie) {
	s.length(uint64(t.Len()))
	for field, value := range t.All() {
		s.text(field)
		s.text([]byte(value))
	}
}

// trie reads what is encoded as a hash.
func (d *decoder) trie(kind byte) engine.Value {
	t := tries.New(d.stamp)
	if kind != typeHash {
		d.fail("a trie of type %d", kind)
		return nil
	}
	n := d.length()
	for i := uint64(0); d.more(i, n); i++ {
		d.scratch, d.other = d.text(d.scratch[:0]), d.text(d.other[:0])
		if d.err == nil && !t.Put(d.scratch, d.other) {
			d.fail("the same field twice")
		}
	}
	d.found(t.Len())
	return t
}
