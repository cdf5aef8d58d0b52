package engine

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/kv/internal/resp"
)

// Client is one connection's state, or that of a script or of the Go API. Its methods need the engine's
// lock, except where they say otherwise.
type Client struct {
	e     *Engine
	db    *Keyspace
	id    int64
	out   []byte
	proto int

	parser  resp.Parser
	cmd     *Command
	args    [][]byte
	failed  bool // the command that runs has replied an error
	logEnd  atomic.Int64
	ownEnd  atomic.Int64 // of what the client itself may have changed
	wake    func()
	kick    func()
	closing atomic.Bool
	gone    bool

	tx      *transaction
	watches []watch
	dirty   bool // a watched key has changed
	blocked *waiting

	channels, patterns, shards map[string]struct{}

	internal bool // the engine's own: scripts, loading; never in CLIENT LIST
	script   *Client
	noBlock  bool
	skip     bool // CLIENT REPLY SKIP: of the next command
	mute     bool // CLIENT REPLY OFF

	// Told by CLIENT LIST and set by CLIENT SETNAME and SETINFO.
	Name, LibName, LibVersion string
	Addr, LocalAddr           string
	NoEvict, NoTouch          bool
	Authenticated             bool
	created, active           time.Time
	InputBytes                int // buffered by the front, not yet executed
	OutputBytes               int // taken by the front, not yet written
}

// Front is what the engine needs of a connection.
type Front struct {
	Addr, LocalAddr string
	// Wake says that the client has output that did not come from Process, or may execute again. It is
	// called under the lock and must not block.
	Wake func()
	// Kick says that the connection shall be closed, at once and without its pending output. It is called
	// under the lock and must not block.
	Kick func()
}

// NewClient connects a client. It takes the lock.
func (e *Engine) NewClient(f Front) *Client {
	e.Lock()
	defer e.Unlock()
	c := e.newClient()
	c.Addr, c.LocalAddr, c.wake, c.kick = f.Addr, f.LocalAddr, f.Wake, f.Kick
	e.stats.Connections++
	e.clients[c.id] = c
	return c
}

// Internal returns a client of the engine's own: it is never asked for a password, is not listed, and
// never parks. Needs the lock.
func (e *Engine) Internal() *Client {
	c := e.newClient()
	c.internal, c.Authenticated, c.noBlock = true, true, true
	return c
}

func (e *Engine) newClient() *Client {
	e.nextID++
	now := time.Now()
	c := &Client{e: e, db: e.spaces[0], id: e.nextID, proto: 2, created: now, active: now}
	c.Authenticated = e.config.RequirePass == ""
	c.parser.MaxBulk = e.config.ProtoMaxBulk
	return c
}

// Close forgets the client, after its connection has ended. It takes the lock. It may be called again.
func (c *Client) Close() {
	c.e.Lock()
	defer c.e.Unlock()
	c.close()
}

func (c *Client) close() {
	if c.gone {
		return
	}
	c.gone = true
	c.closing.Store(true)
	c.unpark()
	c.Discard()
	c.Unwatch()
	c.UnsubscribeAll()
	delete(c.e.clients, c.id)
	delete(c.e.monitor, c.id)
}

// Kick has the front close the connection at once. Until it has, the client is not served or listed any more:
// what would be taken from a list for it would be lost.
func (c *Client) Kick() {
	c.closing.Store(true)
	c.unpark()
	c.UnsubscribeAll()
	delete(c.e.clients, c.id)
	delete(c.e.monitor, c.id)
	if c.kick != nil {
		c.kick()
	}
}

// Hangup ends the connection once what was replied so far has been sent.
func (c *Client) Hangup() { c.closing.Store(true) }

// Engine returns the client's engine.
func (c *Client) Engine() *Engine { return c.e }

// DB returns the client's selected database.
func (c *Client) DB() *Keyspace { return c.db }

// Select makes the database of number i the client's.
func (c *Client) Select(i int) bool {
	k := c.e.Keyspace(i)
	if k == nil {
		return false
	}
	c.db = k
	return true
}

// ID is the client's number: 1 and up, never used again.
func (c *Client) ID() int64 { return c.id }

// Proto is the protocol version that the client has chosen: 2 or 3.
func (c *Client) Proto() int { return c.proto }

// SetProto sets the protocol version.
func (c *Client) SetProto(v int) { c.proto = v }

// Command is the command that runs, or ran last; nil before the first.
func (c *Client) Command() *Command { return c.cmd }

// Args are the arguments of the command that runs.
func (c *Client) Args() [][]byte { return c.args }

// Created is when the client connected; Active, when it sent its last command.
func (c *Client) Created() time.Time { return c.created }

// Active is when the client sent its last batch of commands.
func (c *Client) Active() time.Time { return c.active }

// Blocked reports whether the client waits in a blocking command.
func (c *Client) Blocked() bool { return c.blocked != nil }

// InTransaction reports whether MULTI is open, and how many commands it has queued.
func (c *Client) InTransaction() (queued int, open bool) {
	if c.tx == nil {
		return 0, false
	}
	return len(c.tx.queue), true
}

// Watching is how many keys the client watches.
func (c *Client) Watching() int { return len(c.watches) }

// InScript reports whether the client is a script's.
func (c *Client) InScript() bool { return c.script != nil }

// Monitor has every command that is executed told to the client from now on.
func (c *Client) Monitor() { c.e.monitor[c.id] = c }

// Monitoring reports whether the client is a monitor.
func (c *Client) Monitoring() bool { return c.e.monitor[c.id] == c }

// MuteReplies sets what CLIENT REPLY sets: off holds until it is taken back, skip for one command.
func (c *Client) MuteReplies(off, skip bool) { c.mute, c.skip = off, skip }

// Pending is how many bytes of output wait for the front.
func (c *Client) Pending() int { return len(c.out) + c.OutputBytes }

// Reset puts the client back to how it was when it connected, except for its name's owner: RESET.
func (c *Client) Reset() {
	c.Discard()
	c.Unwatch()
	c.UnsubscribeAll()
	delete(c.e.monitor, c.id)
	c.db, c.proto, c.Name = c.e.spaces[0], 2, ""
	c.mute, c.skip, c.NoEvict, c.NoTouch = false, false, false, false
	c.Authenticated = c.e.config.RequirePass == "" || c.internal
}

// ParseInt parses an integer argument; it replies the error if it is none.
func (c *Client) ParseInt(arg []byte) (int64, bool) {
	n, ok := ParseInt(arg)
	if !ok {
		c.Error(ErrNotInt)
	}
	return n, ok
}

// String describes the client for messages.
func (c *Client) String() string { return "client " + strconv.FormatInt(c.id, 10) + " " + c.Addr }

// Muted reports whether CLIENT REPLY OFF holds.
func (c *Client) Muted() bool { return c.mute }
