package streams

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// addOptions are those of XADD and XTRIM.
type addOptions struct {
	noMake       bool
	id           ID
	given, auto  bool // an ID is given; but its number is left to the stream
	at           int  // of the ID
	trim         Trim
	trims        bool
	trimAt       int // of the length or ID to trim to
	limitGiven   bool
	add, loading bool
}

const errTwoTrims = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"

// parseAdd reads the arguments of XADD up to the ID, or of XTRIM; it replies the error.
func parseAdd(c *engine.Client, args [][]byte, add bool) (o addOptions, ok bool) {
	o.add, o.loading = add, c.Engine().Loading()
	for o.at = 2; o.at < len(args); o.at++ {
		arg, more := args[o.at], o.at+1 < len(args)
		switch {
		case add && len(arg) == 1 && arg[0] == '*':
			return o, o.check(c)
		case more && (engine.EqualFold(arg, "MAXLEN") || engine.EqualFold(arg, "MINID")):
			ok = o.parseTrim(c, args)
		case more && engine.EqualFold(arg, "LIMIT"):
			o.at++
			o.limitGiven = true
			if o.trim.Limit, ok = c.ParseInt(args[o.at]); ok && o.trim.Limit < 0 {
				c.Error("ERR The LIMIT argument must be >= 0.")
				ok = false
			}
		case add && engine.EqualFold(arg, "NOMKSTREAM"):
			o.noMake, ok = true, true
		case add:
			if o.id, o.auto, ok = (form{autoSeq: true}).parse(arg); !ok {
				c.Error(errInvalidID)
				return o, false
			}
			o.given = true
			return o, o.check(c)
		default:
			c.Error(engine.ErrSyntax)
			return o, false
		}
		if !ok {
			return o, false
		}
	}
	return o, o.check(c)
}

// parseTrim reads MAXLEN or MINID.
func (o *addOptions) parseTrim(c *engine.Client, args [][]byte) (ok bool) {
	if o.trims {
		c.Error(errTwoTrims)
		return false
	}
	o.trims = true
	o.trim.ByID = engine.EqualFold(args[o.at], "MINID")
	o.at++
	if a := args[o.at]; o.at+1 < len(args) && len(a) == 1 && (a[0] == '~' || a[0] == '=') {
		o.trim.Approx = a[0] == '~'
		o.at++
	}
	o.trimAt = o.at
	if o.trim.ByID {
		o.trim.MinID, ok = parseID(c, strict, args[o.at])
		return ok
	}
	n, ok := c.ParseInt(args[o.at])
	if ok && n < 0 {
		c.Error("ERR The MAXLEN argument must be >= 0.")
		ok = false
	}
	o.trim.MaxLen = uint64(n)
	return ok
}

// check looks at options that do not go together, and sets the limit.
func (o *addOptions) check(c *engine.Client) bool {
	switch {
	case o.trim.Limit != 0 && !o.trims:
		c.Error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
	case !o.add && !o.trims:
		c.Error("ERR syntax error, XTRIM must be called with a trimming strategy")
	case o.loading:
		o.trim.Limit = 0 // what was logged says exactly what to do
		return true
	case o.limitGiven && !o.trim.Approx:
		c.Error("ERR syntax error, LIMIT cannot be used without the special ~ option")
	default:
		if o.trim.Approx && !o.limitGiven {
			o.trim.Limit = 100 * int64(c.Engine().Config().StreamNodeMaxEntries)
			if o.trim.Limit <= 0 {
				o.trim.Limit = 10_000
			}
			o.trim.Limit = min(o.trim.Limit, 1_000_000)
		}
		return true
	}
	return false
}

// logged returns what the log gets for args: an exact trim in place of an approximate one, which does the
// same.
func (o *addOptions) logged(s *Stream, args [][]byte) [][]byte {
	if !o.trims || !o.trim.Approx {
		return args
	}
	args[o.trimAt-1] = []byte("=")
	if o.trim.ByID {
		args[o.trimAt] = s.first(true).AppendText(nil)
	} else {
		args[o.trimAt] = appendInt(int64(s.meta.Length))
	}
	return args
}

