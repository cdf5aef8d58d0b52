package scripting

import (
	"encoding/binary"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// structLib returns the table of struct: pack, unpack, size, with the formats of
// http://www.inf.puc-rio.br/~roberto/struct/, on 64 bits, without native alignment unless "!" asks for it.
func structLib(l *lua.LState) *lua.LTable {
	t := l.NewTable()
	l.SetFuncs(t, map[string]lua.LGFunction{"pack": structPack, "unpack": structUnpack, "size": structSize})
	return t
}

// layout reads a format, option by option.
type layout struct {
	l     *lua.LState
	text  string
	at    int
	order binary.ByteOrder
	align int
}

func newLayout(l *lua.LState) *layout {
	return &layout{l: l, text: l.CheckString(1), order: binary.LittleEndian, align: 1}
}

// next returns the next option with its size and the padding before it at offset; done says that there is
// none.
func (f *layout) next(offset int) (option byte, size, padding int, done bool) {
	for f.at < len(f.text) {
		option = f.text[f.at]
		f.at++
		switch option {
		case ' ':
			continue
		case '<':
			f.order = binary.LittleEndian
			continue
		case '>':
			f.order = binary.BigEndian
			continue
		case '!':
			f.align = f.number(8)
			if f.align&(f.align-1) != 0 || f.align == 0 {
				f.l.RaiseError("alignment is not a power of 2")
			}
			continue
		}
		size = f.size(option)
		if size > 1 && f.align > 1 && option != 'c' && option != 's' {
			to := min(size, f.align)
			padding = (to - offset%to) % to
		}
		return option, size, padding, false
	}
	return 0, 0, 0, true
}

func (f *layout) number(otherwise int) int {
	n, found := 0, false
	for f.at < len(f.text) && f.text[f.at] >= '0' && f.text[f.at] <= '9' {
		n = n*10 + int(f.text[f.at]-'0')
		if n > math.MaxInt32 {
			f.l.RaiseError("integral size overflow")
		}
		f.at++
		found = true
	}
	if !found {
		return otherwise
	}
	return n
}

func (f *layout) size(option byte) int {
	switch option {
	case 'b', 'B', 'x':
		return 1
	case 'h', 'H':
		return 2
	case 'l', 'L', 'T', 'd', 'n':
		return 8
	case 'f':
		return 4
	case 's':
		return 0
	case 'c':
		return f.number(1)
	case 'i', 'I':
		n := f.number(4)
		if n > 32 || n < 1 {
			f.l.RaiseError("integral size %d is larger than limit of %d", n, 32)
		}
		return n
	}
	f.l.RaiseError("invalid format option '%c'", option)
	return 0
}

func structPack(l *lua.LState) int {
	f := newLayout(l)
	var out []byte
	for arg := 2; ; {
		option, size, padding, done := f.next(len(out))
		if done {
			break
		}
		out = append(out, make([]byte, padding)...)
		switch option {
		case 'x':
			out = append(out, 0)
			continue
		case 's', 'c':
			s := l.CheckString(arg)
			if option == 'c' && size > 0 && len(s) < size {
				l.ArgError(arg, "string too short")
			}
			if option == 'c' && size > 0 {
				s = s[:size]
			}
			out = append(out, s...)
			if option == 's' {
				out = append(out, 0)
			}
		case 'f':
			out = f.appendInt(out, uint64(math.Float32bits(float32(l.CheckNumber(arg)))), 4)
		case 'd', 'n':
			out = f.appendInt(out, math.Float64bits(float64(l.CheckNumber(arg))), 8)
		default:
			out = f.appendInt(out, uint64(toInt(float64(l.CheckNumber(arg)))), size)
		}
		arg++
	}
	l.Push(lua.LString(out))
	return 1
}

func toInt(f float64) int64 {
	if f >= 1<<63 {
		return int64(uint64(f))
	}
	return int64(f)
}

// appendInt writes the low bytes of n, with the sign extended beyond eight.
func (f *layout) appendInt(dst []byte, n uint64, size int) []byte {
	from := len(dst)
	for i := range size {
		b := byte(int64(n) >> 63)
		if i < 8 {
			b = byte(n >> (8 * i))
		}
		dst = append(dst, b)
	}
	if f.order == binary.BigEndian {
		for i, j := from, len(dst)-1; i < j; i, j = i+1, j-1 {
			dst[i], dst[j] = dst[j], dst[i]
		}
	}
	return dst
}

func structUnpack(l *lua.LState) int {
	f := newLayout(l)
	data := l.CheckString(2)
	at := l.OptInt(3, 1) - 1
	if at < 0 || at > len(data) {
		l.ArgError(3, "offset must be 1 or greater")
	}
	n, last := 0, 0
	for {
		option, size, padding, done := f.next(at)
		if done {
			break
		}
		at += padding
		if option == 'c' && size == 0 {
			if n == 0 {
				l.RaiseError("format 'c0' needs a previous size")
			}
			size = last
			l.Pop(1)
			n--
		}
		if at+size > len(data) || size < 0 {
			l.ArgError(2, "data string too short")
		}
		field := data[at : at+size]
		at += size
		switch option {
		case 'x':
			continue
		case 'c':
			l.Push(lua.LString(field))
		case 's':
			end := at
			for end < len(data) && data[end] != 0 {
				end++
			}
			if end == len(data) {
				l.ArgError(2, "unfinished string in data")
			}
			l.Push(lua.LString(data[at:end]))
			at = end + 1
		default:
			value := f.value(option, field)
			last = int(value)
			l.Push(lua.LNumber(value))
		}
		n++
	}
	l.Push(lua.LNumber(at + 1))
	return n + 1
}

func (f *layout) value(option byte, field string) float64 {
	var n uint64
	size := len(field)
	for i := range min(size, 8) {
		b := field[i]
		if f.order == binary.BigEndian {
			b = field[size-1-i]
		}
		n |= uint64(b) << (8 * i)
	}
	switch option {
	case 'f':
		return float64(math.Float32frombits(uint32(n)))
	case 'd', 'n':
		return math.Float64frombits(n)
	case 'b', 'h', 'l', 'i':
		shift := 64 - 8*min(size, 8)
		return float64(int64(n<<shift) >> shift)
	}
	return float64(n)
}

func structSize(l *lua.LState) int {
	f := newLayout(l)
	total := 0
	for {
		option, size, padding, done := f.next(total)
		if done {
			break
		}
		if option == 's' || option == 'c' && size == 0 {
			l.ArgError(1, "variable-size format in 'size'")
		}
		total += padding + size
	}
	l.Push(lua.LNumber(total))
	return 1
}
