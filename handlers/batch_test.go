package handlers_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
)

func TestBatchGet(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	w := send(t, h, call{
		method: http.MethodPost, path: "/feeds:batchGet", invalid: true,
		body: `{"ids":["730123456789012480","9","0","x",7,null,"730123456789012480"]}`,
	})
	wantStatus(t, w, http.StatusMultiStatus)
	if !strings.HasPrefix(w.Body.String(), `{"summary":{"total":7,"succeeded":2,"failed":5},`) {
		t.Errorf("the summary is not first: %.80s", w.Body)
	}
	answer := into[api.BatchGetResponse](t, w)
	var statuses []int
	for i, item := range answer.Items {
		statuses = append(statuses, item.Status)
		if item.Index != i {
			t.Errorf("result %d has index %d", i, item.Index)
		}
		if item.Status == http.StatusUnprocessableEntity || item.Status == http.StatusBadRequest {
			if got := place(*item.Problem); got != fmt.Sprintf("/ids/%d", i) {
				t.Errorf("result %d names %q", i, got)
			}
		}
	}
	if want := []int{200, 404, 422, 422, 400, 400, 200}; !slices.Equal(statuses, want) {
		t.Errorf("statuses %v, want %v", statuses, want)
	}
	if id := answer.Items[3].ID; id == nil || *id != "x" {
		t.Error("an ID that is none is not echoed")
	}
	if answer.Items[0].Item.Version != "1099511627818" {
		t.Errorf("item %+v", answer.Items[0].Item)
	}
}

func TestBatchGetOfNoIDs(t *testing.T) {
	t.Parallel()
	w := send(t, newHandler(t, deps(newFake(), testConfig())), call{
		method: http.MethodPost, path: "/feeds:batchGet", body: `{"ids":["x",{}]}`, invalid: true,
	})
	wantStatus(t, w, http.StatusMultiStatus)
	if s := into[api.BatchGetResponse](t, w).Summary; s.Total != 2 || s.Failed != 2 {
		t.Errorf("summary %+v", s)
	}
}

func TestBatchWrite(t *testing.T) {
	t.Parallel()
	ops := []struct {
		op     string
		status int
		place  string // within /items/i
	}{
		{`{"op":"create","author_id":"42","content":1}`, 201, ""},
		{`{"op":"put","id":"9","author_id":"42","content":1}`, 201, ""},
		{`{"op":"put","id":"9","author_id":"42","content":2,"if_match":"1099511627820"}`, 200, ""},
		{`{"op":"put","id":"9","author_id":"42","content":3,"if_match":"1099511627820"}`, 412, ""},
		{`{"op":"delete","id":"9","if_match":"*"}`, 204, ""},
		{`{"op":"delete","id":"9"}`, 204, ""},
		{`{"op":"create","id":"730123456789012480","author_id":"42","content":1}`, 409, "/id"},
		{`{"op":"put","id":"730123456789012480","author_id":"43","content":1}`, 409, "/author_id"},
		{`{"op":"put","author_id":"42","content":1}`, 422, "/id"},
		{`{"op":"put","id":"07","author_id":"42","content":1}`, 422, "/id"},
		{`{"op":"create","content":1}`, 422, "/author_id"},
		{`{"op":"create","author_id":"42"}`, 422, "/content"},
		{`{"op":"create","author_id":"42","kind":"","content":1}`, 422, "/kind"},
		{`{"op":"create","author_id":"42","kind":"a b","content":1}`, 422, "/kind"},
		{`{"op":"create","author_id":"42","content":1,"if_match":"*"}`, 422, "/if_match"},
		{`{"op":"put","id":"8","author_id":"42","content":1,"if_match":"\"1\""}`, 422, "/if_match"},
		{`{"op":"delete"}`, 422, "/id"},
		{`{"op":"delete","id":"x"}`, 422, "/id"},
		{`{"op":"delete","id":"9","content":null}`, 422, "/content"},
		{`{"op":"move","id":"9"}`, 422, "/op"},
		{`{"id":"9"}`, 422, "/op"},
		{`{"op":"delete","id":9}`, 400, "/id"},
		{`{"op":"delete","id":null}`, 400, "/id"},
		{`{"op":"delete","id":"9","colour":1}`, 400, "/colour"},
		{`{"op":"create","author_id":"42","content":"` + strings.Repeat("x", 1024) + `"}`, 413, "/content"},
		{`null`, 400, ""},
		{`[]`, 400, ""},
	}
	texts := make([]string, len(ops))
	for i := range ops {
		texts[i] = ops[i].op
	}
	w := send(t, newHandler(t, deps(newFake(), testConfig())), call{
		method: http.MethodPost, path: "/feeds:batchWrite", body: `{"items":[` + strings.Join(texts, ",") + `]}`, invalid: true,
	})
	wantStatus(t, w, http.StatusMultiStatus)
	answer := into[api.BatchWriteResponse](t, w)
	succeeded := 0
	for i, got := range answer.Items {
		want := ops[i]
		if got.Status != want.status || got.Index != i {
			t.Errorf("%s: status %d, want %d", want.op, got.Status, want.status)
		}
		if got.Status < 300 {
			succeeded++
			continue
		}
		if got.Problem == nil || got.Problem.Status != got.Status {
			t.Fatalf("%s: problem %+v", want.op, got.Problem)
		}
		if at := place(*got.Problem); at != fmt.Sprintf("/items/%d%s", i, want.place) {
			t.Errorf("%s: names %q", want.op, at)
		}
	}
	if s := answer.Summary; s.Total != len(ops) || s.Succeeded != succeeded || s.Failed != len(ops)-succeeded {
		t.Errorf("summary %+v, %d of %d succeeded", s, succeeded, len(ops))
	}
	first := answer.Items[0]
	if *first.ID != "730123456789013001" || *first.Version != "1099511627819" || *first.Etag != `"1099511627819"` {
		t.Errorf("first result: %s", w.Body)
	}
	if d := answer.Items[4]; d.Version == nil || d.Etag != nil {
		t.Error("a deletion has a version, but no ETag")
	}
	if answer.Items[5].Version != nil {
		t.Error("a deletion of nothing has no version")
	}
}

