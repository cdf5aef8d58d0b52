package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/zmsg/zmsg/model"
)

// writer writes items that nobody else writes and keeps the record of each. It is for one goroutine.
//
// Every write is made safe to repeat, also against an earlier attempt that takes effect late: by an
// Idempotency-Key, or by the condition that the item still has the version of the record.
type writer struct {
	api    *api
	report *report
	rng    *rand.Rand
	turn   int        // the replica of the next request
	ids    []model.ID // minted and not used yet
}

func (w *writer) nextReplica() int {
	w.turn = (w.turn + 1) % len(w.api.bases)
	return w.turn
}

// nextStore draws how a write shall be stored.
func (w *writer) nextStore() string {
	if w.rng.IntN(2) == 0 {
		return "delayed"
	}
	return "sync"
}

// nextID returns an ID made by the service.
func (w *writer) nextID(ctx context.Context) (model.ID, error) {
	if len(w.ids) == 0 {
		ids, err := w.api.mint(ctx, w.nextReplica(), 200)
		if err != nil {
			return 0, err
		}
		w.ids = ids
	}
	id := w.ids[0]
	w.ids = w.ids[1:]
	return id, nil
}

func (w *writer) key() string { return fmt.Sprintf("%016x%016x", w.rng.Uint64(), w.rng.Uint64()) }

// draftJSON returns the body of a POST or PUT. It is not left to an encoder, which would change the
// spelling of the content.
func draftJSON(it *model.Item, id bool) []byte {
	b := []byte{'{'}
	if id {
		b = fmt.Appendf(b, `"id":"%d",`, it.ID)
	}
	if it.Kind != "" {
		b = fmt.Appendf(b, `"kind":"%s",`, it.Kind)
	}
	b = fmt.Appendf(b, `"author_id":"%d","content":`, it.AuthorID)
	return append(append(b, it.Content...), '}')
}

// withDefaults is an item as it is stored.
func withDefaults(it model.Item) model.Item {
	if it.Kind == "" {
		it.Kind = "post"
	}
	return it
}

// create creates an item by POST or by PUT and returns its record, nil if the service refused.
func (w *writer) create(ctx context.Context, author model.ID) (*model.Item, error) {
	it := model.Item{AuthorID: author, Kind: kinds[w.rng.IntN(len(kinds))], Content: newContent(w.rng)}
	store := w.nextStore()
	req := request{
		method: http.MethodPost, path: "/feeds?store=" + store, body: draftJSON(&it, false),
		header: map[string]string{"Idempotency-Key": w.key()},
	}
	if w.rng.IntN(2) == 0 {
		id, err := w.nextID(ctx)
		if err != nil {
			return nil, err
		}
		it.ID = id
		req.method, req.path = http.MethodPut, "/feeds/"+it.ID.String()+"?store="+store
		req.header = map[string]string{"If-None-Match": "*"}
	}
	got, replica, err := w.write(ctx, req, it.ID, store)
	if err != nil || got == nil {
		return nil, err
	}
	it = withDefaults(it)
	if it.ID == 0 {
		it.ID = got.ID
	}
	it.Version = got.Version
	if diff := difference(&it, got); diff != "" {
		w.report.mismatch("answer to a creation", it.ID, "%s", diff)
	}
	if replica != nobody && w.rng.IntN(20) == 0 {
		err = w.checkListed(ctx, replica, &it)
	}
	return &it, err
}

// edit changes an item by PUT or PATCH and its record with it.
func (w *writer) edit(ctx context.Context, it *model.Item) error {
	store := w.nextStore()
	next, patch := *it, newPatch(w.rng)
	next.Content = newContent(w.rng)
	req := request{
		method: http.MethodPut, path: "/feeds/" + it.ID.String() + "?store=" + store,
		header: map[string]string{"If-Match": `"` + it.Version.String() + `"`}, body: draftJSON(&next, true),
	}
	patching := w.rng.IntN(2) == 0
	if patching {
		req.method, req.body = http.MethodPatch, patch
		req.header["Content-Type"] = "application/merge-patch+json"
	}
	got, replica, err := w.write(ctx, req, it.ID, store)
	if err != nil || got == nil {
		return err
	}
	if patching {
		ok, err := isPatched(it.Content, patch, got.Content)
		if err != nil || !ok {
			w.report.mismatch("answer to a patch", it.ID, "%s patched by %s is %s (%v)", it.Content, patch, got.Content, err)
		}
		next.Content = got.Content
	}
	next.Version = got.Version
	if diff := difference(&next, got); diff != "" {
		w.report.mismatch("answer to an edit", it.ID, "%s", diff)
	}
	if got.Version <= it.Version {
		w.report.mismatch("answer to an edit", it.ID, "version %d follows %d", got.Version, it.Version)
	}
	*it = next
	return w.checkSometimes(ctx, replica, it)
}

