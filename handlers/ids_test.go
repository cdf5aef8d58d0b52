package handlers_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/zmsg/zmsg/api"
)

func TestMint(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body  string
		count int
	}{
		"NoBody": {"", 1}, "NoCount": {"{}", 1}, "One": {`{"count":1}`, 1}, "Most": {` {"count":10000}`, 10000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := send(t, newHandler(t, deps(newFake(), testConfig())), call{method: http.MethodPost, path: "/ids", body: tt.body})
			wantStatus(t, w, http.StatusOK)
			wantHeaders(t, w, "Cache-Control", "no-store")
			ids := into[api.MintedIDs](t, w).Ids
			if len(ids) != tt.count || !slices.IsSorted(ids) || ids[0] != "730123456789013001" {
				t.Errorf("%d IDs: %.100s", len(ids), w.Body)
			}
		})
	}
}

func TestMintIsReplayed(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	c := call{method: http.MethodPost, path: "/ids", body: `{"count":3}`, headers: []string{"Idempotency-Key", "k"}}
	first, again := send(t, h, c), send(t, h, c)
	wantHeaders(t, first, "Idempotent-Replayed", "")
	wantHeaders(t, again, "Idempotent-Replayed", "true")
	if first.Body.String() != again.Body.String() {
		t.Errorf("the repeat answers %s, the first %s", again.Body, first.Body)
	}
}

func TestDescribeID(t *testing.T) {
	t.Parallel()
	w := send(t, newHandler(t, deps(newFake(), testConfig())), call{method: http.MethodGet, path: "/ids/28673"})
	wantStatus(t, w, http.StatusOK)
	wantHeaders(t, w, "Cache-Control", "public, max-age=31536000, immutable")
	if want := `{"id":"28673","timestamp":"2024-01-01T00:00:00.000Z","node":7,"sequence":1}`; w.Body.String() != want {
		t.Errorf("body %s, want %s", w.Body, want)
	}
}
