package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/client"
)

// newClient returns a client of a server that answers as h does.
func newClient(t *testing.T, h http.HandlerFunc) *client.ClientWithResponses {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := client.NewClientWithResponses(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCreate(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		var draft api.ItemDraft
		if err := json.NewDecoder(r.Body).Decode(&draft); err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/feeds" || r.URL.Query().Get("store") != "delayed" ||
			r.Header.Get("Idempotency-Key") != "k" || draft.AuthorID != "42" || string(draft.Content) != `{"a":1}` {
			t.Errorf("%s %s %v %+v", r.Method, r.URL, r.Header, draft)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"id":"7","author_id":"42","kind":"post","content":{"a":1},"version":"9",` +
			`"created_at":"2026-11-22T17:30:00.123Z","updated_at":"2026-11-22T17:30:00.123Z","durability":"memory"}`))
	})
	key, store := "k", api.StoreModeDelayed
	resp, err := c.CreateFeedItemWithResponse(context.Background(),
		&api.CreateFeedItemParams{Store: &store, IdempotencyKey: &key},
		api.ItemDraft{AuthorID: "42", Content: json.RawMessage(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.JSON202; got == nil || got.ID != "7" || got.Durability != api.DurabilityMemory || string(got.Content) != `{"a":1}` {
		t.Errorf("answer %+v", got)
	}
}

func TestIncrement(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		var in api.CounterIncrement
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/counters/post:17/likes/increments" ||
			r.Header.Get("Idempotency-Key") != "k" || in.Delta != -1 {
			t.Errorf("%s %s %v %+v", r.Method, r.URL, r.Header, in)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"subject":"post:17","metric":"likes","value":9007199254740991,"durability":"committed"}`))
	})
	key := "k"
	resp, err := c.IncrementCounterWithResponse(context.Background(), "post:17", "likes",
		&api.IncrementCounterParams{IdempotencyKey: &key}, api.CounterIncrement{Delta: -1})
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.JSON200; got == nil || got.Value != 1<<53-1 || got.Durability != api.CountDurabilityCommitted {
		t.Errorf("answer %+v", got)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"type":"https://zmsg.dev/problems/not-found","title":"Not found","status":404,"detail":"there is no such item"}`))
	})
	resp, err := c.GetFeedItemWithResponse(context.Background(), "7", nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := resp.ApplicationProblemJSON404; p == nil || p.Status != http.StatusNotFound {
		t.Errorf("problem %+v", p)
	}
}

func TestBatchPathIsNotEscaped(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/feeds:batchGet" {
			t.Errorf("asked for %s", r.RequestURI)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMultiStatus)
		_, _ = w.Write([]byte(`{"summary":{"total":1,"succeeded":0,"failed":1},"items":[{"index":0,"id":"7","status":404}]}`))
	})
	resp, err := c.BatchGetFeedItemsWithResponse(context.Background(), nil, api.BatchGetRequest{Ids: []string{"7"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.JSON207; got == nil || got.Summary.Failed != 1 || *got.Items[0].ID != "7" {
		t.Errorf("answer %+v", got)
	}
}
