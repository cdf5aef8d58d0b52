package handlers_test

import (
	"net/http"
	"strings"
	"testing"
)

// badBodies are wrong for every operation that takes an object.
var badBodies = []struct {
	name, body string
	status     int
}{
	{"Truncated", `{"a":`, 400},
	{"NotJSON", `hello`, 400},
	{"Null", `null`, 400},
	{"Array", `[1]`, 400},
	{"String", `"x"`, 400},
	{"Trailing", `{} {}`, 400},
	{"Comment", `{} // x`, 400},
	{"BOM", "\ufeff{}", 400},
	{"InvalidUTF8", "{\"\xff\":1}", 400},
	{"LoneSurrogate", `{"\ud800":1}`, 400},
	{"Depth", strings.Repeat(`[`, 2000), 400},
	{"DepthOfObjects", strings.Repeat(`{"":`, 800), 400},
	{"UnknownMember", `{"colour":"red"}`, 400},
	{"WrongCase", `{"COUNT":1,"Content":1,"IDS":[],"Items":[]}`, 400},
	{"DuplicateMember", `{"id":"1","id":"2","count":1,"count":2,"ids":[],"ids":[],"items":[],"items":[]}`, 400},
}

var bodyRoutes = []struct{ method, path string }{
	{http.MethodPost, "/ids"},
	{http.MethodPost, "/feeds"},
	{http.MethodPut, seededPath},
	{http.MethodPost, "/feeds:batchGet"},
	{http.MethodPost, "/feeds:batchWrite"},
	{http.MethodPost, seededCounterPath + "/increments"},
	{http.MethodPut, seededCounterPath},
	{http.MethodPost, "/counters:batchGet"},
	{http.MethodPost, "/counters:batchIncrement"},
}

// refuse sends a bad request and returns what the problem names. Nothing may be written.
func refuse(t *testing.T, c call, status int) string {
	t.Helper()
	f := newFake()
	c.invalid = true
	w := send(t, newHandler(t, deps(f, testConfig())), c)
	wantStatus(t, w, status)
	if n := f.count(); n != 0 {
		t.Errorf("%d writes", n)
	}
	if c.method == http.MethodHead {
		return ""
	}
	return place(problemIn(t, w))
}

func TestP11_BadBodies(t *testing.T) {
	t.Parallel()
	for _, route := range bodyRoutes {
		for _, tt := range badBodies {
			t.Run(route.method+route.path+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				refuse(t, call{method: route.method, path: route.path, body: tt.body}, tt.status)
			})
		}
		for name, tt := range map[string]struct {
			headers []string
			status  int
			place   string
		}{
			"Text":       {[]string{"Content-Type", "", "Content-Type", "text/plain"}, 415, "Content-Type"},
			"MergePatch": {[]string{"Content-Type", "", "Content-Type", "application/merge-patch+json"}, 415, "Content-Type"},
			"Charset":    {[]string{"Content-Type", "", "Content-Type", "application/json; charset=latin1"}, 415, "Content-Type"},
			"Twice":      {[]string{"Content-Type", "application/json"}, 415, "Content-Type"},
			"Nonsense":   {[]string{"Content-Type", "", "Content-Type", ";;"}, 415, "Content-Type"},
			"Gzip":       {[]string{"Content-Encoding", "gzip"}, 415, "Content-Encoding"},
		} {
			t.Run(route.method+route.path+"/"+name, func(t *testing.T) {
				t.Parallel()
				if got := refuse(t, call{method: route.method, path: route.path, body: `{}`, headers: tt.headers}, tt.status); got != tt.place {
					t.Errorf("names %q, want %q", got, tt.place)
				}
			})
		}
	}
}

func TestP11_BadPatchBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"Empty": "", "Truncated": `{"a":`, "Trailing": `1 2`, "InvalidUTF8": "\"\xff\"", "Duplicate": `{"a":1,"a":2}`, "Depth": strings.Repeat("[", 300),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuse(t, call{method: http.MethodPatch, path: seededPath, body: body}, 400)
		})
	}
}

