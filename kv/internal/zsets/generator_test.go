package zsets_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// generator makes random commands: most of them good, some with every mistake.
type generator struct{ *rand.Rand }

func (g generator) of(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g generator) key() string { return g.of("z1", "z2", "z3", "z4", "none", "str") }

func (g generator) member() string {
	if g.IntN(4) == 0 {
		return strconv.Itoa(g.IntN(40) - 20)
	}
	if g.IntN(100) == 0 {
		return strings.Repeat("x", 60+g.IntN(10))
	}
	return "m" + strconv.Itoa(g.IntN(60))
}

func (g generator) score() string {
	return g.of("0", "-0", "1", "2", "3", "1.5", "-7", "inf", "-inf", "+inf", "nan", "1e17", "1e20", "1e15", "123456789012",
		"0.1", "1e400", "1e-400", "3.14159", "0x10", "abc", "", " 1", "5e-324", "100000000000000000", "4611686018427387904",
		"9223372036854775807", strconv.Itoa(g.IntN(100)), strconv.Itoa(g.IntN(10)), fmt.Sprint(g.Float64()))
}

func (g generator) bound() string {
	return g.of("", "(", "", "", "") + g.of(g.score(), strconv.Itoa(g.IntN(10)), "-inf", "+inf")
}

func (g generator) lex() string {
	return g.of("-", "+", "[", "(", "[m3", "(m5", "[m1", "(", "[m9", "[-5", "x", "", "[z", "+x")
}

func (g generator) num() string {
	return g.of("0", "1", "2", "3", "-1", "-2", "-3", "5", "100", "-100", "x", "10", strconv.Itoa(g.IntN(60)-20),
		"9223372036854775807", "-9223372036854775808")
}

// maybe is the words, once in n times.
func (g generator) maybe(n int, words ...string) []string {
	if g.IntN(n) == 0 {
		return words
	}
	return nil
}

func (g generator) many(n int, f func() string) (list []string) {
	for range n {
		list = append(list, f())
	}
	return list
}

// numbered is a list of keys behind its length.
func (g generator) numbered() []string {
	n := g.IntN(4)
	keys := g.many(n, g.key)
	if g.IntN(20) == 0 {
		return join(g.num(), keys)
	}
	return join(strconv.Itoa(n), keys)
}

// join makes one list of words and lists of words.
func join(parts ...any) (list []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			list = append(list, p)
		case []string:
			list = append(list, p...)
		}
	}
	return list
}

func (g generator) limit() []string  { return g.maybe(3, "LIMIT", g.num(), g.num()) }
func (g generator) scores() []string { return g.maybe(3, "WITHSCORES") }

func (g generator) pairs(n int) (list []string) {
	for range n {
		list = append(list, strconv.Itoa(g.IntN(10)), g.member())
	}
	return list
}

func (g generator) combined(op string) []string {
	keys := g.numbered()
	return join(op, keys, g.maybe(3, join("WEIGHTS", g.many(len(keys)-1, g.score))...),
		g.maybe(3, "AGGREGATE", g.of("sum", "MIN", "max", "x")), g.maybe(4, "WITHSCORES"), g.maybe(20, "LIMIT", g.num()))
}

