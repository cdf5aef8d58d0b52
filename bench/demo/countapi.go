package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"github.com/zmsg/zmsg/model"
)

// countBody is the body of an answer about a counter or a subject.
type countBody struct {
	Value      *int64           `json:"value"`
	Values     map[string]int64 `json:"values"`
	Durability string           `json:"durability"`
}

// countResult is an answer about one counter: that of a request of its own, or of an item of a batch.
type countResult struct {
	Status  int             `json:"status"`
	Value   *int64          `json:"value"`
	Problem json.RawMessage `json:"problem"`
}

// unknown reports whether the outcome is.
func (res *countResult) unknown() bool { return isUnknown(res.Status) }

func isUnknown(status int) bool { return status >= 500 || status == http.StatusTooManyRequests }

func path(c model.Counter) string { return "/counters/" + c.Subject + "/" + c.Metric }

// incrementsJSON returns the body of a batch of increments.
func incrementsJSON(incs []*increment) []byte {
	items := make([]string, len(incs))
	for i, inc := range incs {
		key := ""
		if inc.key != "" {
			key = `,"idempotency_key":"` + inc.key + `"`
		}
		items[i] = fmt.Sprintf(`{"subject":"%s","metric":"%s","delta":%d%s}`, inc.counter.Subject, inc.counter.Metric, inc.delta, key)
	}
	return []byte(`{"items":[` + strings.Join(items, ",") + `]}`)
}

// parseCounts reads the n results of a batch. ok is false if the answer is something else.
func parseCounts(ans answer, n int) (results []countResult, ok bool) {
	var body struct {
		Items []struct {
			Index int `json:"index"`
			countResult
		} `json:"items"`
	}
	if ans.status != http.StatusMultiStatus || json.Unmarshal(ans.body, &body) != nil || len(body.Items) != n {
		return nil, false
	}
	for i := range body.Items {
		if body.Items[i].Index != i {
			return nil, false
		}
		results = append(results, body.Items[i].countResult)
	}
	return results, true
}

// parseCount reads the answer to a request for one counter.
func parseCount(ans answer) (body countBody, ok bool) {
	return body, ans.status < 300 && json.Unmarshal(ans.body, &body) == nil
}

// notSent reports whether an attempt has certainly not reached anybody.
func notSent(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// counts reads counters in one batch.
func (a *api) counts(ctx context.Context, replica int, counters []model.Counter) ([]int64, error) {
	req := countsRequest(counters)
	ans, err := a.settleIf(ctx, replica, req, func(ans *answer) bool {
		results, ok := parseCounts(*ans, len(counters))
		for i := range results {
			ok = ok && !results[i].unknown()
		}
		return ok || ans.status != http.StatusMultiStatus && !isUnknown(ans.status)
	})
	if err != nil {
		return nil, err
	}
	values, ok := readCounts(ans, len(counters))
	if !ok {
		return nil, unexpected(req, ans)
	}
	return values, nil
}

func countsRequest(counters []model.Counter) request {
	items := make([]string, len(counters))
	for i, c := range counters {
		items[i] = fmt.Sprintf(`{"subject":"%s","metric":"%s"}`, c.Subject, c.Metric)
	}
	return request{
		method: http.MethodPost, path: "/counters:batchGet",
		body: []byte(`{"items":[` + strings.Join(items, ",") + `]}`),
	}
}

// readCounts returns the values in an answer to countsRequest.
func readCounts(ans answer, n int) ([]int64, bool) {
	results, ok := parseCounts(ans, n)
	values := make([]int64, n)
	for i, res := range results {
		if res.Status != http.StatusOK || res.Value == nil {
			return nil, false
		}
		values[i] = *res.Value
	}
	return values, ok
}
