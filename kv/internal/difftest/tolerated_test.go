package difftest

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// tolerance says how a reply may differ from Redis's.
type tolerance struct {
	// Suite is the test that it is for; "" is all.
	Suite string
	// Commands are those that it holds for, with the subcommand where that matters; one space apart.
	Commands string
	// Same makes the two replies to args equal if they differ only in what is tolerated.
	Same func(args []string, ours, theirs node) (node, node)
	// Reason says why.
	Reason string
}

// tolerated is all that may differ. A reply that is the same byte for byte is never looked up here.
var tolerated = []tolerance{
	{
		Commands: "SMEMBERS, SINTER, SUNION, SDIFF, KEYS, HKEYS, HVALS, PUBSUB CHANNELS, PUBSUB SHARDCHANNELS, COMMAND LIST",
		Same:     unordered(1), Reason: "Sets, hashes, the keyspace and the table of commands have no order.",
	},
	{Commands: "HGETALL", Same: unordered(2), Reason: "Hashes have no order."},
	{Commands: "CONFIG GET", Same: settings, Reason: "Settings have no order, those of what is not there are not listed, the directory is each one's own, and output is limited for subscribers only."},
	{Commands: "COMMAND GETKEYS", Same: keysOrNot, Reason: "A count of keys must be a number; Redis takes \" 1x\" for 1 here."},
	{Commands: "COMMAND COUNT, COMMAND ALONE", Same: anything, Reason: "Commands are those that are there, without specifications of their keys."},
	{
		Commands: "TTL, PTTL, EXPIRETIME, PEXPIRETIME, OBJECT IDLETIME, LASTSAVE",
		Same:     near, Reason: "The two are asked at different moments.",
	},
	{Commands: "DBSIZE", Same: few, Reason: "Keys whose time has run out count until they are removed."},
	{Commands: "TIME", Same: shape, Reason: "The two are asked at different moments."},
	{
		Commands: "XPENDING, XINFO CONSUMERS, XINFO STREAM",
		Same:     moments, Reason: "Times of delivery, and what has passed since, depend on the moment.",
	},
	{Commands: "SRANDMEMBER, HRANDFIELD, ZRANDMEMBER, SPOP, RANDOMKEY", Same: shape, Reason: "They choose at random."},
	{
		Commands: "SCAN, SSCAN, HSCAN, ZSCAN", Same: scanned,
		Reason: "The order of an iteration is not defined, nor is its cursor; whole iterations are compared instead.",
	},
	{
		Commands: "DUMP", Same: shape,
		Reason: "A hash table may be dumped in any order, and a string be compressed in more than one way; each side is given the other's dump instead.",
	},
	{Commands: "XADD", Same: clockID, Reason: "An ID that is made of the time depends on the moment."},
	{Commands: "CLIENT ID, HELLO", Same: anyID, Reason: "The numbers of connections begin elsewhere."},
	{
		Commands: "EVAL, EVALSHA, EVAL_RO, EVALSHA_RO, SCRIPT LOAD, EXEC", Same: luaErrors,
		Reason: "Lua's own errors have other words; that there is one, and its code, is the same. cjson takes no numbers that JSON does not know.",
	},
	{
		Commands: "SORT, SORT_RO", Same: sortTies,
		Reason: "Elements of the same weight, or the same up to a zero byte, have no order, nor has a set that is not sorted; what SORT, ZUNIONSTORE and their like store over another value does not wake who waits for it in Redis (what wakes several keys at once, SWAPDB, does so in any order); and Redis may take a range error of an earlier command for one of SORT.",
	},
	{Suite: "TestConnections", Commands: "OBJECT ENCODING", Same: anything, Reason: "COPY makes a collection anew, with the limits that are set now."},
	{
		Commands: "OBJECT ENCODING", Same: encodings,
		Reason: "SORT makes Redis give up the small form of a sorted set; what INCRBYFLOAT and BITOP have made is not kept in the smallest form there.",
	},
	{Commands: "PFCOUNT", Same: damaged, Reason: "A damaged HyperLogLog is always refused; Redis does not find all damage."},
	{Commands: "OBJECT REFCOUNT", Same: anything, Reason: "No small integers are shared here, though SET's look as if they were."},
	{Commands: "EXPIRE, PEXPIRE", Same: sooner, Reason: "Which of two equal times to live ends later depends on the moment."},
	{
		Commands: "CLIENT HELP, COMMAND HELP, CONFIG HELP, DEBUG HELP, MEMORY HELP, OBJECT HELP, PUBSUB HELP, SCRIPT HELP, XGROUP HELP, XINFO HELP",
		Same:     anything, Reason: "Help lists what there is here.",
	},
	{Commands: "ZRANGE X", Same: nearly, Reason: "Of a dump, a score of -0 may become 0."},
	{
		Commands: "GEORADIUS, GEORADIUS_RO, GEORADIUSBYMEMBER, GEORADIUSBYMEMBER_RO, GEOSEARCH", Same: ties,
		Reason: "Places at the same distance have no order.",
	},
	{
		Suite: "TestGeo", Commands: "ZRANGE, ZUNION", Same: nearly,
		Reason: "The last digit of a stored distance depends on the C library's sines.",
	},
}

