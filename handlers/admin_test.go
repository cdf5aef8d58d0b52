package handlers_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/model"
)

// letters are dead letters in memory.
type letters struct {
	mu      sync.Mutex
	all     []model.DeadLetter // by ID
	err     error              // of every call
	retry   map[int64]error    // of retries
	retried []int64
}

func (l *letters) find(id int64) (int, bool) {
	return slices.BinarySearchFunc(l.all, id, func(d model.DeadLetter, id int64) int { return int(d.ID - id) })
}

func (l *letters) List(_ context.Context, after int64, limit int) ([]model.DeadLetter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, _ := l.find(after + 1)
	return slices.Clone(l.all[from:min(from+limit, len(l.all))]), l.err
}

var errNoLetter = &model.Error{Kind: model.NotFound, Message: "there is no such dead letter"}

func (l *letters) Get(_ context.Context, id int64) (model.DeadLetter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.find(id)
	switch {
	case l.err != nil:
		return model.DeadLetter{}, l.err
	case !ok:
		return model.DeadLetter{}, errNoLetter
	}
	return l.all[at], nil
}

func (l *letters) Retry(_ context.Context, id int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retried = append(l.retried, id)
	at, ok := l.find(id)
	switch {
	case l.err != nil:
		return l.err
	case !ok:
		return errNoLetter
	case l.retry[id] != nil:
		return l.retry[id]
	}
	l.all = slices.Delete(l.all, at, at+1)
	return nil
}

func (l *letters) Discard(_ context.Context, id int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.find(id)
	switch {
	case l.err != nil:
		return l.err
	case !ok:
		return errNoLetter
	}
	l.all = slices.Delete(l.all, at, at+1)
	return nil
}

// adminDeps are those of a second listener that shows nothing yet.
func adminDeps() handlers.AdminDeps {
	return handlers.AdminDeps{
		Gatherer: prometheus.NewRegistry(), Stats: func() any { return struct{}{} }, DeadLetters: &letters{},
		Queue: func(context.Context) model.QueueReport { return model.QueueReport{} }, Logger: zap.NewNop(),
	}
}

// askAdmin sends a request without a body to the second listener. Headers are pairs of name and value.
func askAdmin(t *testing.T, h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return serve(h, r)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "zmsg_test_total", Help: "Of this test."})
	registry.MustRegister(counter)
	counter.Inc()
	d := adminDeps()
	d.Gatherer = registry
	d.Stats = func() any { return map[string]any{"queue": map[string]int{"backlog": 3}} }
	h := handlers.Admin(d)
	for path, want := range map[string]string{
		"/":                       `href="/debug/pprof/"`,
		"/admin":                  `href="/admin/queue"`,
		"/metrics":                "zmsg_test_total 1",
		"/admin/stats":            `{"queue":{"backlog":3}}`,
		"/debug/pprof/":           "goroutine",
		"/debug/pprof/cmdline":    os.Args[0],
		"/debug/pprof/goroutine":  "",
		"/debug/pprof/symbol?0x1": "num_symbols: 1",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := askAdmin(t, h, http.MethodGet, path)
			wantStatus(t, w, http.StatusOK)
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("body %.200s, want it to hold %s", w.Body, want)
			}
		})
	}
}

func TestAdminStatsThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	d := adminDeps()
	d.Stats = func() any { return math.NaN() }
	w := askAdmin(t, handlers.Admin(d), http.MethodGet, "/admin/stats")
	wantStatus(t, w, http.StatusInternalServerError)
	problemIn(t, w)
}

func TestAdminUnknownRoutes(t *testing.T) {
	t.Parallel()
	h := handlers.Admin(adminDeps())
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/admin/none", 404, ""},
		{"POST", "/admin/queue", 405, "GET"},
		{"PUT", "/admin/dead-letters/1", 405, "GET, DELETE"},
		{"GET", "/admin/dead-letters/1/retry", 405, "POST"},
		{"GET", "/admin/dead-letters:retry", 405, "POST"},
	} {
		w := askAdmin(t, h, tt.method, tt.path)
		wantStatus(t, w, tt.status)
		wantHeaders(t, w, "Allow", tt.allow)
		problemIn(t, w)
	}
}
