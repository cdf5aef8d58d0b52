package rdb

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// hash writes a hash.
func (s *sink) hash(h *hashes.Hash) {
	if p := h.Listpack(); p != nil {
		s.text(p)
		return
	}
	s.length(uint64(h.Len()))
	for field, value := range h.All() {
		s.text(field)
		s.text(value)
	}
}

func (d *decoder) hash(kind byte) engine.Value {
	limits := hashes.LimitsOf(d.config)
	var p listpack.Pack
	switch kind {
	case typeHashListpack:
		p = d.pack()
	case typeHashZiplist:
		p = d.ziplist()
	case typeHashZipmap:
		return d.hashOf(d.zipmap(), limits)
	default:
		return d.hashFields(limits)
	}
	if d.pairs(p); d.err != nil {
		return nil
	}
	h, err := hashes.FromListpack(d.stamp, p, limits)
	if err != nil {
		d.fail("not the fields of a hash")
		return nil
	}
	d.found(h.Len())
	return h
}

// hashOf returns a hash of a listpack's fields and values, which need not keep to the limits of a small hash.
func (d *decoder) hashOf(p listpack.Pack, limits hashes.Limits) engine.Value {
	h := hashes.New(d.stamp)
	for pos := p.First(); pos >= 0 && d.err == nil; pos = p.Next(pos) {
		d.scratch = p.AppendValue(d.scratch[:0], pos)
		pos = p.Next(pos)
		d.other = p.AppendValue(d.other[:0], pos)
		if !h.Set(d.scratch, d.other, limits) {
			d.fail("the same field twice")
		}
	}
	d.found(h.Len())
	return h
}

func (d *decoder) hashFields(limits hashes.Limits) engine.Value {
	h := hashes.New(d.stamp)
	n := d.length()
	h.Expect(hint(n), limits)
	for i := uint64(0); d.more(i, n); i++ {
		d.scratch, d.other = d.text(d.scratch[:0]), d.text(d.other[:0])
		if d.err == nil && !h.Set(d.scratch, d.other, limits) {
			d.fail("the same field twice")
		}
	}
	d.found(h.Len())
	return h
}

// hint makes a promised count one that those who are told it may add to.
func hint(n uint64) int { return int(min(n, 1<<40)) }
