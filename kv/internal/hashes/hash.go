// Package hashes is the hash: the value, and its commands.
//
// A small hash is a listpack of fields and values, byte for byte Redis's own; a large one is a hash table,
// each field with its value in one allocation. Both share all parts with their clones and copy a part before
// they change it.
package hashes

import (
	"errors"
	"iter"
	"math/rand/v2"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// Limits are the sizes up to which a hash is a listpack.
type Limits struct {
	Entries int // fields
	Value   int // bytes of the longest field or value
}

// LimitsOf returns the limits that a configuration sets.
func LimitsOf(c *engine.Config) Limits {
	return Limits{Entries: c.HashMaxListpackEntries, Value: c.HashMaxListpackValue}
}

// Hash is a hash. It implements engine.Value. Fields and values that it hands out are valid until it is
// changed or the next ones are asked for.
type Hash struct {
	stamp  uint32
	shared bool          // a clone has the listpack too
	pack   listpack.Pack // nil when large
	dict   *table.Table  // nil when small
}

var _ engine.Value = (*Hash)(nil)

// New returns an empty hash.
func New(stamp uint32) *Hash { return &Hash{stamp: stamp, pack: listpack.New()} }

// ErrPack says that a listpack is not that of a hash.
var ErrPack = errors.New("hashes: not the listpack of a hash")

// FromListpack returns the hash whose listpack p is. It owns p from now on. No field may be in p twice, which
// is not checked. The error is ErrPack. Time is linear in the fields if there are more than the limit, else
// constant.
func FromListpack(stamp uint32, p listpack.Pack, lim Limits) (*Hash, error) {
	if p.Len()%2 != 0 {
		return nil, ErrPack
	}
	h := &Hash{stamp: stamp, pack: p}
	if h.Len() > lim.Entries {
		h.grow()
	}
	return h, nil
}

// Expect prepares an empty hash for n fields: what will be large is large from the start, which is faster.
func (h *Hash) Expect(n int, lim Limits) {
	if h.dict == nil && n > lim.Entries {
		h.grow()
	}
}

// Listpack returns the bytes of a small hash, or nil of a large one. They must not be changed.
func (h *Hash) Listpack() listpack.Pack { return h.pack }

// Type implements engine.Value.
func (*Hash) Type() engine.Type { return engine.TypeHash }

// Encoding implements engine.Value.
func (h *Hash) Encoding() string {
	if h.dict == nil {
		return "listpack"
	}
	return "hashtable"
}

// Stamp implements engine.Value.
func (h *Hash) Stamp() uint32 { return h.stamp }

// Bytes implements engine.Value.
func (h *Hash) Bytes() int {
	const header = 48
	if h.dict == nil {
		return header + cap(h.pack)
	}
	return header + h.dict.Bytes()
}

// Clone implements engine.Value.
func (h *Hash) Clone(stamp uint32) engine.Value {
	c := *h
	c.stamp = stamp
	if h.dict == nil {
		c.shared = true
	} else {
		c.dict = h.dict.Clone(stamp)
	}
	return &c
}

// Len returns the number of fields.
func (h *Hash) Len() int {
	if h.dict == nil {
		return h.pack.Len() / 2
	}
	return h.dict.Len()
}

// find returns the position of a field in the listpack, or -1.
func (h *Hash) find(field []byte) int {
	first := h.pack.First()
	if first < 0 {
		return -1
	}
	return h.pack.Find(first, field, 1)
}

// text is a value as it is kept: a listpack has integers as such.
type text struct {
	b     []byte
	n     int64
	isInt bool
}

func textAt(p listpack.Pack, pos int) (t text) {
	t.b, t.n, t.isInt = p.Get(pos)
	return t
}

// bytes returns the text. buf has room for it if it is an integer.
func (t text) bytes(buf []byte) []byte {
	if t.isInt {
		return strconv.AppendInt(buf[:0], t.n, 10)
	}
	return t.b
}

func (t text) reply(c *engine.Client) {
	if t.isInt {
		c.BulkInt(t.n)
	} else {
		c.Bulk(t.b)
	}
}

func (h *Hash) get(field []byte) (value text, found bool) {
	if h.dict != nil {
		en := h.dict.Find(field)
		if en == nil {
			return text{}, false
		}
		return text{b: en.Value()}, true
	}
	pos := h.find(field)
	if pos < 0 {
		return text{}, false
	}
	return textAt(h.pack, h.pack.Next(pos)), true
}

// Get returns the value of a field, or false if there is none.
func (h *Hash) Get(field []byte) (value []byte, found bool) {
	t, found := h.get(field)
	return t.bytes(nil), found
}

// Set sets the value of a field, both of which it copies, and reports whether the field is new. They may not
// alias the hash.
func (h *Hash) Set(field, value []byte, lim Limits) (added bool) {
	if h.dict == nil && (max(len(field), len(value)) > lim.Value ||
		len(h.pack)+len(field)+len(value)+32 > listpack.MaxSize) {
		h.grow()
	}
	if h.dict != nil {
		_, added = h.dict.Put(field, value, 0)
		return added
	}
	h.own()
	pos := h.find(field)
	if pos >= 0 {
		h.pack = h.pack.Replace(h.pack.Next(pos), value)
	} else {
		h.pack = h.pack.Append(field).Append(value)
	}
	if h.Len() > lim.Entries {
		h.grow()
	}
	return pos < 0
}

// Delete removes a field and reports whether it was there.
func (h *Hash) Delete(field []byte) bool {
	if h.dict != nil {
		return h.dict.Delete(field) != nil
	}
	pos := h.find(field)
	if pos < 0 {
		return false
	}
	h.own()
	h.pack = h.pack.Delete(pos, 2)
	return true
}

// All goes through the fields and their values. The hash may not be changed meanwhile.
func (h *Hash) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(field, value []byte) bool) {
		if h.dict != nil {
			for en := range h.dict.All() {
				if !yield(en.Key(), en.Value()) {
					return
				}
			}
			return
		}
		var field, value [24]byte
		for pos := h.pack.First(); pos >= 0; {
			at := h.pack.Next(pos)
			if !yield(textAt(h.pack, pos).bytes(field[:]), textAt(h.pack, at).bytes(value[:])) {
				return
			}
			pos = h.pack.Next(at)
		}
	}
}

