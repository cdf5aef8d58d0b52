package handlers

import (
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// AdminDeps are what the second listener shows. All are needed.
type AdminDeps struct {
	Gatherer prometheus.Gatherer
	Stats    func() any // anything that encodes as JSON
	Logger   *zap.Logger
}

const adminIndex = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>zmsg admin</title></head>
<body><h1>zmsg admin</h1><ul>
<li><a href="/metrics">/metrics</a>: Prometheus metrics</li>
<li><a href="/admin/stats">/admin/stats</a>: queue, caches and filter, as JSON</li>
<li><a href="/debug/pprof/">/debug/pprof/</a>: profiles of the process</li>
</ul></body></html>
`

// Admin returns the handler of the second listener. It authenticates nobody: its address must not be
// reachable by everybody.
func Admin(d AdminDeps) http.Handler {
	mux := chi.NewRouter()
	mux.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, adminIndex) // a client that is gone needs no answer
	})
	mux.Handle("/metrics", promhttp.HandlerFor(d.Gatherer, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(d.Logger),
	}))
	mux.Get("/admin/stats", d.stats)
	mux.HandleFunc("/debug/pprof/*", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (d AdminDeps) stats(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(d.Stats(), json.Deterministic(true))
	if err != nil {
		d.Logger.Error("statistics cannot be encoded", zap.Error(err))
		http.Error(w, "statistics cannot be encoded", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h["Content-Type"] = jsonContentType
	h["Cache-Control"] = noStore
	_, _ = w.Write(body) // a client that is gone needs no answer
}
