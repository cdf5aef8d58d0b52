package scalars

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// generator makes commands of this package: sensible ones, odd ones, and wrong ones.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) key() string { return "k" + strconv.Itoa(g.IntN(6)) }

func (g generator) value() string {
	switch g.IntN(8) {
	case 0:
		return g.pick("", "0", "-0", "01", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e3", "inf", "x")
	case 1, 2:
		return strconv.Itoa(g.IntN(2000) - 1000)
	case 3:
		return g.float()
	case 4:
		return strings.Repeat(g.pick("\xff", "\x00", "ab", "\xff\x0f"), g.IntN(40))
	default:
		b := make([]byte, g.IntN(24))
		for i := range b {
			b[i] = "abc\x00\xff\x10"[g.IntN(6)]
		}
		return string(b)
	}
}

func (g generator) float() string {
	switch g.IntN(6) {
	case 0:
		return g.pick("inf", "-inf", "nan", "0x1f", "1e", "1e-20", "-1e-17", "5e-18", "1e18", "+1.5", ".5", "5.", "1e4932", "1e5000", "3 ", " 3")
	case 1:
		return strconv.FormatFloat(g.NormFloat64()*1e10, 'g', -1, 64)
	case 2:
		return strconv.FormatFloat(g.NormFloat64()*1e-10, 'f', -1, 64)
	case 3:
		return fmt.Sprintf("%d.%018d", g.Int64N(1000), g.Int64N(1e18))
	default:
		return strconv.FormatFloat(float64(g.IntN(2000))/100, 'g', -1, 64)
	}
}

func (g generator) place() string {
	if g.IntN(12) == 0 {
		return g.pick("x", "", "9223372036854775807", "-9223372036854775808", "4294967296")
	}
	return strconv.Itoa(g.IntN(120) - 50)
}

func (g generator) offset() string {
	if g.IntN(15) == 0 {
		return g.pick("-1", "x", "4294967296", "#1", "#-1", "9223372036854775807", "#9223372036854775807")
	}
	return strconv.Itoa(g.IntN(200))
}

func (g generator) integer() string {
	switch g.IntN(10) {
	case 0:
		return g.pick("9223372036854775807", "-9223372036854775808", "x", "", "1.5", "9223372036854775808", "4611686018427387904")
	case 1:
		return strconv.FormatInt(int64(g.Uint64()), 10)
	default:
		return strconv.Itoa(g.IntN(600) - 300)
	}
}

func (g generator) expiry() []string {
	switch g.IntN(7) {
	case 0:
		return []string{g.pick("EX", "px", "EXAT", "PXAT"), g.pick("0", "-1", "x", "9223372036854775807", "9223372036854775", "9223372036854776")}
	case 1:
		return []string{"EX", "100", g.pick("EX", "PX", "KEEPTTL", "PERSIST"), "1050"}
	case 2:
		return []string{g.pick("PXAT", "exat"), "99999999999999"}
	case 3:
		return []string{g.pick("ex", "PX", "EXAT", "PXAT")}
	default:
		return []string{g.pick("EX", "ex"), strconv.Itoa(100050 + 100000*g.IntN(5))}
	}
}

func (g generator) some(n int, f func() []string) []string {
	var all []string
	for range g.IntN(n) {
		all = append(all, f()...)
	}
	return all
}

func (g generator) setOption() []string {
	if g.IntN(2) == 0 {
		return g.expiry()
	}
	return []string{g.pick("NX", "xx", "GET", "get", "KEEPTTL", "keepttl", "PERSIST", "junk", "-")}
}

func (g generator) getExOption() []string {
	if g.IntN(3) == 0 {
		return []string{g.pick("PERSIST", "persist", "KEEPTTL", "NX")}
	}
	if g.IntN(6) == 0 {
		return []string{"EXAT", "99999999"} // past: only SET of the same key would log its expiry too
	}
	return g.expiry()
}

func (g generator) bitFieldOp() []string {
	kind := g.pick("u", "i") + strconv.Itoa(1+g.IntN(64))
	if g.IntN(20) == 0 {
		kind = g.pick("u64", "i65", "x8", "u0", "", "I8", "i-1")
	}
	at := g.offset()
	if g.IntN(3) == 0 {
		at = "#" + strconv.Itoa(g.IntN(12))
	}
	switch g.IntN(8) {
	case 0, 1:
		return []string{g.pick("GET", "get"), kind, at}
	case 2, 3:
		return []string{"SET", kind, at, g.integer()}
	case 4:
		return []string{"OVERFLOW", g.pick("WRAP", "sat", "FAIL", "fail", "no")}
	case 5:
		return []string{g.pick("GET", "SET", "INCRBY", "OVERFLOW", "junk"), kind}
	default:
		return []string{"INCRBY", kind, at, g.integer()}
	}
}

func (g generator) keys() []string { return []string{g.key()} }

func (g generator) pair() []string { return []string{g.key(), g.value()} }

func (g generator) span() []string {
	s := []string{g.place(), g.place(), g.pick("BYTE", "bit", "BIT", "junk"), "more"}
	return s[:[]int{0, 0, 1, 2, 2, 2, 3, 3, 3, 3, 4}[g.IntN(11)]]
}

func (g generator) lcsOption() []string {
	return slices.Clone([][]string{{"LEN"}, {"IDX"}, {"idx"}, {"WITHMATCHLEN"}, {"MINMATCHLEN", g.place()}, {"junk"}}[g.IntN(6)])
}

// commands has a maker of each command.
func (g generator) commands() []func() []string {
	cmd := func(name string, parts ...[]string) []string {
		return append([]string{name}, slices.Concat(parts...)...)
	}
	return []func() []string{
		func() []string { return cmd("SET", g.pair()) },
		func() []string { return cmd("set", g.pair(), g.some(4, g.setOption)) },
		func() []string { return cmd("SET", g.pair(), g.some(3, g.setOption)) },
		func() []string { return cmd("GET", g.keys()) },
		func() []string { return cmd("GETSET", g.pair()) },
		func() []string { return cmd("GETDEL", g.keys()) },
		func() []string { return cmd("GETEX", g.keys(), g.some(3, g.getExOption)) },
		func() []string { return cmd("SETEX", g.keys(), []string{g.pick("100050", "0", "-1", "x"), g.value()}) },
		func() []string {
			return cmd("PSETEX", g.keys(), []string{g.pick("100050000", "0", "9223372036854775807", "x"), g.value()})
		},
		func() []string { return cmd("SETNX", g.pair()) },
		func() []string { return cmd("MSET", g.pair(), g.some(4, g.pair)) },
		func() []string { return cmd("MSETNX", g.pair(), g.some(3, g.keys)) },
		func() []string { return cmd("MGET", g.keys(), g.some(5, g.keys)) },
		func() []string { return cmd("APPEND", g.pair()) },
		func() []string { return cmd("STRLEN", g.keys()) },
		func() []string {
			return cmd("SETRANGE", g.keys(), []string{g.pick("0", "1", "7", "70", "-1", "x", "536870912"), g.value()})
		},
		func() []string { return cmd(g.pick("GETRANGE", "SUBSTR"), g.keys(), []string{g.place(), g.place()}) },
		func() []string { return cmd(g.pick("INCR", "DECR"), g.keys()) },
		func() []string { return cmd(g.pick("INCRBY", "DECRBY"), g.keys(), []string{g.integer()}) },
		func() []string { return cmd("INCRBYFLOAT", g.keys(), []string{g.float()}) },
		func() []string { return cmd("LCS", g.keys(), g.keys(), g.some(4, g.lcsOption)) },
		func() []string { return cmd("SETBIT", g.keys(), []string{g.offset(), g.pick("0", "1", "1", "2", "x")}) },
		func() []string { return cmd("GETBIT", g.keys(), []string{g.offset()}) },
		func() []string { return cmd("BITCOUNT", g.keys(), g.span()) },
		func() []string {
			return cmd("BITPOS", g.keys(), []string{g.pick("0", "1", "0", "1", "2", "x")}, g.span())
		},
		func() []string {
			return cmd("BITOP", []string{g.pick("AND", "or", "XOR", "NOT", "no")}, g.keys(), g.keys(), g.some(3, g.keys))
		},
		func() []string {
			return cmd(g.pick("BITFIELD", "BITFIELD", "BITFIELD_RO"), g.keys(), g.some(4, g.bitFieldOp))
		},
		func() []string { return cmd("BITFIELD_RO", g.keys(), []string{"GET", "u8", g.offset()}) },
		func() []string { return cmd("PFADD", []string{"h" + g.key()}, g.some(4, g.keys)) },
		func() []string { return cmd(g.pick("PFADD", "PFCOUNT", "PFMERGE"), g.keys(), g.some(2, g.keys)) },
		func() []string { return cmd("PFCOUNT", []string{"h" + g.key()}) },
		func() []string {
			return cmd(g.pick("PFMERGE", "PFCOUNT"), []string{"h" + g.key(), "h" + g.key(), "h" + g.key()})
		},
		func() []string { return cmd(g.pick("GET", "GETRANGE", "MSET", "BITPOS", "LCS"), g.some(3, g.keys)) },
	}
}
