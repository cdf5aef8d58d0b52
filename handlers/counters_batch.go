package handlers

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// counterItem is an element of a batch, as far as it could be read: of reads only the names.
type counterItem struct {
	Subject        string
	Metric         string
	Delta          int64
	IdempotencyKey string
	err            error // why it cannot be read
}

// names are the counter as it came, for the result.
func (it *counterItem) names() []string {
	return []string{"subject", it.Subject, "metric", it.Metric}
}

func (it *counterItem) counter() model.Counter {
	return model.Counter{Subject: it.Subject, Metric: it.Metric}
}

// batchGetCounters answers reads of many counters. Those that cannot be read fail alone.
func (s *server) batchGetCounters(ctx context.Context, w *response, r *http.Request) error {
	body, err := readBody(w, r, s.Config.MaxBatchBytes, mediaJSON)
	if err != nil {
		return err
	}
	items, err := readCounterItems(body, readCounterName)
	if err != nil {
		return err
	}
	counters := make([]model.Counter, 0, len(items))
	for i := range items {
		if items[i].err == nil {
			counters = append(counters, items[i].counter())
		}
	}
	var reads []service.CountRead
	if len(counters) > 0 {
		reads = s.CounterReads.BatchGet(ctx, counters)
	}
	errs := make([]error, len(reads))
	for i := range reads {
		errs[i] = reads[i].Err
	}
	s.logBatchFailure(w, errs)
	w.Header()["Cache-Control"] = noCache
	writeJSON(w, http.StatusMultiStatus, countReadsAnswer(items, reads))
	return nil
}

// readCounterItems reads the elements of a batch, each by the function.
func readCounterItems(body []byte, read func(jsontext.Value, *counterItem) error) ([]counterItem, error) {
	var in struct {
		Items []jsontext.Value `json:"items"`
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	if err := checkBatch("/items", len(in.Items)); err != nil {
		return nil, err
	}
	items := make([]counterItem, len(in.Items))
	for i, raw := range in.Items {
		items[i].err = read(raw, &items[i])
	}
	return items, nil
}

// readCounterName reads a counter, or a subject.
func readCounterName(raw jsontext.Value, it *counterItem) error {
	var in struct {
		Subject string  `json:"subject"`
		Metric  *string `json:"metric"`
	}
	err := decodeValue(raw, &in)
	it.Subject = in.Subject
	if in.Metric != nil {
		it.Metric = *in.Metric
	}
	switch {
	case err != nil:
		return err
	case in.Subject == "":
		return model.NewInvalid("/subject", "is required")
	case in.Metric != nil && *in.Metric == "":
		return model.NewInvalid("/metric", "must not be empty")
	}
	return nil
}

// countReadsAnswer merges what could not be read with what was found, in the order of the request. reads
// are those of the items without an error, in their order.
func countReadsAnswer(items []counterItem, reads []service.CountRead) []byte {
	var b batchAnswer
	next := 0
	for i := range items {
		it := &items[i]
		within := "/items/" + strconv.Itoa(i)
		if it.err != nil {
			b.fail(it.err, within, it.names()...)
			continue
		}
		read := &reads[next]
		next++
		if read.Err != nil {
			b.fail(read.Err, within, it.names()...)
			continue
		}
		b.begin(http.StatusOK, it.names()...)
		if it.Metric == "" {
			b.results = append(b.results, `,"values":`...)
			b.results = appendValues(b.results, read.Values)
		} else {
			b.results = append(b.results, `,"value":`...)
			b.results = strconv.AppendInt(b.results, read.Value, 10)
		}
		b.end()
	}
	return b.body()
}

// batchIncrement answers many increments. Those that cannot be read fail alone, like those that the
// service refuses.
func (s *server) batchIncrement(ctx context.Context, w *response, r *http.Request) error {
	o, err := countRequest(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, s.Config.MaxBatchBytes, mediaJSON)
	if err != nil {
		return err
	}
	if err = o.identify(r, body); err != nil {
		return err
	}
	items, err := readCounterItems(body, readIncrement)
	if err != nil {
		return err
	}
	increments := make([]service.Increment, 0, len(items))
	for i := range items {
		if it := &items[i]; it.err == nil {
			increments = append(increments, service.Increment{Counter: it.counter(), Delta: it.Delta, IdempotencyKey: it.IdempotencyKey})
		}
	}
	var results []service.IncrementResult
	if len(increments) > 0 {
		if results, err = s.CounterWrites.BatchIncrement(ctx, increments, o.counting()); err != nil {
			return err
		}
	}
	errs := make([]error, len(results))
	for i := range results {
		errs[i] = results[i].Err
	}
	s.logBatchFailure(w, errs)
	writeJSON(w, http.StatusMultiStatus, incrementsAnswer(w, items, results, o.preferred))
	return nil
}

// readIncrement reads one increment. The rules of names and ranges are those of the service.
func readIncrement(raw jsontext.Value, it *counterItem) error {
	var in struct {
		Subject        string  `json:"subject"`
		Metric         string  `json:"metric"`
		Delta          *int64  `json:"delta"`
		IdempotencyKey *string `json:"idempotency_key"`
	}
	err := decodeValue(raw, &in)
	it.Subject, it.Metric = in.Subject, in.Metric
	switch {
	case err != nil:
		return err
	case in.Subject == "":
		return model.NewInvalid("/subject", "is required")
	case in.Metric == "":
		return model.NewInvalid("/metric", "is required")
	case in.Delta == nil:
		return model.NewInvalid("/delta", "is required")
	}
	it.Delta = *in.Delta
	if in.IdempotencyKey == nil {
		return nil
	}
	if !validIdempotencyKey(*in.IdempotencyKey) {
		return model.NewInvalid("/idempotency_key", "must be 1 to 255 visible ASCII characters")
	}
	it.IdempotencyKey = *in.IdempotencyKey
	return nil
}

// incrementsAnswer returns the body, and sets the headers that follow from the results, which are those of
// the items without an error, in their order.
func incrementsAnswer(w *response, items []counterItem, results []service.IncrementResult, preferred bool) []byte {
	var b batchAnswer
	next, replayed, fresh, queued := 0, 0, 0, 0
	for i := range items {
		it := &items[i]
		within := "/items/" + strconv.Itoa(i)
		if it.err != nil {
			b.fail(it.err, within, it.names()...)
			continue
		}
		res := &results[next]
		next++
		if res.Err != nil {
			b.fail(res.Err, within, it.names()...)
			continue
		}
		b.begin(countStatus(&res.Written), it.names()...)
		b.results = appendCounted(b.results, &res.Written)
		b.end()
		if res.Written.Replayed {
			replayed++
		} else {
			fresh++
		}
		if res.Written.Durability != service.Committed {
			queued++
		}
	}
	h := w.Header()
	if preferred && queued > 0 {
		h["Preference-Applied"] = respondAsync
	}
	if replayed > 0 && fresh == 0 {
		h["Idempotent-Replayed"] = replayedTrue
	}
	return b.body()
}
