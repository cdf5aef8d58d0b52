package service_test

import (
	"slices"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func newIDs(s *store) *service.IDs {
	return service.NewIDs(service.IDsDeps{
		Minter: s, Results: s,
		Decode: func(id model.ID) (time.Time, int, int) { return time.UnixMilli(int64(id)).UTC(), 3, 4 },
	})
}

func TestIDs_MintCounts(t *testing.T) {
	t.Parallel()
	f := newIDs(newStore())
	for _, count := range []int{-1, 0, service.MaxMint + 1} {
		_, _, err := f.Mint(t.Context(), count, "", "")
		wantErr(t, err, model.Invalid, "/count")
	}
	for _, count := range []int{1, service.MaxMint} {
		ids, replayed, err := f.Mint(t.Context(), count, "", "")
		if err != nil || replayed || len(ids) != count || !slices.IsSorted(ids) {
			t.Errorf("minted %d IDs of %d, replayed %v, %v", len(ids), count, replayed, err)
		}
	}
}

func TestIDs_RepeatGetsTheSameIDs(t *testing.T) {
	t.Parallel()
	f := newIDs(newStore())
	first, replayed, err := f.Mint(t.Context(), 50, "k", "f")
	if err != nil || replayed {
		t.Fatalf("replayed %v, %v", replayed, err)
	}
	again, replayed, err := f.Mint(t.Context(), 50, "k", "f")
	if err != nil || !replayed || !slices.Equal(first, again) {
		t.Errorf("first %v, again %v, replayed %v, %v", first, again, replayed, err)
	}
	_, _, err = f.Mint(t.Context(), 51, "k", "g")
	wantErr(t, err, model.KeyReused, "")
	other, _, err := f.Mint(t.Context(), 50, "l", "f")
	if err != nil || slices.Equal(first, other) {
		t.Errorf("another key got %v, %v", other, err)
	}
}

func TestIDs_Describe(t *testing.T) {
	t.Parallel()
	got := newIDs(newStore()).Describe(1234)
	want := service.IDParts{ID: 1234, Timestamp: time.UnixMilli(1234).UTC(), Node: 3, Sequence: 4}
	if got != want {
		t.Errorf("described as %+v", got)
	}
}
