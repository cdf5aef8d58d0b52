package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
)

const seededPath = "/feeds/730123456789012480"

const (
	seededETag = `"1099511627818"`
	nextETag   = `"1099511627819"` // of the first write after the seed
)

func TestCreate(t *testing.T) {
	t.Parallel()
	const body = `{"author_id":"42","content":{"a":1}}`
	tests := []struct {
		name    string
		store   model.Store // of a write that does not say
		call    call
		status  int
		headers []string
		item    string // the end of the body
	}{
		{
			"Assigned", model.StoreSync,
			call{path: "/feeds", body: body},
			201,
			[]string{"Location", "/feeds/730123456789013001", "ETag", nextETag, "Preference-Applied", ""},
			`"updated_at":"2026-11-22T17:30:00.166Z"}`,
		},
		{
			"GivenWithKind", model.StoreSync,
			call{path: "/feeds", body: `{"id":"7","author_id":"42","kind":"photo","content":null}`},
			201,
			[]string{"Location", "/feeds/7"},
			"",
		},
		{
			"Delayed", model.StoreSync,
			call{path: "/feeds?store=delayed", body: body},
			202,
			[]string{"Location", "/feeds/730123456789013001", "ETag", nextETag, "Preference-Applied", ""},
			`,"durability":"memory"}`,
		},
		{
			"Preferred", model.StoreSync,
			call{path: "/feeds", body: body, headers: []string{"Prefer", `return=minimal, foo="a,b", Respond-Async; x=1`}},
			202,
			[]string{"Preference-Applied", "respond-async"},
			`,"durability":"memory"}`,
		},
		{
			"StoreWinsOverPrefer", model.StoreDelayed,
			call{path: "/feeds?store=sync", body: body, headers: []string{"Prefer", "respond-async"}},
			201,
			[]string{"Preference-Applied", ""},
			"",
		},
		{
			"StoreAndPreferAgree", model.StoreSync,
			call{path: "/feeds?store=delayed", body: body, headers: []string{"Prefer", "respond-async"}},
			202,
			[]string{"Preference-Applied", ""},
			"",
		},
		{"DelayedByDefault", model.StoreDelayed, call{path: "/feeds", body: body}, 202, []string{"Preference-Applied", ""}, ""},
		{"UnknownParameter", model.StoreSync, call{path: "/feeds?utm=1", body: body}, 201, nil, ""},
		{"WithoutContentType", model.StoreSync, call{path: "/feeds", body: body, headers: []string{"Content-Type", ""}, invalid: true}, 201, nil, ""},
		{
			"WithCharset", model.StoreSync,
			call{path: "/feeds", body: body, headers: []string{"Content-Type", "", "Content-Type", "application/json; charset=UTF-8"}},
			201, nil, "",
		},
		{"Taken", model.StoreSync, call{path: "/feeds", body: `{"id":"730123456789012480","author_id":"42","content":1}`}, 409, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.store = tt.store
			tt.call.method = http.MethodPost
			w := send(t, newHandler(t, deps(f, testConfig())), tt.call)
			wantStatus(t, w, tt.status)
			wantHeaders(t, w, tt.headers...)
			if !strings.HasSuffix(w.Body.String(), tt.item) {
				t.Errorf("body %s, want it to end with %s", w.Body, tt.item)
			}
		})
	}
}

