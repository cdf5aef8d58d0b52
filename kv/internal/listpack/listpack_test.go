package listpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/listpack"
)

// texts returns the elements as text, found forwards, and checks that backwards finds the same.
func texts(t rapid.TB, p listpack.Pack) []string {
	forwards := []string{}
	for pos := p.First(); pos >= 0; pos = p.Next(pos) {
		forwards = append(forwards, string(p.AppendValue(nil, pos)))
	}
	backwards := []string{}
	for pos := p.Last(); pos >= 0; pos = p.Prev(pos) {
		backwards = append(backwards, string(p.AppendValue(nil, pos)))
	}
	slices.Reverse(backwards)
	if !slices.Equal(forwards, backwards) || p.Len() != len(forwards) {
		t.Fatalf("forwards %q, backwards %q, Len %d", forwards, backwards, p.Len())
	}
	return forwards
}

// element draws short, long and numeric texts, with the borders of every encoding.
func element() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringN(0, 80, 100),
		rapid.SampledFrom([]string{
			"", "-", "-0", "0", "00", "01", "+1", "127", "128", "-1", "-4096", "-4097", "4095", "4096",
			"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999",
		}),
		rapid.Map(rapid.Int64(), func(v int64) string { return strconv.FormatInt(v, 10) }),
		rapid.Map(rapid.SampledFrom([]int{63, 64, 125, 126, 127, 4095, 4096, 16377, 16378, 16379, 70000}), func(n int) string { return strings.Repeat("x", n) }),
	)
}

func TestPackIsAListOfTexts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, model := listpack.New(), []string{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			v := element().Draw(t, "v")
			at := rapid.IntRange(0, len(model)).Draw(t, "at")
			pos := p.Seek(at)
			switch rapid.SampledFrom([]string{"append", "insert", "replace", "delete", "clone", "concat"}).Draw(t, "op") {
			case "append":
				p, model = p.Append([]byte(v)), append(model, v)
			case "insert":
				p, model = p.Insert(pos, []byte(v)), slices.Insert(model, at, v)
			case "replace":
				if pos >= 0 {
					p = p.Replace(pos, []byte(v))
					model[at] = v
				}
			case "delete":
				n := rapid.IntRange(0, 3).Draw(t, "n")
				if pos >= 0 {
					p, model = p.Delete(pos, n), slices.Delete(model, at, min(at+n, len(model)))
				}
			case "clone":
				p = p.Clone()
			case "concat":
				if len(model) < 100 {
					p, model = p.Concat(p.Clone()), append(model, slices.Clone(model)...)
				}
			}
			if got := texts(t, p); !slices.Equal(got, model) {
				t.Fatalf("got %q, want %q", got, model)
			}
			if _, err := listpack.Check(p); err != nil {
				t.Fatal(err)
			}
		}
		checkPositions(t, p, model)
	})
}

func checkPositions(t *rapid.T, p listpack.Pack, model []string) {
	for i, v := range model {
		pos := p.Seek(i)
		if !p.Equal(pos, []byte(v)) || p.Seek(i-len(model)) != pos || p.EntrySizeAt(pos) != listpack.EntrySize([]byte(v)) {
			t.Fatalf("element %d, %q, is not at %d", i, v, pos)
		}
		if p.Find(p.First(), []byte(v), 0) != p.Seek(slices.Index(model, v)) {
			t.Fatalf("%q is not found", v)
		}
	}
	if p.Seek(len(model)) != -1 || p.Seek(-len(model)-1) != -1 {
		t.Fatal("there is an element out of range")
	}
}

func TestIntegersTakeTheFewestBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    int64
		want string
	}{
		{0, "0001"},
		{127, "7f01"},
		{128, "c08002"},
		{-1, "dfff02"},
		{4095, "cfff02"},
		{-4096, "d00002"},
		{4096, "f1001003"},
		{-4097, "f1ffef03"},
		{math.MaxInt16, "f1ff7f03"},
		{1 << 15, "f200800004"},
		{-1 << 23, "f200008004"},
		{1 << 23, "f30000800005"},
		{math.MinInt32, "f30000008005"},
		{1 << 31, "f4000000800000000009"},
		{math.MinInt64, "f4000000000000008009"},
	} {
		text := strconv.FormatInt(c.v, 10)
		for how, p := range []listpack.Pack{
			listpack.New().Append([]byte(text)), listpack.New().InsertInt(-1, c.v), listpack.New().AppendInt(1).ReplaceInt(6, c.v),
			listpack.New().AppendInt(1).InsertInt(6, c.v).Delete(6+len(c.want)/2, 1),
		} {
			if got := fmt.Sprintf("%x", []byte(p[6:len(p)-1])); got != c.want {
				t.Errorf("%d, %d: %s, want %s", c.v, how, got, c.want)
			}
			if _, v, isInt := p.Get(6); !isInt || v != c.v {
				t.Errorf("%d, %d: read as %d", c.v, how, v)
			}
		}
	}
}

func TestFindSkips(t *testing.T) {
	t.Parallel()
	p := listpack.New()
	for _, v := range []string{"a", "b", "b", "1", "1", "x"} {
		p = p.Append([]byte(v))
	}
	for v, want := range map[string]int{"b": p.Seek(2), "1": p.Seek(4), "x": -1, "01": -1} {
		if got := p.Find(p.First(), []byte(v), 1); got != want {
			t.Errorf("%q: %d, want %d", v, got, want)
		}
	}
	if listpack.New().Find(-1, []byte("x"), 0) != -1 {
		t.Error("found in an empty pack")
	}
}

func TestManyElementsAreCounted(t *testing.T) {
	t.Parallel()
	p := listpack.New()
	for i := range 70_000 {
		p = p.AppendInt(int64(i))
	}
	if _, err := listpack.Check(p); err != nil || p.Len() != 70_000 {
		t.Fatal(p.Len(), err)
	}
	for i, want := range map[int]string{-1: "69999", 66_000: "66000", 70_000: "", -70_001: "", -70_000: "0"} {
		pos := p.Seek(i)
		if want == "" && pos != -1 || want != "" && string(p.AppendValue(nil, pos)) != want {
			t.Errorf("%d is at %d", i, pos)
		}
	}
	if p = p.Delete(p.First(), 69_999); p.Len() != 1 {
		t.Errorf("%d are left", p.Len())
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(listpack.New()))
	f.Add([]byte(listpack.New().Append([]byte("abc")).AppendInt(-5).AppendInt(1 << 40)))
	f.Add([]byte(listpack.New().Append(bytes.Repeat([]byte("x"), 100)).Append(bytes.Repeat([]byte("x"), 5000))))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := listpack.Check(bytes.Clone(b))
		if err != nil {
			if !errors.Is(err, listpack.ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		before := texts(t, p)
		p = p.Append([]byte("tail"))
		p = p.Insert(p.First(), []byte("head"))
		if got := texts(t, p); !slices.Equal(got, append(append([]string{"head"}, before...), "tail")) {
			t.Errorf("%q after %q", got, before)
		}
		if left := texts(t, p.Delete(p.First(), len(b))); len(left) != 0 {
			t.Errorf("%q are left", left)
		}
	})
}
