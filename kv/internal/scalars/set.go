package scalars

import (
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func set(c *engine.Client, args [][]byte) {
	if len(args) == 3 {
		store(c, args[1], args[2], 0)
		c.OK()
		return
	}
	key, value := args[1], args[2]
	o, ok := parseOptions(args[3:], true)
	if !ok {
		c.Error(engine.ErrSyntax)
		return
	}
	deadline, ok := o.deadline(c)
	if !ok || o.get && !replyString(c, key) {
		return
	}
	if o.nx || o.xx || o.keepTTL {
		old := c.DB().Peek(key)
		if o.nx && old != nil || o.xx && old == nil {
			if !o.get {
				c.Null()
			}
			return
		}
		if o.keepTTL && old != nil {
			deadline = old.Deadline()
		}
	}
	store(c, key, value, deadline)
	switch {
	case o.given:
		expires(c, key, value, deadline)
	case o.get:
		c.Propagate(withoutGet(args)...)
	}
	if !o.get {
		c.OK()
	}
}

// store sets a string, whatever was under the key, and notes the change.
func store(c *engine.Client, key, value []byte, deadline int64) {
	c.DB().SetString(key, value, deadline)
	c.Changed(key, engine.EventString, "set")
}

// expires announces that a string was set with a deadline, and logs it with that rather than with a time to
// live.
func expires(c *engine.Client, key, value []byte, deadline int64) {
	c.Engine().Notify(c.DB(), engine.EventGeneric, "expire", key)
	var buf [20]byte
	c.Propagate(wordSet, key, value, wordPXAT, strconv.AppendInt(buf[:0], deadline, 10))
}

// withoutGet returns SET's arguments without its option GET.
func withoutGet(args [][]byte) [][]byte {
	kept := append([][]byte(nil), args[:3]...)
	for _, a := range args[3:] {
		if !engine.EqualFold(a, "GET") {
			kept = append(kept, a)
		}
	}
	return kept
}

// replyString replies the string under key, or null. It reports false if that is of another type.
func replyString(c *engine.Client, key []byte) bool {
	s, found, ok := engine.GetString(c, key)
	switch {
	case found:
		c.Bulk(s)
	case ok:
		c.Null()
	}
	return ok
}

func setEx(c *engine.Client, args [][]byte) {
	storeFor(c, args[1], args[3], expiry{given: true, text: args[2], seconds: true})
}

func pSetEx(c *engine.Client, args [][]byte) {
	storeFor(c, args[1], args[3], expiry{given: true, text: args[2]})
}

func storeFor(c *engine.Client, key, value []byte, e expiry) {
	deadline, ok := e.deadline(c)
	if !ok {
		return
	}
	store(c, key, value, deadline)
	expires(c, key, value, deadline)
	c.OK()
}

func setNX(c *engine.Client, args [][]byte) {
	if c.DB().Peek(args[1]) != nil {
		c.Bool01(false)
		return
	}
	store(c, args[1], args[2], 0)
	c.Bool01(true)
}

func get(c *engine.Client, args [][]byte) { replyString(c, args[1]) }

func getSet(c *engine.Client, args [][]byte) {
	if !replyString(c, args[1]) {
		return
	}
	store(c, args[1], args[2], 0)
	c.Propagate(wordSet, args[1], args[2])
}

func getDel(c *engine.Client, args [][]byte) {
	if replyString(c, args[1]) && c.DB().Remove(args[1]) {
		c.Changed(args[1], engine.EventGeneric, "del")
		c.Propagate(wordDel, args[1])
	}
}

func getEx(c *engine.Client, args [][]byte) {
	key := args[1]
	o, ok := parseOptions(args[2:], false)
	if !ok {
		c.Error(engine.ErrSyntax)
		return
	}
	s, found, ok := engine.GetString(c, key)
	if !found {
		if ok {
			c.Null()
		}
		return
	}
	deadline, ok := o.deadline(c)
	if !ok {
		return
	}
	c.Bulk(s)
	switch {
	case o.given:
		expireAt(c, key, deadline, o.absolute)
	case o.persist:
		if en := c.DB().Peek(key); en.Deadline() != 0 {
			c.DB().SetDeadline(en, 0)
			c.Changed(key, engine.EventGeneric, "persist")
			c.Propagate(wordPersist, key)
		}
	}
}

// expireAt sets the deadline of a key that is there, or removes the key if that is a time told in full and
// is past.
func expireAt(c *engine.Client, key []byte, deadline int64, absolute bool) {
	if absolute && deadline <= c.Engine().Now() && !c.Engine().Loading() {
		c.DB().Remove(key)
		c.Changed(key, engine.EventGeneric, "del")
		c.Propagate(wordDel, key)
		return
	}
	c.DB().SetDeadline(c.DB().Peek(key), deadline)
	c.Changed(key, engine.EventGeneric, "expire")
	var buf [20]byte
	c.Propagate(wordPExpireAt, key, strconv.AppendInt(buf[:0], deadline, 10))
}

func mSet(c *engine.Client, args [][]byte) {
	if pairs(c, args) {
		storeAll(c, args[1:])
		c.OK()
	}
}

func mSetNX(c *engine.Client, args [][]byte) {
	if !pairs(c, args) {
		return
	}
	for i := 1; i < len(args); i += 2 {
		if c.DB().Peek(args[i]) != nil {
			c.Bool01(false)
			return
		}
	}
	storeAll(c, args[1:])
	c.Bool01(true)
}

// pairs reports whether the arguments are pairs. If not, it replies the error.
func pairs(c *engine.Client, args [][]byte) bool {
	if len(args)%2 == 0 {
		c.WrongArity(c.Command().FullName())
		return false
	}
	return true
}

func storeAll(c *engine.Client, pairs [][]byte) {
	for ; len(pairs) > 1; pairs = pairs[2:] {
		store(c, pairs[0], pairs[1], 0)
	}
}

func mGet(c *engine.Client, args [][]byte) {
	c.Array(len(args) - 1)
	for _, key := range args[1:] {
		if en := c.DB().Read(key); en != nil {
			if s, ok := engine.StringOf(en); ok {
				c.Bulk(s)
				continue
			}
		}
		c.Null()
	}
}