// Random returns any field and its value, each with the same probability. The hash may not be empty.
func (h *Hash) Random(r *rand.Rand) (field, value []byte) {
	if h.dict != nil {
		en := h.dict.Random(r)
		return en.Key(), en.Value()
	}
	pos := h.pack.Seek(2 * r.IntN(h.Len()))
	return textAt(h.pack, pos).bytes(nil), textAt(h.pack, h.pack.Next(pos)).bytes(nil)
}

// Sample hands k different fields to take, every selection with the same probability. k may not be more than
// Len.
func (h *Hash) Sample(r *rand.Rand, k int, take func(field, value []byte)) {
	if h.dict != nil && k*3 <= h.Len() {
		taken := make(map[*table.Entry]struct{}, k)
		for len(taken) < k {
			en := h.dict.Random(r)
			if _, again := taken[en]; !again {
				taken[en] = struct{}{}
				take(en.Key(), en.Value())
			}
		}
		return
	}
	left := h.Len()
	for field, value := range h.All() {
		if k == 0 {
			return
		}
		if r.IntN(left) < k {
			take(field, value)
			k--
		}
		left--
	}
}

// Scan hands some fields to emit, as table.Scan does, and returns the cursor to go on with; 0 is the end. A
// small hash is gone through at once.
func (h *Hash) Scan(cursor uint64, emit func(field, value []byte)) (next uint64) {
	if h.dict != nil {
		return h.dict.Scan(cursor, func(en *table.Entry) { emit(en.Key(), en.Value()) })
	}
	for field, value := range h.All() {
		emit(field, value)
	}
	return 0
}

// own makes sure that no clone sees what is changed in the listpack.
func (h *Hash) own() {
	if h.shared {
		h.pack, h.shared = h.pack.Clone(), false
	}
}

// grow turns a small hash into a large one.
func (h *Hash) grow() {
	dict := table.New(h.stamp)
	for field, value := range h.All() {
		dict.Put(field, value, 0)
	}
	h.dict, h.pack, h.shared = dict, nil, false
}
