package resp

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Kind is what a reply is: the byte that it begins with.
type Kind byte

// The kinds of replies. Those behind Array exist in RESP3 only.
const (
	Simple    Kind = '+'
	Error     Kind = '-'
	Int       Kind = ':'
	Bulk      Kind = '$'
	Array     Kind = '*'
	Null      Kind = '_' // also RESP2's null bulk string and null array
	Bool      Kind = '#'
	Double    Kind = ','
	BigNumber Kind = '('
	BulkError Kind = '!'
	Verbatim  Kind = '='
	Map       Kind = '%'
	Set       Kind = '~'
	Push      Kind = '>'

	attribute = '|'
)

// Value is a reply.
type Value struct {
	Kind Kind
	// Str is the text of Simple, Error (with its code), Bulk, BigNumber, BulkError and Verbatim (without
	// its format). It aliases what was decoded.
	Str []byte
	// Int is the number of Int, 1 or 0 of Bool.
	Int int64
	// Double is the number of Double.
	Double float64
	// Elems are the elements of Array, Set and Push, and in turn the keys and values of Map.
	Elems []Value
	// Format is the format of Verbatim ("txt").
	Format string
}

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v.Kind == Null }

// Err returns the error that the reply is, with Redis's text, or nil.
func (v Value) Err() error {
	if v.Kind == Error || v.Kind == BulkError {
		return errors.New(string(v.Str))
	}
	return nil
}

// Text returns what a scalar reply says as text; of an aggregate, "".
func (v Value) Text() string {
	switch v.Kind {
	case Int, Bool:
		return strconv.FormatInt(v.Int, 10)
	case Double:
		return strconv.FormatFloat(v.Double, 'g', -1, 64)
	}
	return string(v.Str)
}

const (
	maxDepth = 64
	// minElem is how many bytes an element has at the least: a null.
	minElem = 3
)

var (
	errNumber = errors.New("resp: malformed number")
	errDepth  = errors.New("resp: nested too deeply")
	errEnd    = errors.New("resp: missing line end")
)

// errShort says that the reply goes on behind the input.
var errShort = errors.New("resp: incomplete")

// Decode reads the reply at the start of b, of RESP2 or RESP3. n is how many bytes it took; 0 with a nil
// error if it is not all there. Attributes are passed over. Nesting is limited to 64 levels. Its texts
// alias b.
func Decode(b []byte) (v Value, n int, err error) {
	d := decoder{b: b}
	v, err = d.value(0)
	switch {
	case errors.Is(err, errShort):
		return Value{}, 0, nil
	case err != nil:
		return Value{}, 0, err
	}
	return v, d.at, nil
}

type decoder struct {
	b  []byte
	at int
}

// line returns the kind and the rest of the line at the start of a value.
func (d *decoder) line() (kind byte, text []byte, err error) {
	b := d.b[d.at:]
	for i := 1; i+1 < len(b); i++ {
		if b[i] == '\r' {
			if b[i+1] != '\n' {
				return 0, nil, errEnd
			}
			d.at += i + 2
			return b[0], b[1:i:i], nil
		}
	}
	return 0, nil, errShort
}

func (d *decoder) value(depth int) (Value, error) {
	kind, text, err := d.line()
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Kind(kind)}
	switch v.Kind {
	case Simple, Error, BigNumber:
		v.Str = text
		return v, nil
	case Null:
		return v, nil
	case Bool:
		if len(text) != 1 || text[0] != 't' && text[0] != 'f' {
			return v, fmt.Errorf("resp: malformed boolean %q", text)
		}
		if text[0] == 't' {
			v.Int = 1
		}
		return v, nil
	case Double:
		v.Double, err = parseDouble(text)
		return v, err
	}
	count, ok := parseInt(text)
	if !ok {
		return v, errNumber
	}
	switch v.Kind {
	case Int:
		v.Int = count
		return v, nil
	case Bulk, BulkError, Verbatim:
		return d.bulk(v, count)
	case Array, Set, Push, Map, attribute:
		return d.aggregate(v, count, depth)
	}
	return v, fmt.Errorf("resp: unknown kind %q", kind)
}

func (d *decoder) bulk(v Value, size int64) (Value, error) {
	switch {
	case size == -1 && v.Kind == Bulk:
		return Value{Kind: Null}, nil
	case size < 0:
		return v, errNumber
	case size > int64(len(d.b)-d.at-2):
		return v, errShort
	}
	end := d.at + int(size)
	v.Str = d.b[d.at:end:end]
	if d.b[end] != '\r' || d.b[end+1] != '\n' {
		return v, errEnd
	}
	d.at = end + 2
	if v.Kind == Verbatim {
		if len(v.Str) < 4 || v.Str[3] != ':' {
			return v, errors.New("resp: malformed verbatim string")
		}
		v.Format, v.Str = string(v.Str[:3]), v.Str[4:]
	}
	return v, nil
}

func (d *decoder) aggregate(v Value, count int64, depth int) (Value, error) {
	switch {
	case count == -1 && v.Kind == Array:
		return Value{Kind: Null}, nil
	case count < 0 || count > math.MaxInt64/2:
		return v, errNumber
	case depth >= maxDepth:
		return v, errDepth
	}
	if v.Kind == Map || v.Kind == attribute {
		count *= 2
	}
	// Room is made for what is there, not for what is claimed.
	room := int64(len(d.b)-d.at) / minElem
	v.Elems = make([]Value, 0, min(count, room, 1024))
	for range count {
		e, err := d.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Elems = append(v.Elems, e)
	}
	if v.Kind == attribute {
		return d.value(depth + 1)
	}
	return v, nil
}

func parseDouble(text []byte) (float64, error) {
	switch string(text) {
	case "inf":
		return math.Inf(1), nil
	case "-inf":
		return math.Inf(-1), nil
	case "nan", "-nan":
		return math.NaN(), nil
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, errNumber
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errNumber
	}
	return f, nil
}
