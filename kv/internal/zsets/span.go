package zsets

import "bytes"

// ScoreRange is a range of scores.
type ScoreRange struct {
	Min, Max     float64
	MinEx, MaxEx bool // the end itself is not in the range
}

// above reports whether a score is not below the range.
func (r *ScoreRange) above(score float64) bool {
	return score > r.Min || score == r.Min && !r.MinEx
}

// below reports whether a score is not above the range.
func (r *ScoreRange) below(score float64) bool {
	return score < r.Max || score == r.Max && !r.MaxEx
}

// LexEnd is one end of a range of members.
type LexEnd struct {
	Text     []byte
	Ex       bool // the text itself is not in the range
	Infinite int  // -1 and 1 are the ends before and behind all texts
}

// compare compares a member with the end.
func (e *LexEnd) compare(member []byte) int {
	if e.Infinite != 0 {
		return -e.Infinite
	}
	return bytes.Compare(member, e.Text)
}

// LexRange is a range of members, for sets whose scores are all the same.
type LexRange struct{ Min, Max LexEnd }

func (r *LexRange) above(member []byte) bool {
	c := r.Min.compare(member)
	return c > 0 || c == 0 && !r.Min.Ex
}

func (r *LexRange) below(member []byte) bool {
	c := r.Max.compare(member)
	return c < 0 || c == 0 && !r.Max.Ex
}

// empty reports whether no text at all is in the range.
func (r *LexRange) empty() bool {
	if r.Min.Infinite != 0 || r.Max.Infinite != 0 {
		return r.Min.Infinite > 0 || r.Max.Infinite < 0
	}
	c := bytes.Compare(r.Min.Text, r.Max.Text)
	return c > 0 || c == 0 && (r.Min.Ex || r.Max.Ex)
}

// ScoreSpan returns the ranks lo to hi-1 of the members whose scores are in a range; lo >= hi if there are
// none. O(log n).
func (z *ZSet) ScoreSpan(r ScoreRange) (lo, hi int) {
	if z.dict != nil {
		return z.tree.count(func(it item) bool { return !r.above(it.score) }),
			z.tree.count(func(it item) bool { return r.below(it.score) })
	}
	p := z.pack
	for pos := p.First(); pos >= 0; {
		pos = p.Next(pos)
		score := mustScore(p, pos)
		if !r.below(score) {
			break
		}
		if hi++; !r.above(score) {
			lo++
		}
		pos = p.Next(pos)
	}
	return lo, hi
}

// LexSpan returns the ranks lo to hi-1 of the members that are in a range; lo >= hi if there are none. If
// the scores are not all the same, what it returns means nothing but is in bounds. O(log n).
func (z *ZSet) LexSpan(r LexRange) (lo, hi int) {
	if r.empty() {
		return 0, 0
	}
	if z.dict != nil {
		return z.tree.count(func(it item) bool { return !r.above(it.entry.Key()) }),
			z.tree.count(func(it item) bool { return r.below(it.entry.Key()) })
	}
	p := z.pack
	var buf [24]byte
	inside := false
	for pos := p.First(); pos >= 0; pos = p.Next(p.Next(pos)) {
		member := packMember(p, pos, buf[:0])
		inside = inside || r.above(member)
		if inside && !r.below(member) {
			break
		}
		if hi++; !inside {
			lo++
		}
	}
	return lo, hi
}
