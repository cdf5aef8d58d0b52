package engine

import (
	"math"
	"strconv"
)

// The errors that many commands share, as Redis words them.
const (
	ErrWrongType   = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrSyntax      = "ERR syntax error"
	ErrNotInt      = "ERR value is not an integer or out of range"
	ErrNotFloat    = "ERR value is not a valid float"
	ErrNoKey       = "ERR no such key"
	ErrOutOfRange  = "ERR index out of range"
	ErrOverflow    = "ERR increment or decrement would overflow"
	ErrNotPositive = "ERR value is out of range, must be positive"

	ErrOutOfRangeValue = "ERR value is out of range"
)

// The reply methods append to the client's output. Each takes its form from the protocol version that
// the client has chosen.

// OK replies +OK.
func (c *Client) OK() { c.out = append(c.out, "+OK\r\n"...) }

// Simple replies a simple string, which must have no line break.
func (c *Client) Simple(s string) {
	c.out = append(c.out, '+')
	c.out = append(c.out, s...)
	c.out = append(c.out, '\r', '\n')
}

// Error replies an error. The text begins with its code ("ERR …") and has no leading dash. Line breaks in
// it are replaced.
func (c *Client) Error(text string) {
	c.failed = true
	c.e.stats.Errors++
	c.out = append(c.out, '-')
	for i := range len(text) {
		b := text[i]
		if b == '\r' || b == '\n' {
			b = ' '
		}
		c.out = append(c.out, b)
	}
	c.out = append(c.out, '\r', '\n')
}

// WrongArity replies that a command was called with the wrong number of arguments. name may be
// "container|sub".
func (c *Client) WrongArity(name string) {
	c.Error("ERR wrong number of arguments for '" + name + "' command")
}

// Int replies an integer.
func (c *Client) Int(n int64) { c.header(':', n) }

// Count replies a length or a count.
func (c *Client) Count(n int) { c.header(':', int64(n)) }

// Bool01 replies 1 for true and 0 for false.
func (c *Client) Bool01(b bool) {
	if b {
		c.out = append(c.out, ":1\r\n"...)
	} else {
		c.out = append(c.out, ":0\r\n"...)
	}
}

// Bulk replies a bulk string.
func (c *Client) Bulk(b []byte) {
	c.header('$', int64(len(b)))
	c.out = append(c.out, b...)
	c.out = append(c.out, '\r', '\n')
}

// BulkString replies a bulk string.
func (c *Client) BulkString(s string) {
	c.header('$', int64(len(s)))
	c.out = append(c.out, s...)
	c.out = append(c.out, '\r', '\n')
}

// BulkInt replies an integer as a bulk string.
func (c *Client) BulkInt(n int64) {
	var buf [20]byte
	c.Bulk(strconv.AppendInt(buf[:0], n, 10))
}

// Null replies that there is no value: a null bulk string, or RESP3's null.
func (c *Client) Null() {
	if c.proto == 3 {
		c.out = append(c.out, "_\r\n"...)
	} else {
		c.out = append(c.out, "$-1\r\n"...)
	}
}

// NullArray replies that there is no array, or RESP3's null.
func (c *Client) NullArray() {
	if c.proto == 3 {
		c.out = append(c.out, "_\r\n"...)
	} else {
		c.out = append(c.out, "*-1\r\n"...)
	}
}

// Array begins an array of n elements, which follow.
func (c *Client) Array(n int) { c.header('*', int64(n)) }

// Map begins a map of n pairs: RESP2 has an array of 2n for it.
func (c *Client) Map(n int) {
	if c.proto == 3 {
		c.header('%', int64(n))
	} else {
		c.header('*', int64(2*n))
	}
}

// Set begins a set of n elements: RESP2 has an array for it.
func (c *Client) Set(n int) {
	if c.proto == 3 {
		c.header('~', int64(n))
	} else {
		c.header('*', int64(n))
	}
}

// Push begins a message out of turn of n elements: RESP2 has an array for it.
func (c *Client) Push(n int) {
	if c.proto == 3 {
		c.header('>', int64(n))
	} else {
		c.header('*', int64(n))
	}
}

// Double replies a floating point number with 17 significant digits: a bulk string, or RESP3's double.
func (c *Client) Double(f float64) {
	var buf [40]byte
	text := AppendDouble(buf[:0], f)
	if c.proto == 3 {
		c.out = append(c.out, ',')
		c.out = append(c.out, text...)
		c.out = append(c.out, '\r', '\n')
		return
	}
	c.Bulk(text)
}

// AppendDouble appends f as Redis 7.0 prints a score: C's %.17g.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	}
	if n := int64(f); float64(n) == f && n > -1e15 && n < 1e15 && (n != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, n, 10)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}

// Verbatim replies a text with its format ("txt"): a bulk string in RESP2.
func (c *Client) Verbatim(format, text string) {
	if c.proto != 3 {
		c.BulkString(text)
		return
	}
	c.header('=', int64(len(format)+1+len(text)))
	c.out = append(c.out, format...)
	c.out = append(c.out, ':')
	c.out = append(c.out, text...)
	c.out = append(c.out, '\r', '\n')
}

// Reply appends an encoded reply as it is.
func (c *Client) Reply(encoded []byte) { c.out = append(c.out, encoded...) }

// Mark is a place in the output at which SetLen inserts a length that is not known before.
type Mark int

// Later marks the place of a header that SetLen will insert.
func (c *Client) Later() Mark { return Mark(len(c.out)) }

// SetLen inserts the header of an aggregate at m: kind is one of "*", "%", "~", ">", with n elements (of a
// map, pairs; RESP2 gets an array). It moves what was replied since.
func (c *Client) SetLen(m Mark, kind byte, n int) {
	if c.proto != 3 && kind != '*' {
		if kind == '%' {
			n *= 2
		}
		kind = '*'
	}
	var buf [24]byte
	head := appendHeader(buf[:0], kind, int64(n))
	c.out = append(c.out, head...)
	copy(c.out[int(m)+len(head):], c.out[m:len(c.out)-len(head)])
	copy(c.out[m:], head)
}

// Undo takes back what was replied since m.
func (c *Client) Undo(m Mark) { c.out = c.out[:m] }

// Since returns what was replied since m. It is valid until the next reply.
func (c *Client) Since(m Mark) []byte { return c.out[m:] }

func (c *Client) header(kind byte, n int64) {
	c.out = appendHeader(c.out, kind, n)
}

func appendHeader(dst []byte, kind byte, n int64) []byte {
	if 0 <= n && n <= 9 {
		return append(dst, kind, '0'+byte(n), '\r', '\n')
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// Bool replies a boolean: 1 or 0 in RESP2.
func (c *Client) Bool(b bool) {
	switch {
	case c.proto != 3:
		c.Bool01(b)
	case b:
		c.out = append(c.out, "#t\r\n"...)
	default:
		c.out = append(c.out, "#f\r\n"...)
	}
}
