package scripting

import (
	"encoding/binary"
	"errors"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// cmsgpackLib returns the table of cmsgpack: pack, unpack and its variants.
func cmsgpackLib(l *lua.LState) *lua.LTable {
	t := l.NewTable()
	l.SetFuncs(t, map[string]lua.LGFunction{
		"pack": func(l *lua.LState) int {
			var out []byte
			if l.GetTop() == 0 {
				l.ArgError(0, "MessagePack pack needs input.")
			}
			for i := 1; i <= l.GetTop(); i++ {
				out = appendMsgpack(out, l.Get(i), 0)
			}
			l.Push(lua.LString(out))
			return 1
		},
		"unpack": func(l *lua.LState) int {
			n, _ := unpackMsgpack(l, 1, -1)
			return n
		},
		"unpack_one": func(l *lua.LState) int {
			return unpackSome(l, 1, int(l.OptNumber(2, 0)))
		},
		"unpack_limit": func(l *lua.LState) int {
			return unpackSome(l, int(l.CheckNumber(2)), int(l.OptNumber(3, 0)))
		},
	})
	return t
}

// unpackSome pushes where to go on, -1 for the end, and up to limit values from an offset.
func unpackSome(l *lua.LState, limit, offset int) int {
	size := len(l.CheckString(1))
	switch {
	case offset < 0 || limit < 0:
		l.RaiseError("Invalid request to unpack with offset of %d and limit of %d.", offset, size)
	case offset > size:
		l.RaiseError("Start offset %d greater than input length %d.", offset, size)
	}
	if limit == 0 {
		limit = -1
	}
	l.Push(lua.LNumber(0))
	place := l.GetTop()
	n, rest := unpackMsgpack(l, offset+1, limit)
	next := size - rest
	if rest == 0 {
		next = -1
	}
	l.Replace(place, lua.LNumber(next))
	return n + 1
}

// unpackMsgpack pushes up to limit values, or all if that is negative, from the first argument's byte from
// on. It returns how many, and how many bytes are left.
func unpackMsgpack(l *lua.LState, from, limit int) (n, left int) {
	rest := []byte(l.CheckString(1))[from-1:]
	for ; len(rest) > 0 && n != limit; n++ {
		var value lua.LValue
		var err error
		if value, rest, err = nextMsgpack(l, rest, 0); err != nil {
			l.RaiseError("%s", err.Error())
		}
		l.Push(value)
	}
	return n, len(rest)
}

// appendMsgpack writes a value as https://github.com/msgpack/msgpack/blob/master/spec.md has it.
func appendMsgpack(dst []byte, value lua.LValue, depth int) []byte {
	switch x := value.(type) {
	case lua.LString:
		return append(msgpackHead(dst, len(x), 0xa0, 31, 0xd9, 0xda, 0xdb), x...)
	case lua.LBool:
		if x {
			return append(dst, 0xc3)
		}
		return append(dst, 0xc2)
	case lua.LNumber:
		return appendMsgpackNumber(dst, float64(x))
	case *lua.LTable:
		if depth > 16 { // as lua-cmsgpack: what is nested deeper is nil
			return append(dst, 0xc0)
		}
		return appendMsgpackTable(dst, x, depth)
	}
	return append(dst, 0xc0)
}

// msgpackHead writes the length of something: in the first byte up to small, else in one, two or four
// bytes after the tags; a tag of 0 is not to be had.
func msgpackHead(dst []byte, n int, fix byte, small int, tag8, tag16, tag32 byte) []byte {
	switch {
	case n <= small:
		return append(dst, fix|byte(n))
	case n <= 0xff && tag8 != 0:
		return append(dst, tag8, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, tag16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, tag32), uint32(n))
	}
}

func appendMsgpackNumber(dst []byte, f float64) []byte {
	n := int64(f)
	if float64(n) != f || math.Abs(f) > 1<<62 {
		if float64(float32(f)) == f {
			return binary.BigEndian.AppendUint32(append(dst, 0xca), math.Float32bits(float32(f)))
		}
		return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
	}
	switch {
	case n >= 0 && n <= 127, n < 0 && n >= -32:
		return append(dst, byte(n))
	case n >= 0 && n <= 0xff:
		return append(dst, 0xcc, byte(n))
	case n >= 0 && n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(n))
	case n >= 0 && n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(n))
	case n >= 0:
		return binary.BigEndian.AppendUint64(append(dst, 0xcf), uint64(n))
	case n >= math.MinInt8:
		return append(dst, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(n))
	}
}

