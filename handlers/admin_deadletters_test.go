package handlers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/model"
)

// someLetters are one of each kind.
func someLetters() *letters {
	item := &model.Item{
		ID: 17, AuthorID: 42, Kind: "post", Content: json.RawMessage(`"` + strings.Repeat("é", 1000) + `"`),
		CreatedAt: seededTime, UpdatedAt: seededTime,
	}
	gone := *item
	gone.Deleted, gone.Content = true, nil
	delta := &model.Delta{Counter: seededCounter, N: -3, At: seededTime}
	removal := *delta
	removal.N, removal.Remove = 0, true
	letter := func(id int64, kind, key string, q model.Queued) model.DeadLetter {
		return model.DeadLetter{
			ID: id, Shard: 2, Version: model.NewVersion(1, id), Kind: kind, Key: key, Code: "22003", Reason: "too much", Write: q, At: seededTime,
		}
	}
	damaged := letter(9, "entry", "", model.Queued{Raw: "v\xff<" + strings.Repeat("x", 2000), Damage: "an odd field"})
	damaged.Code = ""
	return &letters{all: []model.DeadLetter{
		letter(3, "item", "17", model.Queued{Item: item, Key: "key"}),
		letter(4, "item", "17", model.Queued{Item: &gone}),
		letter(5, "counter", "post:17/likes", model.Queued{Delta: delta}),
		letter(8, "counter", "post:17/likes", model.Queued{Delta: &removal}),
		damaged,
	}}
}

func TestAdminDeadLetters(t *testing.T) {
	t.Parallel()
	d := adminDeps()
	d.DeadLetters = someLetters()
	h := handlers.Admin(d)
	w := askAdmin(t, h, http.MethodGet, "/admin/dead-letters")
	wantStatus(t, w, http.StatusOK)
	wantHeaders(t, w, "Content-Type", "application/json", "Cache-Control", "no-store")
	const at = `"at":"2026-11-22T17:30:00.123Z"`
	const times = `"created_at":"2026-11-22T17:30:00.123Z","updated_at":"2026-11-22T17:30:00.123Z"`
	want := `{"items":[` +
		`{"id":"3","shard":2,"version":"1099511627779","kind":"item","key":"17","code":"22003","reason":"too much",` + at +
		`,"payload":{"op":"put","author_id":"42","item_kind":"post",` + times + `,"idempotency_key":"key","content":"\"` +
		strings.Repeat("é", 511) + `","bytes":2002,"cut":true}},` +
		`{"id":"4","shard":2,"version":"1099511627780","kind":"item","key":"17","code":"22003","reason":"too much",` + at +
		`,"payload":{"op":"delete","author_id":"42","item_kind":"post",` + times + `}},` +
		`{"id":"5","shard":2,"version":"1099511627781","kind":"counter","key":"post:17/likes","code":"22003","reason":"too much",` + at +
		`,"payload":{"op":"count","subject":"post:17","metric":"likes","delta":-3,` + at + `}},` +
		`{"id":"8","shard":2,"version":"1099511627784","kind":"counter","key":"post:17/likes","code":"22003","reason":"too much",` + at +
		`,"payload":{"op":"remove","subject":"post:17","metric":"likes","delta":0,` + at + `}},` +
		`{"id":"9","shard":2,"version":"1099511627785","kind":"entry","key":"","reason":"too much",` + at +
		`,"payload":{"raw":"v` + "\ufffd" + `<` + strings.Repeat("x", 1021) + `","damage":"an odd field","bytes":2003,"cut":true}}]}`
	if got := w.Body.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for path, whole := range map[string]string{
		"/admin/dead-letters/3": `"content":"\"` + strings.Repeat("é", 1000) + `\"","bytes":2002}}`,
		"/admin/dead-letters/9": strings.Repeat("x", 2000) + `","damage":"an odd field","bytes":2003}}`,
	} {
		w = askAdmin(t, h, http.MethodGet, path)
		wantStatus(t, w, http.StatusOK)
		if !strings.HasSuffix(w.Body.String(), whole) {
			t.Errorf("%s is not whole: %s", path, w.Body)
		}
	}
}

func TestAdminDeadLettersInPages(t *testing.T) {
	t.Parallel()
	d := adminDeps()
	d.DeadLetters = someLetters()
	h := handlers.Admin(d)
	var seen []string
	for after, pages := "0", 0; after != ""; pages++ {
		if pages == 10 {
			t.Fatal("the pages do not end")
		}
		w := askAdmin(t, h, http.MethodGet, "/admin/dead-letters?limit=2&after="+after)
		wantStatus(t, w, http.StatusOK)
		page := into[struct {
			Items []struct{ ID string }
			Next  string `json:"next_after"`
		}](t, w)
		for _, l := range page.Items {
			seen = append(seen, l.ID)
		}
		after = page.Next
	}
	if !slices.Equal(seen, []string{"3", "4", "5", "8", "9"}) {
		t.Errorf("saw %v", seen)
	}
	d.DeadLetters = &letters{}
	if w := askAdmin(t, handlers.Admin(d), http.MethodGet, "/admin/dead-letters"); w.Body.String() != `{"items":[]}` {
		t.Errorf("without letters: %s", w.Body)
	}
}

