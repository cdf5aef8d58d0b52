package difftest

import (
	"strconv"
	"strings"
)

const keys = 8

var vocabulary map[string]func(g *grammar) string

func init() {
	vocabulary = map[string]func(g *grammar) string{
		"key": func(g *grammar) string {
			g.last = "k" + strconv.Itoa(g.IntN(keys))
			return g.last
		},
		"same":    func(g *grammar) string { return g.last },
		"newid":   (*grammar).newID,
		"id":      (*grammar).id,
		"group":   func(g *grammar) string { return g.pick("g1", "g2", "g1", "g3") },
		"name":    func(g *grammar) string { return g.pick("alice", "bob", "carol", "alice") },
		"idle":    func(g *grammar) string { return g.pick("0", "0", "0", "100000000", "-1", "x", "900000000000") },
		"db":      func(g *grammar) string { return g.pick("0", "0", "0", "1", "2", "15", "16", "-1", "x") },
		"dump":    (*grammar).dump,
		"script":  (*grammar).script,
		"sha":     (*grammar).sha,
		"pushing": func(*grammar) string { return "redis.call('RPUSH',KEYS[1],'a','b') redis.call('ZADD',KEYS[2],1,'m')" },
		"knob": func(g *grammar) string {
			return g.pick("hash-max-listpack-entries", "zset-max-listpack-value", "set-max-intset-entries", "maxmemory-policy",
				"maxmemory-samples", "nosuch", "databases", "notify-keyspace-events", "hll-sparse-max-bytes", "lfu-decay-time", "appendfsync")
		},
		"channel": func(g *grammar) string { return g.pick("c1", "c2", "c3", "", "c*", "k1", "__keyspace@0__:k1") },
		"match": func(g *grammar) string {
			return g.pick("c*", "c?", "*", "c[12]", "c1", "x", "__key*:k1", "__keyevent@*")
		},
		"setting": func(g *grammar) string {
			return g.pick("hash-max-listpack-entries", "zset-max-listpack-value", "set-max-intset-entries", "list-max-listpack-size",
				"maxmemory", "maxmemory-policy", "maxmemory-samples", "appendonly", "save", "timeout", "databases", "nosuch",
				"notify-keyspace-events", "hll-sparse-max-bytes", "lfu-decay-time", "appendfsync", "stream-node-max-bytes")
		},
		"value":  (*grammar).value,
		"elem":   (*grammar).elem,
		"int":    (*grammar).int,
		"index":  (*grammar).index,
		"count":  (*grammar).count,
		"float":  (*grammar).float,
		"score":  (*grammar).score,
		"bound":  (*grammar).bound,
		"lex":    (*grammar).lex,
		"ttl":    func(g *grammar) string { return g.pick("100000", "1000000", "500000") },
		"ttlms":  func(g *grammar) string { return g.pick("100000000", "1000000000", "500000000") },
		"badttl": func(g *grammar) string { return g.pick("0", "-1", "x", "9223372036854775807", "9223372036854775", "") },
		"at":     func(g *grammar) string { return g.pick("9999999999", "8888888888", "10000000000") },
		"atms":   func(g *grammar) string { return g.pick("9999999999999", "8888888888888", "9999999999500") },
		"past":   func(g *grammar) string { return g.pick("1", "1000", "99999999") },
		"pattern": func(g *grammar) string {
			return g.pick("*", "k*", "k[1-4]", "?1", "[^a]*", "a*", "*1*", "m?", "\\*", "k1")
		},
		"cursor": func(g *grammar) string { return g.pick("0", "0", "0", "x", "-1", "18446744073709551616", "") },
		"offset": (*grammar).offset,
		"odd":    (*grammar).odd,
		"nokey":  func(*grammar) string { return "none" },
		"kind":   (*grammar).kind,
		"lon":    func(g *grammar) string { return g.place(180) },
		"lat":    func(g *grammar) string { return g.place(85.05112878) },
		"spot":   func(g *grammar) string { return strconv.FormatUint(g.Uint64()>>12, 10) },
		"radius": func(g *grammar) string {
			return g.pick("0", "1", "100", "1000", "5000.5", "20000", "1e5", "1e7", "-1", "x", "2500", "777")
		},
		"empty": func(*grammar) string { return "" },
	}
}

