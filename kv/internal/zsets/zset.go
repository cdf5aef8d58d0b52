// Package zsets is the sorted set: the value, and its commands.
//
// A small sorted set is a listpack of members and scores in order, byte for byte Redis's own. A large one is
// a hash table from members to scores together with a B+tree of (score, member), which Redis's clients know
// as "skiplist". Both share all parts with their clones and copy a part before they change it.
package zsets

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"math/rand/v2"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// maxPack is the size in bytes that a listpack does not outgrow, whatever the limits.
const maxPack = 1 << 30

// Limits are the sizes up to which a sorted set is a listpack.
type Limits struct {
	Entries int // members
	Value   int // bytes of the longest member
}

// LimitsOf returns the limits that a configuration sets.
func LimitsOf(c *engine.Config) Limits {
	return Limits{Entries: c.ZSetMaxListpackEntries, Value: c.ZSetMaxListpackValue}
}

// ZSet is a sorted set. It implements engine.Value. Members that it hands out are valid until it is changed
// or the next one is asked for.
type ZSet struct {
	stamp  uint32
	shared bool          // a clone has the listpack too
	pack   listpack.Pack // nil when large
	dict   *table.Table  // member to score: 8 bytes, little endian; nil when small
	tree   tree
}

var _ engine.Value = (*ZSet)(nil)

// New returns an empty sorted set.
func New(stamp uint32) *ZSet { return &ZSet{stamp: stamp, pack: listpack.New()} }

// Expect prepares an empty set for n members of at most longest bytes: what will be large is large from the
// start. That is faster, and keeps the sign of 0, which a listpack does not.
func (z *ZSet) Expect(n, longest int, lim Limits) {
	if z.dict == nil && (n > lim.Entries || longest > lim.Value) {
		z.grow()
	}
}

var errPack = errors.New("zsets: not the listpack of a sorted set")

// FromListpack returns the sorted set whose listpack p is. It owns p from now on. It fails when p is not
// made of members and scores in order. Time is linear in the members.
func FromListpack(stamp uint32, p listpack.Pack, lim Limits) (*ZSet, error) {
	z := &ZSet{stamp: stamp, pack: p}
	if p.Len()%2 != 0 {
		return nil, errPack
	}
	last := math.Inf(-1)
	for pos := p.First(); pos >= 0; pos = p.Next(pos) {
		pos = p.Next(pos)
		score, ok := packScore(p, pos)
		if !ok || score < last {
			return nil, errPack
		}
		last = score
	}
	if z.Len() > lim.Entries {
		z.grow()
	}
	return z, nil
}

// Listpack returns the bytes of a small sorted set, or nil of a large one. They must not be changed.
func (z *ZSet) Listpack() listpack.Pack { return z.pack }

// Type implements engine.Value.
func (*ZSet) Type() engine.Type { return engine.TypeZSet }

// Encoding implements engine.Value.
func (z *ZSet) Encoding() string {
	if z.dict == nil {
		return "listpack"
	}
	return "skiplist"
}

// Stamp implements engine.Value.
func (z *ZSet) Stamp() uint32 { return z.stamp }

// Bytes implements engine.Value.
func (z *ZSet) Bytes() int {
	const header = 128
	if z.dict == nil {
		return header + cap(z.pack)
	}
	return header + z.dict.Bytes() + z.tree.bytes()
}

// Clone implements engine.Value.
func (z *ZSet) Clone(stamp uint32) engine.Value {
	c := *z
	c.stamp, c.tree.stamp = stamp, stamp
	if z.dict == nil {
		c.shared = true
	} else {
		c.dict = z.dict.Clone(stamp)
	}
	return &c
}

// Len returns the number of members.
func (z *ZSet) Len() int {
	if z.dict == nil {
		return z.pack.Len() / 2
	}
	return z.tree.len
}

// place is where a member is, or that it is nowhere.
type place struct {
	pos   int // in the listpack
	score float64
	found bool
}

func (z *ZSet) locate(member []byte) place {
	if z.dict == nil {
		pos := z.find(member)
		if pos < 0 {
			return place{}
		}
		return place{pos, mustScore(z.pack, z.pack.Next(pos)), true}
	}
	en := z.dict.Find(member)
	if en == nil {
		return place{}
	}
	return place{0, entryScore(en), true}
}

func (z *ZSet) find(member []byte) int {
	first := z.pack.First()
	if first < 0 {
		return -1
	}
	return z.pack.Find(first, member, 1)
}

// Score returns the score of a member, or false.
func (z *ZSet) Score(member []byte) (float64, bool) {
	p := z.locate(member)
	return p.score, p.found
}

// Add sets the score of a member, which it copies, and reports whether the member is new. The score may not
// be NaN.
func (z *ZSet) Add(member []byte, score float64, lim Limits) (added bool) {
	p := z.locate(member)
	z.store(member, score, p, lim)
	return !p.found
}

