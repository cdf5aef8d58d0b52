package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// FeedReader answers reads of items.
type FeedReader interface {
	Get(ctx context.Context, id model.ID, exact bool) (model.Doc, error)
	GetMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error)
	List(ctx context.Context, q service.ListQuery) (service.Page, error)
	MayExist(ctx context.Context, id model.ID) (bool, error)
}

// FeedWriter takes writes of items, one at a time.
type FeedWriter interface {
	Create(ctx context.Context, d service.Draft, o service.WriteOptions) (service.Written, error)
	Put(ctx context.Context, d service.Draft, o service.WriteOptions) (service.Written, error)
	Patch(ctx context.Context, id model.ID, patch json.RawMessage, o service.WriteOptions) (service.Written, error)
	Delete(ctx context.Context, id model.ID, o service.WriteOptions) (service.Written, error)
	Evict(ctx context.Context, id model.ID) error
}

// FeedBatcher takes many writes at once and returns one result for each, in their order.
type FeedBatcher interface {
	Batch(ctx context.Context, ops []service.BatchOp, o service.WriteOptions) []service.BatchResult
}

// CounterReader answers reads of counters.
type CounterReader interface {
	Get(ctx context.Context, counter model.Counter) (int64, error)
	Subject(ctx context.Context, subject string) (map[string]int64, error)
	BatchGet(ctx context.Context, counters []model.Counter) []service.CountRead
}

// CounterWriter takes changes of counters.
type CounterWriter interface {
	Increment(ctx context.Context, counter model.Counter, delta int64, o service.CountOptions) (service.CountWritten, error)
	Set(ctx context.Context, counter model.Counter, value int64, o service.CountOptions) (service.CountWritten, error)
	Remove(ctx context.Context, counter model.Counter, o service.CountOptions) (service.CountWritten, error)
	BatchIncrement(ctx context.Context, increments []service.Increment, o service.CountOptions) ([]service.IncrementResult, error)
}

// IDs makes and decodes IDs.
type IDs interface {
	Mint(ctx context.Context, count int, idempotencyKey, fingerprint string) (ids []model.ID, replayed bool, err error)
	Describe(id model.ID) service.IDParts
}

// Check is one thing that the replica needs to take requests. Everybody who reaches the service may
// read it.
type Check struct {
	Name     string
	OK       bool
	Degraded bool   // it is not OK, but requests can be served without it
	Detail   string // "" for none
}

// Deps are what the handlers work with. All are needed.
type Deps struct {
	Config        Config
	Reads         FeedReader
	Writes        FeedWriter
	Batches       FeedBatcher
	CounterReads  CounterReader
	CounterWrites CounterWriter
	IDs           IDs
	// Ready reports on everything the replica needs. It is asked often and must be cheap.
	Ready      func(ctx context.Context) []Check
	Logger     *zap.Logger
	Registerer prometheus.Registerer
	OpenAPI    []byte // the contract, as YAML
}

// Handler serves the contract.
type Handler struct {
	mux *chi.Mux
}

// server is what the single handlers share.
type server struct {
	Deps
	ids     requestIDs
	metrics *metrics
	access  *accessLog
	openapi []byte // as JSON
}

// New returns the handler of all routes. It fails if the configuration or the contract cannot be used,
// or if the metrics are registered already.
func New(d Deps) (*Handler, error) {
	if d.Reads == nil || d.Writes == nil || d.Batches == nil || d.CounterReads == nil || d.CounterWrites == nil ||
		d.IDs == nil || d.Ready == nil || d.Logger == nil || d.Registerer == nil {
		return nil, errors.New("handlers: a dependency is missing")
	}
	if err := d.Config.Validate(); err != nil {
		return nil, err
	}
	contract, err := yamlToJSON(d.OpenAPI)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(d.Registerer)
	if err != nil {
		return nil, err
	}
	s := &server{
		Deps:    d,
		ids:     newRequestIDs(),
		metrics: m,
		access:  newAccessLog(d.Config.AccessLog, d.Logger),
		openapi: contract,
	}
	return &Handler{mux: s.routes()}, nil
}

// ServeHTTP routes on the decoded path, so that a client may escape the colon of a batch route. A path
// that hides a slash is routed as it came.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if raw := r.URL.RawPath; raw != "" && !strings.Contains(strings.ToLower(raw), "%2f") {
		plain := *r
		plain.URL = new(url.URL)
		*plain.URL = *r.URL
		plain.URL.RawPath = ""
		r = &plain
	}
	h.mux.ServeHTTP(w, r)
}

func (s *server) routes() *chi.Mux {
	mux := chi.NewRouter()
	mux.Use(middleware.GetHead) // HEAD is answered wherever GET is
	add := func(method, route string, h handlerFunc) {
		mux.Method(method, route, s.endpoint(method, route, h))
	}
	add(http.MethodPost, "/ids", s.mint)
	add(http.MethodGet, "/ids/{id}", s.describeID)

	add(http.MethodGet, "/feeds", s.list)
	add(http.MethodPost, "/feeds", s.create)
	add(http.MethodGet, "/feeds/{id}", s.get)
	add(http.MethodHead, "/feeds/{id}", s.get)
	add(http.MethodPut, "/feeds/{id}", s.put)
	add(http.MethodPatch, "/feeds/{id}", s.patch)
	add(http.MethodDelete, "/feeds/{id}", s.delete)
	add(http.MethodDelete, "/feeds/{id}/cache", s.evict)
	add(http.MethodGet, "/feeds/{id}/hit", s.hit)
	add(http.MethodPost, "/feeds:batchGet", s.batchGet)
	add(http.MethodPost, "/feeds:batchWrite", s.batchWrite)

	add(http.MethodGet, "/counters/{subject}", s.subjectCounters)
	add(http.MethodGet, "/counters/{subject}/{metric}", s.counter)
	add(http.MethodPut, "/counters/{subject}/{metric}", s.setCounter)
	add(http.MethodDelete, "/counters/{subject}/{metric}", s.removeCounter)
	add(http.MethodPost, "/counters/{subject}/{metric}/increments", s.incrementCounter)
	add(http.MethodPost, "/counters:batchGet", s.batchGetCounters)
	add(http.MethodPost, "/counters:batchIncrement", s.batchIncrement)

	add(http.MethodGet, "/livez", s.live)
	add(http.MethodGet, "/readyz", s.ready)
	add(http.MethodGet, "/healthz", s.ready)
	add(http.MethodGet, "/openapi.json", s.contract)
	add(http.MethodGet, "/docs", s.docs)
	add(http.MethodGet, "/docs/{file}", s.docsFile)

	mux.NotFound(s.endpoint("other", "unmatched", noRoute))
	mux.MethodNotAllowed(s.endpoint("other", "unmatched", methodNotAllowed(mux)))
	return mux
}

// noRoute answers a path that no route has.
func noRoute(context.Context, *response, *http.Request) error {
	return &model.Error{Kind: model.NotFound, Message: "there is nothing at this path"}
}

// methodNotAllowed answers a path that has a route, but not for this method.
func methodNotAllowed(mux *chi.Mux) handlerFunc {
	methods := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	}
	return func(_ context.Context, w *response, r *http.Request) error {
		var allowed []string
		for _, m := range methods {
			if mux.Match(chi.NewRouteContext(), m, r.URL.Path) {
				allowed = append(allowed, m)
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return errMethodNotAllowed
	}
}
