package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestFeeds_RefusesBadDrafts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 65)
	cases := map[string]struct {
		draft service.Draft
		kind  model.Kind
		field string
	}{
		"NoAuthor":        {draft(1, 0, `1`), model.Invalid, "/author_id"},
		"NegativeAuthor":  {draft(1, -5, `1`), model.Invalid, "/author_id"},
		"NegativeID":      {draft(-1, 1, `1`), model.Invalid, "/id"},
		"NoContent":       {draft(1, 1, ``), model.Invalid, "/content"},
		"BrokenContent":   {draft(1, 1, `{"a":`), model.Invalid, "/content"},
		"TwoValues":       {draft(1, 1, `1 2`), model.Invalid, "/content"},
		"InvalidUTF8":     {draft(1, 1, "\"\xff\""), model.Invalid, "/content"},
		"ContentTooLarge": {draft(1, 1, `"`+strings.Repeat("x", 199)+`"`), model.TooLarge, "/content"},
		"KindTooLong":     {service.Draft{ID: 1, AuthorID: 1, Kind: long, Content: []byte("1")}, model.Invalid, "/kind"},
		"KindWithQuote":   {service.Draft{ID: 1, AuthorID: 1, Kind: `a"b`, Content: []byte("1")}, model.Invalid, "/kind"},
		"KindBeginsBadly": {service.Draft{ID: 1, AuthorID: 1, Kind: `.a`, Content: []byte("1")}, model.Invalid, "/kind"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore()
			f := newFeeds(s)
			_, err := f.Create(t.Context(), c.draft, sync1)
			wantErr(t, err, c.kind, c.field)
			if c.draft.ID > 0 {
				_, err = f.Put(t.Context(), c.draft, sync1)
				wantErr(t, err, c.kind, c.field)
			}
			if len(s.writes) != 0 {
				t.Errorf("%d writes went out", len(s.writes))
			}
		})
	}
}

func TestFeeds_AcceptsAtItsLimits(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	d := draft(1, 1, `"`+strings.Repeat("x", 198)+`"`)
	d.Kind = "Aa0_.:-" + strings.Repeat("z", 57)
	w, err := f.Create(t.Context(), d, sync1)
	if it := must(t, w, err).Item; it.Kind != d.Kind || string(it.Content) != string(d.Content) {
		t.Errorf("stored %q %q", it.Kind, it.Content)
	}
}

func TestFeeds_NeedsAnID(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	_, err := f.Put(t.Context(), draft(0, 1, `1`), sync1)
	wantErr(t, err, model.Invalid, "/id")
	_, err = f.Delete(t.Context(), 0, sync1)
	wantErr(t, err, model.Invalid, "/id")
	_, err = f.Patch(t.Context(), -1, []byte(`{}`), sync1)
	wantErr(t, err, model.Invalid, "/id")
}

func TestFeeds_CreateGivesIDTimeAndKind(t *testing.T) {
	t.Parallel()
	s := newStore()
	w, err := newFeeds(s).Create(t.Context(), draft(0, 7, `{"b": 1.0, "a": 2}`), service.WriteOptions{})
	must(t, w, err)
	at := time.Date(2026, 5, 4, 2, 2, 1, 987000000, time.UTC)
	it := w.Item
	if it.ID == 0 || it.Kind != service.DefaultKind || it.CreatedAt != at || it.UpdatedAt != at || it.Version == 0 {
		t.Errorf("item %+v", it)
	}
	if string(it.Content) != `{"b": 1.0, "a": 2}` {
		t.Errorf("content %s", it.Content)
	}
	if !w.Created || w.Store != model.StoreSync || s.committed < it.Version {
		t.Errorf("written %+v, committed up to %d", w, s.committed)
	}
}

