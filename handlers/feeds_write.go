package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/zmsg/zmsg/api"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

const defaultKind = "post"

// writeRequest is what a write says beside its body.
type writeRequest struct {
	service.WriteOptions
	query     url.Values
	preferred bool // stored delayed because Prefer asks for it
}

// options reads the options of a write. A precondition is read by the operations that know it.
func options(r *http.Request) (writeRequest, error) {
	var (
		o   writeRequest
		err error
	)
	if o.query, err = parseQuery(r); err != nil {
		return o, err
	}
	if o.Store, err = parseStore(o.query); err != nil {
		return o, err
	}
	if o.Store == model.StoreDefault && wantsAsync(r) {
		o.Store, o.preferred = model.StoreDelayed, true
	}
	return o, nil
}

// identify adds the idempotency key of a POST and the digest that tells whether a repeat is the same.
func (o *writeRequest) identify(r *http.Request, body []byte) error {
	key, err := parseIdempotencyKey(r)
	if err != nil || key == "" {
		return err
	}
	o.IdempotencyKey = key
	o.Fingerprint = fingerprint(r, o.query.Get("store"), body)
	return nil
}

// fingerprint digests what makes a request the same as another one.
func fingerprint(r *http.Request, store string, body []byte) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n%s\n", r.Method, r.URL.Path, store) // a hash takes all
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// create answers POST of an item.
func (s *server) create(ctx context.Context, w *response, r *http.Request) error {
	o, err := options(r)
	if err != nil {
		return err
	}
	draft, body, err := s.readDraft(w, r)
	if err != nil {
		return err
	}
	if err = o.identify(r, body); err != nil {
		return err
	}
	written, err := s.Writes.Create(ctx, draft, o.WriteOptions)
	if err != nil {
		return err
	}
	written.Created = true
	answerItem(w, &written, o.preferred)
	return nil
}

// put answers PUT of an item.
func (s *server) put(ctx context.Context, w *response, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	o, err := options(r)
	if err != nil {
		return err
	}
	if o.Cond, err = putCond(r); err != nil {
		return err
	}
	draft, _, err := s.readDraft(w, r)
	if err != nil {
		return err
	}
	if draft.ID != 0 && draft.ID != id {
		return model.NewInvalid("/id", "must be the ID of the path")
	}
	draft.ID = id
	written, err := s.Writes.Put(ctx, draft, o.WriteOptions)
	if err != nil {
		return nameCondition(err, o.Cond)
	}
	answerItem(w, &written, o.preferred)
	return nil
}

// nameCondition tells which header asked for the state that the item is not in.
func nameCondition(err error, cond model.Cond) error {
	var e *model.Error
	if !errors.As(err, &e) || e.Kind != model.PreconditionFailed || e.Field != "" {
		return err
	}
	named := *e
	named.Field = "If-Match"
	if cond.Absent {
		named.Field = "If-None-Match"
	}
	return &named
}

// putCond reads both preconditions of a PUT.
func putCond(r *http.Request) (model.Cond, error) {
	cond, err := parseIfMatch(r)
	if err != nil {
		return cond, err
	}
	if cond.Absent, err = parseIfNoneMatch(r); err != nil {
		return cond, err
	}
	if cond.Absent && (cond.Exists || len(cond.Match) > 0) {
		return cond, &model.Error{
			Kind: model.PreconditionFailed, Field: "If-None-Match", Message: "contradicts If-Match",
		}
	}
	return cond, nil
}

// patch answers PATCH of an item. The body as it came is the patch of the content.
func (s *server) patch(ctx context.Context, w *response, r *http.Request) error {
	id, o, err := existing(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, s.Config.MaxBodyBytes, mediaMergePatch, mediaJSON)
	if err != nil {
		return err
	}
	if err = validate(body); err != nil {
		return err
	}
	written, err := s.Writes.Patch(ctx, id, json.RawMessage(body), o.WriteOptions)
	if err != nil {
		return nameCondition(err, o.Cond)
	}
	answerItem(w, &written, o.preferred)
	return nil
}

