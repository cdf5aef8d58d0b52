package engine

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/zmsg/zmsg/kv/internal/table"
)

// Type is the type of a key's value, as TYPE names it.
type Type string

// The types.
const (
	TypeString Type = "string"
	TypeList   Type = "list"
	TypeSet    Type = "set"
	TypeZSet   Type = "zset"
	TypeHash   Type = "hash"
	TypeStream Type = "stream"
	TypeTrie   Type = "trie"
	TypeNone   Type = "none"
)

// Value is what a key holds, other than a string that is kept inline in its entry.
//
// It is copied on write: a snapshot shares values with the keyspace. Only a value whose stamp is that of
// its keyspace's table may be changed, and Keyspace.Write hands out no other.
type Value interface {
	Type() Type
	Encoding() string // as OBJECT ENCODING tells it
	Bytes() int       // about how much memory it holds, in O(1)
	Stamp() uint32
	// Clone returns a value that shares the receiver's parts and clones each before changing it. The
	// receiver does not change any more. It costs far less than copying the value.
	Clone(stamp uint32) Value
}

// Raw is a string that has been changed in part (APPEND, SETRANGE, SETBIT), and so is kept with room to
// grow.
type Raw struct {
	B     []byte
	stamp uint32
}

// NewRaw returns a string that holds b, which it owns from now on.
func NewRaw(stamp uint32, b []byte) *Raw { return &Raw{B: b, stamp: stamp} }

// Type implements Value.
func (*Raw) Type() Type { return TypeString }

// Encoding implements Value.
func (*Raw) Encoding() string { return "raw" }

// Bytes implements Value.
func (r *Raw) Bytes() int { return 32 + cap(r.B) }

// Stamp implements Value.
func (r *Raw) Stamp() uint32 { return r.stamp }

// Clone implements Value. It copies the string.
func (r *Raw) Clone(stamp uint32) Value { return &Raw{B: slices.Clone(r.B), stamp: stamp} }

// TypeOf returns the type of what is under an entry.
func TypeOf(en *table.Entry) Type {
	if b := en.Box(); b != nil {
		return b.Val.(Value).Type()
	}
	return TypeString
}

// StringOf returns the string that is under an entry, or false if that is of another type. The bytes are
// the database's own: they are valid until the next write.
func StringOf(en *table.Entry) ([]byte, bool) {
	b := en.Box()
	if b == nil {
		return en.Value(), true
	}
	if r, ok := b.Val.(*Raw); ok {
		return r.B, true
	}
	return nil, false
}

// EncodingOf returns the encoding of what is under an entry, as OBJECT ENCODING tells it.
func EncodingOf(en *table.Entry) string {
	if b := en.Box(); b != nil {
		return b.Val.(Value).Encoding()
	}
	v := en.Value()
	if _, ok := ParseInt(v); ok {
		return "int"
	}
	if len(v) <= 44 {
		return "embstr"
	}
	return "raw"
}

// ParseInt reads b as Redis reads an integer: decimal, no sign but a minus, no leading zeros, 64 bits.
func ParseInt(b []byte) (int64, bool) {
	switch {
	case len(b) == 0 || len(b) > 20:
		return 0, false
	case len(b) == 1:
		return int64(b[0] - '0'), '0' <= b[0] && b[0] <= '9'
	}
	digits, negative := b, b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	var n uint64
	for i, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		if i >= 18 { // from here on it may overflow
			v, err := strconv.ParseInt(string(b), 10, 64)
			return v, err == nil
		}
		n = n*10 + uint64(d-'0')
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

// EqualFold compares an argument with an option's name, which is in upper case.
func EqualFold(arg []byte, upper string) bool {
	return len(arg) == len(upper) && bytes.EqualFold(arg, []byte(upper))
}

// Size is about the memory, in bytes, that an entry's key and value take.
func Size(en *table.Entry) int {
	if b := en.Box(); b != nil {
		return 64 + len(en.Key()) + b.Val.(Value).Bytes()
	}
	return 16 + len(en.Key()) + len(en.Value())
}
