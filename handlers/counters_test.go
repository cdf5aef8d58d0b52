package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
)

func TestCounterReads(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	for path, want := range map[string]string{
		seededCounterPath:            `{"subject":"post:17","metric":"likes","value":1204}`,
		"/counters/post%3A17/likes":  `{"subject":"post:17","metric":"likes","value":1204}`,
		"/counters/post:17/none":     `{"subject":"post:17","metric":"none","value":0}`,
		"/counters/nobody/likes":     `{"subject":"nobody","metric":"likes","value":0}`,
		"/counters/post:17":          `{"subject":"post:17","values":{"likes":1204,"shares":31}}`,
		"/counters/nobody":           `{"subject":"nobody","values":{}}`,
		"/counters/AZaz09_.:~@-":     `{"subject":"AZaz09_.:~@-","values":{}}`,
		"/counters/a@b~c/AZaz_.:~@-": `{"subject":"a@b~c","metric":"AZaz_.:~@-","value":0}`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			w := send(t, h, call{method: http.MethodGet, path: path, invalid: strings.Contains(path, "%")})
			wantStatus(t, w, http.StatusOK)
			wantHeaders(t, w, "Cache-Control", "no-cache", "Content-Type", "application/json")
			if w.Body.String() != want {
				t.Errorf("body %s, want %s", w.Body, want)
			}
		})
	}
	wantStatus(t, send(t, h, call{method: http.MethodHead, path: seededCounterPath}), http.StatusOK)
}

func TestCounterWrites(t *testing.T) {
	t.Parallel()
	const increments = seededCounterPath + "/increments"
	const body = `{"subject":"post:17","metric":"likes",`
	tests := []struct {
		name    string
		atSQL   bool
		blind   bool
		call    call
		status  int
		headers []string
		body    string
		left    int64
	}{
		{"Increment", false, false, call{method: "POST", path: increments, body: `{"delta":2}`}, 200, []string{"Preference-Applied", ""}, body + `"value":1206,"durability":"memory"}`, 1206},
		{"Decrement", false, false, call{method: "POST", path: increments, body: `{"delta":-1205}`}, 200, nil, body + `"value":-1,"durability":"memory"}`, -1},
		{"Nothing", false, false, call{method: "POST", path: increments, body: `{"delta":0}`}, 200, nil, body + `"value":1204,"durability":"memory"}`, 1204},
		{"Sync", false, false, call{method: "POST", path: increments + "?store=sync", body: `{"delta":1}`}, 200, nil, body + `"value":1205,"durability":"committed"}`, 1205},
		{"Delayed", false, false, call{method: "POST", path: increments + "?store=delayed", body: `{"delta":1}`}, 200, []string{"Preference-Applied", ""}, body + `"value":1205,"durability":"memory"}`, 1205},
		{"Preferred", false, false, call{method: "POST", path: increments, body: `{"delta":1}`, headers: []string{"Prefer", "respond-async"}}, 200, []string{"Preference-Applied", "respond-async"}, body + `"value":1205,"durability":"memory"}`, 1205},
		{"PreferredAtSQL", true, false, call{method: "POST", path: increments, body: `{"delta":1}`, headers: []string{"Prefer", "respond-async"}}, 200, []string{"Preference-Applied", ""}, body + `"value":1205,"durability":"committed"}`, 1205},
		{"Blind", false, true, call{method: "POST", path: increments, body: `{"delta":1}`}, 202, nil, body + `"durability":"memory"}`, 1205},
		{"Highest", false, false, call{method: "PUT", path: seededCounterPath, body: `{"value":9007199254740991}`}, 200, nil, body + `"value":9007199254740991,"durability":"memory"}`, model.MaxCount},
		{"Lowest", false, false, call{method: "PUT", path: seededCounterPath + "?store=sync", body: `{"value":-9007199254740991}`}, 200, nil, body + `"value":-9007199254740991,"durability":"committed"}`, -model.MaxCount},
		{"Remove", false, false, call{method: "DELETE", path: seededCounterPath}, 204, []string{"Preference-Applied", ""}, "", 0},
		{"RemoveSync", false, false, call{method: "DELETE", path: seededCounterPath + "?store=sync"}, 204, nil, "", 0},
		{"RemovePreferred", false, false, call{method: "DELETE", path: seededCounterPath, headers: []string{"Prefer", "respond-async"}}, 204, []string{"Preference-Applied", "respond-async"}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.atSQL, f.blind = tt.atSQL, tt.blind
			h := newHandler(t, deps(f, testConfig()))
			w := send(t, h, tt.call)
			wantStatus(t, w, tt.status)
			wantHeaders(t, w, tt.headers...)
			if w.Body.String() != tt.body {
				t.Errorf("body %s, want %s", w.Body, tt.body)
			}
			read := send(t, h, call{method: http.MethodGet, path: seededCounterPath})
			if want := fmt.Sprintf(`"value":%d}`, tt.left); !strings.HasSuffix(read.Body.String(), want) {
				t.Errorf("a read answers %s, want %s", read.Body, want)
			}
			if tt.call.method != http.MethodPost { // a repeat is harmless
				again := send(t, h, tt.call)
				wantStatus(t, again, tt.status)
				if again.Body.String() != w.Body.String() {
					t.Errorf("the repeat answers %s", again.Body)
				}
			}
		})
	}
}

