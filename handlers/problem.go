package handlers

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
)

// problemBase is what the types of problems begin with. Clients compare them: they never change.
const problemBase = "https://zmsg.dev/problems/"

const defaultRetryAfter = time.Second

// problemType is a kind of problem as clients see it.
type problemType struct {
	slug   string
	title  string
	status int
}

var (
	problemTypes = map[model.Kind]problemType{
		model.Internal:           {"internal", "Internal error", http.StatusInternalServerError},
		model.Malformed:          {"malformed", "Malformed request", http.StatusBadRequest},
		model.Invalid:            {"invalid", "Not acceptable", http.StatusUnprocessableEntity},
		model.NotFound:           {"not-found", "Not found", http.StatusNotFound},
		model.Conflict:           {"conflict", "Conflict", http.StatusConflict},
		model.PreconditionFailed: {"precondition-failed", "Precondition failed", http.StatusPreconditionFailed},
		model.TooLarge:           {"too-large", "Too large", http.StatusRequestEntityTooLarge},
		model.Unsupported:        {"unsupported-media-type", "Unsupported media type", http.StatusUnsupportedMediaType},
		model.KeyReused:          {"idempotency-key-reused", "Idempotency key reused", http.StatusUnprocessableEntity},
		model.Unavailable:        {"unavailable", "Unavailable", http.StatusServiceUnavailable},
		model.TooMany:            {"too-many-requests", "Too many requests", http.StatusTooManyRequests},
	}
	notAllowed = problemType{"method-not-allowed", "Method not allowed", http.StatusMethodNotAllowed}
)

// errMethodNotAllowed is known to HTTP alone, so it has no kind.
var errMethodNotAllowed = errors.New("the path does not know this method")

// problem is an error ready for the wire.
type problem struct {
	kind       problemType
	detail     string
	field      string
	retryAfter time.Duration // 0: the client is not told to try again
}

// problemOf maps err. Whatever is not known to be meant for clients becomes a plain internal error.
func problemOf(err error) problem {
	if errors.Is(err, errMethodNotAllowed) {
		return problem{kind: notAllowed, detail: err.Error()}
	}
	internal := problem{kind: problemTypes[model.Internal], detail: "the server failed to handle the request"}
	var e *model.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return problem{
				kind:       problemTypes[model.Unavailable],
				detail:     "the request took too long; the outcome of a write is unknown",
				retryAfter: defaultRetryAfter,
			}
		}
		return internal
	}
	kind, known := problemTypes[e.Kind]
	if !known || e.Kind == model.Internal {
		return internal
	}
	p := problem{kind: kind, detail: e.Message, field: e.Field}
	if p.detail == "" {
		p.detail = kind.title
	}
	if e.Kind == model.Unavailable || e.Kind == model.TooMany {
		p.retryAfter = e.RetryAfter
		if p.retryAfter <= 0 {
			p.retryAfter = defaultRetryAfter
		}
	}
	return p
}

// document returns the problem as clients read it. within is the JSON pointer of the batch's item that it
// is about, "" for the whole request.
func (p problem) document(instance, within string) api.Problem {
	doc := api.Problem{
		Type:   problemBase + p.kind.slug,
		Title:  p.kind.title,
		Status: p.kind.status,
		Detail: p.detail,
	}
	if instance != "" {
		doc.Instance = &instance
	}
	if field, ok := p.errorField(within); ok {
		doc.Errors = &[]api.ProblemField{field}
	}
	return doc
}

// errorField names the place that was wrong. A field's form tells what it is: pointers begin with a
// slash, headers with a capital.
func (p problem) errorField(within string) (api.ProblemField, bool) {
	f := api.ProblemField{Detail: p.detail}
	switch {
	case p.field != "" && p.field[0] == '/':
		pointer := within + p.field
		f.Pointer = &pointer
	case p.field != "" && 'A' <= p.field[0] && p.field[0] <= 'Z':
		f.Header = &p.field
	case p.field != "":
		f.Parameter = &p.field
	case within != "" && p.kind.status < http.StatusInternalServerError:
		f.Pointer = &within
	default:
		return f, false
	}
	return f, true
}

// appendProblem appends the document of err as JSON.
func appendProblem(dst []byte, err error, within string) []byte {
	return append(dst, marshal(problemOf(err).document("", within))...)
}

// marshal encodes v, a shape of the contract. Text that came from a request may be no valid UTF-8.
func marshal(v any) []byte {
	b, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		panic(err) // the shapes of the contract always encode
	}
	return b
}

var problemContentType = []string{"application/problem+json"}

// writeProblem answers with the document of err.
func writeProblem(w *response, r *http.Request, err error) {
	p := problemOf(err)
	h := w.Header()
	h.Del("Content-Length")
	h.Del("Etag")
	h.Del("Location")
	h["Content-Type"] = problemContentType
	if p.retryAfter > 0 {
		seconds := (p.retryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	body := marshal(p.document(r.URL.EscapedPath(), ""))
	w.WriteHeader(p.kind.status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// logFailure keeps the cause that the client does not see.
func logFailure(logger *zap.Logger, w *response, r *http.Request, err error) {
	status := problemOf(err).kind.status
	if status < http.StatusInternalServerError || r.Context().Err() != nil {
		return
	}
	log := logger.Warn
	if status == http.StatusInternalServerError {
		log = logger.Error
	}
	log("request failed", zap.String("request_id", w.requestID()), zap.String("method", r.Method),
		zap.String("path", r.URL.Path), zap.Error(err))
}
