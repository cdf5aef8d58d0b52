package rdb

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func benchEngine(n int) *engine.Engine {
	e := engine.New(engine.Defaults())
	for i := range n {
		e.Keyspace(0).SetString(fmt.Appendf(nil, "key:%012d", i), fmt.Appendf(nil, "value of about sixty bytes, of which a few repeat %012d", i), 0)
	}
	return e
}

func BenchmarkWrite(b *testing.B) {
	e := benchEngine(100_000)
	e.Lock()
	snap := e.Snapshot()
	e.Unlock()
	defer snap.Release()
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprint("compress=", compress), func(b *testing.B) {
			for b.Loop() {
				n, err := Write(io.Discard, snap, WriteOptions{Checksum: true, Compress: compress})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	e := benchEngine(100_000)
	e.Lock()
	snap := e.Snapshot()
	e.Unlock()
	defer snap.Release()
	var file bytes.Buffer
	if _, err := Write(&file, snap, WriteOptions{Checksum: true, Compress: true}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(bytes.NewReader(file.Bytes()), ReadOptions{}, func(*Item) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
