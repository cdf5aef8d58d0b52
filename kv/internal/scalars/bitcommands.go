package scalars

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
)

// parseOffset reads a bit offset. width > 0 lets it be told in fields of so many bits, as "#n". If it
// reports false, it has replied the error.
func parseOffset(c *engine.Client, arg []byte, width int64) (int64, bool) {
	scale := int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		arg, scale = arg[1:], width
	}
	n, ok := engine.ParseInt(arg)
	n *= scale
	if !ok || n < 0 || n>>3 >= int64(c.Engine().Config().ProtoMaxBulk) && !c.Engine().Loading() {
		c.Error("ERR bit offset is not an integer or out of range")
		return 0, false
	}
	return n, true
}

func setBit(c *engine.Client, args [][]byte) {
	key := args[1]
	offset, ok := parseOffset(c, args[2], 0)
	if !ok {
		return
	}
	if len(args[3]) != 1 || args[3][0]&^1 != '0' {
		c.Error("ERR bit is not an integer or out of range")
		return
	}
	on := args[3][0] == '1'
	en, s, ok := lookForWriting(c, key)
	if !ok {
		return
	}
	size := int(offset>>3) + 1
	longer := len(s) < size
	was := !longer && getBit(s, offset)
	if longer || was != on {
		r := grow(c, key, en, size)
		if on {
			r.B[offset>>3] |= 0x80 >> (offset & 7)
		} else {
			r.B[offset>>3] &^= 0x80 >> (offset & 7)
		}
		c.Changed(key, engine.EventString, "setbit")
	}
	c.Bool01(was)
}

func readBit(c *engine.Client, args [][]byte) {
	offset, ok := parseOffset(c, args[2], 0)
	if !ok {
		return
	}
	if s, _, ok := engine.GetString(c, args[1]); ok {
		c.Bool01(offset>>3 < int64(len(s)) && getBit(s, offset))
	}
}

// parseUnit reads BIT or BYTE. If it reports false, it has replied the error.
func parseUnit(c *engine.Client, arg []byte) (inBits, ok bool) {
	inBits = engine.EqualFold(arg, "BIT")
	if !inBits && !engine.EqualFold(arg, "BYTE") {
		c.Error(engine.ErrSyntax)
		return false, false
	}
	return inBits, true
}

func bitCount(c *engine.Client, args [][]byte) {
	s, found, ok := engine.GetString(c, args[1])
	switch {
	case !ok:
	case !found:
		c.Int(0)
	case len(args) == 2:
		c.Count(popcount(s))
	case len(args) != 4 && len(args) != 5:
		c.Error(engine.ErrSyntax)
	default:
		countRange(c, s, args[2:])
	}
}

// countRange replies how many bits are set in the range that args tell.
func countRange(c *engine.Client, s []byte, args [][]byte) {
	start, ok := c.ParseInt(args[0])
	if !ok {
		return
	}
	end, ok := c.ParseInt(args[1])
	if !ok {
		return
	}
	if start < 0 && end < 0 && start > end { // so Redis has it, before it reads on, and not in BITPOS
		c.Int(0)
		return
	}
	inBits := false
	if len(args) == 3 {
		if inBits, ok = parseUnit(c, args[2]); !ok {
			return
		}
	}
	if first, last := bitSpan(start, end, len(s), inBits); first <= last {
		c.Count(popcountRange(s, first, last))
	} else {
		c.Int(0)
	}
}

// bitSpan makes of places in a string of n bytes, told in bytes or bits, the first and the last bit. The
// range is empty if first > last.
func bitSpan(start, end int64, n int, inBits bool) (first, last int64) {
	if inBits {
		return span(start, end, int64(n)*8)
	}
	if start, end = span(start, end, int64(n)); start > end {
		return 0, -1
	}
	return start * 8, end*8 + 7
}

func bitPos(c *engine.Client, args [][]byte) {
	bit, ok := c.ParseInt(args[2])
	if !ok {
		return
	}
	if bit != 0 && bit != 1 {
		c.Error("ERR The bit argument must be 1 or 0.")
		return
	}
	s, found, ok := engine.GetString(c, args[1])
	switch {
	case !ok:
	case !found: // as if it were zeros without end
		c.Int(-bit)
	case len(args) > 6:
		c.Error(engine.ErrSyntax)
	default:
		findBit(c, s, bit == 1, args[3:])
	}
}

// findBit replies the first bit of the range that args tell which is as told.
func findBit(c *engine.Client, s []byte, set bool, args [][]byte) {
	var start int64
	end := int64(-1)
	inBits, ok := false, true
	if ok && len(args) > 0 {
		start, ok = c.ParseInt(args[0])
	}
	if ok && len(args) > 2 {
		inBits, ok = parseUnit(c, args[2])
	}
	if ok && len(args) > 1 {
		end, ok = c.ParseInt(args[1])
	}
	if !ok {
		return
	}
	first, last := bitSpan(start, end, len(s), inBits)
	if first > last {
		c.Int(-1)
		return
	}
	pos := bitposRange(s, first, last, set)
	if pos < 0 && !set && len(args) < 2 {
		pos = last + 1 // behind the end that nobody has told are zeros
	}
	c.Int(pos)
}

var bitOps = []struct {
	name string
	op   bitOp
}{{"AND", opAnd}, {"OR", opOr}, {"XOR", opXor}, {"NOT", opNot}}

func bitOperation(c *engine.Client, args [][]byte) {
	op := bitOp(-1)
	for _, o := range bitOps {
		if engine.EqualFold(args[1], o.name) {
			op = o.op
		}
	}
	switch {
	case op < 0:
		c.Error(engine.ErrSyntax)
		return
	case op == opNot && len(args) != 4:
		c.Error("ERR BITOP NOT must be called with a single source key.")
		return
	}
	target := args[2]
	sources := make([][]byte, 0, len(args)-3)
	for _, key := range args[3:] {
		s, _, ok := engine.GetString(c, key)
		if !ok {
			return
		}
		sources = append(sources, s)
	}
	result := combine(op, sources)
	if len(result) > 0 {
		c.DB().SetValue(target, engine.NewRaw(c.DB().Stamp(), result), 0)
		c.Changed(target, engine.EventString, "set")
	} else if c.DB().Remove(target) {
		c.Changed(target, engine.EventGeneric, "del")
	}
	c.Count(len(result))
}
