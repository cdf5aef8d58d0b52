package engine

import (
	"bytes"
	"fmt"
	"time"
)

const (
	slowArgs     = 32  // arguments that an entry of the slow log has at most
	slowArgBytes = 128 // bytes that it has of each
	// alwaysTimed is the limit below which the fast commands are timed too. Above it they cannot be what took
	// long, and the clock is not asked for them.
	alwaysTimed = time.Millisecond
)

// SlowCommand is an entry of the slow log: a command that has taken longer than Config.SlowerThan.
type SlowCommand struct {
	ID         int64
	At         time.Time
	Took       time.Duration // to run; that a client was parked does not count
	Args       [][]byte      // shortened, and without passwords
	Addr, Name string        // the client's
}

// slowLog has the latest slow commands, the oldest first.
type slowLog struct {
	entries []SlowCommand
	next    int64 // ID
}

// SlowCommands returns the slow log, the oldest entry first. It must not be changed. Needs the lock.
func (e *Engine) SlowCommands() []SlowCommand { return e.slow.entries }

// ResetSlowCommands empties the slow log. Needs the lock.
func (e *Engine) ResetSlowCommands() { e.slow.entries = nil }

// timed reports whether a command's time is taken.
func (e *Engine) timed(c *Client, cmd *Command) bool {
	limit := e.config.SlowerThan
	return limit >= 0 && (cmd.Flags&(Fast|Brief) == 0 || limit < alwaysTimed) && c.script == nil && !e.loading && cmd.Name != "exec"
}

// took notes how long a command has run.
func (e *Engine) took(c *Client, cmd *Command, args [][]byte, d time.Duration) {
	if d < e.config.SlowerThan || e.config.SlowMaxLen == 0 {
		return
	}
	log := &e.slow
	if n := len(log.entries) - e.config.SlowMaxLen; n >= 0 {
		log.entries = append(log.entries[:0], log.entries[n+1:]...)
	}
	log.entries = append(log.entries, SlowCommand{
		ID: log.next, At: time.Now(), Took: d, Args: shorten(cmd, args), Addr: c.Addr, Name: c.Name,
	})
	log.next++
}

// shorten copies what the slow log shows of a command.
func shorten(cmd *Command, args [][]byte) [][]byte {
	shown := make([][]byte, 0, min(len(args), slowArgs))
	for i, a := range args {
		switch {
		case i == slowArgs-1 && len(args) > slowArgs:
			return append(shown, fmt.Appendf(nil, "... (%d more arguments)", len(args)-i))
		case secret(cmd, args, i):
			shown = append(shown, redacted)
		case len(a) > slowArgBytes:
			shown = append(shown, fmt.Appendf(bytes.Clone(a[:slowArgBytes]), "... (%d more bytes)", len(a)-slowArgBytes))
		default:
			shown = append(shown, bytes.Clone(a))
		}
	}
	return shown
}

// redacted stands for a password, in what is shown of commands.
var redacted = []byte("(redacted)")

// secret reports whether argument i may be a password.
func secret(cmd *Command, args [][]byte, i int) bool {
	switch cmd.full {
	case "auth":
		return i > 0
	case "hello":
		return i > 2
	case "config|set":
		return i > 2 && EqualFold(args[i-1], "requirepass")
	}
	return false
}
