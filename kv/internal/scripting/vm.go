package scripting

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// vm is the Lua state in which all scripts of a host run, one after the other.
type vm struct {
	h      *Host
	l      *lua.LState
	env    *lua.LTable // what scripts see as their globals; it stays empty
	global *lua.LTable // what they find there
	random random
	client *engine.Client // of the scripts' calls
	caller *engine.Client
	mode   mode
	args   [][]byte // of the call that is being made
	buf    []byte
}

// mode is how a script runs.
type mode struct {
	readOnly, denyOOM bool
	run               *run
}

// allowed are the functions of Lua's base library that scripts have.
var allowed = []string{
	"xpcall", "tostring", "getmetatable", "setmetatable", "next", "assert", "tonumber", "rawequal", "rawset", "rawget",
	"collectgarbage", "unpack", "pairs", "ipairs", "error", "pcall", "type", "select", "loadstring", "load", "_VERSION",
}

func newVM(h *Host) *vm {
	l := lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: 256, MinimizeStackMemory: true, RegistrySize: 4096, RegistryMaxSize: 1 << 20})
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.BaseLibName, lua.OpenBase},
		{lua.StringLibName, lua.OpenString},
		{lua.TabLibName, lua.OpenTable},
		{lua.MathLibName, lua.OpenMath},
		{lua.CoroutineLibName, lua.OpenCoroutine},
	} {
		l.Push(l.NewFunction(lib.open))
		l.Push(lua.LString(lib.name))
		l.Call(1, 0)
	}
	v := &vm{h: h, l: l, client: h.e.Internal(), global: l.NewTable(), env: l.NewTable()}
	base := l.G.Global
	for _, name := range allowed {
		v.global.RawSetString(name, base.RawGetString(name))
	}
	v.likeC()
	v.random.x = 0x1234abcd330e // where C's generator begins
	v.random.install(l, base.RawGetString("math").(*lua.LTable))
	base.RawGetString("math").(*lua.LTable).RawSetString("huge", lua.LNumber(math.Inf(1))) // C's, not the largest number
	if m, ok := l.GetMetatable(lua.LString("")).(*lua.LTable); ok {
		m.RawSetString("__metatable", lua.LString("readonly"))
	}
	for _, name := range []string{"string", "table", "math", "coroutine"} {
		v.global.RawSetString(name, v.readOnly(base.RawGetString(name).(*lua.LTable)))
	}
	v.global.RawSetString("redis", v.readOnly(v.redisLib()))
	v.global.RawSetString("cjson", v.readOnly(cjsonLib(l)))
	v.global.RawSetString("cmsgpack", v.readOnly(cmsgpackLib(l)))
	v.global.RawSetString("struct", v.readOnly(structLib(l)))
	v.global.RawSetString("bit", v.readOnly(bitLib(l)))
	v.global.RawSetString("_G", v.env)
	v.protect()
	return v
}

const readOnlyText = "Attempt to modify a readonly table"

// readOnly returns an empty table that shows what t has, and refuses changes.
func (v *vm) readOnly(t *lua.LTable) *lua.LTable {
	shown, meta := v.l.NewTable(), v.l.NewTable()
	meta.RawSetString("__index", t)
	meta.RawSetString("__newindex", v.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError(readOnlyText)
		return 0
	}))
	meta.RawSetString("__metatable", v.sealed())
	shown.Metatable = meta
	return shown
}

// sealed is what getmetatable shows of a table that must not change: a table that must not change either.
func (v *vm) sealed() *lua.LTable {
	t, meta := v.l.NewTable(), v.l.NewTable()
	refuse := v.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError(readOnlyText)
		return 0
	})
	meta.RawSetString("__newindex", refuse)
	meta.RawSetString("__metatable", lua.LFalse)
	t.Metatable = meta
	return t
}

