package rdb

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// FuzzRead begins with files of a real server (testdata/*.rdb) and with values of old encodings. Whatever it
// is given, reading ends without a panic and in memory that is in proportion, and what was read can be
// written and read again.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.rdb")
	if err != nil || len(files) == 0 {
		f.Fatal("no files", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, p := range oldPayloads() {
		f.Add(file(9, func(s *sink) {
			s.byte(p[0])
			s.text([]byte("key"))
			s.raw(p[1 : len(p)-payloadEnd])
		}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		e := engine.New(engine.Defaults())
		n, err := Read(bytes.NewReader(b), ReadOptions{Stamp: e.Keyspace(0).Stamp(), Config: e.Config()}, func(i *Item) error {
			i.DB %= 16
			put(e, i)
			return nil
		})
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20+2000*uint64(len(b)) {
			t.Errorf("%d bytes of a file took %d", len(b), used)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if n > int64(len(b)) {
			t.Errorf("%d of %d bytes", n, len(b))
		}
		loaded(t, written(t, e, WriteOptions{Checksum: true, Compress: len(b)%2 == 0}))
		for en := range e.Keyspace(0).Table().All() {
			if en.Box() != nil {
				change(e.Config(), en.Box().Val.(engine.Value).Clone(e.Keyspace(0).Stamp()+1))
			}
		}
	})
}

// change has a value that was read do what goes to its bottom.
func change(c *engine.Config, v engine.Value) {
	x := []byte("x")
	switch v := v.(type) {
	case *lists.List:
		v.PushFront(x)
		v.PushBack(x)
		v.Remove(x, 1, true)
		v.Delete(1, v.Len()-2)
	case *sets.Set:
		var all [][]byte
		for m := range v.All() {
			all = append(all, bytes.Clone(m))
		}
		for _, m := range all {
			v.Remove(m)
		}
		v.Add(x, sets.LimitOf(c))
	case *hashes.Hash:
		var all [][]byte
		for field := range v.All() {
			all = append(all, bytes.Clone(field))
		}
		for _, field := range all {
			v.Set(field, x, hashes.LimitsOf(c))
		}
		v.Set(x, bytes.Repeat(x, 100), hashes.LimitsOf(c))
	case *zsets.ZSet:
		v.Add(bytes.Repeat(x, 100), 3, zsets.LimitsOf(c))
		v.RemoveSpan(0, v.Len())
	case *streams.Stream:
		if first := v.FirstLive(); v.Len() > 0 {
			v.Delete(first)
		}
		if last := v.Meta().Last; last.Ms < 1<<62 {
			v.Append(streams.ID{Ms: last.Ms + 1}, [][]byte{x, x}, streams.Limits{Bytes: 4096, Entries: 100})
		}
		v.Trim(streams.Trim{MaxLen: 1})
	}
}

// TestFilesOfTestdata tells that the files with which FuzzRead begins are whole.
func TestFilesOfTestdata(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/redis-7.0.15.rdb")
	if err != nil {
		t.Fatal(err)
	}
	e := loaded(t, b)
	types := map[engine.Type]bool{}
	for en := range e.Keyspace(0).Table().All() {
		types[engine.TypeOf(en)] = true
	}
	if len(types) != 6 {
		t.Errorf("%v", types)
	}
}
