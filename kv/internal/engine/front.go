package engine

import "time"

// outputLimit is how much output one Process call may gather: then the front must send it first.
const outputLimit = 1 << 20

// Process executes the complete requests at the start of in, in order, and returns how many bytes they
// took. It appends their replies to out, after those that have come out of turn, and returns that. It stops
// early when the client is parked, is closing, or has 1 MB to read: the front calls it again with the rest
// of in when that has changed. It takes the lock.
//
// Before any of out is sent, Commit must have returned nil.
func (e *Engine) Process(c *Client, in, out []byte) (n int, _ []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	start, before := len(out), c.before()
	c.out = append(out, c.out...)
	ahead := 0
	for c.runnable() && len(c.out)-start < outputLimit {
		if n >= ahead {
			ahead = n + c.lookAhead(in[n:])
		}
		c.parser.Guest = c.Stranger()
		args, used, err := c.parser.Next(in[n:])
		if err != nil {
			c.Error("ERR " + err.Error())
			c.closing.Store(true)
			n = len(in)
			break
		}
		if used == 0 {
			break
		}
		n += used
		if len(args) > 0 {
			e.execute(c, args)
		}
	}
	if n > 0 {
		c.lastActive()
	}
	return n, c.handOut(before)
}

// before is where the log ends before the client's commands run; -1 if there is output that others have
// caused, by changes that may be the client's too: what it has popped from a list when it was parked.
func (c *Client) before() int64 {
	if len(c.out) > 0 {
		return -1
	}
	return c.e.unit.end
}

// handOut gives the client's output away. Whoever gets it commits first what was logged until now: also a
// client that has only read may have seen what another has written.
func (c *Client) handOut(before int64) []byte {
	out := c.out
	c.out = nil
	c.logEnd.Store(c.e.unit.end)
	if c.e.unit.end != before {
		c.ownEnd.Store(c.e.unit.end)
	}
	return out
}

// lastActive notes the time of the last command, to the clock's tick.
func (c *Client) lastActive() {
	if c.e.now != 0 {
		c.active = time.UnixMilli(c.e.now)
		return
	}
	if s := int64(c.e.lruClock); c.active.Unix()&(1<<24-1) != s {
		c.active = time.Now()
	}
}

// Take appends the client's output that did not come from Process to out. Commit holds for it too. It
// takes the lock.
func (e *Engine) Take(c *Client, out []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.out = append(out, c.out...)
	return c.handOut(-1)
}

// Do executes one command for c and appends its reply to out. It takes the lock. Commit holds for it too.
func (e *Engine) Do(c *Client, args [][]byte, out []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := c.before()
	c.out = append(out, c.out...)
	e.execute(c, args)
	return c.handOut(before)
}

// Commit returns when all that c has changed, and all that it has seen changed, is in the log as safely
// as the log's policy says. When it fails, the client's replies must not be sent: they may acknowledge
// what is not kept; CommitError is what to say instead, before closing the connection. It is called
// without the lock.
func (e *Engine) Commit(c *Client) error {
	j, end := e.commits.Load(), c.logEnd.Load()
	if j == nil || end == 0 {
		return nil
	}
	return (*j).Commit(end)
}

// readable is a Journal that cannot be written for the moment, but lets clients go on reading.
type readable interface {
	// Readable reports whether a client whose own changes end at own may be answered though the log cannot
	// be written: they are, and the policy does not promise more to those who see the changes of others.
	Readable(own int64) bool
}

// Readable reports whether c's replies may be sent though Commit has failed: c has only read, or what it
// has changed is in the log, and the log's policy lets clients see what may yet be lost. It needs no lock.
func (e *Engine) Readable(c *Client) bool {
	j := e.commits.Load()
	if j == nil {
		return true
	}
	r, ok := (*j).(readable)
	return ok && r.Readable(c.ownEnd.Load())
}

// lazy is a Journal that can leave some of the log to be written in the background.
type lazy interface {
	// CommitLazily is Commit, but, unless the policy is "always", returns at once while what is not written
	// yet is at most slack bytes: it will be within a second.
	CommitLazily(upTo, slack int64) error
}

// CommitLazily is Commit for callers in the same process that can do without the write: the log up to end is
// as safe as Commit makes it, but for up to slack bytes, which are written within the next second. Under
// "always" it is Commit.
func (e *Engine) CommitLazily(end, slack int64) error {
	j := e.commits.Load()
	if j == nil || end == 0 {
		return nil
	}
	if l, ok := (*j).(lazy); ok {
		return l.CommitLazily(end, slack)
	}
	return (*j).Commit(end)
}

// CommitError is the reply in place of those that must not be sent.
func CommitError(err error) []byte {
	return []byte("-MISCONF " + err.Error() + ". The outcome of the last commands is unknown.\r\n")
}

// LogEnd is how far the log must be committed before the client's replies are sent; 0 is nowhere. It needs
// no lock.
func (c *Client) LogEnd() int64 { return c.logEnd.Load() }

// Want is how many bytes the request that Process has found incomplete has at the least; 0 if that is not
// known yet. It is for the front that calls Process, and needs no lock.
func (c *Client) Want() int { return c.parser.Want() }

// Runnable reports whether the client can execute commands now: it is neither parked nor closing. It
// takes the lock.
func (c *Client) Runnable() bool {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.runnable()
}

func (c *Client) runnable() bool { return c.blocked == nil && !c.closing.Load() }

// Closing reports whether the connection shall end once its output has been sent. It needs no lock.
func (c *Client) Closing() bool { return c.closing.Load() }

// ReadString appends the string under a key of a database to dst: GET, without a client and without a reply
// to be parsed. seen is how far the log must be committed before the string is shown to anybody; see
// CommitLazily. It takes the lock.
func (e *Engine) ReadString(k *Keyspace, key, dst []byte) (_ []byte, found, wrongType bool, seen int64) {
	e.mu.Lock()
	e.now = 0
	e.stats.Commands++
	seen = e.unit.end
	en := k.Read(key)
	if en == nil {
		e.mu.Unlock()
		return dst, false, false, seen
	}
	s, ok := StringOf(en)
	dst = append(dst, s...)
	e.mu.Unlock()
	return dst, ok, !ok, seen
}

// DoAll runs f, which executes commands one by one, as one unit: nothing happens between them, and the log
// keeps or loses all that they change. run returns the reply, which is valid until it is called again. It
// takes the lock. Commit holds for it too.
func (e *Engine) DoAll(c *Client, f func(run func(args ...[]byte) []byte)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.out = nil
	e.unitBegin()
	f(func(args ...[]byte) []byte {
		c.out = c.out[:0]
		e.execute(c, args)
		return c.out
	})
	e.unitEnd()
	if len(e.ready) > 0 {
		e.serveReady()
	}
	c.handOut(-1)
}
