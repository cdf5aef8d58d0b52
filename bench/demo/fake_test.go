package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

// fake is the service as one map, behind several addresses. It can lose requests and answers.
type fake struct {
	mu     sync.Mutex
	items  map[model.ID]*model.Item
	counts map[model.Counter]int64
	keys   map[string][]byte // idempotency key: first answer
	seq    int64
	faulty bool
	rng    *rand.Rand
}

// newFake returns the service and the base URLs of two of its replicas.
func newFake(t *testing.T, faulty bool) (*fake, []string) {
	t.Helper()
	f := &fake{
		items: map[model.ID]*model.Item{}, counts: map[model.Counter]int64{}, keys: map[string][]byte{}, seq: 1000,
		faulty: faulty, rng: rand.New(rand.NewPCG(1, 2)),
	}
	var bases []string
	for range 2 {
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		bases = append(bases, server.URL)
	}
	return f, bases
}

// ServeHTTP answers a request, and before or after that may pretend that it did not.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := 99
	if f.faulty {
		fault = f.rng.IntN(20)
	}
	if fault == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	status, answer := f.handle(w, r, body)
	switch fault {
	case 1:
		w.WriteHeader(http.StatusServiceUnavailable)
	case 2:
		panic(http.ErrAbortHandler) // breaks the connection
	default:
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	}
}

func (f *fake) handle(w http.ResponseWriter, r *http.Request, body []byte) (int, []byte) {
	success := map[string]int{"sync": http.StatusOK, "delayed": http.StatusAccepted}[r.URL.Query().Get("store")]
	switch {
	case r.URL.Path == "/ids":
		return f.mint(body)
	case strings.HasPrefix(r.URL.Path, "/counters"):
		return f.counters(r, body)
	case r.URL.Path == "/feeds:batchWrite":
		return http.StatusMultiStatus, f.once(r, func() []byte { return f.batchWrite(body, success) })
	case r.URL.Path == "/feeds:batchGet":
		return http.StatusMultiStatus, f.batchGet(body)
	case r.URL.Path == "/feeds" && r.Method == http.MethodGet:
		return http.StatusOK, f.list(r)
	case r.URL.Path == "/feeds":
		return success, f.once(r, func() []byte { return f.store(0, body).AppendJSON(nil) })
	}
	id, err := model.ParseID(strings.TrimPrefix(r.URL.Path, "/feeds/"))
	if err != nil {
		return http.StatusBadRequest, nil
	}
	return f.one(w, r, id, body, success)
}

// one handles a request for one item.
func (f *fake) one(w http.ResponseWriter, r *http.Request, id model.ID, body []byte, success int) (int, []byte) {
	cur := f.items[id]
	live := cur != nil && !cur.Deleted
	if m := r.Header.Get("If-Match"); m != "" && (!live || m != `"`+cur.Version.String()+`"`) {
		return http.StatusPreconditionFailed, nil
	}
	if r.Header.Get("If-None-Match") == "*" && live {
		return http.StatusPreconditionFailed, nil
	}
	switch r.Method {
	case http.MethodPut:
		return success, f.store(id, body).AppendJSON(nil)
	case http.MethodPatch:
		target, err1 := decode(cur.Content)
		patch, err2 := decode(body)
		merged, err3 := json.Marshal(merge(target, patch))
		if err1 != nil || err2 != nil || err3 != nil {
			return http.StatusBadRequest, nil
		}
		cur.Content, cur.Version = merged, f.next()
		return success, cur.AppendJSON(nil)
	case http.MethodDelete:
		f.delete(id)
		return http.StatusNoContent, nil
	}
	if !live {
		return http.StatusNotFound, nil
	}
	w.Header().Set("Cache-Status", "zmsg; hit; detail=l1")
	return http.StatusOK, cur.AppendJSON(nil)
}

func (f *fake) next() model.Version {
	f.seq++
	return model.Version(f.seq)
}