func appendMsgpackTable(dst []byte, t *lua.LTable, depth int) []byte {
	items, highest, array := 0, 0, true
	t.ForEach(func(key, _ lua.LValue) {
		items++
		n, ok := key.(lua.LNumber)
		if !ok || n < 1 || float64(n) != math.Floor(float64(n)) {
			array = false
			return
		}
		highest = max(highest, int(min(n, 1<<40)))
	})
	if array && highest == items {
		dst = msgpackHead(dst, items, 0x90, 15, 0, 0xdc, 0xdd)
		for i := 1; i <= items; i++ {
			dst = appendMsgpack(dst, t.RawGetInt(i), depth+1)
		}
		return dst
	}
	dst = msgpackHead(dst, items, 0x80, 15, 0, 0xde, 0xdf)
	t.ForEach(func(key, value lua.LValue) {
		dst = appendMsgpack(dst, key, depth+1)
		dst = appendMsgpack(dst, value, depth+1)
	})
	return dst
}

var errMsgpack = errors.New("Bad data format in input.") //nolint:staticcheck // Redis says it so

// nextMsgpack reads one value and returns what follows it.
func nextMsgpack(l *lua.LState, b []byte, depth int) (lua.LValue, []byte, error) {
	if len(b) == 0 || depth > maxDepth {
		return nil, nil, errMsgpack
	}
	tag := b[0]
	b = b[1:]
	switch {
	case tag <= 0x7f:
		return lua.LNumber(tag), b, nil
	case tag >= 0xe0:
		return lua.LNumber(int8(tag)), b, nil
	case tag <= 0x8f:
		return msgpackMap(l, b, int(tag&15), depth)
	case tag <= 0x9f:
		return msgpackArray(l, b, int(tag&15), depth)
	case tag <= 0xbf:
		return msgpackString(b, int(tag&31))
	}
	width, known := map[byte]int{
		0xc0: 0, 0xc2: 0, 0xc3: 0, 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8,
		0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4,
	}[tag]
	if !known || len(b) < width {
		return nil, nil, errMsgpack
	}
	var n uint64
	for _, x := range b[:width] {
		n = n<<8 | uint64(x)
	}
	return msgpackTagged(l, tag, n, b[width:], depth)
}

func msgpackTagged(l *lua.LState, tag byte, n uint64, b []byte, depth int) (lua.LValue, []byte, error) {
	switch tag {
	case 0xc0:
		return lua.LNil, b, nil
	case 0xc2, 0xc3:
		return lua.LBool(tag == 0xc3), b, nil
	case 0xca:
		return lua.LNumber(math.Float32frombits(uint32(n))), b, nil
	case 0xcb:
		return lua.LNumber(math.Float64frombits(n)), b, nil
	case 0xcc, 0xcd, 0xce, 0xcf:
		return lua.LNumber(n), b, nil
	case 0xd0:
		return lua.LNumber(int8(n)), b, nil
	case 0xd1:
		return lua.LNumber(int16(n)), b, nil
	case 0xd2:
		return lua.LNumber(int32(n)), b, nil
	case 0xd3:
		return lua.LNumber(int64(n)), b, nil
	case 0xdc, 0xdd:
		return msgpackArray(l, b, int(n), depth)
	case 0xde, 0xdf:
		return msgpackMap(l, b, int(n), depth)
	default:
		return msgpackString(b, int(n))
	}
}

func msgpackString(b []byte, n int) (lua.LValue, []byte, error) {
	if len(b) < n {
		return nil, nil, errMsgpack
	}
	return lua.LString(b[:n]), b[n:], nil
}

func msgpackArray(l *lua.LState, b []byte, n, depth int) (lua.LValue, []byte, error) {
	t := l.NewTable()
	for i := 1; i <= n; i++ {
		value, rest, err := nextMsgpack(l, b, depth+1)
		if err != nil {
			return nil, nil, err
		}
		t.RawSetInt(i, value)
		b = rest
	}
	return t, b, nil
}

func msgpackMap(l *lua.LState, b []byte, n, depth int) (lua.LValue, []byte, error) {
	t := l.NewTable()
	for range n {
		key, rest, err := nextMsgpack(l, b, depth+1)
		if err != nil || key == lua.LNil {
			return nil, nil, errMsgpack
		}
		value, rest, err := nextMsgpack(l, rest, depth+1)
		if err != nil {
			return nil, nil, err
		}
		t.RawSet(key, value)
		b = rest
	}
	return t, b, nil
}
