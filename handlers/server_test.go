package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/client"
	"github.com/zmsg/zmsg/handlers"
)

// startServer serves h on a socket of its own and returns the URL.
func startServer(t *testing.T, c handlers.Config, h http.Handler) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := handlers.NewServer(&c, h)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

// reply is a response that has been read.
type reply struct {
	status int
	header http.Header
	length int64 // as announced
	body   []byte
}

// ask sends a request over a connection of its own.
func ask(t *testing.T, method, url string, body io.Reader) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	// A body that is refused by its length is not sent at all.
	r.Header.Set("Expect", "100-continue")
	transport := &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength, body: data}
}

func TestHeadHasTheLengthOfGet(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.MaxBodyBytes = 128 << 10
	f := newFake()
	f.maxContent = 64 << 10
	url := startServer(t, c, newHandler(t, deps(f, c)))
	for _, size := range []int{1, 4000, 60_000} { // the last two are more than the server counts by itself
		body := `{"author_id":"42","content":"` + strings.Repeat("x", size) + `"}`
		if resp := ask(t, http.MethodPut, url+seededPath, strings.NewReader(body)); resp.status != http.StatusOK {
			t.Fatalf("status %d", resp.status)
		}
		get, head := ask(t, http.MethodGet, url+seededPath, nil), ask(t, http.MethodHead, url+seededPath, nil)
		if get.length != int64(len(get.body)) || head.length != get.length {
			t.Errorf("GET announces %d of %d bytes, HEAD %d", get.length, len(get.body), head.length)
		}
		if get.header.Get("ETag") != head.header.Get("ETag") || get.header.Get("ETag") == "" {
			t.Errorf("ETags %q and %q", get.header.Get("ETag"), head.header.Get("ETag"))
		}
	}
}

func TestOversizeOverSocket(t *testing.T) {
	t.Parallel()
	c := testConfig()
	f := newFake()
	url := startServer(t, c, newHandler(t, deps(f, c)))
	for name, body := range map[string]io.Reader{
		"Announced": strings.NewReader(strings.Repeat(" ", 1<<20)),
		"Chunked":   io.LimitReader(endless{}, 8<<10),
	} {
		resp := ask(t, http.MethodPost, url+"/feeds", body)
		var p api.Problem
		if err := json.Unmarshal(resp.body, &p); err != nil || resp.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d, %v", name, resp.status, err)
		}
	}
	if f.count() != 0 {
		t.Error("written")
	}
}

// endless reads as white space.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestClient walks through the life of an item with the generated client.
func TestClient(t *testing.T) {
	t.Parallel()
	c := testConfig()
	url := startServer(t, c, newHandler(t, deps(newFake(), c)))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cl, err := client.NewClientWithResponses(url, client.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	key := "once"
	created, err := cl.CreateFeedItemWithResponse(ctx, &api.CreateFeedItemParams{IdempotencyKey: &key},
		api.ItemDraft{AuthorID: "42", Content: json.RawMessage(`{"a":1}`)})
	if err != nil || created.JSON201 == nil {
		t.Fatalf("create: %v, %s", err, created.Body)
	}
	id, etag := created.JSON201.ID, created.HTTPResponse.Header.Get("ETag")
	changed, err := cl.PatchFeedItemWithApplicationMergePatchPlusJSONBodyWithResponse(ctx, id,
		&api.PatchFeedItemParams{IfMatch: &etag}, json.RawMessage(`{"b":2}`))
	if err != nil || changed.JSON200 == nil || string(changed.JSON200.Content) != `{"a":1,"b":2}` {
		t.Fatalf("patch: %v, %s", err, changed.Body)
	}
	deleted, err := cl.DeleteFeedItemWithResponse(ctx, id, &api.DeleteFeedItemParams{IfMatch: &etag})
	if err != nil || deleted.ApplicationProblemJSON412 == nil {
		t.Fatalf("delete of an older version: %v, %s", err, deleted.Body)
	}
	deleted, err = cl.DeleteFeedItemWithResponse(ctx, id, nil)
	if err != nil || deleted.StatusCode() != http.StatusNoContent {
		t.Fatalf("delete: %v, %s", err, deleted.Body)
	}
	read, err := cl.GetFeedItemWithResponse(ctx, id, nil)
	if err != nil || read.ApplicationProblemJSON404 == nil {
		t.Fatalf("read of what is deleted: %v, %s", err, read.Body)
	}
}
