package handlers_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// fake is the service in memory. It keeps the rules of versions, conditions, authors and keys, so that
// what the handlers say can be checked against what happened.
type fake struct {
	mu      sync.Mutex
	items   map[model.ID]model.Item
	keys    map[string]keyed
	seq     int64
	minted  model.ID
	writes  int // that changed something, evictions included
	counts  map[model.Counter]int64
	counted map[string]keyed // by idempotency key
	marks   map[string]string

	// What tests set before the first request.
	hook   func(ctx context.Context) error // called first by every method that can fail
	tier   model.Tier
	bypass bool
	store  model.Store // of a write that does not say
	// maxContent is the largest content, in bytes.
	maxContent int
	checks     []handlers.Check
	blind      bool // values of counters are not known
	atSQL      bool // changes of counters are committed at once
}

type keyed struct {
	fingerprint string
	written     service.Written
	ids         []model.ID
	count       model.CountResult
}

const (
	seededID      = model.ID(730123456789012480)
	seededVersion = model.Version(1099511627818) // epoch 1, sequence 42
	seededAuthor  = model.ID(42)
)

var seededCounter = model.Counter{Subject: "post:17", Metric: "likes"}

var seededTime = time.Date(2026, 11, 22, 17, 30, 0, 123e6, time.UTC)

// newFake holds one item and the counters of one subject, those of the contract's examples.
func newFake() *fake {
	return &fake{
		items: map[model.ID]model.Item{seededID: {
			ID: seededID, AuthorID: seededAuthor, Kind: "post", Content: json.RawMessage(`{"text":"Hello","tags":["go","sql"]}`),
			CreatedAt: seededTime, UpdatedAt: seededTime, Version: seededVersion,
		}},
		keys:    map[string]keyed{},
		counts:  map[model.Counter]int64{seededCounter: 1204, {Subject: "post:17", Metric: "shares"}: 31},
		counted: map[string]keyed{},
		marks:   map[string]string{},
		seq:     seededVersion.Seq(),
		minted:  730123456789013000,
		tier:    model.TierL1,
		store:   model.StoreSync, maxContent: 1024,
		checks: []handlers.Check{{Name: "sql", OK: true}, {Name: "ids", OK: true, Detail: "node 7"}},
	}
}

