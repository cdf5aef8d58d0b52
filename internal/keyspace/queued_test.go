package keyspace

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

// fields is the stream entry that decodes to q.
func fields(q *model.Queued) map[string]any {
	values := make(map[string]any)
	if q.Key != "" {
		values["k"] = q.Key + "|" + q.Record
	}
	if d := q.Delta; d != nil {
		removed := ""
		if d.Remove {
			removed = flagRemove
		}
		values["i"] = fmt.Sprintf("%s|%s|%d|%d|%s", d.Subject, d.Metric, d.N, d.At.UnixMilli(), removed)
	}
	if it := q.Item; it != nil {
		op := "v"
		if it.Deleted {
			op = "d"
		}
		values[op+it.ID.String()] = string(AppendRecord(nil, it))
	}
	return values
}

func TestQueuedWritesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := model.Queued{Shard: 3, Version: model.Version(rapid.Int64Range(1, math.MaxInt64).Draw(t, "version"))}
		if rapid.Bool().Draw(t, "counter") {
			name := rapid.StringMatching(`[A-Za-z0-9_.:~@-]{1,64}`)
			want.Delta = &model.Delta{
				Counter: model.Counter{Subject: name.Draw(t, "subject"), Metric: name.Draw(t, "metric")},
				N:       rapid.Int64Range(-3*most, 3*most).Draw(t, "delta"),
				At:      drawTime(t, "at"), Remove: rapid.Bool().Draw(t, "remove"),
			}
		} else {
			e := entries().Filter(func(e Entry) bool { return !e.Absent }).Draw(t, "entry")
			e.Item.Version = want.Version
			want.Item = &e.Item
		}
		if rapid.Bool().Draw(t, "keyed") {
			want.Key = rapid.StringMatching(`[a-z0-9:]{1,64}`).Draw(t, "key")
			want.Record = rapid.StringMatching(`[a-z0-9]{0,64}\|[0-9|-]*`).Draw(t, "record")
		}
		if got := ParseQueued(3, StreamID(want.Version), fields(&want)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %+v", fields(&want), got)
		}
	})
}

func TestDamagedEntriesAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	const record, delta, key = "8|post|1000|2000|{}", "s|m|1|1000|", "key|print|1|1|1"
	for _, values := range []map[string]any{
		{},
		{"k": key},
		{"v7": record, "v8": record},
		{"v7": record, "i": delta},
		{"i": delta, "more": ""},
		{"v7": 5},
		{"": record},
		{"x7": record},
		{"v": record},
		{"v0": record},
		{"v07": record},
		{"v+7": record},
		{"v9223372036854775808": record},
		{"v7": ""},
		{"v7": "8|post|1000"},
		{"d7": "x|post|1000|2000|"},
		{"i": ""},
		{"i": "s|m|1|1000"},
		{"i": "s|m|1|1000||"},
		{"i": "|m|1|1000|"},
		{"i": "s||1|1000|"},
		{"i": "s|m|x|1000|"},
		{"i": "s|m|+1|1000|"},
		{"i": "s|m|1||"},
		{"i": "s|m|1|1000|x"},
		{"i": "s\x00|m|1|1000|"},
		{"i": "s|\xff|1|1000|"},
		{"i": fmt.Sprintf("s|m|%d|1000|", 3*int64(most)+1)},
		{"i": "s|m|9223372036854775808|1000|"},
		{"v7": record, "k": ""},
		{"v7": record, "k": "key"},
		{"v7": record, "k": "key|print"},
		{"v7": record, "k": "|print|1"},
		{"i": delta, "k": "k\x00y|print|1"},
		{"i": delta, "k": "key|\xff|1"},
	} {
		got := ParseQueued(3, "1-2", values)
		if got.Damage == "" || got.Version != model.NewVersion(1, 2) || got.Shard != 3 {
			t.Errorf("%q is read as %+v", values, got)
		}
		damage := got.Damage
		if want := (model.Queued{Shard: 3, Version: got.Version, Raw: raw(values), Damage: damage}); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v, want %+v", values, got, want)
		}
	}
	if got := ParseQueued(3, "x", map[string]any{"i": delta}); got.Version != 0 || got.Delta != nil || got.Raw != `"i" "s|m|1|1000|"` || got.Damage == "" {
		t.Errorf("with an ID that is none: %+v", got)
	}
	if got, want := raw(map[string]any{"v7": "\xff\x00", "k": "a"}), `"k" "a" "v7" "\xff\x00"`; got != want {
		t.Errorf("kept as %s, want %s", got, want)
	}
}

func FuzzParseQueued(f *testing.F) {
	f.Add("1-2", "v7", "8|post|1000|2000|{}", "k", "key|print|7|1|2|1000|1000|0")
	f.Add("1-2", "d7", "8|post|1000|2000|", "", "")
	f.Add("8388607-1099511627775", "i", "post:1|likes|-5|1000|r", "k", "key|print|5|1|2")
	f.Add("1-2", "i", "post:1|likes|18014398509481982|1000|", "x", "")
	f.Add("", "i", "|", "k", "|")
	f.Fuzz(func(t *testing.T, id, name1, value1, name2, value2 string) {
		values := map[string]any{name1: value1}
		if name2 != "" {
			values[name2] = value2
		}
		q := ParseQueued(3, id, values)
		if q.Damage != "" {
			if q.Item != nil || q.Delta != nil || q.Key != "" || q.Raw == "" || strings.ContainsAny(q.Raw, "\x00\n") {
				t.Errorf("%q is damaged and read as %+v", values, q)
			}
			return
		}
		if (q.Item == nil) == (q.Delta == nil) || q.Raw != "" || StreamID(q.Version) != id {
			t.Errorf("%s %q is read as %+v", id, values, q)
		}
		if d := q.Delta; d != nil && d.At.Location() != time.UTC {
			t.Errorf("%q is read as of %v", values, d.At)
		}
		if got := fields(&q); !reflect.DeepEqual(got, values) {
			t.Errorf("%q is accepted, but would be written as %q", values, got)
		}
	})
}