// same reports whether two replies to a command are equal, or differ in what is tolerated only.
func same(suite string, args []string, ours, theirs []byte) bool {
	if string(ours) == string(theirs) {
		return true
	}
	if len(args) == 0 {
		return false
	}
	name := strings.ToUpper(args[0])
	full := strings.ToUpper(strings.Join(args[:min(2, len(args))], " "))
	if len(args) == 1 {
		full += " ALONE"
	}
	for _, t := range tolerated {
		commands := strings.Split(t.Commands, ", ")
		if t.Suite != "" && t.Suite != suite || !slices.Contains(commands, name) && !slices.Contains(commands, full) {
			continue
		}
		a, _ := parse(ours)
		b, _ := parse(theirs)
		a, b = t.Same(args, a, b)
		return a.String() == b.String()
	}
	return false
}

func unordered(size int) func([]string, node, node) (node, node) {
	return func(_ []string, a, b node) (node, node) {
		if a.kind == '%' || b.kind == '%' {
			return a.sorted(2), b.sorted(2)
		}
		return a.sorted(size), b.sorted(size)
	}
}

// near allows five seconds between two times.
func near(args []string, a, b node) (node, node) {
	apart := int64(5)
	if name := strings.ToUpper(args[0]); name == "PTTL" || name == "PEXPIRETIME" {
		apart = 5000
	}
	x, ok := a.number()
	y, ok2 := b.number()
	if ok && ok2 && x >= 0 && y >= 0 && max(x, y)-min(x, y) <= apart {
		return b, b
	}
	return a, b
}

// shape leaves of a reply its kinds, its numbers of elements and its errors.
func shape(_ []string, a, b node) (node, node) {
	blur := func(n node) node {
		if n.kind != '-' && !n.null {
			n.text = ""
		}
		return n
	}
	return a.replace(blur), b.replace(blur)
}

// moments allows differences between times and between durations.
func moments(args []string, a, b node) (node, node) {
	if len(a.elems) != len(b.elems) || a.kind != b.kind {
		return a, b
	}
	a.elems = slices.Clone(a.elems)
	entry := len(a.elems) == 4 && strings.EqualFold(args[0], "XPENDING")
	for i := range a.elems {
		x, y := a.elems[i], b.elems[i]
		if x.elems != nil {
			a.elems[i], _ = moments(args, x, y)
			continue
		}
		v, _ := x.number()
		w, _ := y.number()
		duration := entry && i == 2 || i > 0 && slices.Contains([]string{"idle", "inactive", "seen-time"}, a.elems[i-1].text)
		if x.kind == ':' && y.kind == ':' && (duration || v > 1e12 && w > 1e12) && max(v, w)-min(v, w) < 60_000 {
			a.elems[i] = y
		}
	}
	return a, b
}

// scanned sorts what a step of an iteration has found, and allows anything unless it is the last step on
// both sides.
func scanned(args []string, a, b node) (node, node) {
	if slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, "\x00") }) {
		return b, b // C takes it for an empty string
	}
	if len(a.elems) != 2 || len(b.elems) != 2 {
		return a, b
	}
	if a.elems[0].text != "0" || b.elems[0].text != "0" || !slices.Contains(args, "0") {
		return b, b
	}
	size := 2
	if name := strings.ToUpper(args[0]); name == "SSCAN" || name == "SCAN" {
		size = 1
	}
	return a.elems[1].sorted(size), b.elems[1].sorted(size)
}

func clockID(args []string, a, b node) (node, node) {
	if slices.Contains(args, "*") {
		return shape(args, a, b)
	}
	return a, b
}

// anyID allows different numbers as the reply, or behind "id".
func anyID(_ []string, a, b node) (node, node) {
	if a.kind == ':' && b.kind == ':' {
		return b, b
	}
	for i := range a.elems {
		if i > 0 && a.elems[i-1].text == "id" && i < len(b.elems) {
			a.elems[i] = b.elems[i]
		}
	}
	return a, b
}

// nearly allows differences in the last digits of numbers.
func nearly(args []string, a, b node) (node, node) {
	if len(a.elems) != len(b.elems) || a.kind != b.kind {
		return a, b
	}
	if a.elems == nil {
		x, err := strconv.ParseFloat(a.text, 64)
		y, err2 := strconv.ParseFloat(b.text, 64)
		if err == nil && err2 == nil && math.Abs(x-y) <= 1e-13*math.Abs(y) {
			return b, b
		}
		return a, b
	}
	a.elems = slices.Clone(a.elems)
	for i := range a.elems {
		a.elems[i], _ = nearly(args, a.elems[i], b.elems[i])
	}
	return a, b
}

