package scripting

import (
	"math"
	"runtime/metrics"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// likeC replaces the functions of Lua's base library that gopher-lua has otherwise than C's Lua 5.1.
func (v *vm) likeC() {
	l, base := v.l, v.l.G.Global
	raise := base.RawGetString("error")
	pcall := base.RawGetString("pcall")
	plain := base.RawGetString("tostring")
	plainNumber := base.RawGetString("tonumber")
	v.l.SetFuncs(v.global, map[string]lua.LGFunction{
		"tostring": func(l *lua.LState) int {
			if n, ok := l.Get(1).(lua.LNumber); ok { // Lua's own has 14 digits, gopher-lua's as many as it takes
				l.Push(lua.LString(appendFourteen(nil, float64(n))))
				return 1
			}
			return instead(l, plain)
		},
		"tonumber": func(l *lua.LState) int {
			text, ok := l.Get(1).(lua.LString)
			if base := l.Get(2); !ok || base != lua.LNil && base != lua.LNumber(10) {
				return instead(l, plainNumber)
			}
			n, ok := parseNumber(string(text))
			if !ok {
				l.Push(lua.LNil)
				return 1
			}
			l.Push(lua.LNumber(n))
			return 1
		},
		// An error reply that a script catches is its text. An error that pcall itself raises has no line.
		"pcall": func(l *lua.LState) int {
			if l.Get(1) == raise && l.GetTop() == 2 {
				l.Push(lua.LFalse)
				l.Push(l.Get(2))
				return 2
			}
			n := instead(l, pcall)
			first := l.GetTop() - n + 1
			if t, ok := l.Get(first + 1).(*lua.LTable); ok && n == 2 && l.Get(first) == lua.LFalse {
				if text, ok := t.RawGetString("err").(lua.LString); ok {
					l.Replace(first+1, text)
				}
			}
			return n
		},
	})
	v.global.RawSetString("collectgarbage", l.NewFunction(collectGarbage))
	l.SetField(base.RawGetString("string"), "format", l.NewFunction(format))
}

// collectGarbage tells the heap's size in kilobytes when asked to count. What else Lua's does is Go's to do.
func collectGarbage(l *lua.LState) int {
	if l.OptString(1, "collect") != "count" {
		l.Push(lua.LNumber(0))
		return 1
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	l.Push(lua.LNumber(float64(sample[0].Value.Uint64()) / 1024))
	return 1
}

// instead calls another function with the same arguments.
func instead(l *lua.LState, f lua.LValue) int {
	n := l.GetTop()
	l.Push(f)
	for i := 1; i <= n; i++ {
		l.Push(l.Get(i))
	}
	l.Call(n, lua.MultRet)
	return l.GetTop() - n
}

// parseNumber reads a number as C's strtod does, and hexadecimal integers.
func parseNumber(text string) (float64, bool) {
	text = strings.Trim(text, " \t\n\v\f\r")
	if strings.Contains(text, "_") {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	if err == nil || math.IsInf(n, 0) {
		return n, true
	}
	digits := strings.TrimPrefix(text, "-")
	if len(digits) < 3 || digits[0] != '0' || digits[1]|0x20 != 'x' {
		return 0, false
	}
	u, err := strconv.ParseUint(digits[2:], 16, 64)
	n = float64(u)
	if digits != text {
		n = -n
	}
	return n, err == nil
}