func TestBatchWriteDelayedAndReplayed(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	c := call{
		method: http.MethodPost, path: "/feeds:batchWrite", headers: []string{"Prefer", "respond-async", "Idempotency-Key", "b"},
		body: `{"items":[{"op":"create","author_id":"42","content":1},{"op":"delete","id":"730123456789012480"},{"op":"delete","id":"6"}]}`,
	}
	first := send(t, h, c)
	wantStatus(t, first, http.StatusMultiStatus)
	wantHeaders(t, first, "Preference-Applied", "respond-async", "Idempotent-Replayed", "")
	for i, item := range into[api.BatchWriteResponse](t, first).Items {
		if item.Status != http.StatusAccepted || item.Durability == nil || *item.Durability != api.DurabilityMemory {
			t.Errorf("result %d: %+v", i, item)
		}
	}
	again := send(t, h, c)
	wantHeaders(t, again, "Idempotent-Replayed", "true")
	if again.Body.String() != first.Body.String() {
		t.Errorf("the repeat answers %s, the first %s", again.Body, first.Body)
	}
	c.body = strings.Replace(c.body, `"content":1`, `"content":2`, 1)
	wantStatus(t, send(t, h, c), http.StatusUnprocessableEntity)
}

// TestBatchFailures checks that the items of a batch fail with the statuses that single requests have.
func TestBatchFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"Unavailable": {model.NewUnavailable("the database is away", errors.New("secret")), 503},
		"Defect":      {errors.New("secret"), 500},
	} {
		for path, body := range map[string]string{
			"/feeds:batchGet":          `{"ids":["9"]}`,
			"/feeds:batchWrite":        `{"items":[{"op":"delete","id":"9"}]}`,
			"/counters:batchGet":       `{"items":[{"subject":"a"}]}`,
			"/counters:batchIncrement": `{"items":[{"subject":"a","metric":"b","delta":1}]}`,
		} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				f := newFake()
				f.hook = fails(tt.err)
				w := send(t, newHandler(t, deps(f, testConfig())), call{method: http.MethodPost, path: path, body: body})
				wantStatus(t, w, http.StatusMultiStatus)
				if !strings.Contains(w.Body.String(), fmt.Sprintf(`"status":%d,"problem":{`, tt.status)) {
					t.Errorf("body %s", w.Body)
				}
				if strings.Contains(w.Body.String(), "secret") {
					t.Errorf("the cause leaks: %s", w.Body)
				}
			})
		}
	}
}