// remove deletes an item and marks its record.
func (w *writer) remove(ctx context.Context, it *model.Item) error {
	store := w.nextStore()
	req := request{
		method: http.MethodDelete, path: "/feeds/" + it.ID.String() + "?store=" + store,
		header: map[string]string{"If-Match": `"` + it.Version.String() + `"`},
	}
	start := time.Now()
	ans, err := w.api.settle(ctx, w.nextReplica(), req)
	if err != nil {
		return err
	}
	w.report.written("DELETE "+store, time.Since(start))
	replica := ans.replica
	switch {
	case ans.status == http.StatusNoContent, ans.status == http.StatusAccepted:
	case ans.status == http.StatusPreconditionFailed && ans.repeated:
		// The attempt before it took effect, unless the item is still there.
		replica = nobody
		got, found, _, err := w.api.get(ctx, ans.replica, it.ID, true)
		if err != nil {
			return err
		}
		if found {
			w.report.mismatch("deletion", it.ID, "%v, and there is version %d", unexpected(req, ans), got.Version)
			return nil
		}
	default:
		w.report.mismatch("deletion", it.ID, "%v", unexpected(req, ans))
		return nil
	}
	it.Deleted = true
	return w.checkSometimes(ctx, replica, it)
}

// nobody is given as the replica that has acknowledged a write where that is not known.
const nobody = -1

// write sends a write of the item id (0: a new one) until its outcome is known. It returns the item as
// the service says it is now, nil if the service refused the write, which is reported, and the replica
// that has acknowledged it.
func (w *writer) write(ctx context.Context, req request, id model.ID, store string) (*model.Item, int, error) {
	start := time.Now()
	ans, err := w.api.settle(ctx, w.nextReplica(), req)
	if err != nil {
		return nil, nobody, err
	}
	w.report.written(req.method+" "+store, time.Since(start))
	switch {
	case ans.status == http.StatusOK, ans.status == http.StatusCreated, ans.status == http.StatusAccepted:
		it, err := parseItem(ans.body)
		return &it, ans.replica, err
	case ans.status == http.StatusPreconditionFailed && ans.repeated && id != 0:
		// Nobody else writes the item, so the attempt before it took effect. What it did is compared
		// by the caller.
		it, found, _, err := w.api.get(ctx, ans.replica, id, true)
		if err != nil || found {
			return &it, nobody, err
		}
	}
	w.report.mismatch("write", id, "%v", unexpected(req, ans))
	return nil, nobody, nil
}

// checkSometimes reads back one write in twenty from the replica that acknowledged it.
func (w *writer) checkSometimes(ctx context.Context, replica int, want *model.Item) error {
	if replica == nobody || w.rng.IntN(20) != 0 {
		return nil
	}
	return w.checkWritten(ctx, replica, want)
}

// checkWritten reads an item from the replica that has just acknowledged a write of it.
func (w *writer) checkWritten(ctx context.Context, replica int, want *model.Item) error {
	got, found, ans, err := w.api.get(ctx, replica, want.ID, false)
	if err != nil || ans.replica != replica {
		return err // Another replica had to answer, and promises less.
	}
	where := fmt.Sprintf("replica %d reading its own write", replica)
	switch {
	case found == want.Deleted:
		w.report.mismatch(where, want.ID, "found: %v, %s; deleted: %v, %s", found, ans.header.Get("Cache-Status"), want.Deleted, want.Version)
	case found:
		if diff := difference(want, &got); diff != "" {
			w.report.mismatch(where, want.ID, "%s (%s)", diff, ans.header.Get("Cache-Status"))
		}
	}
	return nil
}

// checkListed looks for a new item in its author's list at the replica that has acknowledged it.
func (w *writer) checkListed(ctx context.Context, replica int, want *model.Item) error {
	p, err := w.api.list(ctx, replica, want.AuthorID, "")
	if err != nil {
		return err
	}
	reached := p.NextCursor == "" // whether the page reaches down to the item
	for i := range p.Items {
		got, err := p.Items[i].item()
		if err != nil {
			return err
		}
		if got.ID == want.ID {
			if diff := difference(want, &got); diff != "" {
				w.report.mismatch("list after a creation", want.ID, "%s", diff)
			}
			return nil
		}
		reached = reached || got.ID < want.ID
	}
	if reached {
		w.report.mismatch("list after a creation", want.ID, "the list of author %d at replica %d lacks it", want.AuthorID, replica)
	}
	return nil
}