func TestCounterRefusals(t *testing.T) {
	t.Parallel()
	f := newFake()
	for i := range model.MaxMetrics {
		f.counts[model.Counter{Subject: "full", Metric: fmt.Sprint(i)}] = 1
	}
	h := newHandler(t, deps(f, testConfig()))
	for name, tt := range map[string]struct {
		call   call
		place  string
		detail string
	}{
		"Overflow": {
			call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":9007199254740991}`},
			"/delta",
			"would take the counter out of its range, which is from -9007199254740991 to 9007199254740991; it is 1204",
		},
		"TooMany": {
			call{method: "PUT", path: "/counters/full/more", body: `{"value":1}`},
			"metric",
			"is new, and the subject has 256 counters already, which is the most",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := send(t, h, tt.call)
			wantStatus(t, w, http.StatusUnprocessableEntity)
			if p := problemIn(t, w); place(p) != tt.place || p.Detail != tt.detail {
				t.Errorf("problem %s", w.Body)
			}
		})
	}
}

func TestCounterIdempotencyKey(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, deps(f, testConfig()))
	c := call{method: http.MethodPost, path: seededCounterPath + "/increments", body: `{"delta":1}`, headers: []string{"Idempotency-Key", "k"}}
	first := send(t, h, c)
	wantStatus(t, first, http.StatusOK)
	wantHeaders(t, first, "Idempotent-Replayed", "")
	again := send(t, h, c)
	wantStatus(t, again, http.StatusOK)
	wantHeaders(t, again, "Idempotent-Replayed", "true")
	if again.Body.String() != first.Body.String() {
		t.Errorf("the repeat answers %s, the first %s", again.Body, first.Body)
	}
	inBatch := send(t, h, call{
		method: http.MethodPost, path: "/counters:batchIncrement",
		body: `{"items":[{"subject":"post:17","metric":"likes","delta":1,"idempotency_key":"k"}]}`,
	})
	wantStatus(t, inBatch, http.StatusMultiStatus)
	wantHeaders(t, inBatch, "Idempotent-Replayed", "true")
	if f.count() != 1 {
		t.Errorf("%d increments", f.count())
	}
	c.body = `{"delta":2}`
	w := send(t, h, c)
	wantStatus(t, w, http.StatusUnprocessableEntity)
	if p := problemIn(t, w); !strings.HasSuffix(p.Type, "/idempotency-key-reused") || place(p) != "Idempotency-Key" {
		t.Errorf("problem %s", w.Body)
	}
	c.path = "/counters/post:17/shares/increments"
	wantStatus(t, send(t, h, c), http.StatusOK)
}
