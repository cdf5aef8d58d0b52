package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func words1(args [][]byte) []string {
	var s []string
	for _, a := range args {
		s = append(s, string(a))
	}
	return s
}

// parseAll gives input to a parser in pieces of size step, as a connection would, and returns the requests.
func parseAll(p *Parser, input []byte, step int) (requests [][]string, rest int, err error) {
	var held []byte
	for len(input) > 0 {
		n := min(step, len(input))
		held = bytes.Clone(append(held, input[:n]...)) // elsewhere each time
		input = input[n:]
		for {
			args, n, err := p.Next(held)
			if err != nil {
				return requests, len(held), err
			}
			if n == 0 {
				break
			}
			if len(args) > 0 {
				requests = append(requests, words1(args))
			}
			held = held[n:]
		}
	}
	return requests, len(held), nil
}

func TestRequests(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 70000)
	for _, c := range []struct {
		in   string
		want [][]string
		rest int
	}{
		{"*1\r\n$4\r\nPING\r\n", [][]string{{"PING"}}, 0},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", [][]string{{"GET", ""}}, 0},
		{"*2\r\n$3\r\nGET\r\n$12\r\nabc\r\ndef\x00xyz\r\n*1\r\n$1\r\na\r\n", [][]string{{"GET", "abc\r\ndef\x00xyz"}, {"a"}}, 0},
		{"*0\r\n*-1\r\n*-7\r\n\r\n\n*1\r\n$1\r\na\r\n", [][]string{{"a"}}, 0},
		{"*1\r\n$1\r\nabc*1\r\n$1\r\nd\r\n", [][]string{{"a"}, {"d"}}, 0}, // what ends an argument is not looked at
		{"*2\r\n$3\r\nGET\r\n$70000\r\n" + big + "\r\nPING\r\n", [][]string{{"GET", big}, {"PING"}}, 0},
		{"*2\r\n$3\r\nGET\r\n$3\r\nab", nil, 19},
		{"PING\r\nGET a\n  SET\ta \v\fb  \r\n", [][]string{{"PING"}, {"GET", "a"}, {"SET", "a", "b"}}, 0},
		{`SET "a b" 'c d' e"f g"` + "\n", [][]string{{"SET", "a b", "c d", "ef g"}}, 0},
		{`"\x41\x4g\n\r\t\b\a\"\\\q" '\'\n' ''` + "\n", [][]string{{"Ax4g\n\r\t\b\a\"\\q", `'\n`, ""}}, 0},
		{"a\vb\r\r\n", [][]string{{"a\vb"}}, 0},
		{"a\x00b\r\n", nil, 5}, // behind a zero byte Redis looks for nothing
		{"PING", nil, 4},
	} {
		for _, step := range []int{1, 2, 3, 7, 1000, 1 << 30} {
			var p Parser
			got, rest, err := parseAll(&p, []byte(c.in), max(step, len(c.in)/300))
			fails(t, err, "")
			equal(t, c.want, got, "%.40q in pieces of %d", c.in, step)
			equal(t, c.rest, rest)
		}
	}
}

func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1", MaxLine+10)
	for _, c := range []struct {
		in, want string
		guest    bool
	}{
		{in: "*\r\n", want: "invalid multibulk length"},
		{in: "*x\r\n", want: "invalid multibulk length"},
		{in: "*+1\r\n", want: "invalid multibulk length"},
		{in: "*01\r\n", want: "invalid multibulk length"},
		{in: "*-0\r\n", want: "invalid multibulk length"},
		{in: "*1048577\r\n", want: "invalid multibulk length"},
		{in: "*99999999999999999999\r\n", want: "invalid multibulk length"},
		{in: "*9223372036854775808\r\n", want: "invalid multibulk length"},
		{in: "*" + long, want: "too big mbulk count string"},
		{in: "*1\r\n" + long, want: "too big bulk count string"},
		{in: "*1\r\nx1\r\n", want: "expected '$', got 'x'"},
		{in: "*1\r\n\r\n", want: "expected '$', got '\r'"},
		{in: "*1\r\n$\r\n", want: "invalid bulk length"},
		{in: "*1\r\n$-1\r\n", want: "invalid bulk length"},
		{in: "*1\r\n$01\r\n", want: "invalid bulk length"},
		{in: "*1\r\n$536870913\r\n", want: "invalid bulk length"},
		{in: "*1\r\n$9999999999\r\n", want: "invalid bulk length"},
		{in: "*11\r\n", want: "unauthenticated multibulk length", guest: true},
		{in: "*1\r\n$16385\r\n", want: "unauthenticated bulk length", guest: true},
		{in: long, want: "too big inline request"},
		{in: long + "\r\n", want: "too big inline request"},
		{in: "a\x00" + long, want: "too big inline request"},
		{in: "GET \"a\r\n", want: "unbalanced quotes in request"},
		{in: "GET 'a\r\n", want: "unbalanced quotes in request"},
		{in: "GET 'a'b\r\n", want: "unbalanced quotes in request"},
		{in: "GET \"a\"b\r\n", want: "unbalanced quotes in request"},
		{in: "GET \"a\\\r\n", want: "unbalanced quotes in request"},
	} {
		for _, step := range []int{1, 5, 1 << 30} {
			p := Parser{Guest: c.guest}
			_, _, err := parseAll(&p, []byte(c.in), max(step, len(c.in)/300))
			fails(t, err, "Protocol error: "+c.want)
		}
	}
}

