package zsets

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// AddOptions are what ZADD can be told before the scores.
type AddOptions struct{ NX, XX, GT, LT, CH, Incr bool }

// read takes the options at the start of args, and returns how many they are.
func (o *AddOptions) read(args [][]byte) int {
	for i, a := range args {
		switch {
		case engine.EqualFold(a, "NX"):
			o.NX = true
		case engine.EqualFold(a, "XX"):
			o.XX = true
		case engine.EqualFold(a, "CH"):
			o.CH = true
		case engine.EqualFold(a, "INCR"):
			o.Incr = true
		case engine.EqualFold(a, "GT"):
			o.GT = true
		case engine.EqualFold(a, "LT"):
			o.LT = true
		default:
			return i
		}
	}
	return len(args)
}

// conflict says what is wrong with the options together, for so many members, or "".
func (o *AddOptions) conflict(members int) string {
	switch {
	case o.NX && o.XX:
		return "ERR XX and NX options at the same time are not compatible"
	case o.GT && o.NX || o.LT && o.NX || o.GT && o.LT:
		return "ERR GT, LT, and/or NX options at the same time are not compatible"
	case o.Incr && members > 1:
		return "ERR INCR option supports a single increment-element pair"
	}
	return ""
}

func zadd(c *engine.Client, args [][]byte) { add(c, args, AddOptions{}) }

func zincrby(c *engine.Client, args [][]byte) { add(c, args, AddOptions{Incr: true}) }

func add(c *engine.Client, args [][]byte, o AddOptions) {
	pairs := args[2:]
	pairs = pairs[o.read(pairs):]
	if len(pairs)%2 != 0 || len(pairs) == 0 {
		c.Error(engine.ErrSyntax)
		return
	}
	if conflict := o.conflict(len(pairs) / 2); conflict != "" {
		c.Error(conflict)
		return
	}
	var few [16]float64
	scores := few[:0]
	for i := 0; i < len(pairs); i += 2 {
		score, ok := ParseScore(pairs[i])
		if !ok {
			c.Error(engine.ErrNotFloat)
			return
		}
		scores = append(scores, score)
	}
	Insert(c, args[1], o, scores, func(i int) []byte { return pairs[2*i+1] })
}

// Insert adds members with their scores to the sorted set of a key, as ZADD does, and replies as it does.
func Insert(c *engine.Client, key []byte, o AddOptions, scores []float64, member func(i int) []byte) {
	z, ok := writing(c, key)
	if !ok {
		return
	}
	if z == nil && !o.XX {
		z = New(c.DB().Stamp())
		c.DB().SetValue(key, z, 0)
	}
	var added, updated, processed int
	var score float64
	for i := range scores {
		if z == nil {
			break
		}
		var did outcome
		if score, did = z.apply(member(i), scores[i], o, limits(c)); did == notANumber {
			c.Error("ERR resulting score is not a number (NaN)")
			return
		}
		switch did {
		case addedOne:
			added++
		case updatedOne:
			updated++
		}
		if did != refused {
			processed++
		}
	}
	if added+updated > 0 {
		event := "zadd"
		if o.Incr {
			event = "zincr"
		}
		c.Changed(key, engine.EventZSet, event)
	}
	switch {
	case o.Incr && processed == 0:
		c.Null()
	case o.Incr:
		c.Double(score)
	case o.CH:
		c.Count(added + updated)
	default:
		c.Count(added)
	}
}

// outcome is what became of one member.
type outcome int

const (
	same outcome = iota
	addedOne
	updatedOne
	refused // by an option
	notANumber
)

// apply adds one member under the options, and returns the score that it has now.
func (z *ZSet) apply(member []byte, score float64, o AddOptions, lim Limits) (float64, outcome) {
	p := z.locate(member)
	if !p.found {
		if o.XX {
			return 0, refused
		}
		z.store(member, score, p, lim)
		return score, addedOne
	}
	if o.NX {
		return p.score, refused
	}
	if o.Incr {
		if score += p.score; math.IsNaN(score) {
			return p.score, notANumber
		}
	}
	if o.LT && score >= p.score || o.GT && score <= p.score {
		return p.score, refused
	}
	if score == p.score {
		return score, same
	}
	z.store(member, score, p, lim)
	return score, updatedOne
}

func zrem(c *engine.Client, args [][]byte) {
	z, ok := writing(c, args[1])
	if !ok {
		return
	}
	removed := 0
	for _, member := range args[2:] {
		if z == nil || z.Len() == 0 {
			break
		}
		if z.Remove(member) {
			removed++
		}
	}
	if removed > 0 {
		lost(c, args[1], z, "zrem")
	}
	c.Count(removed)
}

func zcard(c *engine.Client, args [][]byte) {
	z, ok := reading(c, args[1])
	switch {
	case !ok:
	case z == nil:
		c.Count(0)
	default:
		c.Count(z.Len())
	}
}

func zscore(c *engine.Client, args [][]byte) {
	if z, ok := reading(c, args[1]); ok {
		replyScore(c, z, args[2])
	}
}

func zmscore(c *engine.Client, args [][]byte) {
	z, ok := reading(c, args[1])
	if !ok {
		return
	}
	c.Array(len(args) - 2)
	for _, member := range args[2:] {
		replyScore(c, z, member)
	}
}

// replyScore replies the score of a member, or null; z may be nil.
func replyScore(c *engine.Client, z *ZSet, member []byte) {
	if z != nil {
		if score, ok := z.Score(member); ok {
			c.Double(score)
			return
		}
	}
	c.Null()
}

func zrank(c *engine.Client, args [][]byte) { rank(c, args, false) }

func zrevrank(c *engine.Client, args [][]byte) { rank(c, args, true) }

func rank(c *engine.Client, args [][]byte, reverse bool) {
	z, ok := reading(c, args[1])
	if !ok {
		return
	}
	if z != nil {
		if rank, ok := z.Rank(args[2]); ok {
			if reverse {
				rank = z.Len() - 1 - rank
			}
			c.Count(rank)
			return
		}
	}
	c.Null()
}
