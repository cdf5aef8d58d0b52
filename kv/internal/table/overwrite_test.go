package table

import (
	"bytes"
	"testing"
)

func TestOverwrite(t *testing.T) {
	t.Parallel()
	tab, key := New(1), []byte("key")
	e, _ := tab.Put(key, []byte("value"), 77)
	before := tab.Bytes()
	if !tab.Overwrite(e, []byte("VAL")) || string(tab.Find(key).Value()) != "VAL" || e.Deadline() != 77 || tab.Bytes() != before {
		t.Errorf("%q until %d in %d bytes, not %d", e.Value(), e.Deadline(), tab.Bytes(), before)
	}
	if tab.Overwrite(e, bytes.Repeat([]byte{'x'}, 100)) {
		t.Error("a value was written beyond its entry")
	}
	next := tab.Clone(2)
	if next.Overwrite(next.Find(key), []byte("new")) || string(tab.Find(key).Value()) != "VAL" {
		t.Error("an entry that is shared was overwritten")
	}
	b, _ := tab.PutBox([]byte("box"), 1, 0)
	if tab.Overwrite(&b.Entry, nil) {
		t.Error("a box was overwritten")
	}
}
