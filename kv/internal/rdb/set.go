package rdb

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/sets"
)

// set writes a set.
func (s *sink) set(v *sets.Set) {
	if p := v.Intset(); p != nil {
		s.text(p)
		return
	}
	s.length(uint64(v.Len()))
	for member := range v.All() {
		s.text(member)
	}
}

func (d *decoder) set(kind byte) engine.Value {
	limit := sets.LimitOf(d.config)
	if kind == typeSetIntset {
		s := sets.FromIntset(d.stamp, d.intset(), limit)
		d.found(s.Len())
		return s
	}
	s := sets.New(d.stamp)
	add := func(member []byte) {
		if d.err == nil && !s.Add(member, limit) {
			d.fail("the same member twice")
		}
	}
	if kind == typeSetListpack {
		p := d.pack()
		for pos := p.First(); pos >= 0; pos = p.Next(pos) {
			d.scratch = p.AppendValue(d.scratch[:0], pos)
			add(d.scratch)
		}
	} else {
		n := d.length()
		s.Expect(hint(n), limit)
		for i := uint64(0); d.more(i, n); i++ {
			d.scratch = d.text(d.scratch[:0])
			add(d.scratch)
		}
	}
	d.found(s.Len())
	return s
}