// odd makes what hardly any command expects.
func (g *grammar) odd() string {
	return g.pick("", "0", "-0", "-1", "1", "01", "+1", " 1", "1 ", "9223372036854775807", "-9223372036854775808",
		"9223372036854775808", "18446744073709551615", "18446744073709551616", "2147483647", "2147483648", "4294967295",
		"4294967296", "1e3", "0x10", "nan", "inf", "-inf", "+inf", "infinity", "1.5", "(1", "[a", "-", "+", "$", "*", "=", "~", "junk",
		"\x00\xff", "NX", "xx", "GT", "LT", "ch", "COUNT", "count", "LIMIT", "WITHSCORES", "withvalues", "GET", "MATCH",
		"k1", "k2", "a\r\nb", "BYSCORE", "REV", "STORE", "5e-324", "1e309", "3.0000000000000000000001")
}

func (g *grammar) value() string {
	switch g.IntN(12) {
	case 0:
		return g.odd()
	case 1, 2, 3:
		return strconv.Itoa(g.IntN(2000) - 1000)
	case 4:
		return g.float()
	case 5:
		return strings.Repeat(g.pick("\xff", "\x00", "ab", "\xff\x0f"), g.IntN(60))
	case 6:
		return strings.Repeat("v", g.sizeNear(44, 64, 300, 3000))
	case 7:
		b := make([]byte, g.IntN(24))
		for i := range b {
			b[i] = "abc\x00\xff\x10\r\n"[g.IntN(8)]
		}
		return string(b)
	default:
		return g.elem()
	}
}

// sizeNear returns a size at one of the limits, the first ones most often.
func (g *grammar) sizeNear(limits ...int) int {
	i := 0
	for i+1 < len(limits) && g.IntN(3) == 0 {
		i++
	}
	return max(0, limits[i]+g.IntN(4)-1)
}

// elem makes an element, field or member. Most of them are of a few.
func (g *grammar) elem() string {
	switch g.IntN(20) {
	case 0:
		return g.pick("", "\x00\xff", "1.5", "-0", "007", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "k1")
	case 1:
		if g.IntN(4) == 0 {
			return g.pick("x", "y") + strings.Repeat("L", g.sizeNear(63, 9000, 2000))
		}
		return strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10)
	case 2, 3, 4, 5:
		return "m" + strconv.Itoa(g.IntN(400))
	case 6, 7, 8:
		return strconv.Itoa(g.IntN(40) - 10)
	case 9, 10:
		return strconv.Itoa(g.IntN(2000))
	default:
		return string(rune('a' + g.IntN(10)))
	}
}

func (g *grammar) int() string {
	switch g.IntN(12) {
	case 0:
		return g.pick("9223372036854775807", "-9223372036854775808", "x", "", "1.5", "9223372036854775808", "4611686018427387904")
	case 1:
		return strconv.FormatInt(int64(g.Uint64()), 10)
	default:
		return strconv.Itoa(g.IntN(600) - 300)
	}
}

func (g *grammar) index() string {
	switch g.IntN(12) {
	case 0:
		return g.pick("x", "", "9223372036854775807", "-9223372036854775808", "4294967296", "-2147483649")
	case 1, 2:
		return strconv.Itoa(g.IntN(400) - 200)
	default:
		return strconv.Itoa(g.IntN(16) - 8)
	}
}

func (g *grammar) count() string {
	switch g.IntN(14) {
	case 0:
		return g.pick("x", "", "9223372036854775807", "-1", "-5", "4294967296")
	case 1:
		return strconv.Itoa(g.IntN(300))
	default:
		return strconv.Itoa(g.IntN(6))
	}
}

func (g *grammar) offset() string {
	switch g.IntN(14) {
	case 0:
		return g.pick("-1", "x", "4294967296", "#1", "#-1", "9223372036854775807", "#9223372036854775807")
	case 1, 2:
		return "#" + strconv.Itoa(g.IntN(12))
	default:
		return strconv.Itoa(g.IntN(260))
	}
}

