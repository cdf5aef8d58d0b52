package engine

import (
	"slices"
	"time"
)

// Wait is what a parked client waits for.
type Wait struct {
	// Keys of the client's database, any of which may let it go on. They are copied. None waits for the
	// timeout, CLIENT UNBLOCK or Resume alone.
	Keys [][]byte
	// Timeout is how long it waits at most; 0 is forever.
	Timeout time.Duration
	// Serve is called after a command has changed a key of Keys, in the order in which clients have parked.
	// It reports whether it could reply; if so the client goes on, and what Serve has changed is logged with
	// Propagate. It must not keep key.
	Serve func(c *Client, key []byte) bool
	// Expired replies when the time has run out.
	Expired func(c *Client)

	paused bool // by CLIENT PAUSE
}

type waiting struct {
	Wait
	db     *Keyspace
	keys   []string
	timer  *time.Timer
	cmd    *Command
	args   [][]byte
	parked time.Time
	number int64
}

type readyKey struct {
	space *Keyspace
	key   string
}

// CanBlock reports whether the client may be parked: not in a transaction, nor in a script. A command that
// may not park replies as if its time had run out at once.
func (c *Client) CanBlock() bool { return !c.noBlock && c.tx == nil && c.script == nil }

// Park has the client wait. Its command replies nothing before Serve or Expired does.
func (c *Client) Park(b Wait) {
	w := &waiting{Wait: b, db: c.db, cmd: c.cmd, args: CopyArgs(c.args), parked: time.Now()}
	w.Keys = nil
	c.e.parked++
	w.number = c.e.parked
	for _, key := range b.Keys {
		name := string(key)
		if slices.Contains(w.keys, name) {
			continue
		}
		w.keys = append(w.keys, name)
		c.db.waiting[name] = append(c.db.waiting[name], c)
	}
	c.blocked = w
	if b.Timeout > 0 {
		w.timer = time.AfterFunc(b.Timeout, func() {
			c.e.Lock()
			defer c.e.Unlock()
			if c.blocked == w {
				c.Resume(b.Expired)
			}
		})
	}
}

// Resume lets a parked client go on, after reply has replied. It needs the lock, and may be called from
// outside of a command. It reports false if the client is not parked.
func (c *Client) Resume(reply func(c *Client)) bool {
	w := c.blocked
	if w == nil {
		return false
	}
	c.unpark()
	c.cmd, c.args = w.cmd, w.args
	mark := c.Later()
	reply(c)
	c.muted(mark)
	c.Awake()
	return true
}

// muted takes back a late reply that the client does not want.
func (c *Client) muted(mark Mark) {
	if c.mute || c.skip {
		c.Undo(mark)
		c.skip = false
	}
}

// Parked tells one time that the client is parked from another: it is 0 while the client is not.
func (c *Client) Parked() int64 {
	if c.blocked == nil {
		return 0
	}
	return c.blocked.number
}

func (c *Client) unpark() {
	w := c.blocked
	if w == nil {
		return
	}
	c.blocked = nil
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.paused {
		c.e.paused.parked = slices.DeleteFunc(c.e.paused.parked, func(p *Client) bool { return p == c })
	}
	for _, key := range w.keys {
		clients := w.db.waiting[key]
		if i := slices.Index(clients, c); i >= 0 {
			clients = slices.Delete(clients, i, i+1)
		}
		if len(clients) == 0 {
			delete(w.db.waiting, key)
		} else {
			w.db.waiting[key] = clients
		}
	}
}

// Abandon ends the client's waiting without a reply: what it has been served until now is its output, and
// nothing more is taken for it. It takes the lock.
func (c *Client) Abandon() {
	c.e.Lock()
	defer c.e.Unlock()
	c.unpark()
}

