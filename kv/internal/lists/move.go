package lists

import "github.com/zmsg/zmsg/kv/internal/engine"

// move is one of the commands that take an element from one list and put it into another, or the same.
type move struct {
	from, to end
	logged   [][]byte // the command as the log tells it; nil is as it is
}

func rpoplpush(c *engine.Client, args [][]byte) {
	m := move{from: back, to: front}
	if !m.now(c, args[1], args[2]) {
		c.Null()
	}
}

func lmove(c *engine.Client, args [][]byte) {
	m, ok := parseMove(c, args)
	if ok && !m.now(c, args[1], args[2]) {
		c.Null()
	}
}

func parseMove(c *engine.Client, args [][]byte) (m move, ok bool) {
	if m.from, ok = parseEnd(c, args[3]); ok {
		m.to, ok = parseEnd(c, args[4])
	}
	return m, ok
}

// now moves an element. It reports whether it has replied: not when there is no source.
func (m *move) now(c *engine.Client, from, to []byte) bool {
	source, found, ok := edit(c, from)
	if !found {
		return !ok
	}
	target, found, ok := edit(c, to)
	if !ok {
		return true
	}
	if !found {
		target = create(c, to)
	}
	var short [128]byte
	at := source.last(m.from)
	v := at.AppendValue(short[:0])
	c.Bulk(v)
	source.drop(m.from, 1)
	target.push(m.to, v)
	if m.logged != nil {
		c.Propagate(m.logged...)
	}
	c.Changed(to, engine.EventList, m.to.pushEvent())
	lost(c, from, source, 1, m.from.popEvent())
	return true
}

func brpoplpush(c *engine.Client, args [][]byte) {
	m := move{from: back, to: front, logged: [][]byte{wordRPopLPush, args[1], args[2]}}
	m.await(c, args[1], args[2], args[3])
}

func blmove(c *engine.Client, args [][]byte) {
	m, ok := parseMove(c, args)
	if ok {
		m.logged = [][]byte{wordLMove, args[1], args[2], args[3], args[4]}
		m.await(c, args[1], args[2], args[5])
	}
}

// await moves an element now, or when there is one before the time is over.
func (m *move) await(c *engine.Client, from, to, seconds []byte) {
	timeout, ok := c.ParseTimeout(seconds)
	if !ok || m.now(c, from, to) {
		return
	}
	if !c.CanBlock() {
		c.Null()
		return
	}
	logged := engine.CopyArgs(m.logged)
	later := move{from: m.from, to: m.to, logged: logged}
	c.Park(engine.Wait{
		Keys:    [][]byte{from},
		Timeout: timeout,
		Serve: func(c *engine.Client, key []byte) bool {
			return there(c, key) != nil && later.now(c, key, logged[2])
		},
		Expired: (*engine.Client).NullArray,
	})
}
