package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/api"
)

var fuzzRoutes = append(bodyRoutes, struct{ method, path string }{http.MethodPatch, seededPath})

// FuzzBodies sends any bytes to every operation with a body: never a 5xx, no write without a 2xx, and what
// is accepted is kept byte for byte.
func FuzzBodies(f *testing.F) {
	for i := range fuzzRoutes {
		for _, b := range badBodies {
			if len(b.body) < 100 {
				f.Add(uint8(i), []byte(b.body))
			}
		}
		for _, body := range []string{
			`{"author_id":"42","content":{"a":[1,2.50,"x"]}}`, `{"id":"9","author_id":"42","kind":"k","content": null }`,
			`{"count":3}`, `{"ids":["730123456789012480","9","x",1]}`,
			`{"delta":-3}`, `{"value":9007199254740991}`, `{"items":[{"subject":"a","metric":"b","delta":1,"idempotency_key":"k"},{"subject":"a"},1]}`,
			`{"items":[{"op":"create","author_id":"1","content":1},{"op":"delete","id":"730123456789012480","if_match":"*"},{"op":"put"}]}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		route := fuzzRoutes[int(n)%len(fuzzRoutes)]
		fk := newFake()
		r := httptest.NewRequestWithContext(t.Context(), route.method, route.path, bytes.NewReader(body))
		w := serve(newHandler(t, deps(fk, testConfig())), r)
		if w.Code >= 500 {
			t.Fatalf("status %d\n%s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer is no JSON: %q", w.Body)
		}
		if w.Code >= 400 {
			problemIn(t, w)
			if fk.count() > 0 {
				t.Errorf("status %d, and written", w.Code)
			}
			return
		}
		if strings.Contains(w.Body.String(), `"status":5`) {
			t.Errorf("a 5xx in a batch: %s", w.Body)
		}
		if route.path == "/feeds" || route.method == http.MethodPut && route.path == seededPath {
			var item api.Item
			if err := json.Unmarshal(w.Body.Bytes(), &item); err != nil {
				t.Fatalf("%v in %q", err, w.Body)
			}
			if !bytes.Contains(body, item.Content) || !bytes.Contains(w.Body.Bytes(), []byte(`"content":`+string(item.Content)+`,"version"`)) {
				t.Errorf("content %q of %q", item.Content, body)
			}
		}
	})
}

// FuzzHeaders sends any text in the headers that are parsed, and in the query.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		"", "*", `"1"`, `W/"1"`, `"1", "1099511627818"`, `"a,b"`, `"`, ",", "respond-async", `x="a,b", respond-async;wait=1`, "no-cache, x",
		`"k\"\\"`, "k", strings.Repeat("k", 256), "store=delayed", "store=sync&store=sync", "author_id=1&limit=3", "a=%zz", "verbose",
	} {
		f.Add(seed)
	}
	names := []string{"If-Match", "If-None-Match", "Prefer", "Idempotency-Key", "Cache-Control", "Content-Type", "X-Request-Id"}
	f.Fuzz(func(t *testing.T, value string) {
		fk := newFake()
		h := newHandler(t, deps(fk, testConfig()))
		for _, route := range append(fuzzRoutes, struct{ method, path string }{"GET", seededPath}, struct{ method, path string }{"DELETE", seededPath}, struct{ method, path string }{"GET", "/feeds"}) {
			for _, name := range append(names, "query") {
				r := httptest.NewRequestWithContext(t.Context(), route.method, route.path, strings.NewReader(`{"author_id":"42","content":1}`))
				if name == "query" {
					r.URL.RawQuery = value
				} else {
					r.Header[name] = []string{value}
				}
				before := fk.count()
				w := serve(h, r)
				if w.Code >= 500 {
					t.Fatalf("%s %s with %s %q: status %d\n%s", route.method, route.path, name, value, w.Code, w.Body)
				}
				if w.Code >= 400 && fk.count() != before {
					t.Errorf("%s %s with %s %q: status %d, and written", route.method, route.path, name, value, w.Code)
				}
				for k, values := range w.Header() {
					if strings.ContainsAny(fmt.Sprint(values), "\r\n") {
						t.Errorf("%s: %q splits the header", k, values)
					}
				}
			}
		}
	})
}
