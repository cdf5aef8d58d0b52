package service

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

func TestMinted_ReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var ids []model.ID
		next := model.ID(rapid.Int64Range(1, 1<<62).Draw(t, "first"))
		for _, gap := range rapid.SliceOfN(rapid.SampledFrom([]model.ID{0, 0, 0, 1, 1 << 22}), 0, 200).Draw(t, "gaps") {
			next += gap
			ids = append(ids, next)
			next++
		}
		fingerprint := rapid.String().Draw(t, "fingerprint")
		f, got, err := parseMinted(appendMinted(nil, fingerprint, ids))
		if err != nil || f != fingerprint || !slices.Equal(got, ids) {
			t.Fatalf("%q %v read back as %q %v, %v", fingerprint, ids, f, got, err)
		}
	})
}

func FuzzParseMinted(f *testing.F) {
	f.Add(appendMinted(nil, "f", []model.ID{5, 6, 7, 100}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ids, err := parseMinted(b); err == nil && len(ids) > MaxMint {
			t.Errorf("%d IDs", len(ids))
		}
	})
}
