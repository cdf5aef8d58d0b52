package keys

import (
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/glob"
	"github.com/zmsg/zmsg/kv/internal/scan"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// keys is KEYS. Due keys are not shown, and stay.
func keys(c *engine.Client, args [][]byte) {
	space, pattern := c.DB(), args[1]
	all := string(pattern) == "*"
	mark, n := c.Later(), 0
	for en := range space.Table().All() {
		if (all || glob.Match(pattern, en.Key(), false)) && !space.Due(en) {
			c.Bulk(en.Key())
			n++
		}
	}
	c.SetLen(mark, '*', n)
}

// keyScan is what SCAN is told.
type keyScan struct {
	scan.Options
	kind []byte // the type of the keys that are replied; nil is all
}

// parse reads the arguments behind the cursor. If it reports false, it has replied an error.
func (o *keyScan) parse(c *engine.Client, args [][]byte) bool {
	for len(args) > 0 {
		n := min(2, len(args))
		if n == 2 && engine.EqualFold(args[0], "TYPE") {
			o.kind = args[1]
		} else if !o.Parse(c, args[:n]) {
			return false
		}
		args = args[n:]
	}
	return true
}

func (o *keyScan) match(en *table.Entry) bool {
	return o.Match(en.Key()) && (o.kind == nil || equalFold(o.kind, string(engine.TypeOf(en))))
}

func scanKeys(c *engine.Client, args [][]byte) {
	cursor, ok := scan.Cursor(c, args[1])
	o := keyScan{Options: scan.Options{Count: 10}}
	if !ok || !o.parse(c, args[2:]) {
		return
	}
	space := c.DB()
	var due, found []*table.Entry
	seen := int64(0)
	// Where the table is sparse, a call must not keep everybody waiting for so many keys.
	steps := o.Count
	if steps <= math.MaxInt64/10 {
		steps *= 10
	}
	for ; ; steps-- {
		cursor = space.Table().Scan(cursor, func(en *table.Entry) {
			seen++
			switch {
			case space.Due(en):
				due = append(due, en)
			case o.match(en):
				found = append(found, en)
			}
		})
		if cursor == 0 || seen >= o.Count || steps <= 0 {
			break
		}
	}
	c.Array(2)
	c.BulkString(strconv.FormatUint(cursor, 10))
	c.Array(len(found))
	for _, en := range found {
		c.Bulk(en.Key())
	}
	for _, en := range due {
		space.Expire(en.Key())
	}
}

func randomKey(c *engine.Client, _ [][]byte) {
	space := c.DB()
	for {
		en := space.Table().Random(c.Engine().Rand())
		if en == nil {
			c.Null()
			return
		}
		if space.Due(en) {
			space.Expire(en.Key())
			continue
		}
		c.Bulk(en.Key())
		return
	}
}
