package intset_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/intset"
)

func values(s intset.Set) []int64 {
	all := []int64{}
	for i := range s.Len() {
		all = append(all, s.At(i))
	}
	return all
}

func TestSetIsSortedIntegers(t *testing.T) {
	t.Parallel()
	number := rapid.OneOf(
		rapid.Int64Range(-20, 20), rapid.Int64(),
		rapid.Map(rapid.Int32(), func(v int32) int64 { return int64(v) }),
		rapid.SampledFrom([]int64{-1 << 15, -1<<15 - 1, 1<<15 - 1, 1 << 15, -1 << 31, -1<<31 - 1, 1<<31 - 1, 1 << 31, -1 << 63, 1<<63 - 1}),
	)
	rapid.Check(t, func(t *rapid.T) {
		s, model := intset.New(), []int64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			v := number.Draw(t, "v")
			i, had := slices.BinarySearch(model, v)
			if s.Has(v) != had {
				t.Fatalf("Has(%d) is %v", v, !had)
			}
			var changed bool
			if rapid.IntRange(0, 3).Draw(t, "op") > 0 {
				s, changed = s.Add(v)
				if changed == had {
					t.Fatalf("Add(%d) is %v", v, changed)
				}
				if !had {
					model = slices.Insert(model, i, v)
				}
			} else {
				s, changed = s.Remove(v)
				if changed != had {
					t.Fatalf("Remove(%d) is %v", v, changed)
				}
				if had {
					model = slices.Delete(model, i, i+1)
				}
			}
			if got := values(s); !slices.Equal(got, model) {
				t.Fatalf("got %d, want %d", got, model)
			}
			if _, err := intset.Check(s.Clone()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestLayoutIsThatOfRedis(t *testing.T) {
	t.Parallel()
	s := intset.New()
	for _, c := range []struct {
		v    int64
		want string
	}{
		{5, "02000000010000000500"},
		{-1, "0200000002000000ffff0500"},
		{1000, "0200000003000000ffff0500e803"},
		{1 << 20, "0400000004000000ffffffff05000000e803000000001000"},
	} {
		s, _ = s.Add(c.v)
		if got := fmt.Sprintf("%x", []byte(s)); got != c.want {
			t.Errorf("with %d: %s, want %s", c.v, got, c.want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	s, _ := intset.New().Add(7)
	f.Add([]byte(s))
	s, _ = s.Add(-1 << 40)
	f.Add([]byte(s))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := intset.Check(bytes.Clone(b))
		if err != nil {
			return
		}
		all := values(s)
		if !slices.IsSorted(all) {
			t.Errorf("%d", all)
		}
		for _, v := range all {
			s, _ = s.Remove(v)
		}
		if s.Len() != 0 {
			t.Errorf("%d are left", s.Len())
		}
	})
}
