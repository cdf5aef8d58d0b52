package scalars

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// lcsOptions are those of LCS.
type lcsOptions struct {
	length, ranges, withLength bool
	minLength                  int64
}

func lcs(c *engine.Client, args [][]byte) {
	a, okA := peekString(c, args[1])
	b, okB := peekString(c, args[2])
	if !okA || !okB {
		c.Error("ERR The specified keys must contain string values")
		return
	}
	o, ok := parseLCS(c, args[3:])
	switch {
	case !ok:
		return
	case o.ranges && o.length:
		c.Error("ERR If you want both the length and indexes, please just use IDX.")
		return
	case uint64(len(a)) >= math.MaxUint32-1 || uint64(len(b)) >= math.MaxUint32-1:
		c.Error("ERR String too long for LCS")
		return
	case 4*uint64(len(a)+1)*uint64(len(b)+1) > uint64(c.Engine().Config().ProtoMaxBulk):
		c.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
		return
	}
	t := newLCS(a, b)
	switch {
	case o.ranges:
		t.replyRanges(c, o)
	case o.length:
		c.Count(int(t.at(len(a), len(b))))
	default:
		c.Bulk(t.sequence())
	}
}

// peekString returns the string under key, or an empty one. It reports false if that is of another type.
func peekString(c *engine.Client, key []byte) ([]byte, bool) {
	en := c.DB().Read(key)
	if en == nil {
		return nil, true
	}
	return engine.StringOf(en)
}

func parseLCS(c *engine.Client, args [][]byte) (o lcsOptions, ok bool) {
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case engine.EqualFold(arg, "IDX"):
			o.ranges = true
		case engine.EqualFold(arg, "LEN"):
			o.length = true
		case engine.EqualFold(arg, "WITHMATCHLEN"):
			o.withLength = true
		case engine.EqualFold(arg, "MINMATCHLEN") && i+1 < len(args):
			i++
			if o.minLength, ok = c.ParseInt(args[i]); !ok {
				return o, false
			}
		default:
			c.Error(engine.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// lcsTable has the lengths of the longest common subsequences of all beginnings of a and b.
type lcsTable struct {
	a, b    []byte
	lengths []uint32 // len(a)+1 rows of len(b)+1
}

func newLCS(a, b []byte) *lcsTable {
	w := len(b) + 1
	t := &lcsTable{a: a, b: b, lengths: make([]uint32, (len(a)+1)*w)}
	for i, x := range a {
		above, row := t.lengths[i*w:(i+1)*w], t.lengths[(i+1)*w:(i+2)*w]
		for j, y := range b {
			if x == y {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(row[j], above[j+1])
			}
		}
	}
	return t
}

func (t *lcsTable) at(i, j int) uint32 { return t.lengths[i*(len(t.b)+1)+j] }

// matches calls f with the places in a and b of the bytes of the subsequence, from the last to the first.
func (t *lcsTable) matches(f func(i, j int)) {
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		switch {
		case t.a[i-1] == t.b[j-1]:
			i, j = i-1, j-1
			f(i, j)
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

// sequence returns the subsequence.
func (t *lcsTable) sequence() []byte {
	s := make([]byte, t.at(len(t.a), len(t.b)))
	n := len(s)
	t.matches(func(i, _ int) {
		n--
		s[n] = t.a[i]
	})
	return s
}

// replyRanges replies where the subsequence is in a and b, from the last range to the first.
func (t *lcsTable) replyRanges(c *engine.Client, o lcsOptions) {
	c.Map(2)
	c.BulkString("matches")
	list, listed := c.Later(), 0
	fromA, fromB, length := 0, 0, 0
	emit := func() {
		if length == 0 || int64(length) < o.minLength {
			return
		}
		listed++
		if o.withLength {
			c.Array(3)
		} else {
			c.Array(2)
		}
		for _, from := range []int{fromA, fromB} {
			c.Array(2)
			c.Count(from)
			c.Count(from + length - 1)
		}
		if o.withLength {
			c.Count(length)
		}
	}
	t.matches(func(i, j int) {
		if length == 0 || i != fromA-1 || j != fromB-1 {
			emit()
			length = 0
		}
		fromA, fromB = i, j
		length++
	})
	emit()
	c.SetLen(list, '*', listed)
	c.BulkString("len")
	c.Count(int(t.at(len(t.a), len(t.b))))
}
