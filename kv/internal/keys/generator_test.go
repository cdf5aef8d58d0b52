package keys_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// generator makes commands. The keys a* may be anything but sorted sets and sets of text, s* are those sets,
// z* are sorted sets; no command brings them together. Where the order of equals would differ, it is not
// asked for.
type generator struct {
	*rand.Rand
	far int64 // unix seconds of a time that is far ahead
}

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

// group returns a prefix of keys.
func (g generator) group() string { return g.pick("a", "a", "a", "s", "z") }

func (g generator) key(group string) string { return group + strconv.Itoa(g.IntN(4)) }

func (g generator) element() string { return strconv.Itoa(g.IntN(12)) }

// next returns a command.
func (g generator) next() string {
	group := g.group()
	key := g.key(group)
	switch g.IntN(16) {
	case 0, 1, 2:
		return g.fill(group, key)
	case 3:
		return g.pick("DEL ", "UNLINK ", "EXISTS ", "TOUCH ") + key + " " + g.key(g.group()) + " " + g.key(group)
	case 4:
		return g.expire(key)
	case 5:
		return g.pick("TTL ", "PTTL ", "EXPIRETIME ", "PEXPIRETIME ", "PERSIST ", "TYPE ") + key
	case 6:
		return g.pick("RENAME ", "RENAMENX ") + key + " " + g.key(group)
	case 7:
		return "MOVE " + key + " " + g.pick("0", "1", "1", "0", "16", "-1", "x")
	case 8:
		return "COPY " + key + " " + g.key(group) + g.pick("", " DB 0", " DB 1", " DB", " DB 16 REPLACE", " DB y") + g.pick("", " REPLACE", " REPLACE", " x")
	case 9:
		if g.IntN(8) == 0 {
			return g.pick("SELECT 0", "SELECT 1", "DBSIZE")
		}
		return g.pick("KEYS *", "KEYS a*", "KEYS [sz]?", "KEYS x", "SCAN 0 COUNT 10000", "SCAN 0 COUNT 9999 MATCH a*",
			"SCAN 0 COUNT 10000 TYPE zset", "SCAN 0 TYPE LIST COUNT 10000 MATCH *2", "SCAN 0 TYPE none COUNT 10000",
			"SCAN x", "SCAN 0 COUNT 0", "SCAN 0 COUNT", "SCAN 0 TYPE", "SCAN 0 MATCH * FOO x", "SCAN 0 COUNT x TYPE")
	case 10:
		key = g.key("a")
		if g.IntN(8) == 0 {
			return "OBJECT " + g.pick("FREQ ", "FOO ", "HELP ", "ENCODING ") + key + g.pick("", " x")
		}
		return "OBJECT " + g.pick("ENCODING ", "ENCODING ", "IDLETIME ", "FREQ ") + key
	case 11:
		return "DUMP " + g.key("a")
	default:
		return g.sort(group, key)
	}
}

// fill changes a value.
func (g generator) fill(group, key string) string {
	elements := make([]string, 1+g.IntN(8))
	for i := range elements {
		elements[i] = g.element()
	}
	all := strings.Join(elements, " ")
	switch group {
	case "s":
		return g.pick("SADD ", "SADD ", "SREM ") + key + " t 1e1 " + all
	case "z":
		return "ZADD " + key + " " + g.pick("1", "1.5", "-3", "inf") + " " + strings.Join(elements, " "+g.element()+" ")
	}
	switch g.IntN(8) {
	case 0:
		return "SET " + key + " " + elements[0]
	case 1:
		return "SET " + key + " " + strings.Repeat(elements[0], 1+g.IntN(90))
	case 2:
		return "HSET " + key + " " + elements[0] + " " + elements[0]
	case 3:
		return "SADD " + key + " " + all
	case 4:
		return "APPEND " + key + " x"
	}
	return g.pick("RPUSH ", "LPUSH ") + key + " " + all + g.pick("", "", "", " x", " -", " 0x10", " 1.5", " nan", " inf")
}

// expire sets or asks for deadlines. Those that a condition compares are far apart.
func (g generator) expire(key string) string {
	ahead := strconv.Itoa(100 * (1 + g.IntN(9)))
	at := strconv.FormatInt(g.far+1000*int64(g.IntN(5)), 10)
	odd := g.pick("0", "-1", "x", "9223372036854775807", "-9223372036854775808", "9223372036854775", "-9223372036854775")
	option := g.pick("", "", " NX", " xx", " GT", " LT", " XX GT", " XX LT", " NX GT", " GT LT", " foo")
	switch g.IntN(8) {
	case 0:
		return "EXPIRE " + key + " " + ahead + g.pick("", "", " NX", " XX")
	case 1:
		return "PEXPIRE " + key + " " + ahead + "000" + g.pick("", "", " NX", " XX")
	case 2:
		if odd == "9223372036854775" {
			return g.pick("EXPIRE ", "EXPIREAT ", "PEXPIREAT ") + key + " " + odd + option
		}
		return g.pick("EXPIRE ", "PEXPIRE ", "EXPIREAT ", "PEXPIREAT ") + key + " " + odd + option
	case 3:
		return "PERSIST " + key
	case 4, 5:
		return "EXPIREAT " + key + " " + at + option
	}
	return "PEXPIREAT " + key + " " + at + "007" + option
}

// sort sorts, by what the keys w* (all different) and v* (of some elements only) and the hashes h* have.
func (g generator) sort(group, key string) string {
	command := g.pick("SORT ", "SORT ", "SORT_RO ") + key
	desc := g.pick("", " ASC", " DESC", " desc")
	get := g.pick("", "", "", " GET #", " GET v*", " GET h*->f GET #", " GET h*->g GET h*->", " GET nostar", " GET *v")
	limit := g.pick("", "", " LIMIT 1 3", " LIMIT 0 -1", " LIMIT -2 2", " LIMIT 3 0", " LIMIT 20 1", " LIMIT 0 x")
	store := g.pick("", "", "", " STORE a0", " STORE a1", " STORE")
	// A set without an order has another one here.
	by := g.pick("", " BY w*", " BY h*->f", " ALPHA", " ALPHA BY w*", " BY h*->f ALPHA", " BY v*", " LIMIT 2", " ALPHA ALPHA", " BY h*")
	if group == "z" && g.IntN(3) == 0 || group == "a" && g.IntN(6) == 0 {
		by = " BY nosort"
	}
	if group == "a" && g.IntN(8) == 0 {
		by = " ALPHA BY v*"
	}
	if group == "a" && strings.Contains(by, "ALPHA") && strings.Contains(by, "BY") {
		limit = "" // some elements have no weight
	}
	return command + by + desc + limit + get + store
}

// weights gives the elements what they are sorted by.
func weights() []string {
	commands := []string{"SET vt 3", "SET wt 5e0", "SET w1e1 -2", "SET wx 0x1f", "SET v1e1 0", "HSET ht f 33 g 2"}
	for i := range 12 {
		n := strconv.Itoa(i)
		commands = append(commands, "SET w"+n+" "+strconv.Itoa(i*7%13+10), "HSET h"+n+" f "+strconv.Itoa(i*5%13)+".5 g x"+n)
		if i%3 == 0 {
			commands = append(commands, "SET v"+n+" "+strconv.Itoa(i/4))
		}
	}
	return commands
}
