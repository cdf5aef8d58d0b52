package keyspace

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

// encode is the entry that decodes to e. Only scripts pin entries, so there is no encoder for that.
func encode(e *Entry) []byte {
	b := AppendEntry(nil, &e.Item, e.Stamp)
	if e.Pinned {
		b[0] = flagPinned
	}
	return b
}

// entries draws what L2 may hold.
func entries() *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Pinned: rapid.Bool().Draw(t, "pinned"),
			Absent: rapid.Bool().Draw(t, "absent"),
			Stamp:  rapid.Int64Range(0, model.MaxEpoch).Draw(t, "stamp"),
		}
		e.Item.ID = model.ID(rapid.Int64Range(1, math.MaxInt64).Draw(t, "id"))
		if e.Absent {
			return e
		}
		e.Item.AuthorID = model.ID(rapid.Int64Range(1, math.MaxInt64).Draw(t, "author"))
		e.Item.Kind = rapid.StringMatching(`[a-zA-Z0-9._:-]{0,64}`).Draw(t, "kind")
		e.Item.CreatedAt = drawTime(t, "created")
		e.Item.UpdatedAt = drawTime(t, "updated")
		e.Item.Version = model.Version(rapid.Int64Range(1, math.MaxInt64).Draw(t, "version"))
		e.Item.Deleted = rapid.Bool().Draw(t, "deleted")
		e.Item.Content = []byte(rapid.String().Draw(t, "content")) // separators and line ends included
		return e
	})
}

func drawTime(t *rapid.T, label string) time.Time {
	return time.UnixMilli(rapid.Int64Range(-1<<41, 1<<53).Draw(t, label)).UTC()
}

func TestEntriesAndRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := entries().Draw(t, "entry")
		got, err := ParseEntry(want.Item.ID, encode(&want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %+v, %v", encode(&want), got, err)
		}
		bare := want
		bare.Item.Content = []byte{}
		snapshot := AppendSnapshot(nil, &want.Item, want.Stamp)
		bare.Pinned = false
		if want.Absent {
			bare.Item.Content = nil
		}
		if got, err := ParseEntry(want.Item.ID, snapshot); err != nil || !reflect.DeepEqual(got, bare) {
			t.Fatalf("the snapshot %q is read as %+v, %v", snapshot, got, err)
		}
		if want.Absent {
			return
		}
		var it model.Item
		if err := ParseRecord(AppendRecord(nil, &want.Item), &it); err != nil {
			t.Fatal(err)
		}
		it.ID, it.Version, it.Deleted = want.Item.ID, want.Item.Version, want.Item.Deleted
		if !reflect.DeepEqual(it, want.Item) {
			t.Fatalf("the record is read as %+v", it)
		}
	})
}

