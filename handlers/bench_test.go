package handlers_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/model"
)

// discard is a ResponseWriter that costs next to nothing. The server, too, makes a header for each request.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// hot answers every read from memory.
type hot struct {
	*fake
	doc model.Doc
}

func (h hot) Get(context.Context, model.ID, bool) (model.Doc, error) { return h.doc, nil }

// total answers every read of a counter from memory.
type total struct{ handlers.CounterReader }

func (total) Get(context.Context, model.Counter) (int64, error) { return 1204, nil }

// BenchmarkCounter is what the HTTP face adds to a read of a counter.
func BenchmarkCounter(b *testing.B) {
	d := deps(newFake(), testConfig())
	d.CounterReads = total{}
	h := newHandler(b, d)
	r := call{method: http.MethodGet, path: seededCounterPath}.request(b)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	if w.status != 0 {
		b.Fatalf("status %d", w.status)
	}
}

// BenchmarkGet compares a read that hits L1 with a bare handler behind the same router, which does no more
// than to write the same bytes. What differs is what the service adds.
func BenchmarkGet(b *testing.B) {
	f := newFake()
	it := f.items[seededID]
	doc := model.Doc{Body: it.AppendJSON(nil), Version: it.Version, Tier: model.TierL1}
	d := deps(f, testConfig())
	d.Reads = hot{f, doc}
	bare := chi.NewRouter()
	bare.Get("/feeds/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write(doc.Body) // discarded
	})
	for name, h := range map[string]http.Handler{"Bare": bare, "L1": newHandler(b, d)} {
		b.Run(name, func(b *testing.B) {
			r := call{method: http.MethodGet, path: seededPath}.request(b)
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
			if w.status != 0 {
				b.Fatalf("status %d", w.status)
			}
		})
	}
}
