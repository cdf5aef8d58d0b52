package scripting

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// maxDepth bounds the nesting of what the libraries encode and decode.
const maxDepth = 1000

// cjsonLib returns the table of cjson: encode, decode, null.
func cjsonLib(l *lua.LState) *lua.LTable {
	null := l.NewUserData()
	meta := l.NewTable()
	meta.RawSetString("__tostring", l.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LString("userdata: (nil)"))
		return 1
	}))
	null.Metatable = meta
	t := l.NewTable()
	t.RawSetString("null", null)
	t.RawSetString("_NAME", lua.LString("cjson"))
	t.RawSetString("encode", l.NewFunction(func(l *lua.LState) int {
		text, err := appendJSON(nil, l.CheckAny(1), null, 0)
		if err != nil {
			l.RaiseError("%s", err.Error())
		}
		l.Push(lua.LString(text))
		return 1
	}))
	t.RawSetString("decode", l.NewFunction(func(l *lua.LState) int {
		value, err := parseJSON(l, []byte(l.CheckString(1)), null)
		if err != nil {
			l.RaiseError("%s", err.Error())
		}
		l.Push(value)
		return 1
	}))
	return t
}

func appendJSON(dst []byte, value lua.LValue, null *lua.LUserData, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("Cannot serialise, excessive depth (%d)", depth)
	}
	switch x := value.(type) {
	case lua.LString:
		return appendJSONString(dst, string(x)), nil
	case lua.LNumber:
		if math.IsInf(float64(x), 0) || math.IsNaN(float64(x)) {
			return nil, fmt.Errorf("Cannot serialise number: must not be NaN or Inf")
		}
		return appendFourteen(dst, float64(x)), nil
	case lua.LBool:
		return strconv.AppendBool(dst, bool(x)), nil
	case *lua.LNilType:
		return append(dst, "null"...), nil
	case *lua.LUserData:
		if x == null {
			return append(dst, "null"...), nil
		}
	case *lua.LTable:
		return appendJSONTable(dst, x, null, depth)
	}
	return nil, fmt.Errorf("Cannot serialise %s: type not supported", value.Type())
}

// appendFourteen writes a number as C's %.14g does.
func appendFourteen(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "-nan"...) // as x86 makes it of 0/0
	}
	text := strconv.AppendFloat(nil, f, 'g', 14, 64)
	mantissa, exponent, found := bytes.Cut(text, []byte("e"))
	if bytes.IndexByte(mantissa, '.') >= 0 {
		mantissa = bytes.TrimRight(bytes.TrimRight(mantissa, "0"), ".")
	}
	dst = append(dst, mantissa...)
	if found {
		dst = append(append(dst, 'e'), exponent...)
	}
	return dst
}

func appendJSONTable(dst []byte, t *lua.LTable, null *lua.LUserData, depth int) (_ []byte, err error) {
	n, err := arrayLength(t)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		dst = append(dst, '[')
		for i := 1; i <= n; i++ {
			if i > 1 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, t.RawGetInt(i), null, depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	dst = append(dst, '{')
	first := true
	t.ForEach(func(key, value lua.LValue) {
		if err != nil {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		switch k := key.(type) {
		case lua.LString:
			dst = appendJSONString(dst, string(k))
		case lua.LNumber:
			dst = append(appendFourteen(append(dst, '"'), float64(k)), '"')
		default:
			err = fmt.Errorf("Cannot serialise table: table key must be a number or string")
			return
		}
		dst = append(dst, ':')
		dst, err = appendJSON(dst, value, null, depth+1)
	})
	if err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}

// arrayLength returns the length of a table that is an array, or 0. An array with so many holes that it
// must be a mistake is an error, as lua-cjson has it.
func arrayLength(t *lua.LTable) (int, error) {
	items, highest := 0, 0
	array := true
	t.ForEach(func(key, _ lua.LValue) {
		n, ok := key.(lua.LNumber)
		if !ok || n < 1 || n != lua.LNumber(math.Floor(float64(n))) || n > 1<<40 {
			array = false
			return
		}
		highest = max(highest, int(n))
		items++
	})
	if !array {
		return 0, nil
	}
	if highest > 10 && highest > items*2 {
		return 0, fmt.Errorf("Cannot serialise table: excessively sparse array")
	}
	return highest, nil
}

func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch b := s[i]; b {
		case '"', '\\', '/':
			dst = append(dst, '\\', b)
		case '\b':
			dst = append(dst, `\b`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			if b < ' ' || b == 127 {
				dst = fmt.Appendf(dst, `\u%04x`, b)
			} else {
				dst = append(dst, b)
			}
		}
	}
	return append(dst, '"')
}

func parseJSON(l *lua.LState, text []byte, null *lua.LUserData) (lua.LValue, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	value, err := nextJSON(l, d, null, 0)
	if err != nil {
		return nil, fmt.Errorf("Expected value but found invalid token at character %d", d.InputOffset()+1)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("Expected the end but found invalid token at character %d", d.InputOffset()+1)
	}
	return value, nil
}

func nextJSON(l *lua.LState, d *json.Decoder, null *lua.LUserData, depth int) (lua.LValue, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("too deep")
	}
	switch x := token.(type) {
	case string:
		return lua.LString(x), nil
	case float64:
		return lua.LNumber(x), nil
	case bool:
		return lua.LBool(x), nil
	case nil:
		return null, nil
	case json.Delim:
		t := l.NewTable()
		for i := 1; d.More(); i++ {
			var key lua.LValue = lua.LNumber(i)
			if x == '{' {
				if key, err = nextJSON(l, d, null, depth+1); err != nil {
					return nil, err
				}
			}
			value, err := nextJSON(l, d, null, depth+1)
			if err != nil {
				return nil, err
			}
			t.RawSet(key, value)
		}
		_, err = d.Token()
		return t, err
	}
	return nil, fmt.Errorf("unknown token")
}
