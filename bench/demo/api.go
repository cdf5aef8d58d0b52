package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/model"
)

const (
	requestTimeout = 30 * time.Second
	giveUpAfter    = 2 * time.Minute // without a known outcome
	minBackoff     = 20 * time.Millisecond
	maxBackoff     = time.Second
)

// troubled is how long after an unknown outcome more of them must be expected.
const troubled = 2 * time.Second

// api sends requests to the replicas.
type api struct {
	http    *http.Client
	bases   []atomic.Pointer[string] // one for each replica
	report  *report
	trouble atomic.Int64 // time of the last unknown outcome, in Unix nanoseconds
}

// newAPI returns an api for replicas with these base URLs, for so many concurrent requests.
func newAPI(bases []string, workers int, r *report) *api {
	a := &api{report: r, http: &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true},
	}}
	a.bases = make([]atomic.Pointer[string], len(bases))
	for i, b := range bases {
		a.replace(i, b)
	}
	return a
}

// replace puts another replica in the place of one.
func (a *api) replace(replica int, base string) {
	base = strings.TrimSuffix(base, "/")
	a.bases[replica].Store(&base)
}

// calm reports whether no outcome was unknown of late.
func (a *api) calm() bool { return time.Since(time.Unix(0, a.trouble.Load())) > troubled }

func (a *api) close() { a.http.CloseIdleConnections() }

// request is a request to any replica.
type request struct {
	method string
	path   string // with the query
	header map[string]string
	body   []byte
}

// answer is a response that was read to its end.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	replica  int  // which replica gave it
	repeated bool // an earlier attempt ended without a known outcome
}

// send sends req once.
func (a *api) send(ctx context.Context, replica int, req request) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, req.method, *a.bases[replica].Load()+req.path, bytes.NewReader(req.body))
	if err != nil {
		return answer{}, err
	}
	if len(req.body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range req.header {
		r.Header.Set(name, value)
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, err
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: body, replica: replica}, nil
}

// settle sends req until its outcome is known: a broken connection or a 5xx leaves it unknown, and the
// next attempt goes to the next replica. req must be safe to repeat.
func (a *api) settle(ctx context.Context, replica int, req request) (answer, error) {
	return a.settleIf(ctx, replica, req, func(ans *answer) bool { return ans.status < 500 && ans.status != http.StatusTooManyRequests })
}

// settleIf is settle with a judgement of its own whether an answer is final.
func (a *api) settleIf(ctx context.Context, replica int, req request, final func(*answer) bool) (answer, error) {
	patience := newPatience()
	for attempt := 0; ; attempt++ {
		ans, err := a.send(ctx, replica, req)
		ans.repeated = attempt > 0
		if err == nil && final(&ans) {
			return ans, nil
		}
		a.unknown(req, ans, err)
		if err := patience.wait(ctx, req, ans, err); err != nil {
			return ans, err
		}
		replica = a.after(replica)
	}
}

// after returns the replica to ask when another one has failed.
func (a *api) after(replica int) int { return (replica + 1) % len(a.bases) }

// unknown records an attempt whose outcome is unknown.
func (a *api) unknown(req request, ans answer, err error) {
	a.trouble.Store(time.Now().UnixNano())
	a.report.unknownOutcome(req, ans, err)
}

// patience waits between the attempts of a request, longer each time, but not for ever.
type patience struct {
	deadline time.Time
	backoff  time.Duration
}

func newPatience() patience {
	return patience{deadline: time.Now().Add(giveUpAfter), backoff: minBackoff}
}

// wait returns when the next attempt may be made. It fails if req, with ans and err as its last answer,
// had attempts enough.
func (p *patience) wait(ctx context.Context, req request, ans answer, err error) error {
	if time.Now().After(p.deadline) {
		return fmt.Errorf("%s %s: no final answer in %v; the last one: %d %s (%w)",
			req.method, req.path, giveUpAfter, ans.status, ans.body, err)
	}
	if err := pause(ctx, p.backoff); err != nil {
		return err
	}
	p.backoff = min(2*p.backoff, maxBackoff)
	return nil
}

// pause waits for d, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wireItem is an item as it is served.
type wireItem struct {
	ID        string          `json:"id"`
	AuthorID  string          `json:"author_id"`
	Kind      string          `json:"kind"`
	Content   json.RawMessage `json:"content"`
	Version   string          `json:"version"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

func (w *wireItem) item() (model.Item, error) {
	id, err1 := model.ParseID(w.ID)
	author, err2 := model.ParseID(w.AuthorID)
	version, err3 := model.ParseVersion(w.Version)
	if err := errors.Join(err1, err2, err3); err != nil {
		return model.Item{}, fmt.Errorf("item %+v: %w", w, err)
	}
	return model.Item{
		ID: id, AuthorID: author, Kind: w.Kind, Content: w.Content, Version: version,
		CreatedAt: w.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(),
	}, nil
}

// parseItem reads the body of an answer that is an item.
func parseItem(body []byte) (model.Item, error) {
	var w wireItem
	if err := json.Unmarshal(body, &w); err != nil {
		return model.Item{}, fmt.Errorf("%w in %s", err, body)
	}
	return w.item()
}

// get reads an item; found is false after a 404.
func (a *api) get(ctx context.Context, replica int, id model.ID, exact bool) (it model.Item, found bool, ans answer, err error) {
	req := request{method: http.MethodGet, path: "/feeds/" + id.String()}
	if exact {
		req.header = map[string]string{"Cache-Control": "no-cache"}
	}
	if ans, err = a.settle(ctx, replica, req); err != nil {
		return it, false, ans, err
	}
	switch ans.status {
	case http.StatusOK:
		it, err = parseItem(ans.body)
		return it, err == nil, ans, err
	case http.StatusNotFound:
		return it, false, ans, nil
	default:
		return it, false, ans, unexpected(req, ans)
	}
}

// mint asks for n new IDs.
func (a *api) mint(ctx context.Context, replica, n int) ([]model.ID, error) {
	req := request{method: http.MethodPost, path: "/ids", body: fmt.Appendf(nil, `{"count":%d}`, n)}
	ans, err := a.settle(ctx, replica, req)
	if err != nil {
		return nil, err
	}
	var minted struct {
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(ans.body, &minted); err != nil || len(minted.IDs) != n {
		return nil, unexpected(req, ans)
	}
	ids := make([]model.ID, n)
	for i, s := range minted.IDs {
		if ids[i], err = model.ParseID(s); err != nil {
			return nil, unexpected(req, ans)
		}
	}
	return ids, nil
}

// page is a page of a list.
type page struct {
	Items      []wireItem `json:"items"`
	NextCursor string     `json:"next_cursor"`
}

// list reads one page of an author's items.
func (a *api) list(ctx context.Context, replica int, author model.ID, cursor string) (page, error) {
	req := request{method: http.MethodGet, path: "/feeds?limit=100&author_id=" + author.String()}
	if cursor != "" {
		req.path += "&cursor=" + cursor
	}
	ans, err := a.settle(ctx, replica, req)
	if err != nil {
		return page{}, err
	}
	var p page
	if ans.status != http.StatusOK || json.Unmarshal(ans.body, &p) != nil {
		return page{}, unexpected(req, ans)
	}
	return p, nil
}

func unexpected(req request, ans answer) error {
	return fmt.Errorf("%s %s %v was answered by replica %d with %d %s",
		req.method, req.path, req.header, ans.replica, ans.status, ans.body)
}