func (g *grammar) float() string {
	switch g.IntN(7) {
	case 0:
		return g.pick("inf", "-inf", "nan", "0x1f", "1e", "1e-20", "-1e-17", "5e-18", "1e18", "+1.5", ".5", "5.", "1e4932", "1e5000", "3 ", " 3", "-0", "1e308", "-1e308")
	case 1:
		return strconv.FormatFloat(g.NormFloat64()*1e10, 'g', -1, 64)
	case 2:
		return strconv.FormatFloat(g.NormFloat64()*1e-10, 'f', -1, 64)
	case 3:
		return strconv.Itoa(g.IntN(1000)) + "." + strconv.Itoa(g.IntN(1e9))
	default:
		return strconv.FormatFloat(float64(g.IntN(2000))/100, 'g', -1, 64)
	}
}

// score makes a score; most of them are of a few, so that ranks depend on members.
func (g *grammar) score() string {
	switch g.IntN(8) {
	case 0:
		return g.float()
	case 1:
		return g.pick("inf", "-inf", "+inf", "nan", "-0", "0", "1e-5", "3.3333333333333335", "1e17", "123456789012345678", "0.1", "1e21", "5e-324")
	default:
		return strconv.FormatFloat(float64(g.IntN(21)-10)/float64(1+g.IntN(2)), 'g', -1, 64)
	}
}

func (g *grammar) bound() string {
	if g.IntN(8) == 0 {
		return g.pick("-inf", "+inf", "inf", "(inf", "(-inf", "(", "x", "(x", "nan", "")
	}
	return g.pick("", "", "(") + strconv.Itoa(g.IntN(24)-12)
}

func (g *grammar) lex() string {
	if g.IntN(4) == 0 {
		return g.pick("-", "+", "-", "+", "[", "(", "a", "", "-a", "+a", "[\xff")
	}
	return g.pick("[", "(") + g.elem()
}

// kind makes a type of BITFIELD.
func (g *grammar) kind() string {
	if g.IntN(20) == 0 {
		return g.pick("u64", "i65", "x8", "u0", "", "I8", "i-1", "u")
	}
	return g.pick("u", "i") + strconv.Itoa(1+g.IntN(63))
}

// place makes a coordinate from -limit to limit, now and then one beyond.
func (g *grammar) place(limit float64) string {
	switch g.IntN(10) {
	case 0:
		if limit < 180 {
			return g.pick("x", "nan", "inf", "85.06", "90", "-180", "")
		}
		return g.pick("0", "-0", "x", "nan", "inf", "180", "-180", "180.1", "1e-10")
	case 1, 2, 3, 4:
		return strconv.FormatFloat(10+g.Float64()*3, 'f', 4, 64)
	}
	return strconv.FormatFloat((g.Float64()*2-1)*limit, 'g', -1, 64)
}

// newID makes an ID of a stream that is mostly above all that were made before.
func (g *grammar) newID() string {
	g.clock += 1 + g.IntN(3)
	switch g.IntN(12) {
	case 0:
		return strconv.Itoa(g.clock/4+1) + "-*"
	case 1:
		return strconv.Itoa(g.clock / 4)
	case 2:
		return g.id()
	}
	return strconv.Itoa(g.clock/4) + "-" + strconv.Itoa(g.clock%4)
}

// id makes an ID that may be one of the last.
func (g *grammar) id() string {
	if g.IntN(14) == 0 {
		return g.pick("0", "0-0", "-", "+", "$", "x", "1-", "-1", "0-1", "18446744073709551615-18446744073709551615", "18446744073709551615", "1-18446744073709551615", "(1", "5-x", "01-1", "18446744073709551616")
	}
	n := max(0, g.clock-g.IntN(1+min(g.clock, 100)))
	if g.IntN(6) == 0 {
		return strconv.Itoa(n / 4)
	}
	return strconv.Itoa(n/4) + "-" + strconv.Itoa(n%4)
}

// dump makes something for RESTORE.
func (g *grammar) dump() string {
	if len(g.dumps) == 0 || g.IntN(10) == 0 {
		return g.odd()
	}
	d := g.dumps[g.IntN(len(g.dumps))]
	switch g.IntN(12) {
	case 0:
		return d[:g.IntN(len(d))]
	case 1:
		b := []byte(d)
		b[g.IntN(len(b))] ^= byte(1 << g.IntN(8))
		return string(b)
	}
	return d
}
