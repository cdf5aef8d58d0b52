package engine

import (
	"fmt"
	"maps"
	"slices"
)

// Flag says what the engine must know of a command before it runs it. The names are Redis's.
type Flag uint32

// The flags of commands.
const (
	Write           Flag = 1 << iota // may change the keyspace; what it changed is logged
	ReadOnly                         // never changes the keyspace
	DenyOOM                          // refused when memory is over the limit
	Admin                            // administration
	PubSub                           // has to do with subscriptions
	NoScript                         // refused in scripts
	Blocking                         // may park its client
	Loading                          // allowed while the data is being loaded
	Stale                            // allowed on stale replicas; told by COMMAND only
	Fast                             // O(1) or O(log n)
	NoAuth                           // needs no password
	NoMulti                          // refused between MULTI and EXEC
	Immediate                        // runs at once between MULTI and EXEC, as EXEC itself does
	MovableKeys                      // keys are found by the Keys function
	AllowBusy                        // allowed while a script runs for too long
	SkipMonitor                      // told by COMMAND only
	NoMandatoryKeys                  // may be called without keys
	MayReplicate                     // may produce log entries though it is not a write
	Brief                            // as quick as Fast, though Redis does not say so; not told by COMMAND
)

var flagNames = []struct {
	flag Flag
	name string
}{
	{Write, "write"},
	{ReadOnly, "readonly"},
	{DenyOOM, "denyoom"},
	{Admin, "admin"},
	{PubSub, "pubsub"},
	{NoScript, "noscript"},
	{Blocking, "blocking"},
	{Loading, "loading"},
	{Stale, "stale"},
	{SkipMonitor, "skip_monitor"},
	{Fast, "fast"},
	{NoAuth, "no_auth"},
	{MayReplicate, "may_replicate"},
	{MovableKeys, "movablekeys"},
	{AllowBusy, "allow_busy"},
	{NoMulti, "no_multi"},
	{NoMandatoryKeys, "no_mandatory_keys"},
}

// Names returns the flags as COMMAND names them.
func (f Flag) Names() []string {
	var names []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// Command is one command of the protocol, or one subcommand.
type Command struct {
	Name  string // lower case; of a subcommand the name alone ("setname")
	Arity int    // the number of arguments, its name included (and its container's); -n is n or more
	Flags Flag

	// The positions of its keys: from First to Last (negative counts from the end) by Step; 0, 0, 0 if
	// it has none, or Keys finds them.
	First, Last, Step int
	// Keys returns the positions of the keys in args, for commands whose keys move. May be nil.
	Keys func(args [][]byte) []int

	// Run executes the command. args[0] is its name; args are valid only during the call.
	Run func(c *Client, args [][]byte)
	// Sub has the subcommands, by lower-case name; a command that has them needs no Run unless it may
	// be called without one.
	Sub map[string]*Command

	full     string // "client|setname"
	calls    int64
	failures int64
}

// FullName is the command's name as INFO and COMMAND tell it: "get", "client|setname".
func (c *Command) FullName() string { return c.full }

// Calls is how often the command has run.
func (c *Command) Calls() int64 { return c.calls }

// Failures is how often the command has replied an error.
func (c *Command) Failures() int64 { return c.failures }

// KeyPositions returns where args has the command's keys.
func (c *Command) KeyPositions(args [][]byte) []int {
	if c.Keys != nil {
		return c.Keys(args)
	}
	if c.First == 0 {
		return nil
	}
	last := c.Last
	if last < 0 {
		last += len(args)
	}
	var positions []int
	for i := c.First; i <= last && i < len(args); i += max(1, c.Step) {
		positions = append(positions, i)
	}
	return positions
}

// Register adds commands. It is called before the first client, and panics when a name is taken.
func (e *Engine) Register(commands ...*Command) {
	for _, c := range commands {
		if _, taken := e.commands[c.Name]; taken {
			panic(fmt.Sprintf("kv: two commands are named %q", c.Name))
		}
		// Engines of one process share the tables of commands, but not their counts.
		own := *c
		own.full = c.Name
		own.Sub = maps.Clone(c.Sub)
		for name, s := range c.Sub {
			sub := *s
			sub.full = c.Name + "|" + name
			own.Sub[name] = &sub
		}
		e.commands[c.Name] = &own
	}
}

// Commands returns all commands, by name.
func (e *Engine) Commands() []*Command {
	all := slices.Collect(maps.Values(e.commands))
	slices.SortFunc(all, func(a, b *Command) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return all
}

// Command returns the command called name, in any case, or nil.
func (e *Engine) Command(name []byte) *Command {
	var buf [32]byte
	if len(name) > len(buf) {
		return nil
	}
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		buf[i] = b
	}
	return e.commands[string(buf[:len(name)])]
}

// subcommand returns the subcommand of c that is called name, in any case, or nil.
func (c *Command) subcommand(name []byte) *Command {
	var buf [32]byte
	if len(name) > len(buf) {
		return nil
	}
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		buf[i] = b
	}
	return c.Sub[string(buf[:len(name)])]
}
