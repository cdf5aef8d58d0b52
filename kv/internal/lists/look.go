package lists

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func length(c *engine.Client, args [][]byte) {
	if l, found, ok := get(c, args[1]); found {
		c.Count(l.Len())
	} else if ok {
		c.Count(0)
	}
}

func index(c *engine.Client, args [][]byte) {
	l, found, ok := get(c, args[1])
	if !found {
		if ok {
			c.Null()
		}
		return
	}
	i, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if at := l.At(int(i)); at.Valid() {
		replyElement(c, &at)
	} else {
		c.Null()
	}
}

func lrange(c *engine.Client, args [][]byte) {
	first, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	last, ok := c.ParseInt(args[3])
	if !ok {
		return
	}
	l, found, ok := get(c, args[1])
	if !found {
		if ok {
			c.Array(0)
		}
		return
	}
	from, to := clamp(first, last, l.Len())
	c.Array(to - from)
	at := l.At(from)
	for range to - from {
		replyElement(c, &at)
		at.Next()
	}
}

// search is what LPOS is told.
type search struct {
	rank   int64 // the match to begin with: 1 is the first, -1 the last
	count  int64 // of matches to reply, 0 is all
	counts bool  // the reply is an array
	maxLen int64 // elements to look at, 0 is all
}

func (s *search) parse(c *engine.Client, args [][]byte) (ok bool) {
	s.rank = 1
	for ; len(args) > 0; args = args[2:] {
		switch {
		case len(args) < 2:
			c.Error(engine.ErrSyntax)
			return false
		case engine.EqualFold(args[0], "RANK"):
			s.rank, ok = c.ParseInt(args[1])
			switch {
			case !ok:
				return false
			case s.rank == 0:
				c.Error("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
				return false
			}
		case engine.EqualFold(args[0], "COUNT"):
			s.counts = true
			if s.count, ok = atLeast(c, args[1], 0, "ERR COUNT can't be negative"); !ok {
				return false
			}
		case engine.EqualFold(args[0], "MAXLEN"):
			if s.maxLen, ok = atLeast(c, args[1], 0, "ERR MAXLEN can't be negative"); !ok {
				return false
			}
		default:
			c.Error(engine.ErrSyntax)
			return false
		}
	}
	if s.rank == math.MinInt64 { // Redis 7.0 cannot negate it: no match is too early, nor are they too many
		s.rank, s.count = -1, 0
	}
	return true
}

func position(c *engine.Client, args [][]byte) {
	var s search
	if !s.parse(c, args[3:]) {
		return
	}
	l, _, ok := get(c, args[1])
	if !ok {
		return
	}
	mark, n := c.Later(), 0
	if l != nil {
		n = s.run(c, l, args[2])
	}
	switch {
	case s.counts:
		c.SetLen(mark, '*', n)
	case n == 0:
		c.Null()
	}
}

// run replies the indexes of the matches, and returns how many they are.
func (s *search) run(c *engine.Client, l *List, v []byte) (n int) {
	skip, from, step := s.rank, front, (*Cursor).Next
	if s.rank < 0 {
		skip, from, step = -s.rank, back, (*Cursor).Prev
	}
	limit := s.count
	if !s.counts {
		limit = 1
	}
	looks := s.maxLen
	if looks == 0 {
		looks = int64(l.Len())
	}
	at := l.last(from)
	for i := int64(0); at.Valid() && i < looks; i++ {
		if at.Equal(v) {
			if skip--; skip <= 0 {
				n++
				if from == back {
					c.Int(int64(l.Len()) - 1 - i)
				} else {
					c.Int(i)
				}
				if int64(n) == limit {
					break
				}
			}
		}
		step(&at)
	}
	return n
}

// atLeast parses an integer that may not be below low. If it is none, the client is told so.
func atLeast(c *engine.Client, text []byte, low int64, complaint string) (int64, bool) {
	n, ok := engine.ParseInt(text)
	if !ok || n < low {
		c.Error(complaint)
		return 0, false
	}
	return n, true
}
