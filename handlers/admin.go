package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/model"
)

// DeadLetters are the queued writes that the database refuses.
type DeadLetters interface {
	// List returns the next at most limit letters with IDs above after, in ascending order.
	List(ctx context.Context, after int64, limit int) ([]model.DeadLetter, error)
	// Get returns a letter, or an error of kind NotFound.
	Get(ctx context.Context, id int64) (model.DeadLetter, error)
	// Retry does the write anew and removes its letter. NotFound: there is no such letter; Conflict:
	// the item was written since; Invalid: the write is refused again, or cannot be read.
	Retry(ctx context.Context, id int64) error
	// Discard removes a letter for good, NotFound if there is none.
	Discard(ctx context.Context, id int64) error
}

// AdminDeps are what the second listener shows. All are needed.
type AdminDeps struct {
	Gatherer    prometheus.Gatherer
	Stats       func() any // anything that encodes as JSON
	Queue       func(ctx context.Context) model.QueueReport
	DeadLetters DeadLetters
	Logger      *zap.Logger
}

// adminTimeout bounds what a request of the second listener may ask of the database.
const adminTimeout = 30 * time.Second

const adminIndex = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>zmsg admin</title></head>
<body><h1>zmsg admin</h1><ul>
<li><a href="/metrics">/metrics</a>: Prometheus metrics</li>
<li><a href="/admin/stats">/admin/stats</a>: queue, caches and filter, as JSON</li>
<li><a href="/admin/queue">/admin/queue</a>: the queue, shard by shard; as JSON with <code>Accept: application/json</code></li>
<li><a href="/admin/dead-letters">/admin/dead-letters</a>: queued writes that the database refuses;
<code>?after=</code> an ID and <code>?limit=</code> up to 1000 page through them<ul>
<li><code>GET /admin/dead-letters/{id}</code>: one of them, whole</li>
<li><code>POST /admin/dead-letters/{id}/retry</code>: do the write anew</li>
<li><code>POST /admin/dead-letters:retry?limit=100</code>: do so with many, from <code>?after=</code> an ID on</li>
<li><code>DELETE /admin/dead-letters/{id}</code>: give the write up</li></ul></li>
<li><a href="/debug/pprof/">/debug/pprof/</a>: profiles of the process</li>
</ul></body></html>
`

// admin is what the single handlers of the second listener share.
type admin struct {
	AdminDeps
	ids requestIDs
}

// Admin returns the handler of the second listener. It authenticates nobody: its address must not be
// reachable by everybody.
func Admin(d AdminDeps) http.Handler {
	a := &admin{AdminDeps: d, ids: newRequestIDs()}
	mux := chi.NewRouter()
	for _, path := range []string{"/", "/admin"} {
		mux.Get(path, a.endpoint(a.index))
	}
	mux.Handle("/metrics", promhttp.HandlerFor(d.Gatherer, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(d.Logger),
	}))
	mux.Get("/admin/stats", a.endpoint(a.stats))
	mux.Get("/admin/queue", a.endpoint(a.queue))
	mux.Get("/admin/dead-letters", a.endpoint(a.listLetters))
	mux.Post("/admin/dead-letters:retry", a.endpoint(a.retryLetters))
	mux.Get("/admin/dead-letters/{id}", a.endpoint(a.letter))
	mux.Delete("/admin/dead-letters/{id}", a.endpoint(a.discardLetter))
	mux.Post("/admin/dead-letters/{id}/retry", a.endpoint(a.retryLetter))
	mux.HandleFunc("/debug/pprof/*", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.NotFound(a.endpoint(noRoute))
	mux.MethodNotAllowed(a.endpoint(methodNotAllowed(mux)))
	return mux
}

// endpoint gives h a request ID, a time limit and problem documents. Nothing of the second listener is
// counted as service to clients.
func (a *admin) endpoint(h handlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw, values: new(headerValues)}
		w.setRequestID(a.ids.of(r))
		ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
		defer cancel()
		w.Header()["Cache-Control"] = noStore
		if err := h(ctx, w, r); err != nil {
			logFailure(a.Logger, w, r, err)
			writeProblem(w, r, err)
		}
	}
}

func (a *admin) index(_ context.Context, w *response, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprint(w, adminIndex) // a client that is gone needs no answer
	return nil
}

func (a *admin) stats(_ context.Context, w *response, _ *http.Request) error {
	body, err := json.Marshal(a.Stats(), json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("statistics cannot be encoded: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
