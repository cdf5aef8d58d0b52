package streams

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
)

// ID is the ID of an entry: milliseconds, and a number among the entries of the same one.
type ID struct{ Ms, Seq uint64 }

// maxID is the largest ID.
var maxID = ID{math.MaxUint64, math.MaxUint64}

// Compare returns -1, 0 or 1 as id is before, at or behind other.
func (id ID) Compare(other ID) int {
	if id.Ms != other.Ms {
		return cmp.Compare(id.Ms, other.Ms)
	}
	return cmp.Compare(id.Seq, other.Seq)
}

func (id ID) less(other ID) bool {
	return id.Ms < other.Ms || id.Ms == other.Ms && id.Seq < other.Seq
}

// isZero reports whether id is 0-0, which no entry has.
func (id ID) isZero() bool { return id == ID{} }

// next returns the ID that follows id, or false behind the largest, whose successor is 0-0.
func (id ID) next() (ID, bool) {
	if id.Seq++; id.Seq == 0 {
		id.Ms++
	}
	return id, !id.isZero()
}

// prev returns the ID that precedes id, or false before 0-0, which the largest precedes.
func (id ID) prev() (ID, bool) {
	ok := !id.isZero()
	if id.Seq--; id.Seq == math.MaxUint64 {
		id.Ms--
	}
	return id, ok
}

// AppendText appends the ID as text, "1700000000000-0", to dst. It never fails.
func (id ID) AppendText(dst []byte) []byte {
	dst = strconv.AppendUint(dst, id.Ms, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// String returns the ID as text.
func (id ID) String() string { return string(id.AppendText(nil)) }

func (id ID) key() ID { return id }

// form says how an ID may be written.
type form struct {
	seq     uint64 // of an ID that is written as milliseconds alone
	edges   bool   // "-" and "+" are the smallest and the largest ID
	autoSeq bool   // "ms-*" leaves the number to the stream
}

// parse reads an ID. auto says that its number is left to the stream.
func (f form) parse(text []byte) (id ID, auto, ok bool) {
	if len(text) > 127 {
		return id, false, false
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	if f.edges && len(text) == 1 {
		switch text[0] {
		case '-':
			return id, false, true
		case '+':
			return maxID, false, true
		}
	}
	ms, seq, both := bytes.Cut(text, []byte("-"))
	if id.Ms, ok = parseUint(ms); !ok {
		return id, false, false
	}
	switch {
	case !both:
		id.Seq = f.seq
	case f.autoSeq && len(seq) == 1 && seq[0] == '*':
		auto = true
	default:
		id.Seq, ok = parseUint(seq)
	}
	return id, auto, ok
}

// parseUint reads a number as C's strtoull does, which Redis uses: behind white space, with a sign, with
// leading zeros. A minus wraps around, but not if what it precedes is written as Redis writes numbers.
func parseUint(text []byte) (uint64, bool) {
	text = bytes.TrimLeft(text, " \t\n\v\f\r")
	if len(text) == 0 {
		return 0, false
	}
	negative := text[0] == '-'
	if negative {
		if _, err := strconv.ParseInt(string(text), 10, 64); err == nil && text[1] != '0' {
			return 0, false
		}
	}
	if text[0] == '+' || negative {
		text = text[1:]
	}
	var n uint64
	for _, c := range text {
		d := uint64(c) - '0'
		if d > 9 || n > math.MaxUint64/10 || n*10 > math.MaxUint64-d {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, len(text) > 0
}