// luaErrors forgets what an error says that Lua has raised.
func luaErrors(args []string, a, b node) (node, node) {
	if a.kind == '-' && b.kind == '-' && (strings.Contains(b.text, "user_script:") || strings.Contains(b.text, "Error compiling script")) {
		a.text, _, _ = strings.Cut(a.text, " ")
		b.text, _, _ = strings.Cut(b.text, " ")
	}
	if len(a.elems) == len(b.elems) && strings.EqualFold(args[0], "EXEC") {
		for i := range a.elems {
			a.elems[i], b.elems[i] = luaErrors(args, a.elems[i], b.elems[i])
		}
	}
	return a, b
}

// sortTies forgets the order, and with LIMIT the elements, where they may differ.
func sortTies(args []string, a, b node) (node, node) {
	if a.kind != '-' && strings.Contains(b.text, "scores can't be converted") {
		return b, b
	}
	zero := func(e node) bool { return strings.Contains(e.text, "\x00") }
	has := func(option string) bool {
		return slices.ContainsFunc(args, func(s string) bool { return strings.EqualFold(s, option) })
	}
	if !has("BY") && (!has("GET") || !has("ALPHA")) && !slices.ContainsFunc(slices.Concat(a.elems, b.elems), zero) {
		return a, b
	}
	if has("LIMIT") && len(a.elems) == len(b.elems) && a.kind == '*' {
		return b, b
	}
	return a.sorted(1), b.sorted(1)
}

func encodings(_ []string, a, b node) (node, node) {
	if a.text == "listpack" && b.text == "skiplist" || a.text == "int" && b.text == "embstr" || (a.text == "int" || a.text == "embstr") && b.text == "raw" {
		return b, b
	}
	return a, b
}

// anything allows any replies that are of the same kind.
func anything(_ []string, a, b node) (node, node) {
	if a.kind == b.kind {
		return b, b
	}
	return a, b
}

// settings forgets the order, and those of Redis that are not there here.
func settings(_ []string, a, b node) (node, node) {
	keep := func(n node, wanted map[string]bool) (out node, has map[string]bool) {
		out, has = node{kind: n.kind}, make(map[string]bool)
		for i := 0; i+1 < len(n.elems); i += 2 {
			name := n.elems[i].text
			if wanted == nil && name != "dir" && name != "client-output-buffer-limit" || wanted[name] {
				out.elems, has[name] = append(out.elems, n.elems[i], n.elems[i+1]), true
			}
		}
		return out.sorted(2), has
	}
	a, here := keep(a, nil)
	b, _ = keep(b, here)
	return a, b
}

// keysOrNot allows that there are no keys here.
func keysOrNot(_ []string, a, b node) (node, node) {
	if len(a.elems) == 0 && len(b.elems) > 0 {
		return b, b
	}
	return a, b
}

func sooner(args []string, a, b node) (node, node) {
	later := slices.ContainsFunc(args[min(3, len(args)):], func(s string) bool {
		return strings.EqualFold(s, "GT") || strings.EqualFold(s, "LT")
	})
	if a.kind == ':' && b.kind == ':' && later {
		return b, b
	}
	return a, b
}

// ties forgets the order of places, and with COUNT which they are, if there are as many, at the same distances
// where those are told.
func ties(args []string, a, b node) (node, node) {
	has := func(option string) bool {
		return slices.ContainsFunc(args, func(s string) bool { return strings.EqualFold(s, option) })
	}
	if !has("COUNT") || len(a.elems) != len(b.elems) || a.kind != '*' {
		return a.sorted(1), b.sorted(1)
	}
	if !has("WITHDIST") || has("ANY") {
		return b, b
	}
	distances := func(n node) node {
		n.elems = slices.Clone(n.elems)
		for i, place := range n.elems {
			if len(place.elems) > 1 {
				n.elems[i] = place.elems[1]
			}
		}
		return n.sorted(1)
	}
	return distances(a), distances(b)
}

// few allows a difference of up to three.
func few(_ []string, a, b node) (node, node) {
	x, ok := a.number()
	y, ok2 := b.number()
	if ok && ok2 && max(x, y)-min(x, y) <= 3 {
		return b, b
	}
	return a, b
}

// damaged allows that a HyperLogLog is refused.
func damaged(_ []string, a, b node) (node, node) {
	if strings.HasPrefix(a.text, "INVALIDOBJ") && b.kind == ':' {
		return b, b
	}
	return a, b
}
