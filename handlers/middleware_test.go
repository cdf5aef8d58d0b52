package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/model"
)

// fails returns a hook that fails with err.
func fails(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func TestEveryKindOfError(t *testing.T) {
	t.Parallel()
	secret := errors.New("secret")
	for name, tt := range map[string]struct {
		err        error
		status     int
		slug       string
		retryAfter string
		logged     bool
	}{
		"Malformed":    {model.NewMalformed("limit", "bad"), 400, "malformed", "", false},
		"Invalid":      {model.NewInvalid("/kind", "bad"), 422, "invalid", "", false},
		"NotFound":     {&model.Error{Kind: model.NotFound, Message: "none"}, 404, "not-found", "", false},
		"Conflict":     {&model.Error{Kind: model.Conflict, Message: "taken"}, 409, "conflict", "", false},
		"Precondition": {&model.Error{Kind: model.PreconditionFailed}, 412, "precondition-failed", "", false},
		"TooLarge":     {&model.Error{Kind: model.TooLarge, Message: "large"}, 413, "too-large", "", false},
		"Unsupported":  {&model.Error{Kind: model.Unsupported, Message: "odd"}, 415, "unsupported-media-type", "", false},
		"KeyReused":    {&model.Error{Kind: model.KeyReused, Message: "used"}, 422, "idempotency-key-reused", "", false},
		"TooMany":      {&model.Error{Kind: model.TooMany, RetryAfter: 1500 * time.Millisecond}, 429, "too-many-requests", "2", false},
		"Unavailable":  {fmt.Errorf("wrapped: %w", model.NewUnavailable("away", secret)), 503, "unavailable", "1", true},
		"Deadline":     {fmt.Errorf("secret: %w", context.DeadlineExceeded), 503, "unavailable", "1", true},
		"Canceled":     {fmt.Errorf("secret: %w", context.Canceled), 503, "unavailable", "1", true},
		"Internal":     {&model.Error{Kind: model.Internal, Message: "secret"}, 500, "internal", "", true},
		"UnknownKind":  {&model.Error{Kind: 200, Message: "secret"}, 500, "internal", "", true},
		"Plain":        {secret, 500, "internal", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.hook = fails(tt.err)
			d := deps(f, testConfig())
			core, logs := observer.New(zapcore.WarnLevel)
			d.Logger = zap.New(core)
			w := send(t, newHandler(t, d), call{method: http.MethodPatch, path: "/feeds/9", body: `1`})
			wantStatus(t, w, tt.status)
			wantHeaders(t, w, "Retry-After", tt.retryAfter)
			p := problemIn(t, w)
			if p.Type != "https://zmsg.dev/problems/"+tt.slug || *p.Instance != "/feeds/9" {
				t.Errorf("problem %+v", p)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the cause leaks: %s", w.Body)
			}
			entries := logs.All()
			if (len(entries) == 1) != tt.logged {
				t.Fatalf("%d log entries", len(entries))
			}
			if tt.logged && entries[0].ContextMap()["request_id"] != w.Header().Get("X-Request-Id") {
				t.Errorf("logged as %v", entries[0].ContextMap())
			}
		})
	}
}

