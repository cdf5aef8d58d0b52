package keys

import (
	"math"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// clock says how a command tells time: in milliseconds from now, but for what is set.
type clock int

const (
	seconds  clock = 1 << iota
	absolute       // since 1970
)

// Words of commands as the log tells them.
var (
	wordDel       = []byte("DEL")
	wordPExpireAt = []byte("PEXPIREAT")
	wordAbsTTL    = []byte("ABSTTL")
)

// condition has the options of EXPIRE.
type condition struct{ nx, xx, gt, lt bool }

// parse reads the options. If it reports false, it has replied an error.
func (o *condition) parse(c *engine.Client, args [][]byte) bool {
	for _, arg := range args {
		switch {
		case engine.EqualFold(arg, "NX"):
			o.nx = true
		case engine.EqualFold(arg, "XX"):
			o.xx = true
		case engine.EqualFold(arg, "GT"):
			o.gt = true
		case engine.EqualFold(arg, "LT"):
			o.lt = true
		default:
			c.Error("ERR Unsupported option " + string(untilNUL(arg)))
			return false
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		c.Error("ERR NX and XX, GT or LT options at the same time are not compatible")
		return false
	case o.gt && o.lt:
		c.Error("ERR GT and LT options at the same time are not compatible")
		return false
	}
	return true
}

// holds reports whether a deadline may take the place of the present one. None, which is 0, is later than
// any.
func (o condition) holds(present, next int64) bool {
	switch {
	case o.nx && present != 0, o.xx && present == 0:
		return false
	case o.gt:
		return present != 0 && next > present
	case o.lt:
		return present == 0 || next < present
	}
	return true
}

// expire is EXPIRE and its like.
func expire(unit clock) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		var o condition
		if !o.parse(c, args[3:]) {
			return
		}
		ms, ok := unit.deadline(c, args[2])
		if !ok {
			return
		}
		en := c.DB().Write(args[1])
		if en == nil || !o.holds(en.Deadline(), ms) {
			c.Int(0)
			return
		}
		expireAt(c, en, args, ms)
		c.Int(1)
	}
}

// deadline reads when a key shall expire, in unix milliseconds, which may have passed. If it reports false,
// it has replied an error.
func (u clock) deadline(c *engine.Client, arg []byte) (ms int64, ok bool) {
	if ms, ok = c.ParseInt(arg); !ok {
		return 0, false
	}
	if u&seconds != 0 {
		if ok = ms <= math.MaxInt64/1000 && ms >= math.MinInt64/1000; ok {
			ms *= 1000
		}
	}
	if now := c.Engine().Now(); ok && u&absolute == 0 {
		if ok = ms <= math.MaxInt64-now; ok {
			ms += now
		}
	}
	if !ok {
		c.Error("ERR invalid expire time in '" + c.Command().FullName() + "' command")
	}
	return ms, ok
}

// expireAt sets the deadline of an entry; if it has passed, the key goes. The log is told a deadline that
// means the same later on.
func expireAt(c *engine.Client, en *table.Entry, args [][]byte, ms int64) {
	if passed(c, ms) {
		c.DB().Remove(args[1])
		c.Propagate(wordDel, args[1])
		c.Changed(args[1], engine.EventGeneric, "del")
		return
	}
	c.DB().SetDeadline(en, max(ms, 1))
	told := append([][]byte{wordPExpireAt, args[1], strconv.AppendInt(nil, ms, 10)}, args[3:]...)
	c.Propagate(told...)
	c.Changed(args[1], engine.EventGeneric, "expire")
}

// passed reports whether a deadline has passed. While data is loaded nothing expires: what comes later in
// the log may still need it.
func passed(c *engine.Client, ms int64) bool {
	return ms <= c.Engine().Now() && !c.Engine().Loading()
}

// timeToLive is TTL and its like.
func timeToLive(unit clock) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, args [][]byte) {
		en := look(c, args[1])
		switch {
		case en == nil:
			c.Int(-2)
			return
		case en.Deadline() == 0:
			c.Int(-1)
			return
		}
		ms := en.Deadline()
		if unit&absolute == 0 {
			ms = max(0, ms-c.Engine().Now())
		}
		if unit&seconds != 0 {
			ms = int64((uint64(ms) + 500) / 1000)
		}
		c.Int(ms)
	}
}

func persist(c *engine.Client, args [][]byte) {
	en := c.DB().Write(args[1])
	if en == nil || en.Deadline() == 0 {
		c.Int(0)
		return
	}
	c.DB().SetDeadline(en, 0)
	c.Changed(args[1], engine.EventGeneric, "persist")
	c.Int(1)
}
