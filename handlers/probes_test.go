package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/handlers"
)

func TestProbes(t *testing.T) {
	t.Parallel()
	away := []handlers.Check{{Name: "sql", Detail: "out of reach"}, {Name: "ids", OK: true}}
	for name, tt := range map[string]struct {
		checks      []handlers.Check
		path        string
		accept      string
		status      int
		retryAfter  string
		contentType string
		body        string
	}{
		"Live":    {away, "/livez", "", 200, "", "application/json", `{"status":"ok"}`},
		"Ready":   {nil, "/readyz", "", 200, "", "application/json", `{"status":"ok"}`},
		"Unready": {away, "/readyz", "", 503, "1", "application/json", `{"status":"unavailable"}`},
		"Degraded": {
			[]handlers.Check{{Name: "sql", Degraded: true, Detail: "away"}, {Name: "ids", OK: true}},
			"/readyz?verbose", "", 200, "", "application/json",
			`{"checks":[{"name":"sql","detail":"away","status":"degraded"},{"name":"ids","status":"ok"}],"status":"degraded"}`,
		},
		"Alias": {away, "/healthz", "", 503, "1", "application/json", `{"status":"unavailable"}`},
		"Verbose": {
			away, "/readyz?verbose", "", 503, "1", "application/json",
			`{"checks":[{"name":"sql","detail":"out of reach","status":"unavailable"},{"name":"ids","status":"ok"}],"status":"unavailable"}`,
		},
		"VerboseNothing": {nil, "/readyz?verbose=1", "", 200, "", "application/json", `{"status":"ok"}`},
		"Text": {
			away, "/healthz?verbose", "text/plain", 503, "1", "text/plain; charset=utf-8",
			"[-] sql unavailable: out of reach\n[+] ids ok\nunavailable\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.checks = tt.checks
			c := call{method: http.MethodGet, path: tt.path}
			if tt.accept != "" {
				c.headers = []string{"Accept", tt.accept}
			}
			w := send(t, newHandler(t, deps(f, testConfig())), c)
			wantStatus(t, w, tt.status)
			wantHeaders(t, w, "Retry-After", tt.retryAfter, "Content-Type", tt.contentType, "Cache-Control", "no-store")
			if w.Body.String() != tt.body {
				t.Errorf("body %s, want %s", w.Body, tt.body)
			}
		})
	}
}

// TestDocsNeedNoNetwork follows what the page loads: all of it must be served here, and the policy must
// allow nothing else.
func TestDocsNeedNoNetwork(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	page := send(t, h, call{method: http.MethodGet, path: "/docs"})
	wantStatus(t, page, http.StatusOK)
	if policy := page.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'self';") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	loads := 0
	for _, part := range strings.FieldsFunc(page.Body.String(), func(r rune) bool { return r == '"' }) {
		if strings.Contains(part, "://") {
			t.Errorf("the page refers to %s", part)
		}
		if !strings.HasPrefix(part, "/") || strings.Contains(part, ">") {
			continue
		}
		loads++
		w := send(t, h, call{method: http.MethodGet, path: part})
		wantStatus(t, w, http.StatusOK)
		wantHeaders(t, w, "Content-Security-Policy", w.Header().Get("Content-Security-Policy"))
	}
	if loads < 3 {
		t.Errorf("the page loads only %d files", loads)
	}
	for file, contentType := range map[string]string{
		"redoc.standalone.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8",
		"redoc.LICENSE.txt": "text/plain; charset=utf-8", "redoc.standalone.js.LICENSE.txt": "text/plain; charset=utf-8",
	} {
		w := send(t, h, call{method: http.MethodGet, path: "/docs/" + file})
		wantStatus(t, w, http.StatusOK)
		wantHeaders(t, w, "Content-Type", contentType)
	}
}

// Monitors and load balancers ask with HEAD.
func TestHeadIsAnsweredWhereverGetIs(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/openapi.json", "/docs", "/ids/1", "/feeds?author_id=1"} {
		w := httptest.NewRecorder() // HTTP implies it, the contract does not list it
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, path, http.NoBody))
		if w.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
}