// TestEveryRouteFailsPlainly lets the service be away under each route that needs it.
func TestEveryRouteFailsPlainly(t *testing.T) {
	t.Parallel()
	for _, c := range []call{
		{method: "POST", path: "/ids"},
		{method: "GET", path: "/feeds?author_id=1"},
		{method: "POST", path: "/feeds", body: `{"author_id":"1","content":1}`},
		{method: "GET", path: "/feeds/1"},
		{method: "HEAD", path: "/feeds/1"},
		{method: "PUT", path: "/feeds/1", body: `{"author_id":"1","content":1}`},
		{method: "PATCH", path: "/feeds/1", body: `1`},
		{method: "DELETE", path: "/feeds/1"},
		{method: "DELETE", path: "/feeds/1/cache"},
		{method: "GET", path: "/feeds/1/hit"},
		{method: "GET", path: "/counters/a"},
		{method: "GET", path: "/counters/a/b"},
		{method: "PUT", path: "/counters/a/b", body: `{"value":1}`},
		{method: "DELETE", path: "/counters/a/b"},
		{method: "POST", path: "/counters/a/b/increments", body: `{"delta":1}`},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.hook = fails(model.NewUnavailable("the database is out of reach", errors.New("secret")))
			w := send(t, newHandler(t, deps(f, testConfig())), c)
			wantStatus(t, w, http.StatusServiceUnavailable)
			wantHeaders(t, w, "Retry-After", "1", "ETag", "", "Cache-Status", "", "Location", "")
			if p := problemIn(t, w); p.Detail != "the database is out of reach" {
				t.Errorf("detail %q", p.Detail)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.hook = func(context.Context) error { panic("secret") }
	d := deps(f, testConfig())
	registry := prometheus.NewRegistry()
	d.Registerer = registry
	core, logs := observer.New(zapcore.ErrorLevel)
	d.Logger = zap.New(core)
	w := send(t, newHandler(t, d), call{method: http.MethodGet, path: seededPath})
	wantStatus(t, w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the cause leaks: %s", w.Body)
	}
	entries := logs.All()
	if len(entries) != 1 || entries[0].ContextMap()["panic"] != "secret" || entries[0].ContextMap()["request_id"] == "" {
		t.Errorf("logged %v", entries)
	}
	want := "# HELP zmsg_http_panics_total Panics of handlers. Each is a defect.\n" +
		"# TYPE zmsg_http_panics_total counter\nzmsg_http_panics_total 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "zmsg_http_panics_total"); err != nil {
		t.Error(err)
	}
}

func TestAbortedHandlerStaysAborted(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.hook = func(context.Context) error { panic(http.ErrAbortHandler) }
	h := newHandler(t, deps(f, testConfig()))
	defer func() {
		if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the very value is wanted
			t.Errorf("recovered %v", v)
		}
	}()
	serve(h, call{method: http.MethodGet, path: seededPath}.request(t))
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	for in, kept := range map[string]bool{
		"abc-123_x.y:z/=+@": true, strings.Repeat("a", 128): true,
		strings.Repeat("a", 129): false, "a b": false, "a,b": false, "<x>": false, "é": false, "a\"b": false,
	} {
		w := send(t, h, call{method: http.MethodGet, path: "/livez", headers: []string{"X-Request-Id", in}})
		if got := w.Header().Get("X-Request-Id"); (got == in) != kept {
			t.Errorf("%q became %q", in, got)
		}
	}
	seen := map[string]bool{}
	for range 100 {
		seen[send(t, h, call{method: http.MethodGet, path: "/livez"}).Header().Get("X-Request-Id")] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d IDs of 100 requests", len(seen))
	}
}

func TestUnknownRoutes(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/feeds/", 404, ""},
		{"GET", "/feeds/1/2", 404, ""},
		{"GET", "/feeds:batchget", 404, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/docs/none.js", 404, ""},
		{"GET", "/docs/..%2Findex.html", 404, ""},
		{"PUT", "/feeds", 405, "GET, POST"},
		{"POST", "/feeds/1", 405, "GET, HEAD, PUT, PATCH, DELETE"},
		{"GET", "/feeds/1/cache", 405, "DELETE"},
		{"GET", "/feeds:batchGet", 405, "POST"},
		{"DELETE", "/ids", 405, "POST"},
		{"OPTIONS", "/livez", 405, "GET"},
		{"BREW", "/livez", 405, "GET"},
		{"GET", "/counters", 404, ""},
		{"GET", "/counters/a/", 404, ""},
		{"GET", "/counters/a/b/c", 404, ""},
		{"POST", "/counters/a/b", 405, "GET, PUT, DELETE"},
		{"PATCH", "/counters/a", 405, "GET"},
		{"GET", "/counters/a/b/increments", 405, "POST"},
		{"GET", "/counters:batchIncrement", 405, "POST"},
	} {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			t.Parallel()
			w := serve(h, call{method: tt.method, path: tt.path}.request(t))
			wantStatus(t, w, tt.status)
			wantHeaders(t, w, "Allow", tt.allow)
			problemIn(t, w)
		})
	}
	escaped := call{method: http.MethodPost, path: "/feeds%3AbatchGet", body: `{"ids":["1"]}`}
	wantStatus(t, serve(h, escaped.request(t)), http.StatusMultiStatus)
}

func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.hook = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	c := testConfig()
	c.RequestTimeout = 10 * time.Millisecond
	w := send(t, newHandler(t, deps(f, c)), call{method: http.MethodGet, path: seededPath})
	wantStatus(t, w, http.StatusServiceUnavailable)
}