func TestEntriesHaveTheirDocumentedForm(t *testing.T) {
	t.Parallel()
	it := model.Item{
		ID: 7, AuthorID: 8, Kind: "post", Content: []byte(`{"a":"|"}`), Version: model.NewVersion(3, 0xab),
		CreatedAt: time.UnixMilli(1000), UpdatedAt: time.UnixMilli(2000),
	}
	const head = "0000030000" + "0000ab" + "000004"
	for want, got := range map[string][]byte{
		"cv" + head + `8|post|1000|2000|{"a":"|"}`: AppendEntry(nil, &it, 4),
		"cv" + head + `8|post|1000|2000|`:          AppendSnapshot(nil, &it, 4),
		"ca0000000000000000000004":                 AppendEntry(nil, &model.Item{ID: 7}, 4),
	} {
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := Hex(it.Version), "00000300000000ab"; got != want {
		t.Errorf("version %q, want %q", got, want)
	}
	if long := AppendSnapshot(nil, &model.Item{
		ID: math.MaxInt64, AuthorID: math.MaxInt64, Kind: strings.Repeat("k", 64), Version: 1,
		CreatedAt: time.UnixMilli(math.MaxInt64), UpdatedAt: time.UnixMilli(math.MaxInt64),
	}, model.MaxEpoch); len(long) > entryPeek || len(long) > 256 { // the write script looks at 256 bytes
		t.Errorf("an entry without content has %d bytes", len(long))
	}
}

func TestDamagedEntriesAreErrors(t *testing.T) {
	t.Parallel()
	good := "cv" + Hex(5) + "000001" + "8|post|1000|2000|{}"
	for _, entry := range []string{
		"", "c", good[:headSize-1], good[:headSize], good[:headSize+8],
		"x" + good[1:], "cx" + good[2:], strings.Replace(good, "5000001", "5-00001", 1),
		strings.Replace(good, "5000001", "500000g", 1), "cv" + Hex(0) + good[18:],
		"ca" + Hex(5) + "000001", "ca" + Hex(0) + "000001trailing", "cvffffffffffffffff" + good[18:],
		strings.Replace(good, "8|", "+8|", 1), strings.Replace(good, "8|", "08|", 1), strings.Replace(good, "8|", "|", 1),
		strings.Replace(good, "1000", "1e3", 1), strings.Replace(good, "2000", "-0", 1),
		strings.Replace(good, "2000", "9223372036854775808", 1),
	} {
		if e, err := ParseEntry(1, []byte(entry)); err == nil {
			t.Errorf("%q is read as %+v", entry, e)
		}
	}
	if _, err := ParseEntry(1, []byte(good)); err != nil {
		t.Error(err)
	}
}

// Scripts compare versions as strings: their order must be that of the numbers.
func TestHexVersionsAreOrderedAsVersions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		versions := rapid.Custom(func(t *rapid.T) model.Version {
			return model.NewVersion(rapid.Int64Range(0, model.MaxEpoch).Draw(t, "epoch"), rapid.Int64Range(0, model.MaxSeq).Draw(t, "seq"))
		})
		a, b := versions.Draw(t, "a"), versions.Draw(t, "b")
		if (a < b) != (Hex(a) < Hex(b)) || (a == b) != (Hex(a) == Hex(b)) {
			t.Fatalf("%d and %d are %s and %s", a, b, Hex(a), Hex(b))
		}
		if got, err := ParseHex(Hex(a)); err != nil || got != a {
			t.Fatalf("%s is read as %d, %v", Hex(a), got, err)
		}
		if got, ok := ParseStreamID(StreamID(a)); !ok || got != a {
			t.Fatalf("%s is read as %d, %v", StreamID(a), got, ok)
		}
	})
}

func TestParseHexRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "1", "00000000000000001", "000000000000000A", "-000000000000001", "8000000000000000", " 000000000000001"} {
		if v, err := ParseHex(s); err == nil {
			t.Errorf("%q is read as %d", s, v)
		}
	}
}

func TestParseStreamIDRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "-", "1", "1-", "-1", "1--1", "1-+1", "01-1", "1-01", "1-1-1", "1-1 ", "a-1", "1-a",
		"8388608-0", "1-1099511627776", "1-18446744073709551615",
	} {
		if v, ok := ParseStreamID(s); ok {
			t.Errorf("%q is read as %d", s, v)
		}
	}
	for s, want := range map[string]model.Version{
		"0-0": 0, "1-2": model.NewVersion(1, 2), "8388607-1099511627775": math.MaxInt64,
	} {
		if v, ok := ParseStreamID(s); !ok || v != want {
			t.Errorf("%q is read as %d, %v", s, v, ok)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte("cv" + Hex(5) + "000001" + "8|post|1000|2000|{}"))
	f.Add([]byte("pd" + Hex(model.NewVersion(2, 3)) + "000002" + "8||-1|9223372036854775807|"))
	f.Add([]byte("ca" + Hex(0) + "ffffff"))
	f.Add([]byte("cv" + Hex(5) + "000001" + "8|post|1000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(7, bytes.Clone(b))
		if err != nil {
			return
		}
		if got := encode(&e); !bytes.Equal(got, b) {
			t.Errorf("%q is accepted, but would be written as %q", b, got)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("8|post|1000|2000|{}"))
	f.Add([]byte("-8||0|0|"))
	f.Add([]byte("8|post|1000|2000"))
	f.Add([]byte("08|post|+1|2000|x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var it model.Item
		if ParseRecord(bytes.Clone(b), &it) != nil {
			return
		}
		if got := AppendRecord(nil, &it); !bytes.Equal(got, b) {
			t.Errorf("%q is accepted, but would be written as %q", b, got)
		}
	})
}

func FuzzParseStreamID(f *testing.F) {
	for _, s := range []string{"0-0", "1-2", "8388607-1099511627775", "1-", "-1", "01-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := ParseStreamID(s); ok && (v < 0 || StreamID(v) != s) {
			t.Errorf("%q is accepted as %d, but would be written as %q", s, v, StreamID(v))
		}
	})
}
