package engine

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// execute runs one request of a connection: checks, then the command, or its place in the transaction.
func (e *Engine) execute(c *Client, args [][]byte) {
	e.now = 0
	if e.stopping.Load() {
		c.Error("ERR the database is closing")
		c.Hangup()
		return
	}
	e.stats.Commands++
	mark := Mark(len(c.out))
	skip := c.skip
	c.skip = false // the command may set it for the one that follows
	cmd, ok := e.resolve(c, args)
	switch {
	case !ok:
		c.failTransaction()
	case e.pausedFor(c, cmd):
		c.parkUntilUnpaused(args)
		c.skip = skip
		return
	case c.tx != nil && cmd.Flags&Immediate == 0:
		if cmd.Flags&NoMulti != 0 {
			c.Error("ERR Command not allowed inside a transaction")
			c.failTransaction()
			break
		}
		c.enqueue(cmd, args)
	default:
		e.noTouch = c.NoTouch && cmd.Name != "touch"
		e.unitBegin()
		e.run(c, cmd, args)
		e.noTouch = false
		e.unitEnd()
	}
	if len(e.ready) > 0 && e.unit.open == 0 {
		e.serveReady()
	}
	switch {
	case skip && c.blocked != nil:
		c.skip = true // the reply that is not wanted is still to come
	case c.mute || skip:
		c.Undo(mark)
	}
}

// resolve finds the command and makes sure that it may run now. If not, it replies why.
func (e *Engine) resolve(c *Client, args [][]byte) (*Command, bool) {
	cmd := e.Command(args[0])
	if cmd == nil {
		if EqualFold(args[0], "POST") || EqualFold(args[0], "HOST:") {
			// A browser was made to send this, by a page of somebody else's.
			c.Kick()
			return nil, false
		}
		c.Error(unknownCommand(args))
		return nil, false
	}
	if cmd.Sub != nil && len(args) > 1 {
		sub := cmd.subcommand(args[1])
		if sub == nil {
			c.Error(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try %s HELP.", CText(args[1]), strings.ToUpper(cmd.Name)))
			return nil, false
		}
		cmd = sub
	}
	if (cmd.Arity > 0 && len(args) != cmd.Arity) || len(args) < -cmd.Arity || cmd.Run == nil {
		c.refuse(cmd, fmt.Sprintf("ERR wrong number of arguments for '%s' command", cmd.full))
		return nil, false
	}
	if refusal := e.refusal(c, cmd); refusal != "" {
		c.refuse(cmd, refusal)
		return nil, false
	}
	return cmd, true
}

// refuse replies why a command may not run. An EXEC that may not run ends its transaction.
func (c *Client) refuse(cmd *Command, why string) {
	if cmd.Name == "exec" {
		c.Discard()
		c.Unwatch()
		why = "EXECABORT Transaction discarded because of: " + strings.TrimPrefix(why, "ERR ")
	}
	c.Error(why)
}

// refusal says why a command may not run now, or "".
func (e *Engine) refusal(c *Client, cmd *Command) string {
	if c.Stranger() && cmd.Flags&NoAuth == 0 {
		return "NOAUTH Authentication required."
	}
	if c.proto == 2 && c.Subscriptions() > 0 && !allowedSubscribed(cmd) {
		return fmt.Sprintf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.full)
	}
	if e.loading && cmd.Flags&Loading == 0 {
		return "LOADING Redis is loading the dataset in memory"
	}
	if e.config.MaxMemory > 0 && !e.loading {
		if cmd.Flags&DenyOOM != 0 || cmd.Name == "exec" && c.tx != nil && c.tx.denyOOM {
			if !e.evict(evictSlice) {
				return "OOM command not allowed when used memory > 'maxmemory'."
			}
		}
	}
	if cmd.Flags&(Write|MayReplicate) != 0 || cmd.Name == "exec" && c.tx != nil && c.tx.writes {
		if why := e.Unsafe(); why != "" {
			return why
		}
		if cmd.Flags&Write != 0 || cmd.Name == "exec" {
			return e.WithoutReplicas()
		}
	}
	return ""
}

// Unsafe says why nothing may be written because it could not be kept; or "".
func (e *Engine) Unsafe() string {
	switch {
	case e.loading:
		return ""
	case e.journal != nil && e.journal.Err() != nil:
		return "MISCONF " + e.journal.Err().Error()
	case e.saveFailed && e.config.StopWritesOnBGSave && len(e.config.SavePoints) > 0:
		return errSaveFailed
	}
	return ""
}

// WithoutReplicas says why nothing may be written if replicas are asked for, of which there are none; or "".
func (e *Engine) WithoutReplicas() string {
	if e.config.MinReplicas > 0 && !e.loading {
		return "NOREPLICAS Not enough good replicas to write."
	}
	return ""
}

