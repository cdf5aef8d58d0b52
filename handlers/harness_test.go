package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/handlers"
)

// contract is loaded once: the YAML, its model, and a router over it.
var contract = sync.OnceValue(func() (c struct {
	yaml   []byte
	doc    *openapi3.T
	router routers.Router
},
) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	c.yaml, err = os.ReadFile("../openapi.yaml")
	must(err)
	c.doc, err = openapi3.NewLoader().LoadFromData(c.yaml)
	must(err)
	must(c.doc.Validate(context.Background()))
	c.doc.Servers = nil
	c.router, err = legacy.NewRouter(c.doc)
	must(err)
	return c
})

// testConfig has the defaults that matter, with limits small enough to be exceeded.
func testConfig() handlers.Config {
	return handlers.Config{
		MaxBodyBytes: 4096, MaxBatchBytes: 256 << 10, MaxHeaderBytes: 32 << 10,
		RequestTimeout: 10 * time.Second, ReadHeaderTimeout: time.Second, ReadTimeout: time.Second,
		WriteTimeout: 11 * time.Second, IdleTimeout: time.Second, ShutdownGrace: time.Second,
	}
}

// deps are those of a handler over f.
func deps(f *fake, c handlers.Config) handlers.Deps {
	counters := newCounters(f)
	return handlers.Deps{
		Config: c, Reads: f, Writes: f, Batches: f, CounterReads: counters, CounterWrites: counters, IDs: f, Ready: f.Ready,
		Logger: zap.NewNop(), Registerer: prometheus.NewRegistry(), OpenAPI: []byte("openapi: 3.0.3"),
	}
}

// newHandler returns the handler over f.
func newHandler(tb testing.TB, d handlers.Deps) *handlers.Handler {
	tb.Helper()
	h, err := handlers.New(d)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return h
}

// call is one request. Headers are pairs of name and value.
type call struct {
	method, path string
	body         string
	headers      []string
	invalid      bool // the contract must refuse it as well, where it can tell
}

func (c call) request(tb testing.TB) *http.Request {
	tb.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequestWithContext(tb.Context(), c.method, c.path, body)
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(c.headers); i += 2 {
		if c.headers[i+1] == "" {
			r.Header.Del(c.headers[i])
		} else {
			r.Header.Add(c.headers[i], c.headers[i+1])
		}
	}
	return r
}

// send serves the request and holds both sides against the contract.
func send(tb testing.TB, h http.Handler, c call) *httptest.ResponseRecorder {
	tb.Helper()
	r := c.request(tb)
	input := requestInput(tb, r)
	if input != nil && !c.invalid {
		if err := openapi3filter.ValidateRequest(tb.Context(), input); err != nil {
			tb.Errorf("%s %s: the contract refuses the request: %v", c.method, c.path, err)
		}
	}
	w := serve(h, r)
	checkResponse(tb, c, w, input)
	return w
}

// serve serves r without a look at the contract.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// requestInput finds the operation of r, nil if the contract has none.
func requestInput(tb testing.TB, r *http.Request) *openapi3filter.RequestValidationInput {
	tb.Helper()
	route, params, err := contract().router.FindRoute(r)
	if err != nil {
		return nil
	}
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, SkipSettingDefaults: true},
	}
}

func checkResponse(tb testing.TB, c call, w *httptest.ResponseRecorder, input *openapi3filter.RequestValidationInput) {
	tb.Helper()
	if w.Header().Get("X-Request-Id") == "" {
		tb.Errorf("%s %s: no X-Request-Id", c.method, c.path)
	}
	probe := w.Header().Get("Content-Type") != "application/problem+json" && w.Code == http.StatusServiceUnavailable
	if w.Code >= http.StatusBadRequest && !probe {
		problemIn(tb, w)
	}
	if input == nil {
		return
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: w.Code, Header: w.Header(), Options: input.Options,
	}
	out.SetBodyBytes(w.Body.Bytes())
	if err := openapi3filter.ValidateResponse(tb.Context(), out); err != nil {
		tb.Errorf("%s %s: the contract refuses the response: %v\n%s", c.method, c.path, err, w.Body)
	}
}

// problemIn returns the problem document in w.
func problemIn(tb testing.TB, w *httptest.ResponseRecorder) api.Problem {
	tb.Helper()
	var p api.Problem
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		tb.Fatalf("status %d without a problem document: %v\n%s", w.Code, err, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		tb.Errorf("a problem as %q", ct)
	}
	if p.Status != w.Code || p.Title == "" || p.Detail == "" || !strings.HasPrefix(p.Type, "https://zmsg.dev/problems/") {
		tb.Errorf("status %d with problem %+v", w.Code, p)
	}
	return p
}

// place returns what the problem names as wrong, "" for nothing.
func place(p api.Problem) string {
	if p.Errors == nil {
		return ""
	}
	for _, f := range *p.Errors {
		switch {
		case f.Pointer != nil:
			return *f.Pointer
		case f.Parameter != nil:
			return *f.Parameter
		case f.Header != nil:
			return *f.Header
		}
	}
	return ""
}

// into decodes the body of w.
func into[T any](tb testing.TB, w *httptest.ResponseRecorder) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		tb.Fatalf("the body is no %T: %v\n%s", v, err, w.Body)
	}
	return v
}

// wantStatus ends the test if the status is another one.
func wantStatus(tb testing.TB, w *httptest.ResponseRecorder, status int) {
	tb.Helper()
	if w.Code != status {
		tb.Fatalf("status %d, want %d\n%s", w.Code, status, w.Body)
	}
}

// wantHeaders compares pairs of header name and value.
func wantHeaders(tb testing.TB, w *httptest.ResponseRecorder, pairs ...string) {
	tb.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := w.Header().Get(pairs[i]); got != pairs[i+1] {
			tb.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}