// zset is a command of sorted sets.
func (g generator) zset() []string {
	makers := []func() []string{
		func() []string {
			return join("ZADD", g.key(), g.maybe(6, "NX"), g.maybe(6, "XX"), g.maybe(6, "GT"), g.maybe(6, "LT"), g.maybe(4, "CH"),
				g.maybe(5, "INCR"), g.many(g.IntN(2)*2, g.score), g.score(), g.member())
		},
		func() []string { return join("ZADD", g.key(), g.score(), g.member(), g.maybe(9, "x")) },
		func() []string { return join("ZADD", g.key(), g.pairs(g.IntN(40))) },
		func() []string { return join("ZADD", "z3", g.pairs(200)) },
		func() []string { return join("ZINCRBY", g.key(), g.of(g.score(), "1", "nx"), g.member()) },
		func() []string { return join("ZREM", g.key(), g.many(1+g.IntN(4), g.member)) },
		func() []string { return join(g.of("ZCARD", "ZPOPMIN", "ZPOPMAX", "DEL"), g.key()) },
		func() []string { return join(g.of("ZSCORE", "ZRANK", "ZREVRANK"), g.key(), g.member()) },
		func() []string { return join("ZMSCORE", g.key(), g.many(1+g.IntN(4), g.member)) },
		func() []string { return join(g.of("ZPOPMIN", "ZPOPMAX"), g.key(), g.num()) },
		func() []string {
			return join("ZMPOP", g.numbered(), g.of("MIN", "max", "MIN", "x"), g.maybe(2, "COUNT", g.num()), g.maybe(20, "COUNT", g.num()))
		},
		func() []string {
			return join("BZPOPMIN", "z1", "z2", "text", g.of("0.01", "0", "-1", "x", "1e30", "inf"))
		},
		func() []string {
			return join("BZMPOP", g.of("0.01", "x", "-1"), "3", "z1", "z3", "text", g.of("MIN", "max"), g.maybe(2, "COUNT", g.num()))
		},
		func() []string {
			return join("ZRANDMEMBER", g.key(), g.of("0", "1000", "x", "-9223372036854775808", "0"), g.maybe(2, "WITHSCORES"))
		},
		func() []string { return g.combined(g.of("ZUNION", "ZINTER")) },
		func() []string { return g.combined(g.of("ZUNIONSTORE ", "ZINTERSTORE ") + g.key()) },
		func() []string { return join("ZDIFF", g.numbered(), g.scores(), g.maybe(20, "WEIGHTS", "1")) },
		func() []string { return join("ZDIFFSTORE", g.key(), g.numbered(), g.maybe(20, "WITHSCORES")) },
		func() []string { return join("ZINTERCARD", g.numbered(), g.maybe(3, "LIMIT", g.num())) },
		func() []string {
			return join("ZSCAN", g.key(), g.of("0", "0", "x", "", "5x"), g.maybe(4, "MATCH", g.of("m*", "m[1-3]?", "*")),
				"COUNT", g.of("1000", "0", "x", "1000"), g.maybe(20, "x"))
		},
	}
	makers = append(makers, g.ranges()...)
	words := makers[g.IntN(len(makers))]()
	// The name and the first key of combinations come in one.
	return append(strings.Fields(words[0]), words[1:]...)
}

func (g generator) ranges() []func() []string {
	return []func() []string{
		func() []string {
			return join("ZRANGE", g.key(), g.num(), g.num(), g.maybe(3, "REV"), g.scores(), g.maybe(20, "BYSCORE"), g.maybe(9, "LIMIT", "0", g.num()))
		},
		func() []string { return join("ZRANGE", g.key(), "0", "-1", "WITHSCORES") },
		func() []string {
			return join("ZRANGE", g.key(), g.bound(), g.bound(), "BYSCORE", g.maybe(3, "REV"), g.scores(), g.limit())
		},
		func() []string {
			return join("ZRANGE", "lex", g.lex(), g.lex(), "BYLEX", g.maybe(3, "REV"), g.maybe(9, "WITHSCORES"), g.limit())
		},
		func() []string {
			return join("ZRANGESTORE", g.key(), g.key(), g.num(), g.num(), g.maybe(3, "REV"), g.maybe(10, "WITHSCORES"))
		},
		func() []string {
			return join("ZRANGESTORE", g.key(), g.key(), g.bound(), g.bound(), "BYSCORE", g.maybe(3, "REV"), g.limit())
		},
		func() []string { return join("ZREVRANGE", g.key(), g.num(), g.num(), g.scores(), g.maybe(20, "REV")) },
		func() []string {
			return join(g.of("ZRANGEBYSCORE", "ZREVRANGEBYSCORE"), g.key(), g.bound(), g.bound(), g.scores(), g.limit())
		},
		func() []string {
			return join(g.of("ZRANGEBYLEX", "ZREVRANGEBYLEX"), "lex", g.lex(), g.lex(), g.limit())
		},
		func() []string { return join(g.of("ZCOUNT", "ZREMRANGEBYSCORE"), g.key(), g.bound(), g.bound()) },
		func() []string { return join("ZREMRANGEBYRANK", g.key(), g.num(), g.num()) },
		func() []string {
			return join(g.of("ZLEXCOUNT", "ZLEXCOUNT", "ZREMRANGEBYLEX"), "lex", g.lex(), g.lex())
		},
		func() []string { return join("ZADD", "lex", "0", g.member(), "0", g.member(), "0", g.member()) },
	}
}