// store sets the score of the member that was located at p.
func (z *ZSet) store(member []byte, score float64, p place, lim Limits) {
	if p.found && score == p.score {
		return
	}
	if z.dict == nil {
		switch {
		case p.found:
			z.own()
			z.pack = z.pack.Delete(p.pos, 2)
			z.insert(member, score)
			return
		case z.pack.Len()/2 < lim.Entries && len(member) <= lim.Value && len(z.pack)+len(member) < maxPack:
			z.own()
			z.insert(member, score)
			return
		}
		z.grow()
	}
	var value [8]byte
	binary.LittleEndian.PutUint64(value[:], math.Float64bits(score))
	en, _ := z.dict.Put(member, value[:], 0)
	if p.found {
		z.tree.change(p.score, item{score, en})
	} else {
		z.tree.insert(item{score, en})
	}
}

// Remove removes a member and reports whether it was there.
func (z *ZSet) Remove(member []byte) bool {
	if z.dict == nil {
		pos := z.find(member)
		if pos < 0 {
			return false
		}
		z.own()
		z.pack = z.pack.Delete(pos, 2)
		return true
	}
	en := z.dict.Delete(member)
	if en == nil {
		return false
	}
	z.tree.remove(entryScore(en), member)
	return true
}

// Rank returns how many members sort before a member, or false if it is not in the set.
func (z *ZSet) Rank(member []byte) (int, bool) {
	if z.dict == nil {
		rank := 0
		for pos := z.pack.First(); pos >= 0; pos = z.pack.Next(z.pack.Next(pos)) {
			if z.pack.Equal(pos, member) {
				return rank, true
			}
			rank++
		}
		return 0, false
	}
	en := z.dict.Find(member)
	if en == nil {
		return 0, false
	}
	return z.tree.rank(entryScore(en), member), true
}

// RemoveSpan removes the members of ranks lo to hi-1, and returns how many they are. hi may not be more than
// Len.
func (z *ZSet) RemoveSpan(lo, hi int) int {
	if lo >= hi {
		return 0
	}
	if z.dict == nil {
		z.own()
		z.pack = z.pack.Delete(z.pack.Seek(2*lo), 2*(hi-lo))
	} else {
		z.tree.cut(lo, hi, func(it item) { z.dict.Delete(it.entry.Key()) })
	}
	return hi - lo
}

// At returns the member of a rank, which must be in range, and its score.
func (z *ZSet) At(rank int) (member []byte, score float64) {
	if z.dict == nil {
		pos := z.pack.Seek(2 * rank)
		return packMember(z.pack, pos, nil), mustScore(z.pack, z.pack.Next(pos))
	}
	it := z.tree.at(rank)
	return it.entry.Key(), it.score
}

// Random returns any member and its score, each with the same probability. The set may not be empty.
func (z *ZSet) Random(r *rand.Rand) (member []byte, score float64) { return z.At(r.IntN(z.Len())) }

// All goes through the members in order. The set may not be changed meanwhile.
func (z *ZSet) All() iter.Seq2[[]byte, float64] { return z.Ascend(0, z.Len()) }

// Ascend goes through the members of ranks lo to hi-1 in order. The set may not be changed meanwhile.
func (z *ZSet) Ascend(lo, hi int) iter.Seq2[[]byte, float64] {
	return func(yield func([]byte, float64) bool) {
		switch {
		case lo >= hi:
		case z.dict == nil:
			var buf [24]byte
			for pos := z.pack.Seek(2 * lo); lo < hi; lo++ {
				at := z.pack.Next(pos)
				if !yield(packMember(z.pack, pos, buf[:0]), mustScore(z.pack, at)) {
					return
				}
				pos = z.pack.Next(at)
			}
		default:
			z.tree.root.ascend(lo, hi, func(it item) bool { return yield(it.entry.Key(), it.score) })
		}
	}
}

// Descend is Ascend from the last to the first.
func (z *ZSet) Descend(lo, hi int) iter.Seq2[[]byte, float64] {
	return func(yield func([]byte, float64) bool) {
		switch {
		case lo >= hi:
		case z.dict == nil:
			var buf [24]byte
			for at := z.pack.Seek(2*hi - 1); lo < hi; hi-- {
				pos := z.pack.Prev(at)
				if !yield(packMember(z.pack, pos, buf[:0]), mustScore(z.pack, at)) {
					return
				}
				at = z.pack.Prev(pos)
			}
		default:
			z.tree.root.descend(lo, hi, func(it item) bool { return yield(it.entry.Key(), it.score) })
		}
	}
}

// Scan hands some members to emit, as table.Scan does, and returns the cursor to go on with; 0 is the end.
// A small set is gone through at once.
func (z *ZSet) Scan(cursor uint64, emit func(member []byte, score float64)) (next uint64) {
	if z.dict != nil {
		return z.dict.Scan(cursor, func(en *table.Entry) { emit(en.Key(), entryScore(en)) })
	}
	for member, score := range z.All() {
		emit(member, score)
	}
	return 0
}

func entryScore(en *table.Entry) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(en.Value()))
}