// CText returns what C's %s prints of an argument: all before the first zero byte.
func CText(arg []byte) []byte {
	text, _, _ := bytes.Cut(arg, []byte{0})
	return text
}

func unknownCommand(args [][]byte) string {
	var given strings.Builder
	for _, a := range args[1:] {
		if given.Len() >= 128 {
			break
		}
		fmt.Fprintf(&given, "'%.*s' ", 128-given.Len(), CText(a))
	}
	return fmt.Sprintf("ERR unknown command '%.128s', with args beginning with: %s", CText(args[0]), given.String())
}

// run executes a command that may run, and notes what the log gets of it.
func (e *Engine) run(c *Client, cmd *Command, args [][]byte) {
	cmd.calls++
	before := e.dirty
	outer, outerArgs := c.cmd, c.args
	c.cmd, c.args, c.failed = cmd, args, false
	rewrite := e.unit.rewrite
	e.unit.rewrite = rewriteNone
	if len(e.monitor) > 0 && cmd.Flags&Admin == 0 {
		e.tellMonitors(c, cmd, args)
	}
	if e.timed(c, cmd) {
		began := time.Now()
		cmd.Run(c, args)
		e.took(c, cmd, args, time.Since(began))
	} else {
		cmd.Run(c, args)
	}
	if c.failed {
		cmd.failures++
	}
	if e.dirty != before && e.unit.rewrite == rewriteNone && cmd.Flags&Write != 0 {
		e.log(c.db.index, args)
	}
	e.unit.rewrite = rewrite
	if len(e.touched) > 0 {
		e.settle()
	}
	if c.tx != nil || c.script != nil {
		c.cmd, c.args = outer, outerArgs
	}
}

// Call runs a command for a script, whose client c is: the reply is appended to c's output. It reports
// false when the command was refused, with the error as its reply.
func (c *Client) Call(args [][]byte) bool {
	e := c.e
	cmd := e.Command(args[0])
	if cmd == nil {
		c.Error("ERR Unknown Redis command called from script")
		return false
	}
	if cmd.Sub != nil && len(args) > 1 {
		if cmd = cmd.subcommand(args[1]); cmd == nil {
			c.Error("ERR Unknown Redis command called from script")
			return false
		}
	}
	switch {
	case (cmd.Arity > 0 && len(args) != cmd.Arity) || len(args) < -cmd.Arity || cmd.Run == nil:
		c.Error("ERR Wrong number of args calling Redis command from script")
		return false
	case cmd.Flags&NoScript != 0:
		c.Error("ERR This Redis command is not allowed from script")
		return false
	}
	e.run(c, cmd, args)
	return !c.failed
}

// tellMonitors shows a command to the clients that asked for all.
func (e *Engine) tellMonitors(c *Client, cmd *Command, args [][]byte) {
	var line bytes.Buffer
	now := e.Now()
	from := c.Addr
	if c.script != nil {
		from = "lua"
	}
	fmt.Fprintf(&line, "+%d.%06d [%d %s]", now/1000, now%1000*1000, c.db.index, from)
	for i, a := range args {
		if secret(cmd, args, i) {
			a = redacted
		}
		line.WriteByte(' ')
		line.WriteString(quote(a))
	}
	line.WriteString("\r\n")
	for _, m := range e.monitor {
		m.Deliver(line.Bytes())
	}
}

// quote puts a string in quotes as Redis shows it.
func quote(b []byte) string {
	var s strings.Builder
	s.WriteByte('"')
	for _, x := range b {
		switch {
		case x == '\\' || x == '"':
			s.WriteByte('\\')
			s.WriteByte(x)
		case x == '\n':
			s.WriteString(`\n`)
		case x == '\r':
			s.WriteString(`\r`)
		case x == '\t':
			s.WriteString(`\t`)
		case x == '\a':
			s.WriteString(`\a`)
		case x == '\b':
			s.WriteString(`\b`)
		case x < ' ' || x > '~':
			fmt.Fprintf(&s, `\x%02x`, x)
		default:
			s.WriteByte(x)
		}
	}
	s.WriteByte('"')
	return s.String()
}

// Deliver sends the client something out of turn. Its front is woken, unless the client is the one whose
// command runs. A client that has not read too much of it already is disconnected.
func (c *Client) Deliver(encoded []byte) {
	if c.gone {
		return
	}
	c.out = append(c.out, encoded...)
	if limit := c.e.config.PubSubOutputLimit; limit > 0 && c.Pending() > limit {
		c.Kick()
		return
	}
	c.Awake()
}

// Awake tells the client's front that there is something to do.
func (c *Client) Awake() {
	c.logEnd.Store(c.e.unit.end)
	if c.wake != nil {
		c.wake()
	}
}
