package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

const connection = always | engine.NoScript

var clientSubs = map[string]*engine.Command{
	"id":       {Name: "id", Arity: 2, Flags: connection, Run: func(c *engine.Client, _ [][]byte) { c.Int(c.ID()) }},
	"getname":  {Name: "getname", Arity: 2, Flags: connection, Run: clientGetName},
	"setname":  {Name: "setname", Arity: 3, Flags: connection, Run: clientSetName},
	"setinfo":  {Name: "setinfo", Arity: 4, Flags: connection, Run: clientSetInfo},
	"info":     {Name: "info", Arity: 2, Flags: connection, Run: clientInfo},
	"list":     {Name: "list", Arity: -2, Flags: connection | engine.Admin, Run: clientList},
	"kill":     {Name: "kill", Arity: -3, Flags: connection | engine.Admin, Run: clientKill},
	"pause":    {Name: "pause", Arity: -3, Flags: connection | engine.Admin, Run: clientPause},
	"unpause":  {Name: "unpause", Arity: 2, Flags: connection | engine.Admin, Run: clientUnpause},
	"reply":    {Name: "reply", Arity: 3, Flags: connection, Run: clientReply},
	"unblock":  {Name: "unblock", Arity: -3, Flags: connection | engine.Admin, Run: clientUnblock},
	"no-evict": {Name: "no-evict", Arity: 3, Flags: connection | engine.Admin, Run: clientNoEvict},
	"no-touch": {Name: "no-touch", Arity: 3, Flags: connection, Run: clientNoTouch},
	"getredir": {Name: "getredir", Arity: 2, Flags: connection, Run: func(c *engine.Client, _ [][]byte) { c.Int(-1) }},
	"help": {Name: "help", Arity: 2, Flags: always, Run: help("CLIENT",
		"GETNAME", "    Return the name of the current connection.",
		"ID", "    Return the ID of the current connection.",
		"INFO", "    Return information about the current client connection.",
		"KILL <ip:port>", "    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Kill connections by ADDR, LADDR, TYPE, ID, USER, SKIPME.",
		"LIST [TYPE <type>] [ID <id> [...]]", "    Return information about client connections.",
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction.",
		"PAUSE <timeout> [WRITE|ALL]", "    Suspend all, or just write, clients for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
		"SETINFO (LIB-NAME|LIB-VER) <value>", "    Set the client library's name or version.",
		"SETNAME <name>", "    Assign the name <name> to the current connection.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    Unblock the specified blocked client.",
		"UNPAUSE", "    Stop the current client pause, resuming traffic.")},
}

func clientGetName(c *engine.Client, _ [][]byte) {
	if c.Name == "" {
		c.Null()
		return
	}
	c.BulkString(c.Name)
}

func clientSetName(c *engine.Client, args [][]byte) {
	if setName(c, args[2]) {
		c.OK()
	}
}

func setName(c *engine.Client, name []byte) bool {
	if !printable(name) {
		c.Error("ERR Client names cannot contain spaces, newlines or special characters.")
		return false
	}
	c.Name = string(name)
	return true
}