func (f *fake) begin(ctx context.Context) error {
	if f.hook != nil {
		return f.hook(ctx)
	}
	return nil
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

var kindForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$`)

// apply does one write under the lock.
func (f *fake) apply(d service.Draft, op model.Op, create bool, o service.WriteOptions) (service.Written, error) {
	if op == model.OpPut && !kindForm.MatchString(d.Kind) {
		return service.Written{}, model.NewInvalid("/kind", "must be 1 to 64 characters of a name")
	}
	if len(d.Content) > f.maxContent {
		return service.Written{}, &model.Error{Kind: model.TooLarge, Field: "/content", Message: "is too large"}
	}
	o.Store = cmp.Or(o.Store, f.store)
	if o.IdempotencyKey != "" {
		if k, known := f.keys[o.IdempotencyKey]; known {
			if k.fingerprint != o.Fingerprint {
				return service.Written{}, &model.Error{Kind: model.KeyReused, Message: "the key belongs to another request"}
			}
			w := k.written
			w.Replayed = true
			return w, nil
		}
	}
	if d.ID == 0 {
		f.minted++
		d.ID = f.minted
	}
	w, err := f.write(d, op, create, o)
	if err == nil && o.IdempotencyKey != "" && w.Item.Version != 0 { // a deletion of nothing stores nothing
		f.keys[o.IdempotencyKey] = keyed{fingerprint: o.Fingerprint, written: w}
	}
	return w, err
}

func (f *fake) write(d service.Draft, op model.Op, create bool, o service.WriteOptions) (service.Written, error) {
	old, exists := f.items[d.ID]
	exists = exists && !old.Deleted
	w := service.Written{Store: o.Store, Item: model.Item{ID: d.ID}}
	if o.Store == model.StoreDelayed {
		w.Durability = "memory"
	}
	switch {
	case create && exists:
		return w, &model.Error{Kind: model.Conflict, Field: "/id", Message: "an item with this ID exists"}
	case o.Cond.Absent && exists, o.Cond.Exists && !exists,
		len(o.Cond.Match) > 0 && (!exists || !slices.Contains(o.Cond.Match, old.Version)):
		return w, &model.Error{Kind: model.PreconditionFailed, Message: "the item has another version"}
	case op == model.OpPut && old.ID != 0 && old.AuthorID != d.AuthorID:
		return w, &model.Error{Kind: model.Conflict, Field: "/author_id", Message: "the item belongs to another author"}
	case op == model.OpDelete && !exists:
		return w, nil
	}
	f.seq++
	f.writes++
	now := seededTime.Add(time.Duration(f.seq) * time.Millisecond)
	it := model.Item{
		ID: d.ID, AuthorID: d.AuthorID, Kind: d.Kind, Content: d.Content, CreatedAt: now, UpdatedAt: now,
		Version: model.NewVersion(1, f.seq), Deleted: op == model.OpDelete,
	}
	if exists {
		it.CreatedAt = old.CreatedAt
	}
	if it.Deleted {
		it.AuthorID = old.AuthorID
	}
	f.items[d.ID] = it
	w.Item, w.Created = it, !exists
	if it.Deleted {
		w.Item, w.Created = model.Item{ID: d.ID, Version: it.Version}, false
	}
	return w, nil
}

func (f *fake) Create(ctx context.Context, d service.Draft, o service.WriteOptions) (service.Written, error) {
	if err := f.begin(ctx); err != nil {
		return service.Written{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.apply(d, model.OpPut, true, o)
}

func (f *fake) Put(ctx context.Context, d service.Draft, o service.WriteOptions) (service.Written, error) {
	if err := f.begin(ctx); err != nil {
		return service.Written{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.apply(d, model.OpPut, false, o)
}

func (f *fake) Patch(ctx context.Context, id model.ID, patch json.RawMessage, o service.WriteOptions) (service.Written, error) {
	if err := f.begin(ctx); err != nil {
		return service.Written{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	it, ok := f.items[id]
	if !ok || it.Deleted {
		return service.Written{}, &model.Error{Kind: model.NotFound, Message: "there is no such item"}
	}
	var target, change any
	if json.Unmarshal(it.Content, &target) != nil || json.Unmarshal(patch, &change) != nil {
		return service.Written{}, model.NewMalformed("", "the patch is no JSON")
	}
	merged, err := json.Marshal(mergePatch(target, change))
	if err != nil {
		return service.Written{}, err
	}
	return f.apply(service.Draft{ID: id, AuthorID: it.AuthorID, Kind: it.Kind, Content: merged}, model.OpPut, false, o)
}

// mergePatch is the algorithm of RFC 7396.
func mergePatch(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, value := range p {
		if value == nil {
			delete(t, name)
		} else {
			t[name] = mergePatch(t[name], value)
		}
	}
	return t
}

func (f *fake) Delete(ctx context.Context, id model.ID, o service.WriteOptions) (service.Written, error) {
	if err := f.begin(ctx); err != nil {
		return service.Written{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.apply(service.Draft{ID: id}, model.OpDelete, false, o)
}

func (f *fake) Batch(ctx context.Context, ops []service.BatchOp, o service.WriteOptions) []service.BatchResult {
	results := make([]service.BatchResult, len(ops))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, op := range ops {
		if err := f.begin(ctx); err != nil {
			results[i].Err = err
			continue
		}
		each := o
		each.Cond = op.Cond
		if o.IdempotencyKey != "" {
			each.IdempotencyKey += "/" + strconv.Itoa(i)
		}
		results[i].Written, results[i].Err = f.apply(op.Draft, op.Op, op.Create, each)
	}
	return results
}

func (f *fake) Evict(ctx context.Context, _ model.ID) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	return nil
}

func (f *fake) doc(id model.ID, exact bool) model.Doc {
	d := model.Doc{Tier: f.tier, Bypass: f.bypass}
	if exact {
		d.Tier = model.TierSQL
	}
	if it, ok := f.items[id]; ok && !it.Deleted {
		d.Version, d.Body = it.Version, it.AppendJSON(nil)
	}
	return d
}

func (f *fake) Get(ctx context.Context, id model.ID, exact bool) (model.Doc, error) {
	if err := f.begin(ctx); err != nil {
		return model.Doc{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doc(id, exact), nil
}

func (f *fake) GetMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error) {
	docs, errs := make([]model.Doc, len(ids)), make([]error, len(ids))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, id := range ids {
		if errs[i] = f.begin(ctx); errs[i] == nil {
			docs[i] = f.doc(id, exact)
		}
	}
	return docs, errs
}

// List takes "before-<id>" for a cursor and nothing else.
func (f *fake) List(ctx context.Context, q service.ListQuery) (service.Page, error) {
	if err := f.begin(ctx); err != nil {
		return service.Page{}, err
	}
	before := model.ID(1<<63 - 1)
	if q.Cursor != "" {
		text, ok := strings.CutPrefix(q.Cursor, "before-")
		id, err := model.ParseID(text)
		if !ok || err != nil {
			return service.Page{}, model.NewMalformed("cursor", "is not a cursor of this list")
		}
		before = id
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	page := service.Page{Bypass: f.bypass}
	for _, it := range f.items {
		if !it.Deleted && it.ID < before && slices.Contains(q.Authors, it.AuthorID) {
			page.Items = append(page.Items, it)
		}
	}
	slices.SortFunc(page.Items, func(a, b model.Item) int { return int(b.ID - a.ID) })
	if len(page.Items) > q.Limit {
		page.Items = page.Items[:q.Limit]
		page.NextCursor = "before-" + page.Items[q.Limit-1].ID.String()
	}
	return page, nil
}

func (f *fake) MayExist(ctx context.Context, id model.ID) (bool, error) {
	if err := f.begin(ctx); err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	it, ok := f.items[id]
	return ok && !it.Deleted, nil
}

func (f *fake) Mint(ctx context.Context, count int, key, fingerprint string) ([]model.ID, bool, error) {
	if err := f.begin(ctx); err != nil {
		return nil, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, known := f.keys[key]; known {
		if k.fingerprint != fingerprint {
			return nil, false, &model.Error{Kind: model.KeyReused, Message: "the key belongs to another request"}
		}
		return k.ids, true, nil
	}
	ids := make([]model.ID, count)
	for i := range ids {
		f.minted++
		ids[i] = f.minted
	}
	f.writes++
	if key != "" {
		f.keys[key] = keyed{fingerprint: fingerprint, ids: ids}
	}
	return ids, false, nil
}

func (f *fake) Describe(id model.ID) service.IDParts {
	ms := int64(id) >> 22
	return service.IDParts{
		ID: id, Timestamp: time.UnixMilli(ms + 1704067200000).UTC(), Node: int(id>>12) & 1023, Sequence: int(id) & 4095,
	}
}

func (f *fake) Ready(context.Context) []handlers.Check { return f.checks }

// content returns the content of an item as it is stored.
func (f *fake) content(id model.ID) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.items[id].Content)
}
