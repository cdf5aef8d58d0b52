package scripting

import (
	"fmt"
	"math/bits"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// bitLib returns the table of LuaBitOp: operations on 32 bits, with signed results.
func bitLib(l *lua.LState) *lua.LTable {
	fold := func(op func(a, b uint32) uint32) lua.LGFunction {
		return func(l *lua.LState) int {
			x := bitArg(l, 1)
			for i := 2; i <= l.GetTop(); i++ {
				x = op(x, bitArg(l, i))
			}
			return pushBits(l, x)
		}
	}
	shift := func(op func(x uint32, n int) uint32) lua.LGFunction {
		return func(l *lua.LState) int { return pushBits(l, op(bitArg(l, 1), int(bitArg(l, 2)&31))) }
	}
	t := l.NewTable()
	l.SetFuncs(t, map[string]lua.LGFunction{
		"tobit":   func(l *lua.LState) int { return pushBits(l, bitArg(l, 1)) },
		"bnot":    func(l *lua.LState) int { return pushBits(l, ^bitArg(l, 1)) },
		"band":    fold(func(a, b uint32) uint32 { return a & b }),
		"bor":     fold(func(a, b uint32) uint32 { return a | b }),
		"bxor":    fold(func(a, b uint32) uint32 { return a ^ b }),
		"lshift":  shift(func(x uint32, n int) uint32 { return x << n }),
		"rshift":  shift(func(x uint32, n int) uint32 { return x >> n }),
		"arshift": shift(func(x uint32, n int) uint32 { return uint32(int32(x) >> n) }),
		"rol":     shift(bits.RotateLeft32),
		"ror":     shift(func(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }),
		"bswap":   func(l *lua.LState) int { return pushBits(l, bits.ReverseBytes32(bitArg(l, 1))) },
		"tohex":   toHex,
	})
	return t
}

func bitArg(l *lua.LState, i int) uint32 { return uint32(int64(l.CheckNumber(i))) }

func pushBits(l *lua.LState, x uint32) int {
	l.Push(lua.LNumber(int32(x)))
	return 1
}

func toHex(l *lua.LState) int {
	n := l.OptInt(2, 8)
	text := fmt.Sprintf("%08x", bitArg(l, 1))
	if n < 0 {
		n, text = -n, strings.ToUpper(text)
	}
	l.Push(lua.LString(text[8-min(n, 8):]))
	return 1
}