// once runs do unless the request's idempotency key is known.
func (f *fake) once(r *http.Request, do func() []byte) []byte {
	key := r.Header.Get("Idempotency-Key")
	if _, known := f.keys[key]; !known {
		f.keys[key] = do()
	}
	return f.keys[key]
}

func (f *fake) store(id model.ID, body []byte) *model.Item {
	var d wireItem
	if err := json.Unmarshal(body, &d); err != nil {
		panic(err)
	}
	if d.ID != "" {
		id, _ = model.ParseID(d.ID)
	}
	if id == 0 {
		id = model.ID(f.next())
	}
	author, _ := model.ParseID(d.AuthorID)
	at := time.UnixMilli(f.seq).UTC()
	it := &model.Item{
		ID: id, AuthorID: author, Kind: d.Kind, Content: d.Content,
		CreatedAt: at, UpdatedAt: at, Version: f.next(),
	}
	if it.Kind == "" {
		it.Kind = "post"
	}
	f.items[id] = it
	return it
}

func (f *fake) delete(id model.ID) {
	if it := f.items[id]; it != nil {
		it.Deleted, it.Version = true, f.next()
	}
}

func (f *fake) mint(body []byte) (int, []byte) {
	var req struct {
		Count int `json:"count"`
	}
	if json.Unmarshal(body, &req) != nil {
		return http.StatusBadRequest, nil
	}
	ids := make([]string, req.Count)
	for i := range ids {
		ids[i] = strconv.Quote(f.next().String())
	}
	return http.StatusOK, fmt.Appendf(nil, `{"ids":[%s]}`, strings.Join(ids, ","))
}

func (f *fake) batchWrite(body []byte, success int) []byte {
	var req struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	results := make([]string, len(req.Items))
	for i, raw := range req.Items {
		var op struct {
			Op string   `json:"op"`
			ID model.ID `json:"id,string"`
		}
		if err := json.Unmarshal(raw, &op); err != nil {
			panic(err)
		}
		if op.Op == "delete" {
			f.delete(op.ID)
			results[i] = fmt.Sprintf(`{"index":%d,"id":"%d","status":204}`, i, op.ID)
			continue
		}
		it := f.store(op.ID, raw)
		results[i] = fmt.Sprintf(`{"index":%d,"id":"%d","status":%d,"version":"%d"}`, i, it.ID, success, it.Version)
	}
	return fmt.Appendf(nil, `{"items":[%s]}`, strings.Join(results, ","))
}

func (f *fake) batchGet(body []byte) []byte {
	var req struct {
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		panic(err)
	}
	results := make([]string, len(req.IDs))
	for i, s := range req.IDs {
		id, _ := model.ParseID(s)
		results[i] = fmt.Sprintf(`{"index":%d,"id":"%s","status":404}`, i, s)
		if it := f.items[id]; it != nil && !it.Deleted {
			results[i] = fmt.Sprintf(`{"index":%d,"id":"%s","status":200,"item":%s}`, i, s, it.AppendJSON(nil))
		}
	}
	return fmt.Appendf(nil, `{"items":[%s]}`, strings.Join(results, ","))
}

// list answers pages of 7 items; the cursor is the last ID.
func (f *fake) list(r *http.Request) []byte {
	author, _ := model.ParseID(r.URL.Query().Get("author_id"))
	before, _ := model.ParseID(r.URL.Query().Get("cursor"))
	var ids []model.ID
	for id, it := range f.items {
		if it.AuthorID == author && !it.Deleted && (before == 0 || id < before) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	cursor := ""
	if len(ids) > 7 {
		ids = ids[:7]
		cursor = fmt.Sprintf(`,"next_cursor":"%d"`, ids[6])
	}
	bodies := make([]string, len(ids))
	for i, id := range ids {
		bodies[i] = string(f.items[id].AppendJSON(nil))
	}
	return fmt.Appendf(nil, `{"items":[%s]%s}`, strings.Join(bodies, ","), cursor)
}
