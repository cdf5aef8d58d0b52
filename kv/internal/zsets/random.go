package zsets

import (
	"math"
	"math/rand/v2"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scan"
)

func zrandmember(c *engine.Client, args [][]byte) {
	if len(args) > 2 {
		randomMembers(c, args)
		return
	}
	z, ok := reading(c, args[1])
	switch {
	case !ok:
	case z == nil:
		c.Null()
	default:
		member, _ := z.Random(c.Engine().Rand())
		c.Bulk(member)
	}
}

func randomMembers(c *engine.Client, args [][]byte) {
	count, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if count == math.MinInt64 {
		c.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
		return
	}
	scores := len(args) == 4 && engine.EqualFold(args[3], "WITHSCORES")
	if len(args) > 3 && !scores {
		c.Error(engine.ErrSyntax)
		return
	}
	if scores && (count < -math.MaxInt64/2 || count > math.MaxInt64/2) {
		c.Error("ERR value is out of range")
		return
	}
	z, ok := reading(c, args[1])
	switch {
	case !ok:
	case z == nil || count == 0:
		c.Array(0)
	case count < 0:
		from := c.Later()
		replyLen(c, int(-count), scores)
		scan.Repeat(c, from, -count, scan.LongestReply, func() {
			member, score := z.Random(c.Engine().Rand())
			replyMember(c, member, score, scores)
		})
	case count >= int64(z.Len()):
		replyLen(c, z.Len(), scores)
		for member, score := range z.Descend(0, z.Len()) {
			replyMember(c, member, score, scores)
		}
	default:
		replyLen(c, int(count), scores)
		sample(c.Engine().Rand(), z.Len(), int(count), func(rank int) {
			member, score := z.At(rank)
			replyMember(c, member, score, scores)
		})
	}
}

// sample hands k different numbers below n to take, every selection with the same probability.
func sample(r *rand.Rand, n, k int, take func(int)) {
	// R. W. Floyd's algorithm: it draws no number twice, and remembers k of them.
	taken := make(map[int]struct{}, k)
	for top := n - k; top < n; top++ {
		pick := r.IntN(top + 1)
		if _, again := taken[pick]; again {
			pick = top
		}
		taken[pick] = struct{}{}
		take(pick)
	}
}
