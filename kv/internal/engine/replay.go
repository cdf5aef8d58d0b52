package engine

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownCommand says that a log has a command that the engine does not know.
var ErrUnknownCommand = errors.New("unknown command")

// Replay executes a command of a log for c, which is internal: nothing is refused that has been executed
// once, and it is counted nowhere. It returns ErrUnknownCommand, or the error that the command has replied.
// Needs the lock.
func (c *Client) Replay(args [][]byte) error {
	e := c.e
	cmd := e.Command(args[0])
	if cmd != nil && cmd.Sub != nil && len(args) > 1 {
		cmd = cmd.subcommand(args[1])
	}
	if cmd == nil || cmd.Run == nil {
		return fmt.Errorf("%w '%.128s'", ErrUnknownCommand, args[0])
	}
	if (cmd.Arity > 0 && len(args) != cmd.Arity) || len(args) < -cmd.Arity {
		return fmt.Errorf("wrong number of arguments for '%s'", cmd.full)
	}
	calls := cmd.calls
	e.run(c, cmd, args)
	cmd.calls = calls
	reply := c.TakeReply()
	if c.failed {
		text, _, _ := strings.Cut(string(reply), "\r\n")
		return errors.New(strings.TrimPrefix(text, "-"))
	}
	return nil
}

// Settle brings the memory accounts up to date after changes that no command has made. Needs the lock.
func (e *Engine) Settle() { e.settle() }
