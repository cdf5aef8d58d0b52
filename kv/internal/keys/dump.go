package keys

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/rdb"
	"github.com/zmsg/zmsg/kv/internal/table"
)

func dump(c *engine.Client, args [][]byte) {
	en := c.DB().Read(args[1])
	if en == nil {
		c.Null()
		return
	}
	c.Bulk(rdb.EncodeValue(nil, en, c.Engine().Config().RDBCompression))
}

// restoration is what RESTORE is told.
type restoration struct {
	replace, absolute bool
	idle, frequency   int64 // -1 if not told
	deadline          int64 // unix ms; 0 is none
}

// parse reads the options, which begin at the fifth argument. If it reports false, it has replied an error.
func (o *restoration) parse(c *engine.Client, args [][]byte) bool {
	for i := 4; i < len(args); i++ {
		var ok bool
		switch more := i+1 < len(args); {
		case engine.EqualFold(args[i], "REPLACE"):
			o.replace = true
		case engine.EqualFold(args[i], "ABSTTL"):
			o.absolute = true
		case engine.EqualFold(args[i], "IDLETIME") && more && o.frequency < 0:
			i++
			if o.idle, ok = c.ParseInt(args[i]); !ok {
				return false
			}
			if o.idle < 0 {
				c.Error("ERR Invalid IDLETIME value, must be >= 0")
				return false
			}
		case engine.EqualFold(args[i], "FREQ") && more && o.idle < 0:
			i++
			if o.frequency, ok = c.ParseInt(args[i]); !ok {
				return false
			}
			if o.frequency < 0 || o.frequency > 255 {
				c.Error("ERR Invalid FREQ value, must be >= 0 and <= 255")
				return false
			}
		default:
			c.Error(engine.ErrSyntax)
			return false
		}
	}
	return true
}

// parseDeadline reads the time to live. If it reports false, it has replied an error.
func (o *restoration) parseDeadline(c *engine.Client, arg []byte) (ok bool) {
	if o.deadline, ok = c.ParseInt(arg); !ok {
		return false
	}
	if o.deadline < 0 {
		c.Error("ERR Invalid TTL value, must be >= 0")
		return false
	}
	if o.deadline != 0 && !o.absolute {
		o.deadline += c.Engine().Now() // what this is too much for has passed, as in Redis
	}
	return true
}

func restore(c *engine.Client, args [][]byte) {
	o := restoration{idle: -1, frequency: -1}
	if !o.parse(c, args) {
		return
	}
	space, key := c.DB(), args[1]
	if !o.replace && space.Peek(key) != nil {
		c.Error("BUSYKEY Target key name already exists.")
		return
	}
	if !o.parseDeadline(c, args[2]) {
		return
	}
	text, v, err := rdb.DecodeValue(args[3], rdb.ReadOptions{Stamp: space.Stamp(), Config: c.Engine().Config()})
	switch {
	case errors.Is(err, rdb.ErrPayload):
		c.Error("ERR " + rdb.ErrPayload.Error())
		return
	case err != nil:
		c.Error("ERR Bad data format")
		return
	}
	removed := space.Remove(key)
	if o.deadline != 0 && passed(c, o.deadline) {
		if removed {
			c.Propagate(wordDel, key)
			c.Changed(key, engine.EventGeneric, "del")
		}
		c.OK()
		return
	}
	o.put(c, args, text, v)
	c.OK()
}

// put stores what has been restored.
func (o *restoration) put(c *engine.Client, args [][]byte, text []byte, v engine.Value) {
	space, key := c.DB(), args[1]
	var en *table.Entry
	if v != nil {
		en = space.SetValue(key, v, o.deadline)
	} else {
		en = space.SetString(key, text, o.deadline)
	}
	o.setUse(c, en)
	if o.deadline != 0 && !o.absolute {
		told := slices.Clone(args)
		told[2] = strconv.AppendInt(nil, o.deadline, 10)
		c.Propagate(append(told, wordAbsTTL)...)
	}
	c.Changed(key, engine.EventGeneric, "restore")
}

// longestIdle is as long as the eviction clock can tell.
const longestIdle = 1<<24 - 1

// setUse sets what the policy goes by, if it was told.
func (o *restoration) setUse(c *engine.Client, en *table.Entry) {
	if countsUses(c) && o.frequency >= 0 || !countsUses(c) && o.idle >= 0 {
		c.DB().SetUse(en, time.Duration(min(o.idle, longestIdle))*time.Second, int(o.frequency))
	}
}
