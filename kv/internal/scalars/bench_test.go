package scalars

import (
	"fmt"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// request encodes a command n times, with %d in its words replaced by numbers below keys.
func request(n, keys int, command ...string) []byte {
	var b []byte
	for i := range n {
		var args [][]byte
		for _, w := range command {
			if w == "key" {
				w = fmt.Sprintf("key:%012d", i*7919%keys)
			}
			args = append(args, []byte(w))
		}
		b = engine.AppendCommand(b, args)
	}
	return b
}

// BenchmarkProcess executes batches of commands as a front does. One operation is one command.
func BenchmarkProcess(b *testing.B) {
	const batch, keys = 1000, 100_000
	for _, test := range []struct {
		name    string
		command []string
	}{
		{"GET", []string{"GET", "key"}},
		{"SET", []string{"SET", "key", "value-of-32-bytes-xxxxxxxxxxxxxx"}},
		{"SET EX", []string{"SET", "key", "value-of-32-bytes-xxxxxxxxxxxxxx", "EX", "1000"}},
		{"SETEX", []string{"SETEX", "key", "1000", "value-of-32-bytes-xxxxxxxxxxxxxx"}},
		{"INCR", []string{"INCR", "n"}},
		{"INCRBYFLOAT", []string{"INCRBYFLOAT", "f", "0.25"}},
		{"MSET", []string{"MSET", "key", "value-of-32-bytes-xxxxxxxxxxxxxx", "k2", "v", "k3", "v"}},
		{"MGET", []string{"MGET", "key", "k2", "k3"}},
		{"APPEND", []string{"APPEND", "a", "x"}},
		{"SETBIT", []string{"SETBIT", "b", "7000", "1"}},
		{"BITFIELD", []string{"BITFIELD", "b", "INCRBY", "i16", "#3", "1"}},
		{"PFADD", []string{"PFADD", "h", "key"}},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := newSubject(b)
			s.e.SetJournal(nil)
			out := make([]byte, 0, 1<<20)
			fill := request(keys, keys, "SET", "key", "value-of-32-bytes-xxxxxxxxxxxxxx")
			for n := 0; len(fill) > 0; fill = fill[n:] {
				n, out = s.e.Process(s.c, fill, out[:0])
			}
			in := request(batch, keys, test.command...)
			run := func() {
				for rest := in; len(rest) > 0; {
					var n int
					n, out = s.e.Process(s.c, rest, out[:0])
					rest = rest[n:]
				}
			}
			run()
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += batch {
				run()
			}
		})
	}
}
