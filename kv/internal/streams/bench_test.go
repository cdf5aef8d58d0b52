package streams_test

import (
	"strconv"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/streams"
)

func BenchmarkAppend(b *testing.B) {
	s := streams.New(1)
	fields := [][]byte{[]byte("field"), []byte("value-17"), []byte("number"), []byte("123456")}
	limits := streams.Limits{Bytes: 4096, Entries: 100}
	b.ReportAllocs()
	for i := range b.N {
		s.Append(streams.ID{Ms: uint64(i/10 + 1), Seq: uint64(i % 10)}, fields, limits)
	}
}

func BenchmarkCommands(b *testing.B) {
	for _, command := range [][]string{
		{"XADD", "s", "*", "field", "value-17", "number", "123456"},
		{"XADD", "s", "MAXLEN", "~", "1000", "*", "field", "value-17", "number", "123456"},
		{"XADD", "s", "MAXLEN", "1000", "*", "field", "value-17", "number", "123456"},
		{"XRANGE", "s", "50000", "+", "COUNT", "10"},
		{"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">"},
	} {
		b.Run(command[0]+" "+command[2], func(b *testing.B) {
			e := engine.New(engine.Defaults())
			e.Register(streams.Commands...)
			c := e.NewClient(engine.Front{})
			if command[0] != "XADD" {
				for i := range max(b.N, 100_000) {
					e.Do(c, words([]string{"XADD", "s", strconv.Itoa(i + 1), "field", "value"}), nil)
				}
				e.Do(c, words([]string{"XGROUP", "CREATE", "s", "g", "0"}), nil)
			}
			args, out := words(command), []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				out = e.Do(c, args, out[:0])
			}
		})
	}
}

// BenchmarkFirstWriteAfterSnapshot is what a snapshot costs the first command that changes a group.
func BenchmarkFirstWriteAfterSnapshot(b *testing.B) {
	s := streams.New(1)
	g := s.CreateGroup([]byte("g"), streams.ID{}, 0)
	c := s.CreateConsumer(g, []byte("c"), 0)
	for i := range uint64(1_000_000) {
		if err := s.AddPending(g, streams.Pending{ID: streams.ID{Ms: i}}); err != nil {
			b.Fatal(err)
		}
		if err := s.Own(g, c, streams.ID{Ms: i}); err != nil {
			b.Fatal(err)
		}
	}
	stamp := uint32(1)
	for b.Loop() {
		stamp++
		s = s.Clone(stamp).(*streams.Stream)
		s.EditGroup([]byte("g"))
	}
}
