package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// debugCommand has what test suites use of DEBUG.
func debugCommand(c *engine.Client, args [][]byte) {
	name := strings.ToLower(string(args[1]))
	if name == "set-active-expire" && len(args) != 3 {
		name = "" // refused as what is not known
	}
	switch name {
	case "sleep":
		debugSleep(c, args)
	case "object":
		debugObject(c, args)
	case "jmap", "set-active-expire", "quicklist-packed-threshold", "change-repl-id", "stringmatch-len":
		c.OK()
	case "loadaof", "reload":
		c.Error("ERR DEBUG " + strings.ToUpper(string(args[1])) + " is not supported: restart instead")
	case "protocol":
		debugProtocol(c, args)
	case "help":
		help("DEBUG",
			"OBJECT <key>", "    Show low level info about key and associated value.",
			"PROTOCOL <type>", "    Reply with a test value of the specified type.",
			"SLEEP <seconds>", "    Stop the server for <seconds>. Decimals allowed.")(c, args)
	default:
		debugUnknown(c, args)
	}
}

func debugUnknown(c *engine.Client, args [][]byte) {
	c.Error(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try DEBUG HELP.", engine.CText(args[1])))
}

// debugSleep holds up everybody, as it does in Redis: it is there to test that.
func debugSleep(c *engine.Client, args [][]byte) {
	if len(args) != 3 {
		debugUnknown(c, args)
		return
	}
	var s float64
	_, _ = fmt.Sscanf(string(args[2]), "%g", &s) // what is no number is 0
	<-time.After(time.Duration(s * float64(time.Second)))
	c.OK()
}

func debugObject(c *engine.Client, args [][]byte) {
	if len(args) != 3 {
		c.WrongArity("debug|object")
		return
	}
	en := c.DB().Peek(args[2])
	if en == nil {
		c.Error(engine.ErrNoKey)
		return
	}
	c.Simple(fmt.Sprintf("Value at:%p refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
		en, engine.EncodingOf(en), engine.Size(en), en.LRU(), int(c.Engine().Idle(en).Seconds())))
}

func debugProtocol(c *engine.Client, args [][]byte) {
	if len(args) != 3 {
		c.WrongArity("debug|protocol")
		return
	}
	switch strings.ToLower(string(args[2])) {
	case "string":
		c.BulkString("Hello World")
	case "integer":
		c.Int(12345)
	case "double":
		c.Double(3.141)
	case "null":
		c.Null()
	case "array":
		c.Array(3)
		for i := range 3 {
			c.Count(i)
		}
	case "set":
		c.Set(3)
		for i := range 3 {
			c.Count(i)
		}
	case "map":
		c.Map(3)
		for i := range 3 {
			c.Count(i)
			c.Bool(i == 1)
		}
	case "verbatim":
		c.Verbatim("txt", "This is a verbatim\nstring")
	case "true":
		c.Bool(true)
	case "false":
		c.Bool(false)
	default:
		c.Error("ERR Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|verbatim|true|false")
	}
}
