package handlers

import (
	"context"
	"net/http"
	"strconv"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// maxCountBytes is the largest body of a change of one counter.
const maxCountBytes = 4 << 10

// incrementCounter answers POST of an increment.
func (s *server) incrementCounter(ctx context.Context, w *response, r *http.Request) error {
	var in struct {
		Delta *int64 `json:"delta"`
	}
	o, body, err := readCount(w, r, &in)
	if err != nil {
		return err
	}
	if in.Delta == nil {
		return model.NewInvalid("/delta", "is required")
	}
	if err = o.identify(r, body); err != nil {
		return err
	}
	written, err := s.CounterWrites.Increment(ctx, pathCounter(r), *in.Delta, o.counting())
	if err != nil {
		return nameInPath(err)
	}
	answerCount(w, &written, o.preferred)
	return nil
}

// setCounter answers PUT of a counter.
func (s *server) setCounter(ctx context.Context, w *response, r *http.Request) error {
	var in struct {
		Value *int64 `json:"value"`
	}
	o, _, err := readCount(w, r, &in)
	if err != nil {
		return err
	}
	if in.Value == nil {
		return model.NewInvalid("/value", "is required")
	}
	written, err := s.CounterWrites.Set(ctx, pathCounter(r), *in.Value, o.counting())
	if err != nil {
		return nameInPath(err)
	}
	answerCount(w, &written, o.preferred)
	return nil
}

// removeCounter answers DELETE of a counter.
func (s *server) removeCounter(ctx context.Context, w *response, r *http.Request) error {
	o, err := countRequest(r)
	if err != nil {
		return err
	}
	written, err := s.CounterWrites.Remove(ctx, pathCounter(r), o.counting())
	if err != nil {
		return nameInPath(err)
	}
	countHeaders(w, &written, o.preferred)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// countRequest reads the options of a change of counters, which knows no condition.
func countRequest(r *http.Request) (writeRequest, error) {
	if err := refuseConditions(r); err != nil {
		return writeRequest{}, err
	}
	return options(r)
}

// readCount reads the options and the body of a change of one counter.
func readCount(w *response, r *http.Request, in any) (o writeRequest, body []byte, err error) {
	if o, err = countRequest(r); err != nil {
		return o, nil, err
	}
	if body, err = readBody(w, r, maxCountBytes, mediaJSON); err != nil {
		return o, nil, err
	}
	return o, body, decode(body, in)
}

// counting returns what of the options is for counters.
func (o *writeRequest) counting() service.CountOptions {
	return service.CountOptions{Store: o.Store, IdempotencyKey: o.IdempotencyKey, Fingerprint: o.Fingerprint}
}

// answerCount answers a change with the counter after it: 202 if its value is not known.
func answerCount(w *response, written *service.CountWritten, preferred bool) {
	countHeaders(w, written, preferred)
	b := make([]byte, 0, counterOverhead+len(written.Subject)+len(written.Metric))
	b = appendCounted(appendCounter(b, written.Counter), written)
	writeJSON(w, countStatus(written), append(b, '}'))
}

// countHeaders sets the headers that follow from a change that was made.
func countHeaders(w *response, written *service.CountWritten, preferred bool) {
	h := w.Header()
	if preferred && written.Durability != service.Committed {
		h["Preference-Applied"] = respondAsync
	}
	if written.Replayed {
		h["Idempotent-Replayed"] = replayedTrue
	}
}

func countStatus(written *service.CountWritten) int {
	if written.Known {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// appendCounted appends the members that tell the value after a change, if it is known, and what the
// change survives.
func appendCounted(dst []byte, written *service.CountWritten) []byte {
	if written.Known {
		dst = append(dst, `,"value":`...)
		dst = strconv.AppendInt(dst, written.Value, 10)
	}
	dst = append(dst, `,"durability":`...)
	return appendString(dst, written.Durability)
}
