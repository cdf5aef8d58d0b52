package rdb

import (
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// zset writes a sorted set. The large ones begin with the last member, as Redis has it.
func (s *sink) zset(z *zsets.ZSet) {
	if p := z.Listpack(); p != nil {
		s.text(p)
		return
	}
	n := z.Len()
	s.length(uint64(n))
	for member, score := range z.Descend(0, n) {
		s.text(member)
		s.float(score)
	}
}

func (d *decoder) zset(kind byte) engine.Value {
	limits := zsets.LimitsOf(d.config)
	var p listpack.Pack
	switch kind {
	case typeZSetListpack:
		p = d.pack()
	case typeZSetZiplist:
		p = d.ziplist()
	default:
		return d.zsetMembers(kind, limits)
	}
	if d.pairs(p); d.err != nil {
		return nil
	}
	z, err := zsets.FromListpack(d.stamp, p, limits)
	if err != nil {
		d.fail("not the members of a sorted set")
		return nil
	}
	d.found(z.Len())
	return z
}

func (d *decoder) zsetMembers(kind byte, limits zsets.Limits) engine.Value {
	z := zsets.New(d.stamp)
	n := d.length()
	for i := uint64(0); d.more(i, n); i++ {
		d.scratch = d.text(d.scratch[:0])
		score := d.score(kind)
		if d.err != nil {
			break
		}
		if math.IsNaN(score) {
			d.fail("a score that is no number")
		} else if !z.Add(d.scratch, score, limits) {
			d.fail("the same member twice")
		}
	}
	d.found(z.Len())
	return z
}

func (d *decoder) score(kind byte) float64 {
	if kind == typeZSet2 {
		return d.float64()
	}
	switch n := d.byte(); n {
	case 253:
		return math.NaN()
	case 254:
		return math.Inf(1)
	case 255:
		return math.Inf(-1)
	default:
		d.other = d.bytes(d.other[:0], uint64(n))
		f, err := strconv.ParseFloat(string(d.other), 64)
		if err != nil && d.err == nil {
			d.fail("%.40q is not a score", d.other)
		}
		return f
	}
}