// TestContentIsKeptExactly checks the bytes of contents whose meaning alone would survive a decoder.
func TestContentIsKeptExactly(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		`1e400`, `-0`, `1.10`, `0.1E-7`, `12345678901234567890123`, `null`, `true`, `"a\u0061\/é"`, "\"\u2028<>&\"",
		"{ \"b\" : 1,\n\t\"a\" : [ ] }", `[[[]],{}]`, `""`,
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut, "BATCH"} {
			t.Run(method+" "+content, func(t *testing.T) {
				t.Parallel()
				f := newFake()
				h := newHandler(t, deps(f, testConfig()))
				members := fmt.Sprintf(`"id":"7","author_id":"42","content":%s`, content)
				c := call{method: method, path: "/feeds", body: "{" + members + " }"}
				switch method {
				case http.MethodPut:
					c.path = "/feeds/7"
				case "BATCH":
					c = call{method: http.MethodPost, path: "/feeds:batchWrite", body: `{"items":[{"op":"put",` + members + `}]}`}
				}
				w := serve(h, c.request(t)) // the validator's numbers hold less than JSON's
				if w.Code >= 300 {
					t.Fatalf("status %d\n%s", w.Code, w.Body)
				}
				if got := string(f.content(7)); got != content {
					t.Errorf("stored %q, want %q", got, content)
				}
				read := serve(h, call{method: http.MethodGet, path: "/feeds/7"}.request(t))
				if !strings.Contains(read.Body.String(), `"content":`+content+`,"version"`) {
					t.Errorf("served %s", read.Body)
				}
			})
		}
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	const body = `{"author_id":"42","content":[1]}`
	tests := []struct {
		name    string
		call    call
		status  int
		headers []string
	}{
		{"Replaces", call{path: seededPath, body: body}, 200, []string{"ETag", nextETag, "Location", ""}},
		{"Creates", call{path: "/feeds/9", body: body}, 201, []string{"Location", "/feeds/9", "ETag", nextETag}},
		{"Delayed", call{path: "/feeds/9?store=delayed", body: body}, 202, []string{"Location", "/feeds/9", "ETag", nextETag}},
		{"SameID", call{path: "/feeds/9", body: `{"id":"9","author_id":"42","content":1}`}, 201, nil},
		{"Matches", call{path: seededPath, body: body, headers: []string{"If-Match", seededETag}}, 200, nil},
		{"MatchesOneOfMany", call{path: seededPath, body: body, headers: []string{"If-Match", `"x,y", "1"`, "If-Match", seededETag}}, 200, nil},
		{"MatchesAny", call{path: seededPath, body: body, headers: []string{"If-Match", "*"}}, 200, nil},
		{"AnyOfNone", call{path: "/feeds/9", body: body, headers: []string{"If-Match", "*"}}, 412, nil},
		{"OtherVersion", call{path: seededPath, body: body, headers: []string{"If-Match", `"5"`}}, 412, nil},
		{"WeakNeverMatches", call{path: seededPath, body: body, headers: []string{"If-Match", "W/" + seededETag}}, 412, nil},
		{"ForeignTagNeverMatches", call{path: seededPath, body: body, headers: []string{"If-Match", `"abc"`}}, 412, nil},
		{"AbsentHolds", call{path: "/feeds/9", body: body, headers: []string{"If-None-Match", "*"}}, 201, nil},
		{"AbsentFails", call{path: seededPath, body: body, headers: []string{"If-None-Match", "*"}}, 412, nil},
		{"Contradiction", call{path: seededPath, body: body, headers: []string{"If-None-Match", "*", "If-Match", "*"}}, 412, nil},
		{"OtherAuthor", call{path: seededPath, body: `{"author_id":"43","content":1}`}, 409, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			tt.call.method = http.MethodPut
			w := send(t, newHandler(t, deps(f, testConfig())), tt.call)
			wantStatus(t, w, tt.status)
			wantHeaders(t, w, tt.headers...)
			if wrote := f.count() > 0; wrote != (tt.status < 300) {
				t.Errorf("status %d, wrote %v", tt.status, wrote)
			}
		})
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		call    call
		status  int
		content string
	}{
		{"Merges", call{path: seededPath, body: `{"text":"Bye","tags":null,"n":{"a":null}}`}, 200, `{"n":{},"text":"Bye"}`},
		{"Replaces", call{path: seededPath, body: `17`}, 200, `17`},
		{"Null", call{path: seededPath, body: `null`}, 200, `null`},
		{
			"MergePatchType",
			call{path: seededPath, body: `{"tags":null}`, headers: []string{"Content-Type", "", "Content-Type", "application/merge-patch+json"}},
			200, `{"text":"Hello"}`,
		},
		{"Delayed", call{path: seededPath + "?store=delayed", body: `1`}, 202, `1`},
		{"Matches", call{path: seededPath, body: `1`, headers: []string{"If-Match", seededETag}}, 200, `1`},
		{"Changed", call{path: seededPath, body: `1`, headers: []string{"If-Match", `"5"`}}, 412, ""},
		{"Absent", call{path: "/feeds/9", body: `1`}, 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			tt.call.method = http.MethodPatch
			w := send(t, newHandler(t, deps(f, testConfig())), tt.call)
			wantStatus(t, w, tt.status)
			if tt.content == "" {
				return
			}
			wantHeaders(t, w, "ETag", nextETag)
			if got := string(f.content(seededID)); got != tt.content {
				t.Errorf("content %s, want %s", got, tt.content)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		call   call
		status int
		body   string
	}{
		{"Deletes", call{path: seededPath}, 204, ""},
		{"Absent", call{path: "/feeds/9"}, 204, ""},
		{"Delayed", call{path: seededPath + "?store=delayed"}, 202, `{"durability":"memory","id":"730123456789012480","version":"1099511627819"}`},
		{"DelayedAbsent", call{path: "/feeds/9?store=delayed"}, 202, `{"durability":"memory","id":"9"}`},
		{"Matches", call{path: seededPath, headers: []string{"If-Match", seededETag}}, 204, ""},
		{"MatchesNone", call{path: "/feeds/9", headers: []string{"If-Match", "*"}}, 412, "problem"},
		{"Changed", call{path: seededPath, headers: []string{"If-Match", `"5"`}}, 412, "problem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, deps(newFake(), testConfig()))
			tt.call.method = http.MethodDelete
			w := send(t, h, tt.call)
			wantStatus(t, w, tt.status)
			if tt.body != "problem" && w.Body.String() != tt.body {
				t.Errorf("body %s, want %s", w.Body, tt.body)
			}
			left := send(t, h, call{method: http.MethodGet, path: seededPath})
			gone := tt.status < 300 && strings.HasPrefix(tt.call.path, seededPath)
			if (left.Code == http.StatusNotFound) != gone {
				t.Errorf("a read answers %d afterwards", left.Code)
			}
		})
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		tier    model.Tier
		bypass  bool
		call    call
		status  int
		headers []string
	}{
		{"L1", model.TierL1, false, call{path: seededPath}, 200, []string{"ETag", seededETag, "Cache-Status", "zmsg; hit; detail=l1"}},
		{"L2", model.TierL2, false, call{path: seededPath}, 200, []string{"Cache-Status", "zmsg; hit; detail=l2"}},
		{"SQL", model.TierSQL, false, call{path: seededPath}, 200, []string{"Cache-Status", "zmsg; fwd=miss; detail=sql"}},
		{"Bypass", model.TierSQL, true, call{path: seededPath}, 200, []string{"Cache-Status", "zmsg; fwd=bypass; detail=sql"}},
		{
			"Exact", model.TierL1, false,
			call{path: seededPath, headers: []string{"Cache-Control", "max-age=0, No-Cache"}},
			200,
			[]string{"Cache-Status", "zmsg; fwd=request; detail=sql"},
		},
		{"NotExact", model.TierL1, false, call{path: seededPath, headers: []string{"Cache-Control", "no-store"}}, 200, []string{"Cache-Status", "zmsg; hit; detail=l1"}},
		{"Held", model.TierL1, false, call{path: seededPath, headers: []string{"If-None-Match", seededETag}}, 304, []string{"ETag", seededETag, "Cache-Status", "zmsg; hit; detail=l1"}},
		{"HeldWeakly", model.TierL1, false, call{path: seededPath, headers: []string{"If-None-Match", `"a,b", W/` + seededETag}}, 304, nil},
		{"HeldAny", model.TierL1, false, call{path: seededPath, headers: []string{"If-None-Match", "*"}}, 304, nil},
		{"HeldOther", model.TierL1, false, call{path: seededPath, headers: []string{"If-None-Match", `"1"`}}, 200, nil},
		{"HeldNonsense", model.TierL1, false, call{path: seededPath, headers: []string{"If-None-Match", `nonsense`}}, 200, nil},
		{"AbsentByFilter", model.TierFilter, false, call{path: "/feeds/9"}, 404, []string{"Cache-Status", "zmsg; hit; detail=bloom", "ETag", ""}},
		{"AbsentBySQL", model.TierSQL, false, call{path: "/feeds/9"}, 404, []string{"Cache-Status", "zmsg; fwd=miss; detail=sql"}},
		{"EscapedID", model.TierL1, false, call{path: "/feeds/7301234567890%312480", invalid: true}, 200, nil},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(tt.name+"/"+method, func(t *testing.T) {
				t.Parallel()
				f := newFake()
				f.tier, f.bypass = tt.tier, tt.bypass
				c := tt.call
				c.method = method
				w := send(t, newHandler(t, deps(f, testConfig())), c)
				wantStatus(t, w, tt.status)
				wantHeaders(t, w, tt.headers...)
				if tt.status == 304 && w.Body.Len() > 0 {
					t.Errorf("304 with a body: %s", w.Body)
				}
			})
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, deps(f, testConfig()))
	for i := 1; i <= 120; i++ {
		author := 50 + i%2
		w := send(t, h, call{method: http.MethodPut, path: fmt.Sprintf("/feeds/%d", i), body: fmt.Sprintf(`{"author_id":"%d","content":%d}`, author, i)})
		wantStatus(t, w, http.StatusCreated)
	}
	tests := []struct {
		name, query string
		count       int
		first       string
		more        bool
	}{
		{"Default", "author_id=50&author_id=51", 50, "120", true},
		{"OneAuthor", "author_id=50&limit=100", 60, "120", false},
		{"LimitIsCoerced", "author_id=50&author_id=51&limit=101", 100, "120", true},
		{"HugeLimitIsCoerced", "author_id=50&author_id=51&limit=9223372036854775807", 100, "120", true},
		{"Cursor", "author_id=50&author_id=51&limit=3&cursor=before-5", 3, "4", true},
		{"LastPage", "author_id=50&author_id=51&cursor=before-5", 4, "4", false},
		{"Nobody", "author_id=77", 0, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := send(t, h, call{method: http.MethodGet, path: "/feeds?" + tt.query})
			wantStatus(t, w, http.StatusOK)
			page := into[api.ItemPage](t, w)
			if len(page.Items) != tt.count || (page.NextCursor != nil) != tt.more {
				t.Fatalf("%d items, more %v", len(page.Items), page.NextCursor != nil)
			}
			if tt.count > 0 && page.Items[0].ID != tt.first {
				t.Errorf("first %s, want %s", page.Items[0].ID, tt.first)
			}
		})
	}
}

