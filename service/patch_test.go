package service_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestFeeds_PatchMergesAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	d := draft(5, 1, `{"z": 1.50, "a": [1, 2], "gone": true}`)
	d.Kind = "note"
	w, err := f.Put(t.Context(), d, sync1)
	before := must(t, w, err).Item
	w, err = f.Patch(t.Context(), 5, []byte(`{"gone": null, "new": 1e2}`), sync1)
	it := must(t, w, err).Item
	if got := string(it.Content); got != `{"z":1.50,"a":[1, 2],"new":1e2}` {
		t.Errorf("content %s", got)
	}
	if it.Kind != "note" || it.AuthorID != 1 || it.CreatedAt != before.CreatedAt || it.Version <= before.Version || w.Created {
		t.Errorf("patched %+v", w)
	}
}

func TestFeeds_PatchOfNothing(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	_, err := f.Patch(t.Context(), 5, []byte(`{}`), sync1)
	wantErr(t, err, model.NotFound, "")
	_, err = f.Patch(t.Context(), 5, []byte(`{}`), service.WriteOptions{Cond: model.Cond{Exists: true}})
	wantErr(t, err, model.PreconditionFailed, "")
	w, err := f.Put(t.Context(), draft(5, 1, `1`), sync1)
	must(t, w, err)
	w, err = f.Delete(t.Context(), 5, sync1)
	must(t, w, err)
	_, err = f.Patch(t.Context(), 5, []byte(`{}`), sync1)
	wantErr(t, err, model.NotFound, "")
}

func TestFeeds_PatchRefuses(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	w, err := f.Put(t.Context(), draft(5, 1, `{"a":"`+strings.Repeat("x", 150)+`"}`), sync1)
	must(t, w, err)
	_, err = f.Patch(t.Context(), 5, []byte(`{"a"`), sync1)
	wantErr(t, err, model.Malformed, "")
	_, err = f.Patch(t.Context(), 5, []byte(`{"b":"`+strings.Repeat("x", 100)+`"}`), sync1)
	wantErr(t, err, model.TooLarge, "/content")
	_, err = f.Patch(t.Context(), 5, []byte(`{}`), service.WriteOptions{Cond: model.Cond{Absent: true}})
	wantErr(t, err, model.PreconditionFailed, "")
}

// contended returns feeds whose item 5 is replaced by somebody else before each of the first n writes
// that have a condition.
func contended(t *testing.T, n int32) (*service.Feeds, *store) {
	t.Helper()
	s := newStore()
	f := newFeeds(s)
	w, err := f.Put(t.Context(), draft(5, 1, `{"mine":0,"theirs":0}`), sync1)
	must(t, w, err)
	var left atomic.Int32
	left.Store(n)
	s.beforeWrite = func(w *model.Write) error {
		if len(w.Cond.Match) == 0 || left.Add(-1) < 0 {
			return nil
		}
		_, err := f.Put(t.Context(), draft(5, 1, `{"mine":0,"theirs":1}`), delayed)
		return err
	}
	return f, s
}

func TestFeeds_PatchBeginsAnewWhenTheItemChanged(t *testing.T) {
	t.Parallel()
	f, _ := contended(t, 3)
	w, err := f.Patch(t.Context(), 5, []byte(`{"mine":1}`), sync1)
	if got := string(must(t, w, err).Item.Content); got != `{"mine":1,"theirs":1}` {
		t.Errorf("content %s: one of two writes is lost", got)
	}
	f, _ = contended(t, 1<<30)
	_, err = f.Patch(t.Context(), 5, []byte(`{"mine":1}`), sync1)
	wantErr(t, err, model.Conflict, "")
}

func TestFeeds_PatchKeepsToTheClientsCondition(t *testing.T) {
	t.Parallel()
	f, s := contended(t, 1)
	opts := service.WriteOptions{Cond: model.Cond{Match: []model.Version{s.items[5].Version}}}
	_, err := f.Patch(t.Context(), 5, []byte(`{"mine":1}`), opts)
	wantErr(t, err, model.PreconditionFailed, "")
}

func TestFeeds_RepeatedPatchIsAppliedOnce(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	w, err := f.Put(t.Context(), draft(5, 1, `{"a":1}`), sync1)
	must(t, w, err)
	opts := service.WriteOptions{
		IdempotencyKey: "k", Fingerprint: "f",
		Cond: model.Cond{Match: []model.Version{w.Item.Version}},
	}
	first, err := f.Patch(t.Context(), 5, []byte(`{"a":2}`), opts)
	must(t, first, err)
	again, err := f.Patch(t.Context(), 5, []byte(`{"a":2}`), opts)
	must(t, again, err)
	if !again.Replayed || again.Item.Version != first.Item.Version || string(again.Item.Content) != `{"a":2}` {
		t.Errorf("again %+v", again)
	}
	opts.IdempotencyKey = "other"
	_, err = f.Patch(t.Context(), 5, []byte(`{"a":2}`), opts)
	wantErr(t, err, model.PreconditionFailed, "")
}