// delete answers DELETE of an item.
func (s *server) delete(ctx context.Context, w *response, r *http.Request) error {
	id, o, err := existing(r)
	if err != nil {
		return err
	}
	written, err := s.Writes.Delete(ctx, id, o.WriteOptions)
	if err != nil {
		return nameCondition(err, o.Cond)
	}
	if written.Store != model.StoreDelayed {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if o.preferred {
		w.Header()["Preference-Applied"] = respondAsync
	}
	answer := api.QueuedDeletion{ID: id.String(), Durability: api.Durability(written.Durability)}
	if v := written.Item.Version; v != 0 {
		version := v.String()
		answer.Version = &version
	}
	writeJSON(w, http.StatusAccepted, marshal(answer))
	return nil
}

// existing reads what PATCH and DELETE have in common.
func existing(r *http.Request) (model.ID, writeRequest, error) {
	id, err := pathID(r)
	if err != nil {
		return 0, writeRequest{}, err
	}
	o, err := options(r)
	if err != nil {
		return 0, o, err
	}
	if err = refuseIfNoneMatch(r); err != nil {
		return 0, o, err
	}
	o.Cond, err = parseIfMatch(r)
	return id, o, err
}

// evict answers the eviction of an item from the caches.
func (s *server) evict(ctx context.Context, w *response, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err = s.Writes.Evict(ctx, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readDraft reads an item as clients write it, and returns the body as well.
func (s *server) readDraft(w *response, r *http.Request) (service.Draft, []byte, error) {
	body, err := readBody(w, r, s.Config.MaxBodyBytes, mediaJSON)
	if err != nil {
		return service.Draft{}, nil, err
	}
	var in api.ItemDraft
	if err = decode(body, &in); err != nil {
		return service.Draft{}, nil, err
	}
	draft, err := newDraft(in.ID, &in.AuthorID, in.Kind, in.Content)
	return draft, body, err
}

// newDraft checks the members of an item. The rules of kinds and sizes are those of the service.
func newDraft(id, author, kind *string, content json.RawMessage) (service.Draft, error) {
	d := service.Draft{Kind: defaultKind, Content: content}
	var err error
	if id != nil {
		if d.ID, err = model.ParseID(*id); err != nil {
			return d, model.NewInvalid("/id", err.Error())
		}
	}
	if author == nil || *author == "" {
		return d, model.NewInvalid("/author_id", "is required")
	}
	if d.AuthorID, err = model.ParseID(*author); err != nil {
		return d, model.NewInvalid("/author_id", err.Error())
	}
	if kind != nil {
		if d.Kind = *kind; d.Kind == "" {
			return d, model.NewInvalid("/kind", "must not be empty")
		}
	}
	if len(content) == 0 {
		return d, model.NewInvalid("/content", "is required")
	}
	return d, nil
}

// answerItem answers a write with the item as it is now: 201 or 200 if that is committed, 202 if it is
// queued.
func answerItem(w *response, written *service.Written, preferred bool) {
	h := w.Header()
	status := http.StatusOK
	if written.Created {
		status = http.StatusCreated
	}
	if written.Store == model.StoreDelayed {
		status = http.StatusAccepted
		if preferred {
			h["Preference-Applied"] = respondAsync
		}
	}
	if status != http.StatusOK {
		h["Location"] = []string{"/feeds/" + written.Item.ID.String()}
	}
	if written.Replayed {
		h["Idempotent-Replayed"] = replayedTrue
	}
	w.setETag(etagOf(written.Item.Version))
	body := written.Item.AppendJSON(make([]byte, 0, itemOverhead+len(written.Item.Content)))
	if status == http.StatusAccepted {
		body = append(body[:len(body)-1], `,"durability":`...)
		body = appendString(body, written.Durability)
		body = append(body, '}')
	}
	writeJSON(w, status, body)
}