// Unblock ends the client's waiting, as CLIENT UNBLOCK does: as if the time had run out, or with an error.
func (c *Client) Unblock(withError bool) bool {
	if c.blocked == nil || c.blocked.Expired == nil {
		return false
	}
	if withError {
		return c.Resume(func(c *Client) { c.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK") })
	}
	return c.Resume(c.blocked.Expired)
}

// Ready has the clients that wait for a key looked at, though the key has not changed in the sense of Changed.
func (k *Keyspace) Ready(key []byte) {
	if len(k.waiting) > 0 {
		k.signal(key)
	}
}

// signal notes that a key which somebody waits for has changed.
func (k *Keyspace) signal(key []byte) {
	if k.waiting[string(key)] == nil {
		return
	}
	for _, r := range k.e.ready {
		if r.space == k && r.key == string(key) {
			return
		}
	}
	k.e.ready = append(k.e.ready, readyKey{k, string(key)})
}

// signalAll is signal for all keys that somebody waits for.
func (k *Keyspace) signalAll() {
	for key := range k.waiting {
		k.signal([]byte(key))
	}
}

// serveReady serves the clients that wait for keys which have changed, those that have waited longest
// first. What one takes from a key may be for another key, whose clients follow.
func (e *Engine) serveReady() {
	if e.serving {
		return
	}
	e.serving = true
	for len(e.ready) > 0 {
		batch := e.ready
		e.ready = nil
		for _, r := range batch {
			for _, c := range slices.Clone(r.space.waiting[r.key]) {
				e.serve(c, []byte(r.key))
			}
		}
	}
	e.serving = false
}

func (e *Engine) serve(c *Client, key []byte) {
	w := c.blocked
	if w == nil || w.Serve == nil {
		return
	}
	if w.cmd.Name != "xreadgroup" && w.db.Peek(key) == nil {
		return // those before have left nothing; that the stream of a group is gone is for its readers to know
	}
	e.unitBegin()
	before := e.unit.rewrite
	c.cmd, c.args = w.cmd, w.args
	mark := c.Later()
	done := w.Serve(c, key)
	e.unit.rewrite = before
	e.unitEnd()
	e.settle()
	if !done {
		c.Undo(mark)
		return
	}
	c.unpark()
	c.muted(mark)
	c.Awake()
}

// BlockedClients is the number of parked clients.
func (e *Engine) BlockedClients() int {
	n := 0
	for _, c := range e.clients {
		if c.blocked != nil {
			n++
		}
	}
	return n
}

// pause is CLIENT PAUSE: until it ends, clients are parked when they send a command of the kind.
type pause struct {
	until  time.Time
	writes bool // only those that write
	parked []*Client
}

// Pause parks clients that send commands (only those that write, if so asked) until a time.
func (e *Engine) Pause(until time.Time, writesOnly bool) {
	if e.paused.until.After(time.Now()) {
		// A longer or stricter pause that is on stays.
		if until.Before(e.paused.until) {
			until = e.paused.until
		}
		writesOnly = writesOnly && e.paused.writes
	}
	e.paused.until, e.paused.writes = until, writesOnly
}

// Unpause ends the pause. What was held up is executed after the transaction that runs, not in its midst.
func (e *Engine) Unpause() {
	e.paused.until = time.Time{}
	e.afterUnit(func() {
		parked := e.paused.parked
		e.paused.parked = nil
		for _, c := range parked {
			if w := c.blocked; w != nil && w.Expired == nil {
				args := w.args
				c.unpark()
				e.execute(c, args)
				c.Awake()
			}
		}
	})
}

func (e *Engine) endPause(at time.Time) {
	if !e.paused.until.IsZero() && at.After(e.paused.until) {
		e.Unpause()
	}
}

func (e *Engine) pausedFor(c *Client, cmd *Command) bool {
	if e.paused.until.IsZero() || c.internal || cmd.Name == "client" || cmd.full == "client|unpause" {
		return false
	}
	writes := cmd.Flags&(Write|MayReplicate) != 0 || cmd.Name == "exec" && c.tx != nil && c.tx.writes
	return writes || !e.paused.writes
}

// parkUntilUnpaused keeps a command until the pause ends.
func (c *Client) parkUntilUnpaused(args [][]byte) {
	c.args = args
	c.Park(Wait{paused: true})
	c.e.paused.parked = append(c.e.paused.parked, c)
}
