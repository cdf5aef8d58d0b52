package resp

import (
	"math"
	"strings"
	"testing"
)

func bulk(s string) Value { return Value{Kind: Bulk, Str: []byte(s)} }

func number(n int64) Value { return Value{Kind: Int, Int: n} }

func TestReplies(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Value{
		"+OK\r\n":                 {Kind: Simple, Str: []byte("OK")},
		"+\r\n":                   {Kind: Simple, Str: []byte{}},
		"-ERR no\r\n":             {Kind: Error, Str: []byte("ERR no")},
		":-12\r\n":                number(-12),
		"$3\r\na\r\n\r\n":         bulk("a\r\n"),
		"$0\r\n\r\n":              {Kind: Bulk, Str: []byte{}},
		"$-1\r\n":                 {Kind: Null},
		"*-1\r\n":                 {Kind: Null},
		"_\r\n":                   {Kind: Null},
		"#t\r\n":                  {Kind: Bool, Int: 1},
		"#f\r\n":                  {Kind: Bool},
		",1.5\r\n":                {Kind: Double, Double: 1.5},
		",-inf\r\n":               {Kind: Double, Double: math.Inf(-1)},
		"(123456789012345\r\n":    {Kind: BigNumber, Str: []byte("123456789012345")},
		"!5\r\nERR x\r\n":         {Kind: BulkError, Str: []byte("ERR x")},
		"=5\r\ntxt:a\r\n":         {Kind: Verbatim, Format: "txt", Str: []byte("a")},
		"*2\r\n:1\r\n$1\r\nb\r\n": {Kind: Array, Elems: []Value{number(1), bulk("b")}},
		"%1\r\n$1\r\nk\r\n*0\r\n": {Kind: Map, Elems: []Value{bulk("k"), {Kind: Array, Elems: []Value{}}}},
		"~1\r\n:1\r\n":            {Kind: Set, Elems: []Value{number(1)}},
		">2\r\n$1\r\nm\r\n_\r\n":  {Kind: Push, Elems: []Value{bulk("m"), {Kind: Null}}},
		"|1\r\n+ttl\r\n:3600\r\n*1\r\n$1\r\na\r\n": {Kind: Array, Elems: []Value{bulk("a")}},
	} {
		v, n, err := Decode([]byte(in + "tail"))
		fails(t, err, "")
		equal(t, len(in), n, "%q", in)
		equal(t, want, v, "%q", in)
		for i := range in {
			_, n, err := Decode([]byte(in[:i]))
			fails(t, err, "")
			equal(t, 0, n, "%q", in[:i])
		}
	}
}

func TestMalformedReplies(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"?\r\n", ":\r\n", ":x\r\n", "$-2\r\n", "*-2\r\n", "%-1\r\n", "$1\r\nabc", "+a\rb\r\n", "#x\r\n", ",abc\r\n", ",0x1p2\r\n",
		"=3\r\nabc\r\n", "!-1\r\n", "%9223372036854775807\r\n", strings.Repeat("*1\r\n", 100),
	} {
		_, _, err := Decode([]byte(in))
		if err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestClaimsCostNothing(t *testing.T) {
	t.Parallel()
	in := []byte(strings.Repeat("*1000000000\r\n", 60))
	_, n, err := Decode(in)
	fails(t, err, "")
	equal(t, 0, n)
}

func TestValueAsText(t *testing.T) {
	t.Parallel()
	equal(t, "12", number(12).Text())
	equal(t, "1.5", Value{Kind: Double, Double: 1.5}.Text())
	equal(t, "a", bulk("a").Text())
	fails(t, Value{Kind: Error, Str: []byte("ERR x")}.Err(), "ERR x")
	fails(t, bulk("a").Err(), "")
	equal(t, true, Value{Kind: Null}.IsNull())
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n:1\r\n$1\r\nb\r\n", "%1\r\n$1\r\nk\r\n*0\r\n", "=5\r\ntxt:a\r\n", ",1.5\r\n", "|1\r\n+a\r\n:1\r\n_\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, n, err := Decode(in)
		if err != nil || n == 0 {
			equal(t, Value{}, v)
			return
		}
		if n > len(in) {
			t.Fatalf("took %d of %d bytes", n, len(in))
		}
		_, short, err := Decode(in[:n-1])
		fails(t, err, "")
		equal(t, 0, short, "a part of a reply")
	})
}

func BenchmarkDecode(b *testing.B) {
	in := []byte("*3\r\n$5\r\nhello\r\n:12\r\n+OK\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := Decode(in); n != len(in) || err != nil {
			b.Fatal(n, err)
		}
	}
}