func TestAdminRetryAndDiscard(t *testing.T) {
	t.Parallel()
	l := someLetters()
	l.retry = map[int64]error{
		4: &model.Error{Kind: model.Conflict, Message: "written since"},
		5: model.NewInvalid("", "the database refuses it again"),
		8: model.NewUnavailable("the database is out of reach", errors.New("secret")),
	}
	d := adminDeps()
	d.DeadLetters = l
	h := handlers.Admin(d)
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/admin/dead-letters/3/retry", 200, `{"id":"3","stored":true}`},
		{"POST", "/admin/dead-letters/3/retry", 404, "there is no such dead letter"},
		{"GET", "/admin/dead-letters/3", 404, "there is no such dead letter"},
		{"POST", "/admin/dead-letters/4/retry", 409, "written since"},
		{"POST", "/admin/dead-letters/5/retry", 422, "the database refuses it again"},
		{"POST", "/admin/dead-letters/8/retry", 503, "the database is out of reach"},
		{"DELETE", "/admin/dead-letters/8", 204, ""},
		{"DELETE", "/admin/dead-letters/8", 404, "there is no such dead letter"},
	} {
		w := askAdmin(t, h, tt.method, tt.path)
		wantStatus(t, w, tt.status)
		if tt.status >= 400 {
			if p := problemIn(t, w); p.Detail != tt.body || *p.Instance != tt.path {
				t.Errorf("%s %s: %s", tt.method, tt.path, w.Body)
			}
			continue
		}
		if w.Body.String() != tt.body {
			t.Errorf("%s %s: %s", tt.method, tt.path, w.Body)
		}
	}
}

func TestAdminRetryOfMany(t *testing.T) {
	t.Parallel()
	l := someLetters()
	l.retry = map[int64]error{4: &model.Error{Kind: model.Conflict, Message: "written since"}}
	d := adminDeps()
	d.DeadLetters = l
	h := handlers.Admin(d)
	w := askAdmin(t, h, http.MethodPost, "/admin/dead-letters:retry?limit=3")
	wantStatus(t, w, http.StatusMultiStatus)
	const want = `{"summary":{"total":3,"succeeded":2,"failed":1},"items":[{"index":0,"id":"3","status":200},` +
		`{"index":1,"id":"4","status":409,"problem":{"type":"https://zmsg.dev/problems/conflict","title":"Conflict","status":409,"detail":"written since"}},` +
		`{"index":2,"id":"5","status":200}]}`
	if w.Body.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body, want)
	}
	w = askAdmin(t, h, http.MethodPost, "/admin/dead-letters:retry?after=4&limit=1")
	if !strings.HasPrefix(w.Body.String(), `{"summary":{"total":1,"succeeded":1,"failed":0}`) || !slices.Equal(l.retried, []int64{3, 4, 5, 8}) {
		t.Errorf("retried %v: %s", l.retried, w.Body)
	}
}

// What is away for one letter is away for those that follow.
func TestAdminRetryOfManyEndsWhenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	l := someLetters()
	l.retry = map[int64]error{4: model.NewUnavailable("away", nil)}
	d := adminDeps()
	d.DeadLetters = l
	w := askAdmin(t, handlers.Admin(d), http.MethodPost, "/admin/dead-letters:retry")
	wantStatus(t, w, http.StatusMultiStatus)
	if !strings.HasPrefix(w.Body.String(), `{"summary":{"total":2,"succeeded":1,"failed":1}`) || !slices.Equal(l.retried, []int64{3, 4}) {
		t.Errorf("retried %v: %s", l.retried, w.Body)
	}
}

func TestAdminBadInput(t *testing.T) {
	t.Parallel()
	l := someLetters()
	d := adminDeps()
	d.DeadLetters = l
	h := handlers.Admin(d)
	type request struct{ method, path, place string }
	requests := []request{
		{"GET", "/admin/dead-letters?limit=0", "limit"},
		{"GET", "/admin/dead-letters?limit=x", "limit"},
		{"GET", "/admin/dead-letters?limit=1&limit=2", "limit"},
		{"GET", "/admin/dead-letters?after=-1", "after"},
		{"GET", "/admin/dead-letters?after=", "after"},
		{"GET", "/admin/dead-letters?after=1&after=2", "after"},
		{"GET", "/admin/dead-letters?a=%zz", ""},
		{"POST", "/admin/dead-letters:retry?limit=all", "limit"},
	}
	for _, id := range []string{"0", "-1", "x", "9223372036854775808"} {
		requests = append(requests,
			request{"GET", "/admin/dead-letters/" + id, "id"},
			request{"DELETE", "/admin/dead-letters/" + id, "id"},
			request{"POST", fmt.Sprintf("/admin/dead-letters/%s/retry", id), "id"})
	}
	for _, r := range requests {
		w := askAdmin(t, h, r.method, r.path)
		wantStatus(t, w, http.StatusBadRequest)
		if got := place(problemIn(t, w)); got != r.place {
			t.Errorf("%s %s names %q", r.method, r.path, got)
		}
	}
	if len(l.retried) != 0 || len(l.all) != 5 {
		t.Errorf("retried %v, %d letters left", l.retried, len(l.all))
	}
}

func TestAdminDeadLettersWithoutDatabase(t *testing.T) {
	t.Parallel()
	d := adminDeps()
	d.DeadLetters = &letters{err: model.NewUnavailable("the database is out of reach", errors.New("secret"))}
	h := handlers.Admin(d)
	for _, r := range []struct{ method, path string }{
		{"GET", "/admin/dead-letters"},
		{"GET", "/admin/dead-letters/1"},
		{"DELETE", "/admin/dead-letters/1"},
		{"POST", "/admin/dead-letters/1/retry"},
		{"POST", "/admin/dead-letters:retry"},
	} {
		w := askAdmin(t, h, r.method, r.path)
		wantStatus(t, w, http.StatusServiceUnavailable)
		wantHeaders(t, w, "Retry-After", "1")
		if p := problemIn(t, w); p.Detail != "the database is out of reach" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s: %s", r.method, r.path, w.Body)
		}
	}
}