func TestFeeds_CreateOfTakenIDConflicts(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	w, err := f.Create(t.Context(), draft(5, 1, `1`), sync1)
	must(t, w, err)
	_, err = f.Create(t.Context(), draft(5, 1, `1`), sync1)
	wantErr(t, err, model.Conflict, "/id")
	w, err = f.Delete(t.Context(), 5, sync1)
	must(t, w, err)
	_, err = f.Create(t.Context(), draft(5, 2, `1`), sync1)
	wantErr(t, err, model.Conflict, "/author_id")
	w, err = f.Create(t.Context(), draft(5, 1, `2`), sync1)
	if !must(t, w, err).Created {
		t.Error("a deleted item was not created anew")
	}
}

func TestFeeds_PutReplacesAndKeepsAuthorAndCreation(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	first, err := f.Put(t.Context(), draft(5, 1, `1`), delayed)
	must(t, first, err)
	second, err := f.Put(t.Context(), draft(5, 1, `2`), delayed)
	must(t, second, err)
	if !first.Created || second.Created || second.Item.Version <= first.Item.Version {
		t.Errorf("first %+v, second %+v", first, second)
	}
	_, err = f.Put(t.Context(), draft(5, 2, `3`), delayed)
	wantErr(t, err, model.Conflict, "/author_id")
}

func TestFeeds_Conditions(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	w, err := f.Put(t.Context(), draft(5, 1, `1`), sync1)
	v := must(t, w, err).Item.Version
	with := func(c model.Cond) service.WriteOptions { return service.WriteOptions{Cond: c} }

	_, err = f.Put(t.Context(), draft(5, 1, `2`), with(model.Cond{Absent: true}))
	wantErr(t, err, model.PreconditionFailed, "")
	_, err = f.Put(t.Context(), draft(6, 1, `2`), with(model.Cond{Exists: true}))
	wantErr(t, err, model.PreconditionFailed, "")
	_, err = f.Put(t.Context(), draft(5, 1, `2`), with(model.Cond{Match: []model.Version{v + 1}}))
	wantErr(t, err, model.PreconditionFailed, "")
	_, err = f.Delete(t.Context(), 6, with(model.Cond{Match: []model.Version{v}}))
	wantErr(t, err, model.PreconditionFailed, "")
	w, err = f.Put(t.Context(), draft(5, 1, `2`), with(model.Cond{Match: []model.Version{v + 9, v}}))
	must(t, w, err)
}

func TestFeeds_DeleteAgainSucceedsWithoutVersion(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	w, err := f.Put(t.Context(), draft(5, 1, `1`), delayed)
	must(t, w, err)
	w, err = f.Delete(t.Context(), 5, delayed)
	tombstone := must(t, w, err).Item.Version
	if tombstone == 0 || s.committed != 0 {
		t.Fatalf("tombstone %d, committed up to %d", tombstone, s.committed)
	}
	w, err = f.Delete(t.Context(), 5, sync1)
	if must(t, w, err).Item.Version != 0 {
		t.Errorf("the deletion of nothing has version %d", w.Item.Version)
	}
	if s.committed < tombstone {
		t.Error("a synchronous deletion was answered while the one it rests on was queued")
	}
	w, err = f.Delete(t.Context(), 77, sync1)
	if must(t, w, err).Item.Version != 0 {
		t.Error("the deletion of what never was has a version")
	}
}

func TestFeeds_DelayedNamesItsDurability(t *testing.T) {
	t.Parallel()
	s := newStore()
	w, err := newFeeds(s).Create(t.Context(), draft(0, 1, `1`), delayed)
	must(t, w, err)
	if w.Store != model.StoreDelayed || w.Durability != "fsync" || s.committed != 0 {
		t.Errorf("written %+v, committed up to %d", w, s.committed)
	}
}

func TestFeeds_WriteThatCouldNotBeFinishedIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.notReady[model.StoreSync] = model.NewUnavailable("no database", nil)
	f := newFeeds(s)
	_, err := f.Create(t.Context(), draft(0, 1, `1`), sync1)
	wantErr(t, err, model.Unavailable, "")
	w, err := f.Create(t.Context(), draft(0, 1, `1`), delayed)
	must(t, w, err)
}

