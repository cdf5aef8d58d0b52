package zsets

import (
	"iter"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

type kind int

const (
	byDefault kind = iota // by rank, and options may say else
	byRank
	byScore
	byLex
)

// query is one of the commands that read a range.
type query struct {
	kind          kind
	reverse       bool
	fixed         bool // the direction may not be changed by an option
	scores        bool
	offset, limit int64 // a negative limit is none
	start, stop   int64
	scoreSpan     ScoreRange
	lexSpan       LexRange
	storing       bool
}

func zrange(c *engine.Client, args [][]byte) { show(c, args, query{}) }
func zrevrange(c *engine.Client, args [][]byte) {
	show(c, args, query{kind: byRank, reverse: true, fixed: true})
}

func zrangebyscore(c *engine.Client, args [][]byte) { show(c, args, query{kind: byScore, fixed: true}) }

func zrevrangebyscore(c *engine.Client, args [][]byte) {
	show(c, args, query{kind: byScore, reverse: true, fixed: true})
}

func zrangebylex(c *engine.Client, args [][]byte) { show(c, args, query{kind: byLex, fixed: true}) }

func zrevrangebylex(c *engine.Client, args [][]byte) {
	show(c, args, query{kind: byLex, reverse: true, fixed: true})
}

func show(c *engine.Client, args [][]byte, q query) {
	if !q.parse(c, args[2:]) {
		return
	}
	z, ok := reading(c, args[1])
	if !ok {
		return
	}
	if z == nil {
		c.Array(0)
		return
	}
	lo, hi := q.span(z)
	replyLen(c, max(hi-lo, 0), q.scores)
	for member, score := range q.walk(z, lo, hi) {
		replyMember(c, member, score, q.scores)
	}
}

func zrangestore(c *engine.Client, args [][]byte) {
	q := query{storing: true}
	if !q.parse(c, args[3:]) {
		return
	}
	z, ok := reading(c, args[2])
	if !ok {
		return
	}
	result := New(c.DB().Stamp())
	if z != nil {
		lo, hi := q.span(z)
		lim := limits(c)
		if q.kind == byRank {
			result.Expect(hi-lo, 0, lim)
		}
		for member, score := range q.walk(z, lo, hi) {
			result.Add(member, score, lim)
		}
	}
	Store(c, args[1], result, "zrangestore")
}

// parse reads the ends of the range and the options. When they are wrong, it tells the client and returns
// false.
func (q *query) parse(c *engine.Client, args [][]byte) bool {
	q.limit = -1
	for rest := args[2:]; len(rest) > 0; {
		n, ok := q.option(c, rest)
		if !ok {
			return false
		}
		rest = rest[n:]
	}
	if q.kind == byDefault {
		q.kind = byRank
	}
	switch {
	case q.limit != -1 && q.kind == byRank:
		c.Error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
		return false
	case q.scores && q.kind == byLex:
		c.Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
		return false
	}
	from, to := args[0], args[1]
	if q.reverse && q.kind != byRank {
		from, to = to, from
	}
	return q.ends(c, from, to)
}

// option reads one option at the start of args and returns how many arguments it takes.
func (q *query) option(c *engine.Client, args [][]byte) (n int, ok bool) {
	switch a := args[0]; {
	case !q.storing && engine.EqualFold(a, "WITHSCORES"):
		q.scores = true
	case len(args) > 2 && engine.EqualFold(a, "LIMIT"):
		if q.offset, ok = c.ParseInt(args[1]); !ok {
			return 0, false
		}
		q.limit, ok = c.ParseInt(args[2])
		return 3, ok
	case !q.fixed && !q.reverse && engine.EqualFold(a, "REV"):
		q.reverse = true
	case q.kind == byDefault && engine.EqualFold(a, "BYLEX"):
		q.kind = byLex
	case q.kind == byDefault && engine.EqualFold(a, "BYSCORE"):
		q.kind = byScore
	default:
		c.Error(engine.ErrSyntax)
		return 0, false
	}
	return 1, true
}

func (q *query) ends(c *engine.Client, from, to []byte) (ok bool) {
	switch q.kind {
	case byScore:
		q.scoreSpan, ok = parseScores(c, from, to)
	case byLex:
		q.lexSpan, ok = parseLex(c, from, to)
	default:
		if q.start, ok = c.ParseInt(from); ok {
			q.stop, ok = c.ParseInt(to)
		}
	}
	return ok
}

// span returns the ranks, from lo to hi-1, of what the query asks for.
func (q *query) span(z *ZSet) (lo, hi int) {
	switch q.kind {
	case byScore:
		lo, hi = z.ScoreSpan(q.scoreSpan)
	case byLex:
		lo, hi = z.LexSpan(q.lexSpan)
	default:
		lo, hi = rankSpan(z.Len(), q.start, q.stop)
		if q.reverse {
			lo, hi = z.Len()-hi, z.Len()-lo
		}
		return lo, hi
	}
	if q.offset < 0 || q.offset >= int64(hi-lo) {
		return 0, 0
	}
	n := hi - lo - int(q.offset)
	if 0 <= q.limit && q.limit < int64(n) {
		n = int(q.limit)
	}
	if q.reverse {
		hi -= int(q.offset)
		return hi - n, hi
	}
	lo += int(q.offset)
	return lo, lo + n
}

func (q *query) walk(z *ZSet, lo, hi int) iter.Seq2[[]byte, float64] {
	if q.reverse {
		return z.Descend(lo, hi)
	}
	return z.Ascend(lo, hi)
}

// rankSpan returns the ranks lo to hi-1 that start and stop mean, which count from the end when negative.
func rankSpan(n int, start, stop int64) (lo, hi int) {
	size := int64(n)
	if start < 0 {
		start = max(start+size, 0)
	}
	if stop < 0 {
		stop += size
	}
	if start > stop || start >= size {
		return 0, 0
	}
	return int(start), int(min(stop, size-1)) + 1
}

func parseScores(c *engine.Client, from, to []byte) (r ScoreRange, ok bool) {
	end := func(text []byte) (score float64, ex bool) {
		if len(text) > 0 && text[0] == '(' {
			text, ex = text[1:], true
		}
		if ok {
			score, ok = parseBound(text)
		}
		return score, ex
	}
	ok = true
	r.Min, r.MinEx = end(from)
	r.Max, r.MaxEx = end(to)
	if !ok {
		c.Error("ERR min or max is not a float")
	}
	return r, ok
}

func parseLex(c *engine.Client, from, to []byte) (r LexRange, ok bool) {
	end := func(text []byte) (e LexEnd) {
		switch {
		case len(text) == 1 && text[0] == '-':
			e = LexEnd{Infinite: -1, Ex: true}
		case len(text) == 1 && text[0] == '+':
			e = LexEnd{Infinite: 1, Ex: true}
		case len(text) > 0 && (text[0] == '(' || text[0] == '['):
			e = LexEnd{Text: text[1:], Ex: text[0] == '('}
		default:
			ok = false
		}
		return e
	}
	ok = true
	r = LexRange{end(from), end(to)}
	if !ok {
		c.Error("ERR min or max not valid string range item")
	}
	return r, ok
}

func zcount(c *engine.Client, args [][]byte) {
	r, ok := parseScores(c, args[2], args[3])
	if ok {
		count(c, args[1], func(z *ZSet) (lo, hi int) { return z.ScoreSpan(r) })
	}
}

func zlexcount(c *engine.Client, args [][]byte) {
	r, ok := parseLex(c, args[2], args[3])
	if ok {
		count(c, args[1], func(z *ZSet) (lo, hi int) { return z.LexSpan(r) })
	}
}

func count(c *engine.Client, key []byte, span func(*ZSet) (lo, hi int)) {
	z, ok := reading(c, key)
	switch {
	case !ok:
	case z == nil:
		c.Count(0)
	default:
		lo, hi := span(z)
		c.Count(max(hi-lo, 0))
	}
}

func zremrangebyrank(c *engine.Client, args [][]byte) {
	start, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if stop, ok := c.ParseInt(args[3]); ok {
		removeRange(c, args, func(z *ZSet) (lo, hi int) { return rankSpan(z.Len(), start, stop) })
	}
}

func zremrangebyscore(c *engine.Client, args [][]byte) {
	if r, ok := parseScores(c, args[2], args[3]); ok {
		removeRange(c, args, func(z *ZSet) (lo, hi int) { return z.ScoreSpan(r) })
	}
}

func zremrangebylex(c *engine.Client, args [][]byte) {
	if r, ok := parseLex(c, args[2], args[3]); ok {
		removeRange(c, args, func(z *ZSet) (lo, hi int) { return z.LexSpan(r) })
	}
}

func removeRange(c *engine.Client, args [][]byte, span func(*ZSet) (lo, hi int)) {
	z, ok := writing(c, args[1])
	if !ok {
		return
	}
	removed := 0
	if z != nil {
		removed = z.RemoveSpan(span(z))
	}
	if removed > 0 {
		lost(c, args[1], z, c.Command().Name)
	}
	c.Count(removed)
}
