package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
)

func TestCounterBatchGet(t *testing.T) {
	t.Parallel()
	items := []struct {
		item   string
		want   string // of the result, behind its index
		status int
		place  string // within /items/i
	}{
		{`{"subject":"post:17","metric":"likes"}`, `"subject":"post:17","metric":"likes","status":200,"value":1204}`, 200, ""},
		{`{"subject":"post:17"}`, `"subject":"post:17","status":200,"values":{"likes":1204,"shares":31}}`, 200, ""},
		{`{"subject":"nobody"}`, `"subject":"nobody","status":200,"values":{}}`, 200, ""},
		{`{"subject":"nobody","metric":"x"}`, `"subject":"nobody","metric":"x","status":200,"value":0}`, 200, ""},
		{`{"subject":"a b"}`, `"subject":"a b","status":422,"problem":`, 422, "/subject"},
		{`{"subject":"a","metric":"\""}`, `"subject":"a","metric":"\"","status":422,"problem":`, 422, "/metric"},
		{`{"subject":"a","metric":""}`, `"subject":"a","status":422,"problem":`, 422, "/metric"},
		{`{"metric":"likes"}`, `"metric":"likes","status":422,"problem":`, 422, "/subject"},
		{`{"subject":7}`, `"status":400,"problem":`, 400, "/subject"},
		{`{"subject":"a","colour":1}`, `"subject":"a","status":400,"problem":`, 400, "/colour"},
		{`"post:17"`, `"status":400,"problem":`, 400, ""},
		{`null`, `"status":400,"problem":`, 400, ""},
	}
	texts := make([]string, len(items))
	for i := range items {
		texts[i] = items[i].item
	}
	w := send(t, newHandler(t, deps(newFake(), testConfig())), call{
		method: http.MethodPost, path: "/counters:batchGet", body: `{"items":[` + strings.Join(texts, ",") + `]}`, invalid: true,
	})
	wantStatus(t, w, http.StatusMultiStatus)
	wantHeaders(t, w, "Cache-Control", "no-cache")
	if !strings.HasPrefix(w.Body.String(), `{"summary":{"total":12,"succeeded":4,"failed":8},"items":[`) {
		t.Errorf("summary: %.80s", w.Body)
	}
	for i, got := range into[api.CounterBatchGetResponse](t, w).Items {
		want := items[i]
		if got.Status != want.status || !strings.Contains(w.Body.String(), fmt.Sprintf(`{"index":%d,%s`, i, want.want)) {
			t.Errorf("%s: status %d; no %s in %s", want.item, got.Status, want.want, w.Body)
		}
		if got.Problem != nil && place(*got.Problem) != fmt.Sprintf("/items/%d%s", i, want.place) {
			t.Errorf("%s: names %q", want.item, place(*got.Problem))
		}
	}
}

