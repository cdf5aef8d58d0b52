// Package admin has the commands about connections, settings and the server itself.
package admin

import (
	"errors"
	"fmt"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// Version is the version of Redis whose behaviour the commands have.
const Version = "7.0.15"

const always = engine.Loading | engine.Stale

// Commands are the package's commands.
var Commands = []*engine.Command{
	{Name: "ping", Arity: -1, Flags: always | engine.Fast, Run: ping},
	{Name: "echo", Arity: 2, Flags: always | engine.Fast, Run: func(c *engine.Client, args [][]byte) { c.Bulk(args[1]) }},
	{Name: "quit", Arity: -1, Flags: always | engine.Fast | engine.NoScript | engine.NoAuth | engine.AllowBusy | engine.Immediate, Run: quit},
	{Name: "reset", Arity: 1, Flags: always | engine.Fast | engine.NoScript | engine.NoAuth | engine.AllowBusy | engine.Immediate, Run: reset},
	{Name: "hello", Arity: -1, Flags: always | engine.Fast | engine.NoScript | engine.NoAuth | engine.AllowBusy, Run: hello},
	{Name: "auth", Arity: -2, Flags: always | engine.Fast | engine.NoScript | engine.NoAuth | engine.AllowBusy | engine.SkipMonitor, Run: auth},
	{Name: "select", Arity: 2, Flags: always | engine.Fast, Run: selectDB},
	{Name: "swapdb", Arity: 3, Flags: engine.Write | engine.Fast, Run: swapDB},
	{Name: "flushdb", Arity: -1, Flags: engine.Write, Run: flush},
	{Name: "flushall", Arity: -1, Flags: engine.Write, Run: flush},
	{Name: "time", Arity: 1, Flags: always | engine.Fast, Run: clock},
	{Name: "lolwut", Arity: -1, Flags: engine.ReadOnly | engine.Fast, Run: lolwut},
	{Name: "role", Arity: 1, Flags: always | engine.Fast | engine.NoScript | engine.Admin, Run: role},
	{Name: "monitor", Arity: 1, Flags: always | engine.NoScript | engine.Admin, Run: monitor},
	{Name: "shutdown", Arity: -1, Flags: always | engine.NoScript | engine.Admin | engine.NoMulti | engine.AllowBusy, Run: shutdown},
	{Name: "info", Arity: -1, Flags: always, Run: info},
	{Name: "command", Arity: -1, Flags: always, Run: commandAll, Sub: commandSubs},
	{Name: "client", Arity: -2, Sub: clientSubs},
	{Name: "config", Arity: -2, Sub: configSubs},
	{Name: "memory", Arity: -2, Sub: memorySubs},
	{Name: "slowlog", Arity: -2, Sub: slowSubs},
	{Name: "readonly", Arity: 1, Flags: always | engine.Fast, Run: noCluster},
	{Name: "readwrite", Arity: 1, Flags: always | engine.Fast, Run: noCluster},
	{Name: "asking", Arity: 1, Flags: engine.Fast, Run: noCluster},
	{Name: "cluster", Arity: -2, Flags: always, Run: noCluster},
	{Name: "debug", Arity: -2, Flags: always | engine.NoScript | engine.Admin, Run: debugCommand},
	{Name: "save", Arity: 1, Flags: engine.NoScript | engine.Admin | engine.NoMulti, Run: save},
	{Name: "bgsave", Arity: -1, Flags: engine.NoScript | engine.Admin, Run: bgsave},
	{Name: "bgrewriteaof", Arity: 1, Flags: engine.NoScript | engine.Admin, Run: bgrewriteaof},
	{Name: "lastsave", Arity: 1, Flags: always | engine.Fast, Run: lastsave},
	{Name: "wait", Arity: 3, Flags: engine.NoScript | engine.Blocking, Run: wait},
	{Name: "waitaof", Arity: 4, Flags: engine.NoScript | engine.Blocking, Run: waitAOF},
}

func help(name string, lines ...string) func(c *engine.Client, args [][]byte) {
	return func(c *engine.Client, _ [][]byte) {
		c.Array(len(lines) + 3)
		c.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
		for _, l := range lines {
			c.Simple(l)
		}
		c.Simple("HELP")
		c.Simple("    Prints this help.")
	}
}

// noCluster is for clients that try whether they talk to a cluster.
func noCluster(c *engine.Client, _ [][]byte) {
	c.Error("ERR This instance has cluster support disabled")
}

func ping(c *engine.Client, args [][]byte) {
	if len(args) > 2 {
		c.WrongArity("ping")
		return
	}
	if c.Proto() == 2 && c.Subscriptions() > 0 {
		c.Array(2)
		c.BulkString("pong")
		if len(args) == 2 {
			c.Bulk(args[1])
		} else {
			c.BulkString("")
		}
		return
	}
	if len(args) == 2 {
		c.Bulk(args[1])
		return
	}
	c.Simple("PONG")
}

func quit(c *engine.Client, _ [][]byte) {
	c.OK()
	c.Hangup()
}

func reset(c *engine.Client, _ [][]byte) {
	c.Reset()
	c.Simple("RESET")
}

func selectDB(c *engine.Client, args [][]byte) {
	n, ok := c.ParseInt(args[1])
	switch {
	case !ok:
		return
	case n != int64(int32(n)):
		c.Error("ERR value is out of range, value must between -2147483648 and 2147483647")
		return
	}
	if !c.Select(int(n)) {
		c.Error("ERR DB index is out of range")
		return
	}
	c.OK()
}

func swapDB(c *engine.Client, args [][]byte) {
	e := c.Engine()
	a, ok := engine.ParseInt(args[1])
	if !ok || a != int64(int32(a)) {
		c.Error("ERR invalid first DB index")
		return
	}
	b, ok := engine.ParseInt(args[2])
	if !ok || b != int64(int32(b)) {
		c.Error("ERR invalid second DB index")
		return
	}
	if e.Keyspace(int(a)) == nil || e.Keyspace(int(b)) == nil {
		c.Error("ERR DB index is out of range")
		return
	}
	if a != b {
		e.SwapKeyspaces(int(a), int(b))
	}
	c.Dirtied()
	c.OK()
}

func flush(c *engine.Client, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !engine.EqualFold(args[1], "SYNC") && !engine.EqualFold(args[1], "ASYNC") {
		c.Error(engine.ErrSyntax)
		return
	}
	if c.Command().Name == "flushdb" {
		c.DB().Flush()
	} else {
		for _, k := range c.Engine().Keyspaces() {
			k.Flush()
		}
	}
	c.Dirtied()
	c.OK()
}

func clock(c *engine.Client, _ [][]byte) {
	now := time.Now()
	micros := int64(now.Nanosecond() / 1000)
	seconds := now.Unix()
	c.Array(2)
	c.BulkInt(seconds)
	c.BulkInt(micros)
}

func lolwut(c *engine.Client, _ [][]byte) {
	c.Verbatim("txt", "kv, speaking Redis "+Version+"\n")
}

func role(c *engine.Client, _ [][]byte) {
	c.Array(3)
	c.BulkString("master")
	c.Int(0)
	c.Array(0)
}

func monitor(c *engine.Client, _ [][]byte) {
	if _, multi := c.InTransaction(); multi {
		c.Error("ERR MONITOR isn't allowed for DENY BLOCKING client")
		return
	}
	c.Monitor()
	c.OK()
}

// shutdown asks the process that runs the engine to stop. It replies only if that cannot be.
func shutdown(c *engine.Client, args [][]byte) {
	last, force, save := engine.SnapshotIfDue, false, false
	for _, a := range args[1:] {
		switch {
		case engine.EqualFold(a, "NOSAVE"):
			last = engine.SnapshotNever
		case engine.EqualFold(a, "SAVE"):
			save = true
			if last == engine.SnapshotIfDue {
				last = engine.SnapshotAlways
			}
		case engine.EqualFold(a, "FORCE"):
			force = true
		case engine.EqualFold(a, "NOW"):
		default:
			c.Error(engine.ErrSyntax)
			return
		}
	}
	if save && last == engine.SnapshotNever {
		c.Error(engine.ErrSyntax)
		return
	}
	switch err := c.Engine().Shutdown(last, force); {
	case errors.Is(err, engine.ErrNoShutdown):
		c.Error("ERR Errors trying to SHUTDOWN. This database is part of a program: end that.")
	case err != nil:
		c.Error("ERR Errors trying to SHUTDOWN. Check logs.")
	default:
		c.Hangup()
	}
}

func auth(c *engine.Client, args [][]byte) {
	if len(args) > 3 {
		c.Error(engine.ErrSyntax)
		return
	}
	password, user := args[len(args)-1], "default"
	if len(args) == 3 {
		user = string(args[1])
	} else if c.Engine().Config().RequirePass == "" {
		c.Error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
		return
	}
	if login(c, user, password) {
		c.OK()
	}
}

func login(c *engine.Client, user string, password []byte) bool {
	if c.Engine().Login(user, password) {
		c.Authenticated = true
		return true
	}
	c.Error("WRONGPASS invalid username-password pair or user is disabled.")
	return false
}

func hello(c *engine.Client, args [][]byte) {
	version := int64(c.Proto())
	i := 1
	if len(args) > 1 {
		v, ok := engine.ParseInt(args[1])
		if !ok {
			c.Error("ERR Protocol version is not an integer or out of range")
			return
		}
		if v < 2 || v > 3 {
			c.Error("NOPROTO unsupported protocol version")
			return
		}
		version, i = v, 2
	}
	// Each option takes effect before the next is looked at.
	for ; i < len(args); i++ {
		switch {
		case engine.EqualFold(args[i], "AUTH") && i+2 < len(args):
			if !login(c, string(args[i+1]), args[i+2]) {
				return
			}
			i += 2
		case engine.EqualFold(args[i], "SETNAME") && i+1 < len(args):
			if !setName(c, args[i+1]) {
				return
			}
			i++
		default:
			c.Error(fmt.Sprintf("ERR Syntax error in HELLO option '%s'", engine.CText(args[i])))
			return
		}
	}
	if !c.Authenticated {
		c.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	if len(args) > 1 {
		c.SetProto(int(version))
	}
	greet(c)
}

func greet(c *engine.Client) {
	c.Map(7)
	c.BulkString("server")
	c.BulkString("redis")
	c.BulkString("version")
	c.BulkString(Version)
	c.BulkString("proto")
	c.Int(int64(c.Proto()))
	c.BulkString("id")
	c.Int(c.ID())
	c.BulkString("mode")
	c.BulkString("standalone")
	c.BulkString("role")
	c.BulkString("master")
	c.BulkString("modules")
	c.Array(0)
}
