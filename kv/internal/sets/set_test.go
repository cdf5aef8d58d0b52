package sets

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/kv/internal/intset"
)

func members(s *Set) map[string]bool {
	all := map[string]bool{}
	for m := range s.All() {
		all[string(m)] = true
	}
	return all
}

func drawMember(t *rapid.T) string {
	n := rapid.IntRange(-5, 30).Draw(t, "member")
	if n > 25 && rapid.IntRange(0, 9).Draw(t, "word") == 0 {
		return "m" + strconv.Itoa(n)
	}
	return strconv.Itoa(n * n * n * 1000)
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, model, lim := New(1), map[string]bool{}, Limit(rapid.IntRange(0, 20).Draw(t, "limit"))
		type old struct {
			s     *Set
			model map[string]bool
		}
		var olds []old
		large := false
		for range rapid.IntRange(1, 100).Draw(t, "rounds") {
			m := drawMember(t)
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0:
				olds = append(olds, old{s, maps.Clone(model)})
				s = s.Clone(s.Stamp() + 1).(*Set)
			case 1, 2, 3:
				if s.Remove([]byte(m)) != model[m] {
					t.Fatal("Remove")
				}
				delete(model, m)
			default:
				if s.Add([]byte(m), lim) == model[m] {
					t.Fatal("Add")
				}
				model[m] = true
				large = large || m[0] == 'm' || len(model) > int(lim)
			}
			if s.Has([]byte(m)) != model[m] || s.Len() != len(model) {
				t.Fatal("Has")
			}
			if (s.Encoding() == "hashtable") != large || (s.Intset() == nil) != large {
				t.Fatalf("the encoding is %s", s.Encoding())
			}
		}
		if got := members(s); !maps.Equal(got, model) {
			t.Fatalf("got %v, want %v", got, model)
		}
		scanned := map[string]bool{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = s.Scan(cursor, func(m []byte) { scanned[string(m)] = true })
		}
		if !maps.Equal(scanned, model) {
			t.Fatalf("scanned %v, want %v", scanned, model)
		}
		for _, o := range olds {
			if got := members(o.s); !maps.Equal(got, o.model) {
				t.Fatalf("a snapshot has %v, want %v", got, o.model)
			}
		}
	})
}

func TestSampleIsUniform(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, prefix := range []string{"", "m"} { // an intset, a table
		s := New(1)
		for i := range 20 {
			s.Add([]byte(prefix+strconv.Itoa(i)), 512)
		}
		for _, k := range []int{0, 1, 4, 10, 19, 20} {
			times := map[string]int{}
			const rounds = 3000
			for range rounds {
				chosen := map[string]bool{}
				s.Sample(r, k, func(m []byte) { chosen[string(m)] = true; times[string(m)]++ })
				if len(chosen) != k {
					t.Fatalf("%d members, want %d", len(chosen), k)
				}
			}
			for m, n := range times {
				if want := rounds * k / 20; n < want-180 || n > want+180 {
					t.Errorf("%s was chosen %d times, not about %d", m, n, want)
				}
			}
		}
		if m := s.Random(r); !s.Has(m) {
			t.Errorf("%q is not a member", m)
		}
	}
}

func TestFromIntset(t *testing.T) {
	t.Parallel()
	ints := intset.New()
	for i := range 5 {
		ints, _ = ints.Add(int64(i))
	}
	if s := FromIntset(1, ints.Clone(), 5); s.Encoding() != "intset" || s.Len() != 5 {
		t.Error(s.Encoding(), s.Len())
	}
	s := FromIntset(1, ints, 4)
	if got := slices.Sorted(maps.Keys(members(s))); s.Encoding() != "hashtable" || !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
		t.Error(s.Encoding(), got)
	}
	s = New(1)
	s.Expect(5, 4)
	if s.Encoding() != "hashtable" || s.Bytes() <= New(1).Bytes() {
		t.Error(s.Encoding(), s.Bytes())
	}
}