func TestCounterBatchOfNothingReadable(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, deps(f, testConfig()))
	for _, path := range []string{"/counters:batchGet", "/counters:batchIncrement"} {
		w := send(t, h, call{method: http.MethodPost, path: path, body: `{"items":[1,{}]}`, invalid: true})
		wantStatus(t, w, http.StatusMultiStatus)
		if !strings.HasPrefix(w.Body.String(), `{"summary":{"total":2,"succeeded":0,"failed":2},`) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

func TestCounterBatchIncrement(t *testing.T) {
	t.Parallel()
	items := []struct {
		item   string
		status int
		value  int64
		place  string // within /items/i
	}{
		{`{"subject":"post:17","metric":"likes","delta":1}`, 200, 1205, ""},
		{`{"subject":"post:17","metric":"likes","delta":-5}`, 200, 1200, ""},
		{`{"subject":"new","metric":"x","delta":9007199254740991,"idempotency_key":"a~!\"b"}`, 200, model.MaxCount, ""},
		{`{"subject":"new","metric":"x","delta":9007199254740991,"idempotency_key":"a~!\"b"}`, 200, model.MaxCount, ""},
		{`{"subject":"new","metric":"x","delta":1}`, 422, 0, "/delta"},
		{`{"subject":"new","metric":"x","delta":1,"idempotency_key":"a~!\"b"}`, 422, 0, "/idempotency_key"},
		{`{"subject":"new","metric":"x","delta":1,"idempotency_key":""}`, 422, 0, "/idempotency_key"},
		{`{"subject":"new","metric":"x","delta":1,"idempotency_key":"a b"}`, 422, 0, "/idempotency_key"},
		{`{"subject":"new","metric":"x","delta":1,"idempotency_key":"` + strings.Repeat("k", 256) + `"}`, 422, 0, "/idempotency_key"},
		{`{"subject":"new","metric":"x","delta":9007199254740992}`, 422, 0, "/delta"},
		{`{"subject":"new","metric":"x","delta":99999999999999999999}`, 422, 0, "/delta"},
		{`{"subject":"new","metric":"x","delta":0.5}`, 400, 0, "/delta"},
		{`{"subject":"new","metric":"x","delta":null}`, 400, 0, "/delta"},
		{`{"subject":"new","metric":"x"}`, 422, 0, "/delta"},
		{`{"subject":"new","delta":1}`, 422, 0, "/metric"},
		{`{"metric":"x","delta":1}`, 422, 0, "/subject"},
		{`{"subject":"a/b","metric":"x","delta":1}`, 422, 0, "/subject"},
		{`{"subject":"a","metric":"x y","delta":1}`, 422, 0, "/metric"},
		{`{"subject":"a","metric":"x","delta":1,"value":1}`, 400, 0, "/value"},
		{`[]`, 400, 0, ""},
	}
	texts := make([]string, len(items))
	for i := range items {
		texts[i] = items[i].item
	}
	w := send(t, newHandler(t, deps(newFake(), testConfig())), call{
		method: http.MethodPost, path: "/counters:batchIncrement", body: `{"items":[` + strings.Join(texts, ",") + `]}`, invalid: true,
	})
	wantStatus(t, w, http.StatusMultiStatus)
	wantHeaders(t, w, "Idempotent-Replayed", "", "Preference-Applied", "")
	answer := into[api.CounterBatchIncrementResponse](t, w)
	if s := answer.Summary; s.Total != len(items) || s.Succeeded != 4 || s.Failed != len(items)-4 {
		t.Errorf("summary %+v", s)
	}
	for i, got := range answer.Items {
		want := items[i]
		if got.Status != want.status || got.Index != i {
			t.Errorf("%s: status %d, want %d", want.item, got.Status, want.status)
			continue
		}
		if got.Status == http.StatusOK {
			if *got.Value != want.value || *got.Durability != api.CountDurabilityMemory || *got.Subject == "" || *got.Metric == "" {
				t.Errorf("%s: %+v", want.item, got)
			}
			continue
		}
		if got.Value != nil || got.Durability != nil || place(*got.Problem) != fmt.Sprintf("/items/%d%s", i, want.place) {
			t.Errorf("%s: names %q", want.item, place(*got.Problem))
		}
	}
}

func TestCounterBatchIncrementIsReplayed(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, deps(f, testConfig()))
	c := call{
		method: http.MethodPost, path: "/counters:batchIncrement", headers: []string{"Prefer", "respond-async", "Idempotency-Key", "b"},
		body: `{"items":[{"subject":"a","metric":"x","delta":1},{"subject":"a","metric":"x","delta":1},{"subject":"b","metric":"x","delta":1,"idempotency_key":"own"}]}`,
	}
	first := send(t, h, c)
	wantStatus(t, first, http.StatusMultiStatus)
	wantHeaders(t, first, "Preference-Applied", "respond-async", "Idempotent-Replayed", "")
	again := send(t, h, c)
	wantHeaders(t, again, "Idempotent-Replayed", "true")
	if again.Body.String() != first.Body.String() || f.count() != 3 {
		t.Errorf("%d increments; the repeat answers %s, the first %s", f.count(), again.Body, first.Body)
	}
	c.body = strings.Replace(c.body, `"delta":1`, `"delta":2`, 1)
	w := send(t, h, c)
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if p := problemIn(t, w); place(p) != "Idempotency-Key" || f.count() != 3 {
		t.Errorf("%d increments, problem %s", f.count(), w.Body)
	}
}

func TestCounterBatchIncrementWithUnknownValues(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.blind = true
	w := send(t, newHandler(t, deps(f, testConfig())), call{
		method: http.MethodPost, path: "/counters:batchIncrement", body: `{"items":[{"subject":"a","metric":"x","delta":1}]}`,
	})
	wantStatus(t, w, http.StatusMultiStatus)
	if want := `"items":[{"index":0,"subject":"a","metric":"x","status":202,"durability":"memory"}]}`; !strings.HasSuffix(w.Body.String(), want) {
		t.Errorf("body %s", w.Body)
	}
}
