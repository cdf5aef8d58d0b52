package service

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

func TestCursor_IsGoodForItsListOnly(t *testing.T) {
	t.Parallel()
	id := rapid.Map(rapid.Int64Range(1, math.MaxInt64), func(n int64) model.ID { return model.ID(n) })
	sets := rapid.Map(rapid.SliceOfNDistinct(id, 1, 5, rapid.ID[model.ID]), func(s []model.ID) []model.ID {
		slices.Sort(s)
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		last, authors, others := id.Draw(t, "last"), sets.Draw(t, "authors"), sets.Draw(t, "others")
		c := newCursor(last, authors)
		if got, err := parseCursor(c, authors); err != nil || got != last {
			t.Fatalf("cursor of %d reads as %d, %v", last, got, err)
		}
		if _, err := parseCursor(c, others); err == nil && !slices.Equal(authors, others) {
			t.Fatalf("cursor of %v is taken for %v", authors, others)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	authors := []model.ID{1, 2}
	f.Add(newCursor(77, authors))
	f.Add("AQ")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		last, err := parseCursor(s, authors)
		switch {
		case err == nil && newCursor(last, authors) != s:
			t.Errorf("%q is taken for the cursor of %d", s, last)
		case err != nil && model.KindOf(err) != model.Malformed:
			t.Errorf("%q: %v", s, err)
		}
	})
}