func printable(s []byte) bool {
	for _, b := range s {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

func clientSetInfo(c *engine.Client, args [][]byte) {
	option := strings.ToLower(string(args[2]))
	if !printable(args[3]) {
		c.Error("ERR " + option + " cannot contain spaces, newlines or special characters.")
		return
	}
	switch option {
	case "lib-name":
		c.LibName = string(args[3])
	case "lib-ver":
		c.LibVersion = string(args[3])
	default:
		c.Error(fmt.Sprintf("ERR Unrecognized option '%s'", engine.CText(args[2])))
		return
	}
	c.OK()
}

// describe writes a client as CLIENT LIST does.
func describe(c *engine.Client) string {
	flags := ""
	kind := clientType(c)
	queued, multi := c.InTransaction()
	for _, f := range []struct {
		on   bool
		flag string
	}{
		{c.Monitoring(), "O"},
		{kind == "pubsub", "P"},
		{multi, "x"},
		{c.Blocked(), "b"},
		{strings.HasSuffix(c.Addr, ":0"), "U"},
		{c.NoEvict, "e"},
		{c.NoTouch, "T"},
	} {
		if f.on {
			flags += f.flag
		}
	}
	if flags == "" {
		flags = "N"
	}
	if !multi {
		queued = -1
	}
	command := "NULL"
	if c.Command() != nil {
		command = c.Command().FullName()
	}
	now := time.Now()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d qbuf=%d qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=%d tot-mem=%d events=r cmd=%s user=default redir=-1 resp=%d",
		c.ID(), c.Addr, c.LocalAddr, c.Name, int(now.Sub(c.Created()).Seconds()), max(0, int(now.Sub(c.Active()).Seconds())), flags,
		c.DB().Index(), len(c.Subscribed(engine.Channels)), len(c.Subscribed(engine.Patterns)), len(c.Subscribed(engine.Shards)),
		queued, c.InputBytes, c.Pending(), c.InputBytes+c.Pending(), command, c.Proto())
}

func clientType(c *engine.Client) string {
	if c.Subscriptions() > 0 {
		return "pubsub"
	}
	return "normal"
}

func clientInfo(c *engine.Client, _ [][]byte) { c.Verbatim("txt", describe(c)+"\n") }

func sorted(e *engine.Engine) []*engine.Client {
	all := make([]*engine.Client, 0, len(e.Clients()))
	for _, c := range e.Clients() {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *engine.Client) int { return cmp.Compare(a.ID(), b.ID()) })
	return all
}

func clientList(c *engine.Client, args [][]byte) {
	wanted := func(*engine.Client) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 4 && engine.EqualFold(args[2], "TYPE"):
		kind, ok := parseType(c, args[3])
		if !ok {
			return
		}
		wanted = func(x *engine.Client) bool { return clientType(x) == kind }
	case len(args) > 3 && engine.EqualFold(args[2], "ID"):
		ids := make(map[int64]bool)
		for _, a := range args[3:] {
			id, ok := engine.ParseInt(a)
			if !ok {
				c.Error("ERR Invalid client ID")
				return
			}
			ids[id] = true
		}
		wanted = func(x *engine.Client) bool { return ids[x.ID()] }
	default:
		c.Error(engine.ErrSyntax)
		return
	}
	var text strings.Builder
	for _, x := range sorted(c.Engine()) {
		if wanted(x) {
			text.WriteString(describe(x) + "\n")
		}
	}
	c.Verbatim("txt", text.String())
}

func parseType(c *engine.Client, arg []byte) (string, bool) {
	switch kind := strings.ToLower(string(arg)); kind {
	case "normal", "pubsub", "master", "replica":
		return kind, true
	case "slave":
		return "replica", true
	}
	c.Error(fmt.Sprintf("ERR Unknown client type '%s'", engine.CText(arg)))
	return "", false
}

func clientKill(c *engine.Client, args [][]byte) {
	if len(args) == 3 {
		for _, x := range c.Engine().Clients() {
			if x.Addr == string(args[2]) {
				kill(c, x)
				c.OK()
				return
			}
		}
		c.Error("ERR No such client")
		return
	}
	match, skipMe, ok := killFilter(c, args)
	if !ok {
		return
	}
	killed := 0
	for _, x := range sorted(c.Engine()) {
		if match(x) && (x != c || !skipMe) {
			kill(c, x)
			killed++
		}
	}
	c.Count(killed)
}

// kill ends a connection; that of the caller after the reply.
func kill(c, x *engine.Client) {
	if x == c {
		c.Hangup()
		return
	}
	x.Kick()
}

