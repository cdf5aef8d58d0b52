package zsets

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// Members is what the value of an unsorted set must have to be combined with sorted ones: its members count
// as if all their scores were 1.
type Members interface {
	Len() int
	Has(member []byte) bool
	All() iter.Seq[[]byte]
}

// source is one of the inputs of a combination. A key that does not exist has neither value.
type source struct {
	z      *ZSet
	s      Members
	weight float64
}

func (s *source) len() int {
	switch {
	case s.z != nil:
		return s.z.Len()
	case s.s != nil:
		return s.s.Len()
	}
	return 0
}

func (s *source) score(member []byte) (float64, bool) {
	switch {
	case s.z != nil:
		return s.z.Score(member)
	case s.s != nil:
		return 1, s.s.Has(member)
	}
	return 0, false
}

func (s *source) all() iter.Seq2[[]byte, float64] {
	if s.z != nil {
		return s.z.All()
	}
	return func(yield func([]byte, float64) bool) {
		if s.s == nil {
			return
		}
		for member := range s.s.All() {
			if !yield(member, 1) {
				return
			}
		}
	}
}

// weighed is a score with the source's weight; infinity times 0 is 0.
func (s *source) weighed(score float64) float64 {
	if score *= s.weight; math.IsNaN(score) {
		return 0
	}
	return score
}

// operation is one of the ways to combine sets.
type operation int

const (
	union operation = iota
	intersection
	difference
)

func (o operation) event() string {
	return [...]string{"zunionstore", "zinterstore", "zdiffstore"}[o]
}

// combination is one of the commands that combine sets.
type combination struct {
	op        operation
	storing   bool
	counting  bool
	limit     int64 // of counting; 0 is none
	scores    bool
	aggregate func(a, b float64) float64
	sources   []source
}

func zunion(c *engine.Client, args [][]byte) { combine(c, args, combination{op: union}) }
func zinter(c *engine.Client, args [][]byte) { combine(c, args, combination{op: intersection}) }
func zdiff(c *engine.Client, args [][]byte)  { combine(c, args, combination{op: difference}) }
func zunionstore(c *engine.Client, args [][]byte) {
	combine(c, args, combination{op: union, storing: true})
}

func zinterstore(c *engine.Client, args [][]byte) {
	combine(c, args, combination{op: intersection, storing: true})
}

func zdiffstore(c *engine.Client, args [][]byte) {
	combine(c, args, combination{op: difference, storing: true})
}

func zintercard(c *engine.Client, args [][]byte) {
	combine(c, args, combination{op: intersection, counting: true})
}

func combine(c *engine.Client, args [][]byte, k combination) {
	given := args[1:]
	if k.storing {
		given = args[2:]
	}
	if !k.parse(c, given) {
		return
	}
	if k.counting {
		c.Count(k.count())
		return
	}
	pairs := k.result()
	slices.SortFunc(pairs, func(a, b pair) int {
		if o := cmp.Compare(a.score, b.score); o != 0 {
			return o
		}
		return bytes.Compare(a.member, b.member)
	})
	if k.storing {
		z, lim := New(c.DB().Stamp()), limits(c)
		longest := 0
		for _, p := range pairs {
			longest = max(longest, len(p.member))
		}
		z.Expect(len(pairs), longest, lim)
		for _, p := range pairs {
			z.Add(p.member, p.score, lim)
		}
		Store(c, args[1], z, k.op.event())
		return
	}
	replyLen(c, len(pairs), k.scores)
	for _, p := range pairs {
		replyMember(c, p.member, p.score, k.scores)
	}
}

// parse reads the arguments from the number of keys on, and looks the keys up. When something is wrong, it
// tells the client and returns false.
func (k *combination) parse(c *engine.Client, args [][]byte) bool {
	n, ok := c.ParseInt(args[0])
	switch {
	case !ok:
		return false
	case n < 1:
		c.Error("ERR at least 1 input key is needed for '" + c.Command().FullName() + "' command")
		return false
	case n > int64(len(args)-1):
		c.Error(engine.ErrSyntax)
		return false
	}
	for _, key := range args[1 : 1+n] {
		s, ok := lookup(c, key)
		if !ok {
			return false
		}
		k.sources = append(k.sources, s)
	}
	k.aggregate = sum
	for rest := args[1+n:]; len(rest) > 0; {
		taken, ok := k.option(c, rest)
		if !ok {
			return false
		}
		rest = rest[taken:]
	}
	if k.op != difference {
		slices.SortStableFunc(k.sources, func(a, b source) int { return a.len() - b.len() })
	}
	return true
}

func lookup(c *engine.Client, key []byte) (source, bool) {
	s := source{weight: 1}
	en := c.DB().Read(key)
	if en == nil {
		return s, true
	}
	ok := false
	switch b := en.Box(); {
	case b == nil:
	case engine.TypeOf(en) == engine.TypeZSet:
		s.z, ok = b.Val.(*ZSet)
	case engine.TypeOf(en) == engine.TypeSet:
		s.s, ok = b.Val.(Members)
	}
	if !ok {
		c.Error(engine.ErrWrongType)
	}
	return s, ok
}

// option reads one option at the start of args and returns how many arguments it takes.
func (k *combination) option(c *engine.Client, args [][]byte) (n int, ok bool) {
	weighs := k.op != difference && !k.counting
	switch a := args[0]; {
	case weighs && len(args) > len(k.sources) && engine.EqualFold(a, "WEIGHTS"):
		for i := range k.sources {
			if k.sources[i].weight, ok = ParseScore(args[1+i]); !ok {
				c.Error("ERR weight value is not a float")
				return 0, false
			}
		}
		return 1 + len(k.sources), true
	case weighs && len(args) > 1 && engine.EqualFold(a, "AGGREGATE"):
		if k.aggregate = aggregate(args[1]); k.aggregate == nil {
			c.Error(engine.ErrSyntax)
			return 0, false
		}
		return 2, true
	case !k.storing && !k.counting && engine.EqualFold(a, "WITHSCORES"):
		k.scores = true
		return 1, true
	case k.counting && len(args) > 1 && engine.EqualFold(a, "LIMIT"):
		k.limit, ok = atLeast(c, args[1], 0, "ERR LIMIT can't be negative")
		return 2, ok
	}
	c.Error(engine.ErrSyntax)
	return 0, false
}

func aggregate(name []byte) func(a, b float64) float64 {
	switch {
	case engine.EqualFold(name, "SUM"):
		return sum
	case engine.EqualFold(name, "MIN"):
		return lower
	case engine.EqualFold(name, "MAX"):
		return higher
	}
	return nil
}

// sum adds scores; infinity minus infinity is 0.
func sum(a, b float64) float64 {
	if a += b; math.IsNaN(a) {
		return 0
	}
	return a
}

// lower and higher keep the first score when they cannot compare it with the second.
func lower(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func higher(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}