func TestGuestsMayAuthenticate(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s", guestBulk)
	p := Parser{Guest: true}
	got, rest, err := parseAll(&p, fmt.Appendf(nil, "*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(secret), secret), 1000)
	fails(t, err, "")
	equal(t, 0, rest)
	equal(t, [][]string{{"AUTH", secret}}, got)
}

func TestMaxBulk(t *testing.T) {
	t.Parallel()
	p := Parser{MaxBulk: 5}
	got, _, err := parseAll(&p, []byte("*1\r\n$5\r\n12345\r\n*1\r\n$6\r\n"), 1<<30)
	fails(t, err, "Protocol error: invalid bulk length")
	equal(t, [][]string{{"12345"}}, got)
}

// A million arguments, in pieces of a few bytes, must not take the square of that.
func TestPiecesTakeLinearTime(t *testing.T) {
	t.Parallel()
	in := mset(MaxArgs)
	var p Parser
	for end := 0; ; end += 7 {
		args, n, err := p.Next(in[:min(end, len(in))])
		fails(t, err, "")
		if n > 0 {
			equal(t, MaxArgs, len(args))
			equal(t, "v", string(args[MaxArgs-1]))
			equal(t, len(in), n)
			break
		}
		if end > 100 && p.Want() > len(in) {
			t.Fatalf("wants %d of %d bytes", p.Want(), len(in))
		}
	}
	_, _, err := p.Next([]byte("*1\r\n$1\r\na\r\n"))
	fails(t, err, "")
	if cap(p.args) > keptArgs {
		t.Fatalf("a large request leaves %d slots behind", cap(p.args))
	}
}

func mset(n int) []byte {
	b := fmt.Appendf(nil, "*%d\r\n$4\r\nMSET\r\n", n)
	for range n - 1 {
		b = append(b, "$1\r\nv\r\n"...)
	}
	return b
}

func TestWant(t *testing.T) {
	t.Parallel()
	var p Parser
	for _, c := range []struct {
		in   string
		want int
	}{
		{"*3\r", 0},
		{"*3\r\n$3", 4 + 18},
		{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nx", 4 + 9 + 7 + 7 + 1002},
	} {
		_, n, err := p.Next([]byte(c.in))
		fails(t, err, "")
		equal(t, 0, n)
		equal(t, c.want, p.Want())
	}
}

func TestArgumentsCannotGrowIntoEachOther(t *testing.T) {
	t.Parallel()
	in := []byte("*2\r\n$1\r\na\r\n$1\r\nb\r\nGET x y\r\n")
	var p Parser
	for range 2 {
		args, n, err := p.Next(in)
		fails(t, err, "")
		want := string(args[1])
		_ = append(args[0], "zzzzzzzzzz"...)
		equal(t, want, string(args[1]))
		in = in[n:]
	}
}

//nolint:paralleltest // allocations are counted in the whole process
func TestSteadyRequestsAllocateNothing(t *testing.T) {
	in := []byte("*3\r\n$3\r\nSET\r\n$10\r\nkey:000001\r\n$5\r\nvalue\r\n")
	var p Parser
	allocs := testing.AllocsPerRun(100, func() {
		if _, n, _ := p.Next(in[:20]); n != 0 {
			t.Fatal(n)
		}
		if _, n, _ := p.Next(in); n != len(in) {
			t.Fatal(n)
		}
		if _, n, _ := p.Next(in); n != len(in) {
			t.Fatal(n)
		}
	})
	equal(t, 0.0, allocs)
}

func FuzzParser(f *testing.F) {
	for _, s := range []string{
		"*1\r\n$4\r\nPING\r\n", "PING\r\n", "GET \"a\\x41\" 'b'\r\n", "*2\r\n$1\r\na\r\n$0\r\n\r\n*0\r\n", "*-1\r\n*1\r\n$5\r\nab",
	} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if len(in) > 4096 {
			return
		}
		var whole, pieces Parser
		want, wantRest, wantErr := parseAll(&whole, in, 1<<30)
		got, gotRest, gotErr := parseAll(&pieces, in, max(1, step%64))
		equal(t, want, got)
		equal(t, wantErr, gotErr)
		if wantErr == nil {
			equal(t, wantRest, gotRest)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	for _, c := range []struct{ name, in string }{
		{"get", "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"},
		{"set", "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$3\r\nxxx\r\n"},
		{"inline", "SET key:000000000001 xxx\r\n"},
		{"mset100", string(mset(100))},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := []byte(c.in)
			var p Parser
			b.ReportAllocs()
			for b.Loop() {
				if _, n, err := p.Next(in); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
