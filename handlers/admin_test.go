package handlers_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/handlers"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "zmsg_test_total", Help: "Of this test."})
	registry.MustRegister(counter)
	counter.Inc()
	stats := any(map[string]any{"queue": map[string]int{"backlog": 3}})
	h := handlers.Admin(handlers.AdminDeps{Gatherer: registry, Stats: func() any { return stats }, Logger: zap.NewNop()})
	for path, want := range map[string]string{
		"/":                       `href="/debug/pprof/"`,
		"/metrics":                "zmsg_test_total 1",
		"/admin/stats":            `{"queue":{"backlog":3}}`,
		"/debug/pprof/":           "goroutine",
		"/debug/pprof/cmdline":    os.Args[0],
		"/debug/pprof/goroutine":  "",
		"/debug/pprof/symbol?0x1": "num_symbols: 1",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := serve(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			wantStatus(t, w, http.StatusOK)
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("body %.200s, want it to hold %s", w.Body, want)
			}
		})
	}
	wantStatus(t, serve(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/none", nil)), http.StatusNotFound)
}

func TestAdminStatsThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	h := handlers.Admin(handlers.AdminDeps{
		Gatherer: prometheus.NewRegistry(), Stats: func() any { return math.NaN() }, Logger: zap.NewNop(),
	})
	wantStatus(t, serve(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/stats", nil)), http.StatusInternalServerError)
}