func TestFeeds_BadInputIsRefusedEvenWhenNothingWorks(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.notReady[model.StoreSync] = model.NewUnavailable("no database", nil)
	_, err := newFeeds(s).Create(t.Context(), draft(0, 0, `1`), sync1)
	wantErr(t, err, model.Invalid, "/author_id")
}

func TestFeeds_EndedContextLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.awaitErr = context.DeadlineExceeded
	_, err := newFeeds(s).Create(t.Context(), draft(0, 1, `1`), sync1)
	wantErr(t, err, model.Unavailable, "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v lost its cause", err)
	}
}

func TestFeeds_RepeatedCreationAnswersTheFirstItem(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	opts := service.WriteOptions{Store: model.StoreDelayed, IdempotencyKey: "k", Fingerprint: "f"}
	first, err := f.Create(t.Context(), draft(0, 1, `{"x":1}`), opts)
	must(t, first, err)
	opts.Store = model.StoreSync
	again, err := f.Create(t.Context(), draft(0, 1, `{"x":1}`), opts)
	must(t, again, err)
	if !again.Replayed || again.Item.ID != first.Item.ID || string(again.Item.AppendJSON(nil)) != string(first.Item.AppendJSON(nil)) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if !again.Created || s.committed < first.Item.Version {
		t.Errorf("again %+v, committed up to %d", again, s.committed)
	}
	if n := len(s.live()); n != 1 {
		t.Errorf("%d items", n)
	}
	opts.Fingerprint = "another"
	_, err = f.Create(t.Context(), draft(0, 1, `{"x":2}`), opts)
	wantErr(t, err, model.KeyReused, "")
}

func TestFeeds_StoredKeysFitAndDifferByOperation(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	opts := service.WriteOptions{IdempotencyKey: strings.Repeat("long ", 50), Fingerprint: "f"}
	w, err := f.Create(t.Context(), draft(5, 1, `1`), opts)
	must(t, w, err)
	w, err = f.Put(t.Context(), draft(5, 1, `2`), opts)
	if must(t, w, err).Replayed {
		t.Error("a replacement was taken for the creation with the same key")
	}
	for _, w := range s.writes {
		if n := len(w.IdempotencyKey); n == 0 || n > 64 {
			t.Errorf("stored key of %d bytes", n)
		}
	}
}

func TestFeeds_DelayedWriteMayHaveToBeSynchronous(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.busy = true
	f := newFeeds(s)
	w, err := f.Put(t.Context(), draft(5, 1, `1`), delayed)
	if must(t, w, err); w.Store != model.StoreSync || w.Durability != "" || s.committed < w.Item.Version {
		t.Errorf("written %+v, committed up to %d", w, s.committed)
	}
	for _, r := range f.Batch(t.Context(), []service.BatchOp{put(6, 1, `1`)}, delayed) {
		if must(t, r.Written, r.Err); r.Written.Store != model.StoreSync || s.committed < r.Written.Item.Version {
			t.Errorf("written %+v, committed up to %d", r.Written, s.committed)
		}
	}
	s.notReady[model.StoreSync] = model.NewUnavailable("no database", nil)
	_, err = f.Delete(t.Context(), 5, delayed)
	wantErr(t, err, model.Unavailable, "")
}

func TestFeeds_CommittedWriteIsNotAwaited(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.atSQL, s.awaitErr = true, context.DeadlineExceeded
	f := newFeeds(s)
	for name, opts := range map[string]service.WriteOptions{"sync": sync1, "delayed": delayed} {
		w, err := f.Put(t.Context(), draft(5, 1, `1`), opts)
		if must(t, w, err); w.Store != model.StoreSync || w.Durability != "" {
			t.Errorf("%s: %+v", name, w)
		}
		for _, r := range f.Batch(t.Context(), []service.BatchOp{put(6, 1, `1`)}, opts) {
			if must(t, r.Written, r.Err).Store != model.StoreSync {
				t.Errorf("%s in a batch: %+v", name, r.Written)
			}
		}
		w, err = f.Delete(t.Context(), 77, opts)
		must(t, w, err)
	}
	if s.awaited != 0 {
		t.Error("a committed write was awaited")
	}
}
