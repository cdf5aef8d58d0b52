package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// handlerFunc answers a request, or returns why it could not before it has written anything. Its context
// ends with the time that a request may take.
type handlerFunc func(ctx context.Context, w *response, r *http.Request) error

// response remembers what was answered. It lives as long as the request and is used again then.
type response struct {
	http.ResponseWriter
	status int // 0 until the header is written
	bytes  int64
	values *headerValues
}

// statusClientGone is what metrics and logs show, with other servers, of a request whose client hung up.
// It is never sent.
const statusClientGone = 499

// headerValues holds the header values that differ from request to request, in one piece of memory.
type headerValues [2]string

var responses = sync.Pool{New: func() any { return new(response) }}

// WriteHeader notes the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes how much was written.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// setRequestID and setETag need no memory of their own.
func (w *response) setRequestID(id string) {
	w.values[0] = id
	w.Header()["X-Request-Id"] = w.values[0:1:1]
}

func (w *response) setETag(tag string) {
	w.values[1] = tag
	w.Header()["Etag"] = w.values[1:2:2]
}

func (w *response) requestID() string { return w.values[0] }

// endpoint wraps h with what all routes have: a request ID, a time limit, recovery from panics, problem
// documents, a latency histogram and the access log.
func (s *server) endpoint(method, route string, h handlerFunc) http.HandlerFunc {
	latency := s.metrics.route(method, route)
	return func(rw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := responses.Get().(*response)
		*w = response{ResponseWriter: rw, values: new(headerValues)}
		w.setRequestID(s.ids.of(r))
		ctx := newDeadline(r.Context(), start.Add(s.Config.RequestTimeout))
		defer func() {
			ctx.stop()
			took := time.Since(start)
			latency.observe(w.status, took)
			s.access.log(w, r, took)
			w.ResponseWriter = nil
			responses.Put(w)
		}()
		s.serve(ctx, w, r, h) //nolint:contextcheck // ctx is r.Context() with a deadline
	}
}

// serve runs h and answers for it if it fails.
func (s *server) serve(ctx context.Context, w *response, r *http.Request, h handlerFunc) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		s.metrics.panics.Inc()
		s.Logger.Error("panic in a handler", zap.String("request_id", w.requestID()), zap.String("method", r.Method),
			zap.String("path", r.URL.Path), zap.Any("panic", v), zap.StackSkip("stack", 1))
		if w.status != 0 {
			panic(http.ErrAbortHandler) // what has been sent must not look complete
		}
		writeProblem(w, r, fmt.Errorf("panic: %v", v))
	}()
	err := h(ctx, w, r)
	if err == nil {
		return
	}
	logFailure(s.Logger, w, r, err)
	if w.status == 0 {
		writeProblem(w, r, err)
	}
	if w.status == http.StatusServiceUnavailable && r.Context().Err() != nil {
		w.status = statusClientGone
	}
}