func (g generator) coordinates() []string {
	return []string{fmt.Sprint(g.Float64()*360 - 180), fmt.Sprint(g.Float64()*170 - 85)}
}

func (g generator) unit() string { return g.of("m", "km", "KM", "ft", "mi", "km", "x") }

func (g generator) length() string {
	return g.of("0", "1", "100", "1000", "5000", "20000", "1e9", "-1", "x", "inf", fmt.Sprint(g.Float64()*3000), fmt.Sprint(g.Float64()*9000))
}

func (g generator) options() []string {
	return join(g.maybe(3, "WITHDIST"), g.maybe(3, "WITHHASH"), g.maybe(3, "WITHCOORD"), g.maybe(3, g.of("ASC", "DESC")),
		g.maybe(3, join("COUNT", g.of("1", "3", "10", "0", "x"), g.maybe(3, "ANY"))...), g.maybe(20, "ANY"), g.maybe(30, "x"))
}

func (g generator) area() []string {
	where := join("FROMLONLAT", g.coordinates())
	if g.IntN(2) == 0 {
		where = join("FROMMEMBER", g.member())
	}
	if g.IntN(2) == 0 {
		return join(where, "BYRADIUS", g.length(), g.unit())
	}
	return join(where, "BYBOX", g.length(), g.length(), g.unit(), g.maybe(20, "BYRADIUS", "1", "m"))
}

// place is a command of places.
func (g generator) place() []string {
	makers := []func() []string{
		func() []string {
			words := join("GEOADD", g.key(), g.maybe(8, "NX"), g.maybe(8, "XX"), g.maybe(8, "CH"))
			for range 1 + g.IntN(3) {
				words = join(words, g.coordinates(), g.member())
			}
			return words
		},
		func() []string { return join("GEOADD", g.key(), g.of("181", "x", "inf"), g.of("0", "86"), g.member()) },
		func() []string { return join("GEODIST", g.key(), g.member(), g.member(), g.maybe(2, g.unit())) },
		func() []string { return join(g.of("GEOHASH", "GEOPOS"), g.key(), g.many(g.IntN(5), g.member)) },
		func() []string {
			return join(g.of("GEORADIUS", "GEORADIUS_RO"), g.key(), g.coordinates(), g.length(), g.unit(), g.options(),
				g.maybe(3, g.of("STORE", "STOREDIST"), "dest"))
		},
		func() []string {
			return join(g.of("GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"), g.key(), g.member(), g.length(), g.unit(), g.options(),
				g.maybe(3, g.of("STORE", "STOREDIST"), "dest"))
		},
		func() []string { return join("GEOSEARCH", g.key(), g.area(), g.options()) },
		func() []string { return join("GEOSEARCH", g.key(), g.area(), g.options(), g.maybe(20, "STOREDIST")) },
		func() []string {
			return join("GEOSEARCHSTORE", "dest", g.key(), g.area(), g.maybe(9, g.options()...), g.maybe(2, "STOREDIST"))
		},
		func() []string { return join("ZRANGE", g.of("dest", g.key()), "0", "-1", "WITHSCORES") },
	}
	return makers[g.IntN(len(makers))]()
}