func killFilter(c *engine.Client, args [][]byte) (match func(*engine.Client) bool, skipMe, ok bool) {
	skipMe = true
	var all []func(*engine.Client) bool
	for i := 2; i < len(args); i += 2 {
		if i+1 == len(args) {
			c.Error(engine.ErrSyntax)
			return nil, false, false
		}
		value := args[i+1]
		switch {
		case engine.EqualFold(args[i], "ID"):
			id, isInt := engine.ParseInt(value)
			if !isInt || id < 1 {
				c.Error("ERR client-id should be greater than 0")
				return nil, false, false
			}
			all = append(all, func(x *engine.Client) bool { return x.ID() == id })
		case engine.EqualFold(args[i], "ADDR"):
			all = append(all, func(x *engine.Client) bool { return x.Addr == string(value) })
		case engine.EqualFold(args[i], "LADDR"):
			all = append(all, func(x *engine.Client) bool { return x.LocalAddr == string(value) })
		case engine.EqualFold(args[i], "TYPE"):
			kind, isType := parseType(c, value)
			if !isType {
				return nil, false, false
			}
			all = append(all, func(x *engine.Client) bool { return clientType(x) == kind })
		case engine.EqualFold(args[i], "USER"):
			if string(value) != "default" {
				c.Error(fmt.Sprintf("ERR No such user '%s'", value))
				return nil, false, false
			}
		case engine.EqualFold(args[i], "SKIPME") && engine.EqualFold(value, "YES"):
			skipMe = true
		case engine.EqualFold(args[i], "SKIPME") && engine.EqualFold(value, "NO"):
			skipMe = false
		default:
			c.Error(engine.ErrSyntax)
			return nil, false, false
		}
	}
	return func(x *engine.Client) bool {
		return !slices.ContainsFunc(all, func(f func(*engine.Client) bool) bool { return !f(x) })
	}, skipMe, true
}

func clientPause(c *engine.Client, args [][]byte) {
	writes := false
	switch {
	case len(args) == 3, len(args) == 4 && engine.EqualFold(args[3], "ALL"):
	case len(args) == 4 && engine.EqualFold(args[3], "WRITE"):
		writes = true
	case len(args) == 4:
		c.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
		return
	default:
		c.Error(engine.ErrSyntax)
		return
	}
	ms, ok := engine.ParseInt(args[2])
	switch {
	case !ok:
		c.Error("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.Error("ERR timeout is negative")
	default:
		c.Engine().Pause(time.Now().Add(time.Duration(min(ms, 1<<40))*time.Millisecond), writes)
		c.OK()
	}
}

func clientUnpause(c *engine.Client, _ [][]byte) {
	c.OK()
	c.Engine().Unpause()
}

func clientReply(c *engine.Client, args [][]byte) {
	switch {
	case engine.EqualFold(args[2], "ON"):
		c.MuteReplies(false, false)
		c.OK()
	case engine.EqualFold(args[2], "OFF"):
		c.MuteReplies(true, false)
	case engine.EqualFold(args[2], "SKIP"):
		if !c.Muted() {
			c.MuteReplies(false, true)
		}
	default:
		c.Error(engine.ErrSyntax)
	}
}

func clientUnblock(c *engine.Client, args [][]byte) {
	withError := false
	switch {
	case len(args) == 3, len(args) == 4 && engine.EqualFold(args[3], "TIMEOUT"):
	case len(args) == 4 && engine.EqualFold(args[3], "ERROR"):
		withError = true
	case len(args) > 4:
		c.Error(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%.128s'. Try CLIENT HELP.", engine.CText(args[1])))
		return
	default:
		c.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	x := c.Engine().Clients()[id]
	c.Bool01(x != nil && x.Unblock(withError))
}

func onOff(c *engine.Client, arg []byte, set *bool) {
	switch {
	case engine.EqualFold(arg, "ON"):
		*set = true
	case engine.EqualFold(arg, "OFF"):
		*set = false
	default:
		c.Error(engine.ErrSyntax)
		return
	}
	c.OK()
}

func clientNoEvict(c *engine.Client, args [][]byte) { onOff(c, args[2], &c.NoEvict) }

func clientNoTouch(c *engine.Client, args [][]byte) { onOff(c, args[2], &c.NoTouch) }
