package zsets

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/listpack"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// packMember returns the member at pos. buf has room for it if it is an integer.
func packMember(p listpack.Pack, pos int, buf []byte) []byte {
	member, n, isInt := p.Get(pos)
	if isInt {
		return strconv.AppendInt(buf, n, 10)
	}
	return member
}

// packScore returns the score at pos, or false if it is not one.
func packScore(p listpack.Pack, pos int) (float64, bool) {
	text, n, isInt := p.Get(pos)
	if isInt {
		return float64(n), true
	}
	score, _, ok := parseNumber(text)
	return score, ok && !math.IsNaN(score)
}

// mustScore is packScore for packs that are known to be good.
func mustScore(p listpack.Pack, pos int) float64 {
	score, _ := packScore(p, pos)
	return score
}

// own makes sure that no clone sees what is changed in the listpack.
func (z *ZSet) own() {
	if z.shared {
		z.pack, z.shared = z.pack.Clone(), false
	}
}

// insert puts a member that the listpack does not have in its place.
func (z *ZSet) insert(member []byte, score float64) {
	var buf [24]byte
	p := z.pack
	pos := p.First()
	for pos >= 0 {
		at := p.Next(pos)
		if s := mustScore(p, at); s > score || s == score && bytes.Compare(packMember(p, pos, buf[:0]), member) > 0 {
			break
		}
		pos = p.Next(at)
	}
	// Behind the last one everything is appended; elsewhere the score goes first, then the member before it.
	n, whole := wholeScore(score)
	var text []byte
	if !whole {
		text = appendLong(buf[:0], score)
	}
	if pos < 0 {
		p = p.Append(member)
	}
	if whole {
		p = p.InsertInt(pos, n)
	} else {
		p = p.Insert(pos, text)
	}
	if pos >= 0 {
		p = p.Insert(pos, member)
	}
	z.pack = p
}

// grow turns a small set into a large one.
func (z *ZSet) grow() {
	z.dict = table.New(z.stamp)
	z.tree = tree{stamp: z.stamp}
	var buf [24]byte
	var value [8]byte
	for pos := z.pack.First(); pos >= 0; {
		at := z.pack.Next(pos)
		score := mustScore(z.pack, at)
		binary.LittleEndian.PutUint64(value[:], math.Float64bits(score))
		member := packMember(z.pack, pos, buf[:0])
		// A listpack from outside may have a member twice; the first one counts, as it does for reading.
		if z.dict.Find(member) == nil {
			en, _ := z.dict.Put(member, value[:], 0)
			z.tree.insert(item{score, en})
		}
		pos = z.pack.Next(at)
	}
	z.pack, z.shared = nil, false
}
