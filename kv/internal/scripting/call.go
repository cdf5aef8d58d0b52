package scripting

import (
	"fmt"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// The version that scripts see.
const (
	version    = "7.0.15"
	versionNum = 0x0007000f
)

// redisLib returns the table of redis.call and its kin.
func (v *vm) redisLib() *lua.LTable {
	t := v.l.NewTable()
	v.l.SetFuncs(t, map[string]lua.LGFunction{
		"call":               func(l *lua.LState) int { return v.call(l, true) },
		"pcall":              func(l *lua.LState) int { return v.call(l, false) },
		"error_reply":        func(l *lua.LState) int { return single(l, "err") },
		"status_reply":       func(l *lua.LState) int { return single(l, "ok") },
		"sha1hex":            v.sha1hex,
		"setresp":            v.setRESP,
		"log":                v.log,
		"replicate_commands": func(l *lua.LState) int { l.Push(lua.LTrue); return 1 },
		"set_repl":           func(*lua.LState) int { return 0 },
		"breakpoint":         func(l *lua.LState) int { l.Push(lua.LFalse); return 1 },
		"debug":              func(*lua.LState) int { return 0 },
		"acl_check_cmd":      v.aclCheck,
	})
	for name, n := range map[string]int{
		"LOG_DEBUG": 0, "LOG_VERBOSE": 1, "LOG_NOTICE": 2, "LOG_WARNING": 3,
		"REPL_NONE": 0, "REPL_AOF": 1, "REPL_SLAVE": 2, "REPL_REPLICA": 2, "REPL_ALL": 3,
		"REDIS_VERSION_NUM": versionNum,
	} {
		t.RawSetString(name, lua.LNumber(n))
	}
	t.RawSetString("REDIS_VERSION", lua.LString(version))
	return t
}

// single makes {err=…} or {ok=…} of the one argument.
func single(l *lua.LState, field string) int {
	text, ok := l.Get(1).(lua.LString)
	t := l.NewTable()
	l.Push(t)
	if l.GetTop() != 2 || !ok {
		t.RawSetString("err", lua.LString("ERR wrong number or type of arguments"))
		return 1
	}
	if field == "err" {
		text = lua.LString(strings.TrimPrefix(string(text), "-"))
		if !strings.Contains(string(text), " ") {
			text = "ERR " + text
		}
	}
	t.RawSetString(field, text)
	return 1
}

func (v *vm) sha1hex(l *lua.LState) int {
	if l.GetTop() != 1 {
		v.raise(l, "ERR wrong number of arguments")
	}
	l.Push(lua.LString(shaOf([]byte(lua.LVAsString(l.Get(1))))))
	return 1
}

func (v *vm) setRESP(l *lua.LState) int {
	if l.GetTop() != 1 {
		v.raise(l, "ERR redis.setresp() requires one argument.")
	}
	n := int(l.CheckNumber(1))
	if n != 2 && n != 3 {
		v.raise(l, "ERR RESP version must be 2 or 3.")
	}
	v.client.SetProto(n)
	return 0
}

// log checks its arguments as Redis does. There is no log to write to: the package must not print.
func (v *vm) log(l *lua.LState) int {
	if l.GetTop() < 2 {
		v.raise(l, "ERR redis.log() requires two arguments or more.")
	}
	level, ok := l.Get(1).(lua.LNumber)
	if !ok {
		v.raise(l, "ERR First argument must be a number (log level).")
	}
	if level < 0 || level > 3 {
		v.raise(l, "ERR Invalid log level.")
	}
	return 0
}

func (v *vm) aclCheck(l *lua.LState) int {
	if l.GetTop() == 0 {
		v.raise(l, "ERR Please specify at least one argument for this redis lib call")
	}
	if v.h.e.Command([]byte(l.CheckString(1))) == nil {
		v.raise(l, "ERR Invalid command passed to redis.acl_check_cmd()")
	}
	l.Push(lua.LTrue)
	return 1
}

// call executes a command for the script. An error reply is raised, or returned as a table.
func (v *vm) call(l *lua.LState, raise bool) int {
	args, problem := v.gather(l)
	if problem == "" {
		problem = v.refusal(args)
	}
	if problem != "" {
		return v.fail(l, problem, raise)
	}
	if v.client.Call(args) || !raise {
		value, _ := decode(l, v.client.TakeReply())
		l.Push(value)
		return 1
	}
	reply := v.client.TakeReply()
	return v.fail(l, strings.TrimSuffix(string(reply[1:]), "\r\n"), true)
}

func (v *vm) fail(l *lua.LState, text string, raise bool) int {
	if raise {
		v.raise(l, text)
	}
	l.Push(v.errorTable(l, text))
	return 1
}

// gather takes the arguments of a call: strings and numbers.
func (v *vm) gather(l *lua.LState) (args [][]byte, problem string) {
	n := l.GetTop()
	if n == 0 {
		return nil, "ERR Please specify at least one argument for this redis lib call"
	}
	v.args, v.buf = v.args[:0], v.buf[:0]
	ends := make([]int, 0, 16)
	for i := 1; i <= n; i++ {
		switch a := l.Get(i).(type) {
		case lua.LString:
			v.buf = append(v.buf, a...)
		case lua.LNumber:
			v.buf = appendNumber(v.buf, float64(a))
		default:
			return nil, "ERR Lua redis lib command arguments must be strings or integers"
		}
		ends = append(ends, len(v.buf))
	}
	from := 0
	for _, to := range ends {
		v.args = append(v.args, v.buf[from:to:to])
		from = to
	}
	return v.args, ""
}

// appendNumber writes a number as Redis gives it to a command: with 17 digits, integers without exponent.
func appendNumber(dst []byte, f float64) []byte {
	if n := int64(f); float64(n) == f && -1e17 < f && f < 1e17 {
		return strconv.AppendInt(dst, n, 10)
	}
	return engine.AppendDouble(dst, f)
}

// refusal says why the script may not call a command, or "".
func (v *vm) refusal(args [][]byte) string {
	cmd := v.h.e.Command(args[0])
	if cmd != nil && cmd.Sub != nil && len(args) > 1 {
		cmd = cmd.Sub[strings.ToLower(string(args[1]))]
	}
	if cmd == nil || cmd.Flags&engine.NoScript != 0 || cmd.Arity > 0 && len(args) != cmd.Arity || len(args) < -cmd.Arity {
		return "" // the engine says so
	}
	if v.mode.readOnly && cmd.Flags&engine.MayReplicate != 0 {
		return "ERR Write commands are not allowed from read-only scripts."
	}
	if cmd.Flags&engine.Write == 0 {
		return ""
	}
	if refusal := v.h.e.WithoutReplicas(); refusal != "" {
		return refusal
	}
	if v.mode.readOnly {
		return "ERR Write commands are not allowed from read-only scripts."
	}
	if v.mode.denyOOM && !v.mode.run.wrote && cmd.Flags&engine.DenyOOM != 0 {
		return "OOM command not allowed when used memory > 'maxmemory'."
	}
	if !v.h.noteWrite() {
		return "ERR the script was stopped"
	}
	return ""
}

// reply sends what a script has returned.
func (v *vm) reply(c *engine.Client, value lua.LValue) {
	switch x := value.(type) {
	case lua.LString:
		c.BulkString(string(x))
	case lua.LNumber:
		c.Int(int64(x))
	case lua.LBool:
		switch {
		case v.client.Proto() == 3 && c.Proto() == 3:
			c.Bool(bool(x))
		case bool(x):
			c.Int(1)
		default:
			c.Null()
		}
	case *lua.LTable:
		v.replyTable(c, x, 0)
	default:
		c.Null()
	}
}

func (v *vm) replyTable(c *engine.Client, t *lua.LTable, depth int) {
	if depth > 1000 {
		c.Error("ERR reached lua stack limit")
		return
	}
	if text, ok := t.RawGetString("err").(lua.LString); ok {
		c.Error(string(text))
		return
	}
	if text, ok := t.RawGetString("ok").(lua.LString); ok {
		c.Simple(strings.NewReplacer("\r", " ", "\n", " ").Replace(string(text)))
		return
	}
	if n, ok := t.RawGetString("double").(lua.LNumber); ok {
		c.Double(float64(n))
		return
	}
	if m, ok := t.RawGetString("map").(*lua.LTable); ok {
		v.replyPairs(c, m, true, depth)
		return
	}
	if s, ok := t.RawGetString("set").(*lua.LTable); ok {
		v.replyPairs(c, s, false, depth)
		return
	}
	if text, ok := t.RawGetString("big_number").(lua.LString); ok {
		replyBigNumber(c, strings.NewReplacer("\r", " ", "\n", " ").Replace(string(text)))
		return
	}
	if inner, ok := t.RawGetString("verbatim_string").(*lua.LTable); ok {
		text, isText := inner.RawGetString("string").(lua.LString)
		kind, hasKind := inner.RawGetString("format").(lua.LString)
		if isText && hasKind {
			c.Verbatim(fmt.Sprintf("%.3s", kind), string(text))
			return
		}
	}
	v.replyArray(c, t, depth)
}

func replyBigNumber(c *engine.Client, digits string) {
	if c.Proto() == 3 {
		c.Reply([]byte("(" + digits + "\r\n"))
		return
	}
	c.BulkString(digits)
}

func (v *vm) replyArray(c *engine.Client, t *lua.LTable, depth int) {
	mark, n := c.Later(), 0
	for i := 1; ; i++ {
		x := t.RawGetInt(i)
		if x == lua.LNil {
			break
		}
		v.replyNested(c, x, depth)
		n++
	}
	c.SetLen(mark, '*', n)
}

func (v *vm) replyNested(c *engine.Client, x lua.LValue, depth int) {
	if t, ok := x.(*lua.LTable); ok {
		v.replyTable(c, t, depth+1)
		return
	}
	v.reply(c, x)
}

func (v *vm) replyPairs(c *engine.Client, t *lua.LTable, values bool, depth int) {
	mark, n := c.Later(), 0
	t.ForEach(func(key, value lua.LValue) {
		v.replyNested(c, key, depth)
		if values {
			v.replyNested(c, value, depth)
		}
		n++
	})
	kind := byte('~')
	if values {
		kind = '%'
	}
	c.SetLen(mark, kind, n)
}

// decode turns a reply into a value of Lua, and returns what follows it.
func decode(l *lua.LState, b []byte) (lua.LValue, []byte) {
	kind := b[0]
	end := 1
	for b[end] != '\r' {
		end++
	}
	line, rest := b[1:end], b[end+2:]
	switch kind {
	case '+', '-':
		t := l.NewTable()
		t.RawSetString(map[byte]string{'+': "ok", '-': "err"}[kind], lua.LString(line))
		return t, rest
	case ':':
		n, _ := engine.ParseInt(line)
		return lua.LNumber(n), rest
	case '_':
		return lua.LNil, rest
	case '#':
		return lua.LBool(line[0] == 't'), rest
	case ',':
		f, _ := strconv.ParseFloat(string(line), 64)
		t := l.NewTable()
		t.RawSetString("double", lua.LNumber(f))
		return t, rest
	}
	n, _ := engine.ParseInt(line)
	if n < 0 {
		return lua.LFalse, rest
	}
	switch kind {
	case '$':
		return lua.LString(rest[:n]), rest[n+2:]
	case '=':
		t, inner := l.NewTable(), l.NewTable()
		inner.RawSetString("format", lua.LString(rest[:3]))
		inner.RawSetString("string", lua.LString(rest[4:n]))
		t.RawSetString("verbatim_string", inner)
		return t, rest[n+2:]
	case '%':
		return decodeMap(l, int(n), rest)
	case '~':
		return decodeSet(l, int(n), rest)
	case '*', '>':
		t := l.CreateTable(int(n), 0)
		var value lua.LValue
		for i := range int(n) {
			value, rest = decode(l, rest)
			t.RawSetInt(i+1, value)
		}
		return t, rest
	}
	panic(fmt.Sprintf("kv: a reply of type %q", kind))
}

func decodeMap(l *lua.LState, n int, rest []byte) (lua.LValue, []byte) {
	t, inner := l.NewTable(), l.NewTable()
	var key, value lua.LValue
	for range n {
		key, rest = decode(l, rest)
		value, rest = decode(l, rest)
		inner.RawSet(key, value)
	}
	t.RawSetString("map", inner)
	return t, rest
}

func decodeSet(l *lua.LState, n int, rest []byte) (lua.LValue, []byte) {
	t, inner := l.NewTable(), l.NewTable()
	var member lua.LValue
	for range n {
		member, rest = decode(l, rest)
		inner.RawSet(member, lua.LTrue)
	}
	t.RawSetString("set", inner)
	return t, rest
}
