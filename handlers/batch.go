package handlers

import (
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/model"
)

const maxBatch = 1000

// checkBatch refuses batches of no or too many items.
func checkBatch(field string, n int) error {
	if n < 1 || n > maxBatch {
		return model.NewInvalid(field, fmt.Sprintf("must hold from 1 to %d elements", maxBatch))
	}
	return nil
}

// batchAnswer builds the body of a 207, result by result. The summary comes first although it is known
// last, so that results are gathered apart.
type batchAnswer struct {
	results   []byte
	total     int
	succeeded int
}

// begin starts the next result. names are pairs of a member that tells what it is of, and its value as it
// came; one that is not known, "", is left out.
func (b *batchAnswer) begin(status int, names ...string) {
	if b.total > 0 {
		b.results = append(b.results, ',')
	}
	b.results = append(b.results, `{"index":`...)
	b.results = strconv.AppendInt(b.results, int64(b.total), 10)
	for i := 0; i < len(names); i += 2 {
		if names[i+1] == "" {
			continue
		}
		b.results = append(b.results, ',')
		b.results = appendString(b.results, names[i])
		b.results = append(b.results, ':')
		b.results = appendString(b.results, names[i+1])
	}
	b.results = append(b.results, `,"status":`...)
	b.results = strconv.AppendInt(b.results, int64(status), 10)
	b.total++
	if status < 400 {
		b.succeeded++
	}
}

// end closes the result.
func (b *batchAnswer) end() { b.results = append(b.results, '}') }

// fail adds the result of an item that failed. within points to it in the request.
func (b *batchAnswer) fail(err error, within string, names ...string) {
	b.begin(problemOf(err).kind.status, names...)
	b.results = append(b.results, `,"problem":`...)
	b.results = appendProblem(b.results, err, within)
	b.end()
}

// body returns the whole answer.
func (b *batchAnswer) body() []byte {
	out := make([]byte, 0, len(b.results)+128)
	out = append(out, `{"summary":{"total":`...)
	out = strconv.AppendInt(out, int64(b.total), 10)
	out = append(out, `,"succeeded":`...)
	out = strconv.AppendInt(out, int64(b.succeeded), 10)
	out = append(out, `,"failed":`...)
	out = strconv.AppendInt(out, int64(b.total-b.succeeded), 10)
	out = append(out, `},"items":[`...)
	out = append(out, b.results...)
	return append(out, `]}`...)
}

// logBatchFailure logs the first failure of a batch that is not the client's, and how many there were.
func (s *server) logBatchFailure(w *response, errs []error) {
	var (
		first error
		count int
	)
	for _, err := range errs {
		if err != nil && problemOf(err).kind.status >= 500 {
			if first == nil {
				first = err
			}
			count++
		}
	}
	if first != nil {
		s.Logger.Warn("items of a batch failed", zap.String("request_id", w.requestID()),
			zap.Int("count", count), zap.NamedError("first", first))
	}
}
