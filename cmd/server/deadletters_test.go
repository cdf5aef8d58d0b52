package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An operator finds a write that SQL refuses, sees why, has it stored when SQL takes it, and gives another up.
func TestP7_OperatorRetriesDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, c := launch(t, w.env()...), newClient(t)
	w.exec(t, "ALTER TABLE feeds ADD CONSTRAINT no_poison CHECK (content NOT LIKE '%poison%')")
	var ids []string
	for range 2 {
		a := c.must(t, http.StatusAccepted, http.MethodPost, p.URL+"/feeds?store=delayed", `{"author_id":"7","content":"poison"}`)
		var made struct{ ID string }
		if err := json.Unmarshal([]byte(a.body), &made); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
		w.awaitEmptyQueue(t)
	}
	began := time.Now()
	a := c.must(t, http.StatusUnprocessableEntity, http.MethodPost, p.URL+"/feeds?store=sync", `{"author_id":"7","content":"poison"}`)
	if took := time.Since(began); took > 3*time.Second || !strings.Contains(a.body, "dead letter") {
		t.Errorf("after %v: %s", took, a.body)
	}
	list := p.letters(t, 3)
	for i, id := range ids {
		if l := list[i]; l.Kind != "item" || l.Key != id || l.Code != "23514" || !strings.Contains(l.Reason, "no_poison") || l.Payload.Content != `"poison"` {
			t.Errorf("dead letter %+v of item %s", l, id)
		}
		c.must(t, http.StatusNotFound, http.MethodGet, p.URL+"/feeds/"+id, "")
	}
	letter := func(i int) string { return p.Admin + "/admin/dead-letters/" + list[i].ID }
	c.must(t, http.StatusUnprocessableEntity, http.MethodPost, letter(0)+"/retry", "")
	w.exec(t, "ALTER TABLE feeds DROP CONSTRAINT no_poison")
	c.must(t, http.StatusOK, http.MethodPost, letter(0)+"/retry", "")
	c.must(t, http.StatusNotFound, http.MethodPost, letter(0)+"/retry", "")
	c.must(t, http.StatusOK, http.MethodGet, p.URL+"/feeds/"+ids[0], "")
	c.must(t, http.StatusCreated, http.MethodPut, p.URL+"/feeds/"+ids[1]+"?store=sync", `{"author_id":"7","content":"since"}`)
	c.must(t, http.StatusConflict, http.MethodPost, letter(1)+"/retry", "")
	c.must(t, http.StatusNoContent, http.MethodDelete, letter(1), "")
	if a := c.must(t, http.StatusOK, http.MethodGet, p.URL+"/feeds/"+ids[1], ""); !strings.Contains(a.body, "since") {
		t.Errorf("the item reads %s", a.body)
	}
	c.must(t, http.StatusMultiStatus, http.MethodPost, p.Admin+"/admin/dead-letters:retry", "")
	p.letters(t, 0)
}

// letterShown is what the list shows of a dead letter.
type letterShown struct {
	ID, Kind, Key, Code, Reason string
	Payload                     struct{ Content string }
}

// letters returns the dead letters, of which there must be so many; the report of the queue must say the same.
func (p *process) letters(t *testing.T, want int) []letterShown {
	t.Helper()
	c := newClient(t)
	var page struct{ Items []letterShown }
	a := c.must(t, http.StatusOK, http.MethodGet, p.Admin+"/admin/dead-letters", "")
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatal(err)
	}
	var report struct {
		DeadLetters int `json:"dead_letters"`
	}
	b, err := c.call(t.Context(), http.MethodGet, p.Admin+"/admin/queue", "", "Accept", "application/json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b.body), &report); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != want || report.DeadLetters != want {
		t.Fatalf("%d dead letters, and the queue tells of %d; want %d: %s", len(page.Items), report.DeadLetters, want, a.body)
	}
	return page.Items
}
