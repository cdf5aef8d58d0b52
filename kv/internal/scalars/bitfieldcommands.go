package scalars

import (
	"github.com/zmsg/zmsg/kv/internal/engine"
)

// A fieldOp is one operation of BITFIELD.
type fieldOp struct {
	kind fieldKind
	at   field
	arg  int64
	mode overflow
}

type fieldKind int

const (
	fieldGet fieldKind = iota
	fieldSet
	fieldIncr
)

func bitField(c *engine.Client, args [][]byte) { runFields(c, args, false) }

func bitFieldRO(c *engine.Client, args [][]byte) { runFields(c, args, true) }

func runFields(c *engine.Client, args [][]byte, readOnly bool) {
	ops, size, ok := parseFields(c, args[2:])
	if !ok {
		return
	}
	key := args[1]
	if size == 0 {
		s, _, ok := engine.GetString(c, key)
		if !ok {
			return
		}
		c.Array(len(ops))
		for _, op := range ops {
			c.Int(op.at.get(s))
		}
		return
	}
	if readOnly {
		c.Error("ERR BITFIELD_RO only supports the GET subcommand")
		return
	}
	en, s, ok := lookForWriting(c, key)
	if !ok {
		return
	}
	// A string that has been made longer counts as changed by every operation that writes.
	longer := len(s) < size
	r := grow(c, key, en, size)
	c.Array(len(ops))
	changed := false
	for _, op := range ops {
		wrote, differs := op.run(c, r.B)
		changed = changed || differs || wrote && longer
	}
	if changed {
		c.Changed(key, engine.EventString, "setbit")
	}
}

// run executes the operation on b and replies its result. It reports whether it has written, and whether
// what it wrote was not there before.
func (op fieldOp) run(c *engine.Client, b []byte) (wrote, differs bool) {
	old := op.at.get(b)
	var value int64
	var fits bool
	switch op.kind {
	case fieldGet:
		c.Int(old)
		return false, false
	case fieldSet:
		value, fits = op.at.add(op.arg, 0, op.mode)
	default:
		value, fits = op.at.add(old, op.arg, op.mode)
	}
	if !fits && op.mode == fail {
		c.Null()
		return false, false
	}
	op.at.set(b, value)
	if op.kind == fieldSet {
		c.Int(old)
	} else {
		c.Int(value)
	}
	return true, value != old
}

// parseFields reads the operations. size is how long the string must be for those that write; 0 if none
// does. If it reports false, it has replied the error.
func parseFields(c *engine.Client, args [][]byte) (ops []fieldOp, size int, ok bool) {
	mode := wrap
	for len(args) > 0 {
		op := fieldOp{mode: mode}
		n := 4
		switch name := args[0]; {
		case engine.EqualFold(name, "GET") && len(args) >= 3:
			n = 3
		case engine.EqualFold(name, "SET") && len(args) >= 4:
			op.kind = fieldSet
		case engine.EqualFold(name, "INCRBY") && len(args) >= 4:
			op.kind = fieldIncr
		case engine.EqualFold(name, "OVERFLOW") && len(args) >= 2:
			if mode, ok = parseOverflow(args[1]); !ok {
				c.Error("ERR Invalid OVERFLOW type specified")
				return nil, 0, false
			}
			args = args[2:]
			continue
		default:
			c.Error(engine.ErrSyntax)
			return nil, 0, false
		}
		if !op.parse(c, args) {
			return nil, 0, false
		}
		if op.kind != fieldGet {
			size = max(size, int((op.at.offset+int64(op.at.width)-1)>>3)+1)
		}
		ops = append(ops, op)
		args = args[n:]
	}
	return ops, size, true
}

// parse reads the type, the offset and the number of an operation, whose name args begin with.
func (op *fieldOp) parse(c *engine.Client, args [][]byte) (ok bool) {
	if op.at, ok = parseFieldType(args[1]); !ok {
		c.Error("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
		return false
	}
	if op.at.offset, ok = parseOffset(c, args[2], int64(op.at.width)); !ok {
		return false
	}
	if op.kind != fieldGet {
		op.arg, ok = c.ParseInt(args[3])
	}
	return ok
}

// parseFieldType reads i1 to i64, or u1 to u63.
func parseFieldType(arg []byte) (f field, ok bool) {
	if len(arg) == 0 || arg[0] != 'i' && arg[0] != 'u' {
		return f, false
	}
	f.signed = arg[0] == 'i'
	n, ok := engine.ParseInt(arg[1:])
	if !ok || n < 1 || n > 64 || n == 64 && !f.signed {
		return f, false
	}
	f.width = uint(n)
	return f, true
}

func parseOverflow(arg []byte) (overflow, bool) {
	switch {
	case engine.EqualFold(arg, "WRAP"):
		return wrap, true
	case engine.EqualFold(arg, "SAT"):
		return saturate, true
	case engine.EqualFold(arg, "FAIL"):
		return fail, true
	}
	return wrap, false
}
