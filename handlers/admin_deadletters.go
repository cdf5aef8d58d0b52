package handlers

import (
	"context"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/zmsg/zmsg/model"
)

const (
	defaultLetters = 100
	maxLetters     = 1000

	// listedContent is how much of a letter's content a list shows, in bytes.
	listedContent = 1 << 10
)

// letterJSON is a dead letter as it is shown.
type letterJSON struct {
	ID      string        `json:"id"`
	Shard   int           `json:"shard"`
	Version string        `json:"version"`
	Kind    string        `json:"kind"`
	Key     string        `json:"key"`
	Code    string        `json:"code,omitzero"` // SQLSTATE
	Reason  string        `json:"reason"`
	At      string        `json:"at"`
	Payload letterPayload `json:"payload"`
}

// letterPayload is the write. Content is text here, because what is in it may be the reason that it was
// refused, and because a list shows the beginning of it only.
type letterPayload struct {
	Op             string `json:"op,omitzero"` // put, delete, count or remove
	AuthorID       string `json:"author_id,omitzero"`
	ItemKind       string `json:"item_kind,omitzero"`
	CreatedAt      string `json:"created_at,omitzero"`
	UpdatedAt      string `json:"updated_at,omitzero"`
	Subject        string `json:"subject,omitzero"`
	Metric         string `json:"metric,omitzero"`
	Delta          *int64 `json:"delta,omitzero"`
	At             string `json:"at,omitzero"` // of a change of a counter
	IdempotencyKey string `json:"idempotency_key,omitzero"`
	Content        string `json:"content,omitzero"`
	Raw            string `json:"raw,omitzero"` // of an entry that cannot be read
	Damage         string `json:"damage,omitzero"`
	Bytes          int    `json:"bytes,omitzero"` // of Content or Raw when whole
	Cut            bool   `json:"cut,omitzero"`   // Content or Raw is the beginning only
}

// letterOf returns the letter with at most so many bytes of content; 0 for all of it.
func letterOf(l *model.DeadLetter, most int) letterJSON {
	return letterJSON{
		ID: strconv.FormatInt(l.ID, 10), Shard: l.Shard, Version: l.Version.String(), Kind: l.Kind, Key: l.Key, Code: l.Code, Reason: l.Reason,
		At: l.At.UTC().Format(model.TimeLayout), Payload: payloadOf(&l.Write, most),
	}
}

func payloadOf(q *model.Queued, most int) letterPayload {
	p := letterPayload{IdempotencyKey: q.Key, Damage: q.Damage}
	switch {
	case q.Item != nil:
		p.Op = "put"
		if q.Item.Deleted {
			p.Op = "delete"
		}
		p.AuthorID, p.ItemKind = q.Item.AuthorID.String(), q.Item.Kind
		p.CreatedAt = q.Item.CreatedAt.UTC().Format(model.TimeLayout)
		p.UpdatedAt = q.Item.UpdatedAt.UTC().Format(model.TimeLayout)
		p.Content, p.Bytes = string(q.Item.Content), len(q.Item.Content)
		p.Content, p.Cut = beginning(p.Content, most)
	case q.Delta != nil:
		p.Op = "count"
		if q.Delta.Remove {
			p.Op = "remove"
		}
		p.Subject, p.Metric, p.Delta = q.Delta.Subject, q.Delta.Metric, &q.Delta.N
		p.At = q.Delta.At.UTC().Format(model.TimeLayout)
	default:
		p.Bytes = len(q.Raw)
		p.Raw, p.Cut = beginning(q.Raw, most)
	}
	return p
}

// beginning cuts s after at most so many bytes, 0 for no limit, but not within a character.
func beginning(s string, most int) (string, bool) {
	if most == 0 || len(s) <= most {
		return s, false
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end], true
}

// listLetters answers with a page of dead letters.
func (a *admin) listLetters(ctx context.Context, w *response, r *http.Request) error {
	after, limit, err := letterPage(r)
	if err != nil {
		return err
	}
	letters, err := a.DeadLetters.List(ctx, after, limit)
	if err != nil {
		return err
	}
	page := struct {
		Items     []letterJSON `json:"items"`
		NextAfter string       `json:"next_after,omitzero"` // where the next page begins; missing on the last one
	}{Items: make([]letterJSON, 0, len(letters))}
	for i := range letters {
		page.Items = append(page.Items, letterOf(&letters[i], listedContent))
	}
	if len(letters) == limit {
		page.NextAfter = strconv.FormatInt(letters[limit-1].ID, 10)
	}
	writeJSON(w, http.StatusOK, marshal(page))
	return nil
}

// letter answers with one dead letter, whole.
func (a *admin) letter(ctx context.Context, w *response, r *http.Request) error {
	id, err := letterID(r)
	if err != nil {
		return err
	}
	l, err := a.DeadLetters.Get(ctx, id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, marshal(letterOf(&l, 0)))
	return nil
}

// retryLetter answers when the write was done anew.
func (a *admin) retryLetter(ctx context.Context, w *response, r *http.Request) error {
	id, err := letterID(r)
	if err != nil {
		return err
	}
	if err = a.DeadLetters.Retry(ctx, id); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, marshal(struct {
		ID     string `json:"id"`
		Stored bool   `json:"stored"`
	}{strconv.FormatInt(id, 10), true}))
	return nil
}

// discardLetter gives a write up.
func (a *admin) discardLetter(ctx context.Context, w *response, r *http.Request) error {
	id, err := letterID(r)
	if err != nil {
		return err
	}
	if err := a.DeadLetters.Discard(ctx, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// retryLetters retries many letters, one by one, and tells what became of each. It ends early when what
// they need is away: those that follow would fail as well, each after a wait.
func (a *admin) retryLetters(ctx context.Context, w *response, r *http.Request) error {
	after, limit, err := letterPage(r)
	if err != nil {
		return err
	}
	letters, err := a.DeadLetters.List(ctx, after, limit)
	if err != nil {
		return err
	}
	var b batchAnswer
	for i := range letters {
		id := strconv.FormatInt(letters[i].ID, 10)
		err := a.DeadLetters.Retry(ctx, letters[i].ID)
		if err == nil {
			b.begin(http.StatusOK, "id", id)
			b.end()
			continue
		}
		logFailure(a.Logger, w, r, err)
		b.fail(err, "", "id", id)
		if problemOf(err).kind.status == http.StatusServiceUnavailable {
			break
		}
	}
	writeJSON(w, http.StatusMultiStatus, b.body())
	return nil
}

func letterID(r *http.Request) (int64, error) {
	id, err := model.ParseID(chi.URLParam(r, "id"))
	if err != nil {
		return 0, model.NewMalformed("id", err.Error())
	}
	return int64(id), nil
}

// letterPage reads after which letter a page begins, 0 for the first one, and how long it is.
func letterPage(r *http.Request) (after int64, limit int, err error) {
	q, err := parseQuery(r)
	if err != nil {
		return 0, 0, err
	}
	value, given, err := single(q, "after")
	if err != nil {
		return 0, 0, err
	}
	if given && value != "0" {
		id, err := model.ParseID(value)
		if err != nil {
			return 0, 0, model.NewMalformed("after", "must be the ID of a dead letter, or 0")
		}
		after = int64(id)
	}
	limit, err = parseLimit(q, defaultLetters, maxLetters)
	return after, limit, err
}
