package handlers

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/zmsg/zmsg/model"
)

// pathCounter returns the counter in the path. What its names may be is a rule of the service.
func pathCounter(r *http.Request) model.Counter {
	return model.Counter{Subject: chi.URLParam(r, "subject"), Metric: chi.URLParam(r, "metric")}
}

// nameInPath turns what the service says of a counter's names into what is wrong with the path.
func nameInPath(err error) error {
	var e *model.Error
	if !errors.As(err, &e) || e.Field != "/subject" && e.Field != "/metric" {
		return err
	}
	named := *e
	named.Field = e.Field[1:]
	return &named
}

// counter answers GET of a counter.
func (s *server) counter(ctx context.Context, w *response, r *http.Request) error {
	c := pathCounter(r)
	value, err := s.CounterReads.Get(ctx, c)
	if err != nil {
		return nameInPath(err)
	}
	b := appendCounter(make([]byte, 0, counterOverhead+len(c.Subject)+len(c.Metric)), c)
	b = append(b, `,"value":`...)
	b = strconv.AppendInt(b, value, 10)
	w.Header()["Cache-Control"] = noCache
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

// subjectCounters answers GET of all counters of a subject.
func (s *server) subjectCounters(ctx context.Context, w *response, r *http.Request) error {
	subject := chi.URLParam(r, "subject")
	values, err := s.CounterReads.Subject(ctx, subject)
	if err != nil {
		return nameInPath(err)
	}
	b := make([]byte, 0, counterOverhead+len(subject)+counterOverhead/2*len(values))
	b = append(b, `{"subject":"`...)
	b = append(b, subject...)
	b = append(b, `","values":`...)
	b = appendValues(b, values)
	w.Header()["Cache-Control"] = noCache
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

// counterOverhead is about what a counter takes beside its names.
const counterOverhead = 80

// appendCounter begins a JSON object with the names of a counter. The service has accepted them, so that
// nothing in them needs escaping.
func appendCounter(dst []byte, c model.Counter) []byte {
	dst = append(dst, `{"subject":"`...)
	dst = append(dst, c.Subject...)
	dst = append(dst, `","metric":"`...)
	dst = append(dst, c.Metric...)
	return append(dst, '"')
}

// appendValues appends the counters of a subject, whose names the service has accepted, by metric.
func appendValues(dst []byte, values map[string]int64) []byte {
	dst = append(dst, '{')
	for i, metric := range slices.Sorted(maps.Keys(values)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, metric...)
		dst = append(dst, `":`...)
		dst = strconv.AppendInt(dst, values[metric], 10)
	}
	return append(dst, '}')
}