// protect makes the scripts' globals: reading one that is not there is an error, and so is setting one.
func (v *vm) protect() {
	missing := v.l.NewTable()
	missing.RawSetString("__index", v.l.NewFunction(func(l *lua.LState) int {
		l.RaiseError("Script attempted to access nonexistent global variable '%s'", l.Get(2).String())
		return 0
	}))
	v.global.Metatable = missing
	shown := v.readOnly(v.global)
	v.env.Metatable = shown.Metatable
	rawset := v.global.RawGetString("rawset").(*lua.LFunction)
	v.global.RawSetString("rawset", v.l.NewFunction(func(l *lua.LState) int {
		t := l.CheckTable(1)
		if m, ok := t.Metatable.(*lua.LTable); ok && m.RawGetString("__metatable") != lua.LNil {
			v.raise(l, "ERR "+readOnlyText)
		}
		l.Push(rawset)
		l.Push(t)
		l.Push(l.Get(2))
		l.Push(l.Get(3))
		l.Call(3, 1)
		return 1
	}))
}

// run executes a script and replies its result to the caller.
func (v *vm) run(ctx context.Context, c *engine.Client, s *script, keys, argv [][]byte, m mode) {
	v.client.RunScript(c)
	v.caller, v.mode = c, m
	v.global.RawSetString("KEYS", stringsTable(v.l, keys))
	v.global.RawSetString("ARGV", stringsTable(v.l, argv))
	fn := v.l.NewFunctionFromProto(s.proto)
	fn.Env = v.env
	v.l.SetContext(ctx)
	top := v.l.GetTop()
	v.l.Push(fn)
	err := v.l.PCall(0, 1, nil)
	v.l.RemoveContext()
	if err != nil {
		c.Error(v.failure(err, s))
	} else {
		v.reply(c, v.l.Get(-1))
	}
	v.l.SetTop(top)
	v.caller = nil
}

func stringsTable(l *lua.LState, values [][]byte) *lua.LTable {
	t := l.CreateTable(len(values), 0)
	for i, s := range values {
		t.RawSetInt(i+1, lua.LString(s))
	}
	return t
}

// failure words why a script has ended as Redis does.
func (v *vm) failure(err error, s *script) string {
	if v.mode.run.killed {
		return "ERR Error running script: it was stopped after lua-time-limit, before it wrote anything. script: " + s.sha + ", on @user_script."
	}
	var api *lua.ApiError
	if !errors.As(err, &api) {
		return fmt.Sprintf("ERR %v script: %s", err, s.sha)
	}
	if t, ok := api.Object.(*lua.LTable); ok {
		text, isText := t.RawGetString("err").(lua.LString)
		if !isText {
			return "ERR unknown error script: " + s.sha + ", on @user_script:1."
		}
		line := "1"
		if n, ok := t.RawGetString("line").(lua.LString); ok {
			line = string(n)
		}
		return fmt.Sprintf("%s script: %s, on @user_script:%s.", text, s.sha, line)
	}
	text := api.Object.String()
	if api.Object == lua.LNil || api.Object == nil {
		text = err.Error()
	}
	line := "1"
	if rest, ok := strings.CutPrefix(text, "user_script:"); ok {
		if n, _, found := strings.Cut(rest, ":"); found {
			line = n
		}
	}
	return fmt.Sprintf("ERR %s script: %s, on @user_script:%s.", text, s.sha, line)
}

// raise ends the script with an error table, which pcall can catch.
func (v *vm) raise(l *lua.LState, text string) {
	l.Error(v.errorTable(l, text), 0)
}

func (v *vm) errorTable(l *lua.LState, text string) *lua.LTable {
	t := l.NewTable()
	t.RawSetString("err", lua.LString(text))
	t.RawSetString("source", lua.LString("@user_script"))
	line := "1"
	if fields := strings.Split(l.Where(1), ":"); len(fields) > 1 {
		line = fields[1]
	}
	t.RawSetString("line", lua.LString(line))
	return t
}
