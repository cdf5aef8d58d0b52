package rdb

import (
	"bytes"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// loaded returns an engine that has what a file has.
func loaded(t *testing.T, file []byte) *engine.Engine {
	t.Helper()
	e := engine.New(engine.Defaults())
	n, err := Read(bytes.NewReader(file), ReadOptions{Stamp: e.Keyspace(0).Stamp(), Config: e.Config(), Warn: func(text string) { t.Error(text) }}, func(i *Item) error {
		put(e, i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(len(file)) {
		t.Fatalf("%d of %d bytes were read", n, len(file))
	}
	return e
}

func put(e *engine.Engine, i *Item) {
	if k := e.Keyspace(i.DB); i.Value != nil {
		k.SetValue(i.Key, i.Value, i.Deadline)
	} else {
		k.SetString(i.Key, i.String, i.Deadline)
	}
}

// entryOf returns an entry that has a value.
func entryOf(str []byte, v engine.Value) *table.Entry {
	k := engine.New(engine.Defaults()).Keyspace(0)
	if v != nil {
		return k.SetValue([]byte("key"), v, 0)
	}
	return k.SetString([]byte("key"), str, 0)
}

// written returns an engine's file.
func written(t *testing.T, e *engine.Engine, o WriteOptions) []byte {
	t.Helper()
	e.Lock()
	snap := e.Snapshot()
	e.Unlock()
	defer snap.Release()
	var file bytes.Buffer
	n, err := Write(&file, snap, o)
	if err != nil || n != int64(file.Len()) {
		t.Fatalf("%d bytes, not %d: %v", n, file.Len(), err)
	}
	return file.Bytes()
}

// What a real server has saved is loaded and written again; what a real server loads from that is what it
// loads from its own file.
func TestEverythingGoesThrough(t *testing.T) {
	t.Parallel()
	first := realServer(t, nil)
	fill(t, first)
	original := saved(t, first)
	want := describe(t, realServer(t, original))
	e := loaded(t, original)
	for _, o := range []WriteOptions{{Compress: true, Checksum: true}, {}} {
		file := written(t, e, o)
		checked(t, file)
		same(t, describe(t, realServer(t, file)), want)
	}
}
