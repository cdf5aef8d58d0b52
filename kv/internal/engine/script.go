package engine

import "github.com/zmsg/zmsg/kv/internal/table"

// RunScript makes the client, which is an internal one, execute what a script of another client calls: in
// that one's database, in its unit of the log, at its time, in RESP2, and never parked. The output is the
// script's to take with TakeReply.
func (c *Client) RunScript(of *Client) {
	c.script, c.db, c.Addr, c.proto, c.out = of, of.db, of.Addr, 2, c.out[:0]
}

// TakeReply returns the output and forgets it; it is valid until the client's next reply.
func (c *Client) TakeReply() []byte {
	out := c.out
	c.out = c.out[:0]
	return out
}

// Atomically runs f as one unit of the log: it keeps or loses all that f changes.
func (e *Engine) Atomically(f func()) {
	e.unitBegin()
	f()
	e.unitEnd()
}

// Get returns the value of type T under key, for reading. found is false if there is none; ok is false
// if there is one of another type, and the error has been replied.
func Get[T Value](c *Client, key []byte) (v T, found, ok bool) {
	return as[T](c, c.db.Read(key))
}

// Edit is Get for writing: the value may be changed in place. After a change, call Changed.
func Edit[T Value](c *Client, key []byte) (v T, found, ok bool) {
	return as[T](c, c.db.Write(key))
}

func as[T Value](c *Client, en *table.Entry) (v T, found, ok bool) {
	if en == nil {
		return v, false, true
	}
	b := en.Box()
	if b == nil {
		c.Error(ErrWrongType)
		return v, false, false
	}
	v, ok = b.Val.(T)
	if !ok {
		c.Error(ErrWrongType)
	}
	return v, ok, ok
}

// GetString returns the string under key, for reading: it is the database's own, and valid until the next
// write. found and ok are as Get has them.
func GetString(c *Client, key []byte) (s []byte, found, ok bool) {
	en := c.db.Read(key)
	if en == nil {
		return nil, false, true
	}
	s, ok = StringOf(en)
	if !ok {
		c.Error(ErrWrongType)
	}
	return s, ok, ok
}
