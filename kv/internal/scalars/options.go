package scalars

import (
	"math"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// options are those of SET, or of GETEX.
type options struct {
	nx, xx, get, keepTTL, persist bool
	expiry
}

// expiry is a time to live as an argument tells it.
type expiry struct {
	given    bool
	text     []byte
	seconds  bool // not milliseconds
	absolute bool // a unix time
}

// parseOptions reads the options of SET, or of GETEX. It reports false for a syntax error.
func parseOptions(args [][]byte, forSet bool) (o options, ok bool) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case forSet && engine.EqualFold(arg, "NX") && !o.xx:
			o.nx = true
		case forSet && engine.EqualFold(arg, "XX") && !o.nx:
			o.xx = true
		case forSet && engine.EqualFold(arg, "GET"):
			o.get = true
		case forSet && engine.EqualFold(arg, "KEEPTTL") && !o.given:
			o.keepTTL = true
		case !forSet && engine.EqualFold(arg, "PERSIST") && !o.given:
			o.persist = true
		default:
			// A second expiry is accepted if it is told in the same way: the last one holds.
			e, found := expiryOf(arg)
			i++
			if !found || i == len(args) || o.keepTTL || o.persist ||
				o.given && (o.seconds != e.seconds || o.absolute != e.absolute) {
				return o, false
			}
			e.text = args[i]
			o.expiry = e
		}
	}
	return o, true
}

func expiryOf(word []byte) (expiry, bool) {
	switch {
	case engine.EqualFold(word, "EX"):
		return expiry{given: true, seconds: true}, true
	case engine.EqualFold(word, "PX"):
		return expiry{given: true}, true
	case engine.EqualFold(word, "EXAT"):
		return expiry{given: true, seconds: true, absolute: true}, true
	case engine.EqualFold(word, "PXAT"):
		return expiry{given: true, absolute: true}, true
	}
	return expiry{}, false
}

// deadline is when the expiry is due, in unix milliseconds; 0 if none is given. If it reports false, it has
// replied why.
func (e expiry) deadline(c *engine.Client) (int64, bool) {
	if !e.given {
		return 0, true
	}
	ms, ok := c.ParseInt(e.text)
	if !ok {
		return 0, false
	}
	valid := ms > 0
	if e.seconds {
		valid = valid && ms <= math.MaxInt64/1000
		ms *= 1000
	}
	if !e.absolute {
		ms += c.Engine().Now()
	}
	if !valid || ms <= 0 {
		c.Error("ERR invalid expire time in '" + c.Command().FullName() + "' command")
		return 0, false
	}
	return ms, true
}