func xadd(c *engine.Client, args [][]byte) {
	o, ok := parseAdd(c, args, true)
	if !ok {
		return
	}
	fields := args[min(o.at+1, len(args)):]
	if len(fields) < 2 || len(fields)%2 == 1 {
		c.WrongArity(c.Command().FullName())
		return
	}
	if o.given && !o.auto && o.id.isZero() {
		c.Error("ERR The ID specified in XADD must be greater than 0-0")
		return
	}
	key := args[1]
	s, found, ok := engine.Edit[*Stream](c, key)
	if !ok {
		return
	}
	if !found && o.noMake {
		c.Null()
		return
	}
	if !found {
		s = New(c.DB().Stamp())
	}
	id, refusal := s.newID(c, &o)
	if refusal == "" && textSize(fields) > listpack.MaxSize {
		refusal = "ERR Elements are too large to be stored"
	}
	if refusal != "" {
		c.Error(refusal)
		return
	}
	if !found {
		c.DB().SetValue(key, s, 0)
	}
	s.Append(id, fields, limitsOf(c))
	c.Changed(key, engine.EventStream, "xadd")
	if o.trims && s.Trim(o.trim) > 0 {
		c.Engine().Notify(c.DB(), engine.EventStream, "xtrim", key)
	}
	var buf [41]byte
	text := id.AppendText(buf[:0])
	c.Bulk(text)
	if !o.given || o.auto || o.trims && o.trim.Approx {
		var room [16][]byte
		logged := o.logged(s, append(room[:0], args...))
		if !o.given || o.auto {
			logged[o.at] = text
		}
		c.Propagate(logged...)
	}
}

// newID returns the ID of the entry that XADD adds, or why there is none.
func (s *Stream) newID(c *engine.Client, o *addOptions) (id ID, refusal string) {
	last := s.meta.Last
	if last == maxID {
		return id, "ERR The stream has exhausted the last possible ID, unable to add more items"
	}
	switch {
	case !o.given:
		if id = (ID{Ms: uint64(c.Engine().Now())}); !last.less(id) {
			id, _ = last.next()
		}
	case o.auto && o.id.Ms == last.Ms:
		if id = last; id.Seq != maxID.Seq {
			id.Seq++
		}
	default:
		id = o.id
	}
	if !last.less(id) {
		return id, "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	}
	return id, ""
}

func xtrim(c *engine.Client, args [][]byte) {
	o, ok := parseAdd(c, args, false)
	if !ok {
		return
	}
	key := args[1]
	s, found, ok := engine.Edit[*Stream](c, key)
	if !ok {
		return
	}
	if !found {
		c.Int(0)
		return
	}
	deleted := s.Trim(o.trim)
	if deleted > 0 {
		c.Changed(key, engine.EventStream, "xtrim")
		if o.trim.Approx {
			c.Propagate(o.logged(s, append([][]byte{}, args...))...)
		}
	}
	c.Int(deleted)
}

func xdel(c *engine.Client, args [][]byte) {
	key := args[1]
	s, found, ok := engine.Edit[*Stream](c, key)
	if !ok {
		return
	}
	if !found {
		c.Int(0)
		return
	}
	ids, ok := parseIDs(c, args[2:])
	if !ok {
		return
	}
	deleted := 0
	for _, id := range ids {
		if s.Delete(id) {
			deleted++
		}
	}
	if deleted > 0 {
		c.Changed(key, engine.EventStream, "xdel")
	}
	c.Count(deleted)
}

func xsetid(c *engine.Client, args [][]byte) {
	id, added, deleted, ok := parseSetID(c, args)
	if !ok {
		return
	}
	s, found, ok := engine.Edit[*Stream](c, args[1])
	if !ok {
		return
	}
	if !found {
		c.Error(engine.ErrNoKey)
		return
	}
	if s.meta.Length > 0 {
		if id.less(s.lastLive()) {
			c.Error("ERR The ID specified in XSETID is smaller than the target stream top item")
			return
		}
		if added >= 0 && s.meta.Length > uint64(added) {
			c.Error("ERR The entries_added specified in XSETID is smaller than the target stream length")
			return
		}
	}
	s.meta.Last = id
	if added >= 0 {
		s.meta.EntriesAdded = uint64(added)
	}
	if !deleted.isZero() {
		s.meta.MaxDeleted = deleted
	}
	c.OK()
	dirtied(c, args[1], "xsetid")
}

// parseSetID reads the arguments of XSETID: added is -1, and deleted 0-0, unless they are given. It replies
// the error.
func parseSetID(c *engine.Client, args [][]byte) (id ID, added int64, deleted ID, ok bool) {
	added = -1
	if id, ok = parseID(c, strict, args[2]); !ok {
		return id, 0, deleted, false
	}
	for i := 3; i < len(args); i += 2 {
		more := i+1 < len(args)
		switch {
		case more && engine.EqualFold(args[i], "ENTRIESADDED"):
			if added, ok = c.ParseInt(args[i+1]); ok && added < 0 {
				c.Error("ERR entries_added must be positive")
				ok = false
			}
		case more && engine.EqualFold(args[i], "MAXDELETEDID"):
			if deleted, ok = parseID(c, strict, args[i+1]); ok && id.less(deleted) {
				c.Error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
				ok = false
			}
		default:
			c.Error(engine.ErrSyntax)
			ok = false
		}
		if !ok {
			return id, 0, deleted, false
		}
	}
	return id, added, deleted, true
}