func TestClientThatHangsUpIsNoServerError(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.hook = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	d := deps(f, testConfig())
	registry := prometheus.NewRegistry()
	d.Registerer = registry
	core, logs := observer.New(zapcore.WarnLevel)
	d.Logger = zap.New(core)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := serve(newHandler(t, d), call{method: http.MethodGet, path: seededPath}.request(t).WithContext(ctx))
	wantStatus(t, w, http.StatusServiceUnavailable) // nobody reads it
	if logs.Len() > 0 {
		t.Errorf("logged %v", logs.All())
	}
	if got := latencies(t, registry); got["GET /feeds/{id} 4xx"] != 1 || len(got) != 1 {
		t.Errorf("observed %v", got)
	}
}

// TestDeadline holds the context of requests against an ordinary one with the same deadline.
func TestDeadline(t *testing.T) {
	t.Parallel()
	type key struct{}
	for name, end := range map[string]struct {
		wait time.Duration
		want error
	}{"Expires": {time.Second, context.DeadlineExceeded}, "Stopped": {0, context.Canceled}} {
		for _, arm := range []string{"Never", "Done", "Child", "AfterFunc"} {
			t.Run(name+"/"+arm, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, stop := handlers.NewDeadline(context.WithValue(t.Context(), key{}, 1), time.Now().Add(time.Second))
					defer stop()
					fired := make(chan struct{})
					watched := ctx
					switch arm {
					case "Done":
						_ = ctx.Done()
					case "Child":
						child, cancel := context.WithCancel(ctx)
						defer cancel()
						watched = child
					case "AfterFunc":
						defer context.AfterFunc(ctx, func() { close(fired) })()
					}
					if watched.Err() != nil || watched.Value(key{}) != 1 {
						t.Fatalf("a new context: %v, %v", watched.Err(), watched.Value(key{}))
					}
					if at, ok := watched.Deadline(); !ok || time.Until(at) != time.Second {
						t.Errorf("deadline %v, %v", at, ok)
					}
					<-time.After(end.wait) // on the clock of the bubble
					if end.wait == 0 {
						stop()
					}
					synctest.Wait()
					if err := watched.Err(); !errors.Is(err, end.want) {
						t.Errorf("ended with %v, want %v", err, end.want)
					}
					<-watched.Done()
					if arm == "AfterFunc" {
						<-fired
					}
				})
			})
		}
	}
}

func TestDeadlineEndsWithItsParent(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithTimeout(t.Context(), time.Hour)
	ctx, stop := handlers.NewDeadline(parent, time.Now().Add(2*time.Hour))
	defer stop()
	if at, _ := ctx.Deadline(); time.Until(at) > time.Hour {
		t.Error("the deadline is later than the parent's")
	}
	cancel()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("not ended: %v", ctx.Err())
	}
	<-ctx.Done()
}

func TestLatencyLabels(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	d := deps(newFake(), testConfig())
	d.Registerer = registry
	h := newHandler(t, d)
	for _, c := range []call{
		{method: "GET", path: "/feeds/1"},
		{method: "GET", path: "/feeds/2"},
		{method: "GET", path: seededPath},
		{method: "GET", path: "/nowhere/1", invalid: true},
		{method: "BREW", path: "/nowhere/2", invalid: true},
		{method: "BREW", path: "/feeds/1", invalid: true},
	} {
		send(t, h, c)
	}
	want := map[string]uint64{"GET /feeds/{id} 4xx": 2, "GET /feeds/{id} 2xx": 1, "other unmatched 4xx": 3}
	if got := latencies(t, registry); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("observed %v, want %v", got, want)
	}
}

// latencies returns how many requests were observed with which labels.
func latencies(t *testing.T, registry *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if m.GetHistogram() == nil {
				continue
			}
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = m.GetHistogram().GetSampleCount()
		}
	}
	return got
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"off": 0, "errors": 2, "all": 8, "1": 8, "0": 0, "0.25": 2} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			c := testConfig()
			if err := c.AccessLog.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			d := deps(newFake(), c)
			core, logs := observer.New(zapcore.InfoLevel)
			d.Logger = zap.New(core)
			h := newHandler(t, d)
			for i := range 8 {
				path := seededPath
				if i >= 6 {
					path = "/feeds/9"
				}
				send(t, h, call{method: http.MethodGet, path: path})
			}
			if logs.Len() != want {
				t.Errorf("%d lines, want %d", logs.Len(), want)
			}
		})
	}
	var a handlers.AccessLog
	for _, text := range []string{"", "on", "1.1", "-0.1", "NaN"} {
		if a.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q accepted", text)
		}
	}
}