// TestP11_BadInput holds one wrong thing each, and the place that the problem must name.
func TestP11_BadInput(t *testing.T) {
	t.Parallel()
	const ok = `{"author_id":"42","content":1}`
	long := strings.Repeat("x", 256)
	tests := []struct {
		name   string
		call   call
		status int
		place  string
	}{
		{"MintZero", call{method: "POST", path: "/ids", body: `{"count":0}`}, 422, "/count"},
		{"MintNegative", call{method: "POST", path: "/ids", body: `{"count":-1}`}, 422, "/count"},
		{"MintHuge", call{method: "POST", path: "/ids", body: `{"count":10001}`}, 422, "/count"},
		{"MintOverflow", call{method: "POST", path: "/ids", body: `{"count":99999999999999999999}`}, 422, "/count"},
		{"MintFraction", call{method: "POST", path: "/ids", body: `{"count":1.5}`}, 400, "/count"},
		{"MintString", call{method: "POST", path: "/ids", body: `{"count":"1"}`}, 400, "/count"},
		{"MintNull", call{method: "POST", path: "/ids", body: `{"count":null}`}, 400, "/count"},
		{"MintLargeBody", call{method: "POST", path: "/ids", body: `{"count":1}` + strings.Repeat(" ", 5000)}, 413, ""},

		{"EmptyDraft", call{method: "POST", path: "/feeds", body: `{}`}, 422, "/author_id"},
		{"AuthorNumber", call{method: "POST", path: "/feeds", body: `{"author_id":42,"content":1}`}, 400, "/author_id"},
		{"AuthorNull", call{method: "POST", path: "/feeds", body: `{"author_id":null,"content":1}`}, 400, "/author_id"},
		{"AuthorZero", call{method: "POST", path: "/feeds", body: `{"author_id":"0","content":1}`}, 422, "/author_id"},
		{"AuthorOverflow", call{method: "POST", path: "/feeds", body: `{"author_id":"9223372036854775808","content":1}`}, 422, "/author_id"},
		{"IDLeadingZero", call{method: "POST", path: "/feeds", body: `{"id":"01","author_id":"42","content":1}`}, 422, "/id"},
		{"IDEmpty", call{method: "POST", path: "/feeds", body: `{"id":"","author_id":"42","content":1}`}, 422, "/id"},
		{"IDNull", call{method: "POST", path: "/feeds", body: `{"id":null,"author_id":"42","content":1}`}, 400, "/id"},
		{"KindEmpty", call{method: "POST", path: "/feeds", body: `{"author_id":"42","kind":"","content":1}`}, 422, "/kind"},
		{"KindLong", call{method: "POST", path: "/feeds", body: `{"author_id":"42","kind":"` + long + `","content":1}`}, 422, "/kind"},
		{"KindQuote", call{method: "POST", path: "/feeds", body: `{"author_id":"42","kind":"a\"b","content":1}`}, 422, "/kind"},
		{"KindObject", call{method: "POST", path: "/feeds", body: `{"author_id":"42","kind":{},"content":1}`}, 400, "/kind"},
		{"NoContent", call{method: "POST", path: "/feeds", body: `{"author_id":"42"}`}, 422, "/content"},
		{"UnknownMember", call{method: "POST", path: "/feeds", body: `{"author_id":"42","content":1,"version":"1"}`}, 400, "/version"},
		{"DuplicateInContent", call{method: "POST", path: "/feeds", body: `{"author_id":"42","content":{"a":[{"b":1,"b":2}]}}`}, 400, "/content/a/0/b"},
		{"BrokenContent", call{method: "POST", path: "/feeds", body: `{"author_id":"42","content":{"a":tru}}`}, 400, "/content/a"},
		{"LargeContent", call{method: "POST", path: "/feeds", body: `{"author_id":"42","content":"` + strings.Repeat("x", 1024) + `"}`}, 413, "/content"},
		{"LargeBody", call{method: "POST", path: "/feeds", body: ok + strings.Repeat(" ", 4096)}, 413, ""},
		{"LargePatch", call{method: "PATCH", path: seededPath, body: `"` + strings.Repeat("x", 4096) + `"`}, 413, ""},
		{"LargeBatch", call{method: "POST", path: "/feeds:batchGet", body: `{"ids":[]}` + strings.Repeat(" ", 256<<10)}, 413, ""},
		{"OtherID", call{method: "PUT", path: seededPath, body: `{"id":"1","author_id":"42","content":1}`}, 422, "/id"},

		{"StoreUnknown", call{method: "POST", path: "/feeds?store=async", body: ok}, 400, "store"},
		{"StoreEmpty", call{method: "PUT", path: seededPath + "?store=", body: ok}, 400, "store"},
		{"StoreTwice", call{method: "DELETE", path: seededPath + "?store=sync&store=sync"}, 400, "store"},
		{"StoreCase", call{method: "PATCH", path: seededPath + "?store=Sync", body: `1`}, 400, "store"},
		{"StoreBatch", call{method: "POST", path: "/feeds:batchWrite?store=1", body: `{"items":[]}`}, 400, "store"},
		{"QueryBroken", call{method: "POST", path: "/feeds?x=1;store=sync", body: ok}, 400, ""},

		{"KeyEmptyQuoted", call{method: "POST", path: "/feeds", body: ok, headers: []string{"Idempotency-Key", `""`}}, 400, "Idempotency-Key"},
		{"KeyLong", call{method: "POST", path: "/feeds", body: ok, headers: []string{"Idempotency-Key", long}}, 400, "Idempotency-Key"},
		{"KeySpace", call{method: "POST", path: "/ids", headers: []string{"Idempotency-Key", "a b"}}, 400, "Idempotency-Key"},
		{"KeyBadQuote", call{method: "POST", path: "/ids", headers: []string{"Idempotency-Key", `"a`}}, 400, "Idempotency-Key"},
		{"KeyBadEscape", call{method: "POST", path: "/ids", headers: []string{"Idempotency-Key", `"a\b"`}}, 400, "Idempotency-Key"},
		{"KeyNotASCII", call{method: "POST", path: "/ids", headers: []string{"Idempotency-Key", "é"}}, 400, "Idempotency-Key"},
		{"KeyTwice", call{method: "POST", path: "/feeds:batchWrite", body: `{"items":[]}`, headers: []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}}, 400, "Idempotency-Key"},

		{"MatchUnquoted", call{method: "PUT", path: seededPath, body: ok, headers: []string{"If-Match", "1099511627818"}}, 400, "If-Match"},
		{"MatchOpen", call{method: "DELETE", path: seededPath, headers: []string{"If-Match", `"1`}}, 400, "If-Match"},
		{"MatchEmptyList", call{method: "PATCH", path: seededPath, body: `1`, headers: []string{"If-Match", ","}}, 400, "If-Match"},
		{"MatchAnyAndMore", call{method: "DELETE", path: seededPath, headers: []string{"If-Match", `*, "1"`}}, 400, "If-Match"},
		{"NoneMatchTag", call{method: "PUT", path: seededPath, body: ok, headers: []string{"If-None-Match", `"1"`}}, 400, "If-None-Match"},
		{"NoneMatchOnPatch", call{method: "PATCH", path: seededPath, body: `1`, headers: []string{"If-None-Match", "*"}}, 400, "If-None-Match"},
		{"NoneMatchOnDelete", call{method: "DELETE", path: seededPath, headers: []string{"If-None-Match", "*"}}, 400, "If-None-Match"},

		{"NoDelta", call{method: "POST", path: seededCounterPath + "/increments", body: `{}`}, 422, "/delta"},
		{"DeltaNull", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":null}`}, 400, "/delta"},
		{"DeltaString", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":"1"}`}, 400, "/delta"},
		{"DeltaFraction", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":1.5}`}, 400, "/delta"},
		{"DeltaTooHigh", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":9007199254740992}`}, 422, "/delta"},
		{"DeltaTooLow", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":-9007199254740992}`}, 422, "/delta"},
		{"DeltaOverflow", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":99999999999999999999}`}, 422, "/delta"},
		{"DeltaNoBody", call{method: "POST", path: seededCounterPath + "/increments"}, 400, ""},
		{"DeltaAndValue", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":1,"value":1}`}, 400, "/value"},
		{"DeltaLargeBody", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":1}` + strings.Repeat(" ", 5000)}, 413, ""},
		{"NoValue", call{method: "PUT", path: seededCounterPath, body: `{}`}, 422, "/value"},
		{"ValueNull", call{method: "PUT", path: seededCounterPath, body: `{"value":null}`}, 400, "/value"},
		{"ValueTrue", call{method: "PUT", path: seededCounterPath, body: `{"value":true}`}, 400, "/value"},
		{"ValueTooHigh", call{method: "PUT", path: seededCounterPath, body: `{"value":9007199254740992}`}, 422, "/value"},
		{"CounterStore", call{method: "PUT", path: seededCounterPath + "?store=async", body: `{"value":1}`}, 400, "store"},
		{"CounterStoreTwice", call{method: "DELETE", path: seededCounterPath + "?store=sync&store=sync"}, 400, "store"},
		{"CounterKeyLong", call{method: "POST", path: seededCounterPath + "/increments", body: `{"delta":1}`, headers: []string{"Idempotency-Key", long}}, 400, "Idempotency-Key"},
		{"CounterMatch", call{method: "PUT", path: seededCounterPath, body: `{"value":1}`, headers: []string{"If-Match", "*"}}, 400, "If-Match"},
		{"CounterNoneMatch", call{method: "DELETE", path: seededCounterPath, headers: []string{"If-None-Match", "*"}}, 400, "If-None-Match"},
		{"CounterBatchGetNone", call{method: "POST", path: "/counters:batchGet", body: `{"items":[]}`}, 422, "/items"},
		{"CounterBatchGetShape", call{method: "POST", path: "/counters:batchGet", body: `{"items":{}}`}, 400, "/items"},
		{"CounterBatchGetIDs", call{method: "POST", path: "/counters:batchGet", body: `{"ids":["1"]}`}, 400, "/ids"},
		{"CounterBatchNone", call{method: "POST", path: "/counters:batchIncrement", body: `{}`}, 422, "/items"},
		{"CounterBatchMany", call{method: "POST", path: "/counters:batchIncrement", body: `{"items":[` + strings.Repeat(`1,`, 1000) + `1]}`}, 422, "/items"},
		{"CounterBatchStore", call{method: "POST", path: "/counters:batchIncrement?store=", body: `{"items":[]}`}, 400, "store"},
		{"CounterBatchKey", call{method: "POST", path: "/counters:batchIncrement", body: `{"items":[]}`, headers: []string{"Idempotency-Key", "a b"}}, 400, "Idempotency-Key"},

		{"NoAuthors", call{method: "GET", path: "/feeds"}, 400, "author_id"},
		{"AuthorBad", call{method: "GET", path: "/feeds?author_id=42&author_id=x"}, 400, "author_id"},
		{"AuthorsMany", call{method: "GET", path: "/feeds?" + strings.Repeat("author_id=1&", 101)}, 400, "author_id"},
		{"LimitZero", call{method: "GET", path: "/feeds?author_id=1&limit=0"}, 400, "limit"},
		{"LimitNegative", call{method: "GET", path: "/feeds?author_id=1&limit=-1"}, 400, "limit"},
		{"LimitPlus", call{method: "GET", path: "/feeds?author_id=1&limit=%2B1"}, 400, "limit"},
		{"LimitText", call{method: "GET", path: "/feeds?author_id=1&limit=ten"}, 400, "limit"},
		{"LimitEmpty", call{method: "GET", path: "/feeds?author_id=1&limit="}, 400, "limit"},
		{"LimitTwice", call{method: "GET", path: "/feeds?author_id=1&limit=1&limit=1"}, 400, "limit"},
		{"CursorForeign", call{method: "GET", path: "/feeds?author_id=1&cursor=abc"}, 400, "cursor"},
		{"CursorEmpty", call{method: "GET", path: "/feeds?author_id=1&cursor="}, 400, "cursor"},
		{"CursorLong", call{method: "GET", path: "/feeds?author_id=1&cursor=" + strings.Repeat("x", 1025)}, 400, "cursor"},
		{"CursorTwice", call{method: "GET", path: "/feeds?author_id=1&cursor=a&cursor=b"}, 400, "cursor"},

		{"BatchGetNone", call{method: "POST", path: "/feeds:batchGet", body: `{"ids":[]}`}, 422, "/ids"},
		{"BatchGetMissing", call{method: "POST", path: "/feeds:batchGet", body: `{}`}, 422, "/ids"},
		{"BatchGetMany", call{method: "POST", path: "/feeds:batchGet", body: `{"ids":[` + strings.Repeat(`"1",`, 1000) + `"1"]}`}, 422, "/ids"},
		{"BatchGetShape", call{method: "POST", path: "/feeds:batchGet", body: `{"ids":{}}`}, 400, "/ids"},
		{"BatchGetNull", call{method: "POST", path: "/feeds:batchGet", body: `{"ids":null}`}, 400, "/ids"},
		{"BatchWriteNone", call{method: "POST", path: "/feeds:batchWrite", body: `{"items":[]}`}, 422, "/items"},
		{"BatchWriteMany", call{method: "POST", path: "/feeds:batchWrite", body: `{"items":[` + strings.Repeat(`1,`, 1000) + `1]}`}, 422, "/items"},
		{"BatchWriteShape", call{method: "POST", path: "/feeds:batchWrite", body: `{"items":"x"}`}, 400, "/items"},
		{"BatchWriteSyntax", call{method: "POST", path: "/feeds:batchWrite", body: `{"items":[{"op":"delete","id":"1"},{"op":]}`}, 400, "/items/1/op"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := refuse(t, tt.call, tt.status); got != tt.place {
				t.Errorf("names %q, want %q", got, tt.place)
			}
		})
	}
}

func TestP11_BadIDsInPaths(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"0", "-1", "+1", "01", "1.0", "x", "9223372036854775808", "99999999999999999999999", "%20", "1%2F2", "%00", "%ff"} {
		for _, r := range []struct{ method, before, after, body string }{
			{"GET", "/ids/", "", ""},
			{"GET", "/feeds/", "", ""},
			{"HEAD", "/feeds/", "", ""},
			{"PUT", "/feeds/", "", `{"author_id":"1","content":1}`},
			{"PATCH", "/feeds/", "", `1`},
			{"DELETE", "/feeds/", "", ""},
			{"DELETE", "/feeds/", "/cache", ""},
			{"GET", "/feeds/", "/hit", ""},
		} {
			path := r.before + id + r.after
			t.Run(r.method+path, func(t *testing.T) {
				t.Parallel()
				if got := refuse(t, call{method: r.method, path: path, body: r.body}, 400); got != "id" && r.method != "HEAD" {
					t.Errorf("names %q", got)
				}
			})
		}
	}
}

func TestP11_BadNamesInPaths(t *testing.T) {
	t.Parallel()
	for _, r := range []struct{ method, after, body string }{
		{"GET", "", ""},
		{"HEAD", "", ""},
		{"PUT", "", `{"value":1}`},
		{"DELETE", "", ""},
		{"POST", "/increments", `{"delta":1}`},
	} {
		for path, place := range map[string]string{
			"a%20b/likes": "subject", "a%2Fb/likes": "subject", "a%00b/likes": "subject", "%C3%A9/likes": "subject", "a%22b/likes": "subject",
			strings.Repeat("s", 129) + "/likes": "subject",
			"post:17/a%7Cb":                     "metric", "post:17/" + strings.Repeat("m", 65): "metric", "post:17/%ff": "metric", "post:17/a%25b": "metric",
		} {
			t.Run(r.method+path, func(t *testing.T) {
				t.Parallel()
				c := call{method: r.method, path: "/counters/" + path + r.after, body: r.body}
				if got := refuse(t, c, 422); got != place && r.method != "HEAD" {
					t.Errorf("names %q, want %q", got, place)
				}
			})
		}
	}
	if got := refuse(t, call{method: "GET", path: "/counters/a%20b"}, 422); got != "subject" {
		t.Errorf("names %q", got)
	}
}

func TestBodyWithoutLength(t *testing.T) {
	t.Parallel()
	f := newFake()
	r := call{method: http.MethodPost, path: "/feeds", body: `{"author_id":"42","content":1}` + strings.Repeat(" ", 5000)}.request(t)
	r.ContentLength = -1
	w := serve(newHandler(t, deps(f, testConfig())), r)
	wantStatus(t, w, http.StatusRequestEntityTooLarge)
	problemIn(t, w)
	if f.count() != 0 {
		t.Error("written")
	}
}
