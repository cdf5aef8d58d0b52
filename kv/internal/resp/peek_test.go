package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestPeek(t *testing.T) {
	t.Parallel()
	get := "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
	for _, c := range []struct {
		in   string
		keys int
		seen int
	}{
		{"", 0, 0},
		{"PING\r\n", 0, 0},
		{"*1\r\n$4\r\nPING\r\n" + get, 1, 14 + len(get)},
		{strings.Repeat(get, 20), 16, 16 * len(get)},
		{get + get[:10], 1, len(get)},
		{get + "*2\r\n$3\r\nGET\r\n$999999999\r\nk\r\n", 1, len(get)},
		{get + "*9\r\n$1\r\na\r\n", 1, len(get)},
		{get + "*-1\r\n" + get, 1, len(get)},
		{get + "*0\r\n" + get, 2, len(get) + 4 + len(get)},
	} {
		keys, seen := Peek([]byte(c.in), make([][]byte, 0, 16))
		equal(t, strings.Repeat("k", c.keys), string(bytes.Join(keys, nil)), "%q", c.in)
		equal(t, c.seen, seen, "%q", c.in)
	}
}

func FuzzPeek(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		keys, seen := Peek(in, make([][]byte, 0, 16))
		var p Parser
		for at := 0; at < seen; {
			args, n, err := p.Next(in[at:])
			if err != nil || n == 0 {
				t.Fatalf("%q: %d, %v", in[at:], n, err)
			}
			if len(args) > 1 {
				equal(t, string(args[1]), string(keys[0]), fmt.Sprintf("%q", in))
				keys = keys[1:]
			}
			at += n
		}
	})
}