func TestListSaysWhenRedisWasOutOfReach(t *testing.T) {
	t.Parallel()
	for bypass, want := range map[bool]string{true: "zmsg; fwd=bypass; detail=sql", false: ""} {
		f := newFake()
		f.bypass = bypass
		w := send(t, newHandler(t, deps(f, testConfig())), call{method: http.MethodGet, path: "/feeds?author_id=42"})
		wantStatus(t, w, http.StatusOK)
		wantHeaders(t, w, "Cache-Status", want)
	}
}

func TestEvictAndHit(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, deps(f, testConfig()))
	w := send(t, h, call{method: http.MethodDelete, path: seededPath + "/cache"})
	wantStatus(t, w, http.StatusNoContent)
	if f.count() != 1 {
		t.Error("nothing was evicted")
	}
	for path, want := range map[string]string{seededPath: `{"may_exist":true}`, "/feeds/9": `{"may_exist":false}`} {
		if w = send(t, h, call{method: http.MethodGet, path: path + "/hit"}); w.Body.String() != want {
			t.Errorf("%s: %s, want %s", path, w.Body, want)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newHandler(t, deps(newFake(), testConfig()))
	create := call{
		method: http.MethodPost, path: "/feeds", body: `{"author_id":"42","content":1}`, headers: []string{"Idempotency-Key", "k1"},
	}
	first := send(t, h, create)
	wantStatus(t, first, http.StatusCreated)
	wantHeaders(t, first, "Idempotent-Replayed", "")

	create.headers = []string{"Idempotency-Key", `"k1"`} // the same key as a structured field
	again := send(t, h, create)
	wantStatus(t, again, http.StatusCreated)
	wantHeaders(t, again, "Idempotent-Replayed", "true", "ETag", first.Header().Get("ETag"), "Location", first.Header().Get("Location"))
	if again.Body.String() != first.Body.String() {
		t.Errorf("the repeat answers %s, the first %s", again.Body, first.Body)
	}
	for name, c := range map[string]call{
		"OtherBody":  {path: "/feeds", body: `{"author_id":"42","content":2}`},
		"OtherStore": {path: "/feeds?store=sync", body: create.body},
		"OtherPath":  {path: "/ids", body: `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.method, c.headers = http.MethodPost, create.headers
			w := send(t, h, c)
			wantStatus(t, w, http.StatusUnprocessableEntity)
			if p := problemIn(t, w); !strings.HasSuffix(p.Type, "/idempotency-key-reused") {
				t.Errorf("type %s", p.Type)
			}
		})
	}
}

// A client that asked for a state must learn which of its headers asked in vain.
func TestP11_FailedConditionNamesItsHeader(t *testing.T) {
	t.Parallel()
	body := `{"author_id":"7","content":1}`
	for header, value := range map[string]string{"If-Match": `"5"`, "If-None-Match": "*"} {
		w := send(t, newHandler(t, deps(newFake(), testConfig())), call{method: http.MethodPut, path: seededPath, body: body, headers: []string{header, value}})
		wantStatus(t, w, http.StatusPreconditionFailed)
		if !strings.Contains(w.Body.String(), `"header":"`+header+`"`) {
			t.Errorf("%s: %s", header, w.Body)
		}
	}
}
