package scripting

import lua "github.com/yuin/gopher-lua"

// random is the generator of math.random: that of lrand48, as in Redis, so that math.randomseed starts the
// same sequence.
type random struct{ x uint64 }

func (r *random) seed(n uint32) { r.x = uint64(n)<<16 | 0x330e }

// next returns 31 random bits.
func (r *random) next() int64 {
	r.x = (r.x*0x5deece66d + 0xb) & (1<<48 - 1)
	return int64(r.x >> 17)
}

const randomMax = 1<<31 - 1

func (r *random) install(l *lua.LState, math *lua.LTable) {
	math.RawSetString("random", l.NewFunction(func(l *lua.LState) int {
		f := float64(r.next()%randomMax) / randomMax
		switch l.GetTop() {
		case 0:
			l.Push(lua.LNumber(f))
		case 1:
			upper := l.CheckInt64(1)
			if upper < 1 {
				l.ArgError(1, "interval is empty")
			}
			l.Push(lua.LNumber(float64(int64(f*float64(upper))) + 1))
		case 2:
			low, high := l.CheckInt64(1), l.CheckInt64(2)
			if low > high {
				l.ArgError(2, "interval is empty")
			}
			l.Push(lua.LNumber(float64(int64(f*float64(high-low+1))) + float64(low)))
		default:
			l.RaiseError("wrong number of arguments")
		}
		return 1
	}))
	math.RawSetString("randomseed", l.NewFunction(func(l *lua.LState) int {
		r.seed(uint32(l.CheckInt64(1)))
		return 0
	}))
}
