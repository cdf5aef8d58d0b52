package hashes

import (
	"errors"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

func contents(h *Hash) map[string]string {
	all := map[string]string{}
	for f, v := range h.All() {
		all[string(f)] = string(v)
	}
	return all
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h, model := New(1), map[string]string{}
		lim := Limits{Entries: rapid.IntRange(0, 20).Draw(t, "entries"), Value: 8}
		type old struct {
			h     *Hash
			model map[string]string
		}
		var olds []old
		large := false
		for range rapid.IntRange(1, 100).Draw(t, "rounds") {
			n := rapid.IntRange(0, 30).Draw(t, "field")
			field, value := strconv.Itoa(n), strconv.Itoa(rapid.IntRange(-1000, 100_000).Draw(t, "value"))
			if n%2 == 0 {
				field = "f" + field
				value = strings.Repeat("v", rapid.IntRange(0, 9).Draw(t, "length"))
			}
			old1, there := model[field]
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0:
				olds = append(olds, old{h, maps.Clone(model)})
				h = h.Clone(h.Stamp() + 1).(*Hash)
			case 1, 2, 3:
				if h.Delete([]byte(field)) != there {
					t.Fatal("Delete")
				}
				delete(model, field)
			case 4:
				if v, found := h.Get([]byte(field)); found != there || string(v) != old1 {
					t.Fatal("Get")
				}
			default:
				if h.Set([]byte(field), []byte(value), lim) == there {
					t.Fatal("Set")
				}
				model[field] = value
				large = large || len(value) > 8 || len(model) > lim.Entries
			}
			if h.Len() != len(model) {
				t.Fatal("Len")
			}
			if (h.Encoding() == "hashtable") != large || (h.Listpack() == nil) != large {
				t.Fatalf("the encoding is %s", h.Encoding())
			}
		}
		if got := contents(h); !maps.Equal(got, model) {
			t.Fatalf("got %v, want %v", got, model)
		}
		scanned := map[string]string{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = h.Scan(cursor, func(f, v []byte) { scanned[string(f)] = string(v) })
		}
		if !maps.Equal(scanned, model) {
			t.Fatalf("scanned %v, want %v", scanned, model)
		}
		for _, o := range olds {
			if got := contents(o.h); !maps.Equal(got, o.model) {
				t.Fatalf("a snapshot has %v, want %v", got, o.model)
			}
		}
	})
}

func TestSampleIsUniform(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, entries := range []int{0, 512} { // a table, a listpack
		h := New(1)
		for i := range 20 {
			h.Set([]byte(strconv.Itoa(i)), []byte(strconv.Itoa(i)), Limits{entries, 64})
		}
		for _, k := range []int{0, 1, 4, 10, 19, 20} {
			times := map[string]int{}
			const rounds = 3000
			for range rounds {
				chosen := map[string]bool{}
				h.Sample(r, k, func(f, v []byte) {
					if string(f) != string(v) {
						t.Fatalf("%s has %s", f, v)
					}
					chosen[string(f)] = true
					times[string(f)]++
				})
				if len(chosen) != k {
					t.Fatalf("%d fields, want %d", len(chosen), k)
				}
			}
			for f, n := range times {
				if want := rounds * k / 20; n < want-180 || n > want+180 {
					t.Errorf("%s was chosen %d times, not about %d", f, n, want)
				}
			}
		}
		if f, v := h.Random(r); string(f) != string(v) {
			t.Errorf("%s has %s", f, v)
		}
	}
}

func TestFromListpack(t *testing.T) {
	t.Parallel()
	pack := listpack.New().Append([]byte("a")).Append([]byte("1")).Append([]byte("b"))
	if _, err := FromListpack(1, pack.Clone(), Limits{512, 64}); !errors.Is(err, ErrPack) {
		t.Errorf("a field without a value: %v", err)
	}
	pack = pack.Append([]byte("2"))
	for entries, encoding := range map[int]string{2: "listpack", 1: "hashtable"} {
		h, err := FromListpack(1, pack.Clone(), Limits{entries, 64})
		if err != nil || h.Encoding() != encoding || !maps.Equal(contents(h), map[string]string{"a": "1", "b": "2"}) {
			t.Errorf("%d entries: %v, %v", entries, contents(h), err)
		}
	}
	h := New(1)
	h.Expect(5, Limits{4, 64})
	if h.Encoding() != "hashtable" || h.Bytes() <= New(1).Bytes() {
		t.Error(h.Encoding(), h.Bytes())
	}
}
