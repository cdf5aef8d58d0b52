package rdb

import (
	"hash/maphash"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/intset"
	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// decoder reads values.
type decoder struct {
	*source
	stamp   uint32
	config  *engine.Config
	empty   bool // the last value was a collection without elements, which no key has
	scratch []byte
	other   []byte // scratch of the second string of a pair
	hashes  []uint64
	seed    maphash.Seed
}

func newDecoder(s *source, o ReadOptions) *decoder {
	if o.Config == nil {
		o.Config = engine.Defaults()
	}
	return &decoder{source: s, stamp: o.Stamp, config: o.Config, seed: maphash.MakeSeed()}
}

// value reads a value: a string, which is valid until the next is read, or another. If empty is set there is
// none.
func (d *decoder) value(kind byte, trie bool) ([]byte, engine.Value) {
	d.empty = false
	if cap(d.scratch) > step || cap(d.other) > step {
		d.scratch, d.other = nil, nil
	}
	if trie {
		return nil, d.trie(kind)
	}
	switch kind {
	case typeString:
		d.scratch = d.text(d.scratch[:0])
		return d.scratch, nil
	case typeHash, typeHashZipmap, typeHashZiplist, typeHashListpack:
		return nil, d.hash(kind)
	case typeList, typeListZiplist, typeListQuicklist, typeListQuicklist2:
		return nil, d.list(kind)
	case typeSet, typeSetIntset, typeSetListpack:
		return nil, d.set(kind)
	case typeZSet, typeZSet2, typeZSetZiplist, typeZSetListpack:
		return nil, d.zset(kind)
	case typeStreamListpacks, typeStream2, typeStream3:
		return nil, d.stream(kind)
	}
	d.fail("unknown type %d of a value", kind)
	return nil, nil
}

// pack reads a listpack.
func (d *decoder) pack() listpack.Pack {
	b := d.blob()
	if d.err != nil {
		return listpack.New()
	}
	p, err := listpack.Check(b)
	if err != nil {
		d.fail("not a listpack")
		return listpack.New()
	}
	return p
}

// ziplist reads a ziplist.
func (d *decoder) ziplist() listpack.Pack { return d.converted(fromZiplist, "ziplist") }

// zipmap reads a zipmap.
func (d *decoder) zipmap() listpack.Pack { return d.converted(fromZipmap, "zipmap") }

func (d *decoder) converted(from func([]byte) (listpack.Pack, bool), what string) listpack.Pack {
	d.scratch = d.text(d.scratch[:0])
	if d.err != nil {
		return listpack.New()
	}
	p, ok := from(d.scratch)
	if !ok {
		d.fail("not a %s", what)
		return listpack.New()
	}
	return p
}

// intset reads an intset.
func (d *decoder) intset() intset.Set {
	b := d.blob()
	if d.err != nil {
		return intset.New()
	}
	s, err := intset.Check(b)
	if err != nil {
		d.fail("not an intset")
		return intset.New()
	}
	return s
}

// pairs checks that a pack has pairs, of which no two begin with the same text.
func (d *decoder) pairs(p listpack.Pack) {
	d.hashes = d.hashes[:0]
	for pos := p.First(); pos >= 0; pos = p.Next(pos) {
		d.scratch = p.AppendValue(d.scratch[:0], pos)
		d.hashes = append(d.hashes, maphash.Bytes(d.seed, d.scratch))
		if pos = p.Next(pos); pos < 0 {
			d.fail("a field without a value")
			return
		}
	}
	slices.Sort(d.hashes)
	for i := 1; i < len(d.hashes); i++ {
		if d.hashes[i-1] == d.hashes[i] && hasTwice(p) {
			d.fail("the same field twice")
			return
		}
	}
}

// hasTwice reports whether two pairs of a pack begin with the same text.
func hasTwice(p listpack.Pack) bool {
	seen := map[string]bool{}
	for pos := p.First(); pos >= 0; pos = p.Next(p.Next(pos)) {
		field := string(p.AppendValue(nil, pos))
		if seen[field] {
			return true
		}
		seen[field] = true
	}
	return false
}

// more reports whether the loop over n elements goes on with element i.
func (d *decoder) more(i, n uint64) bool { return i < n && d.err == nil }

// found notes whether a collection has elements.
func (d *decoder) found(elements int) { d.empty = elements == 0 && d.err == nil }
