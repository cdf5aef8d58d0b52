package service_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shards = 16

func shardOf(id model.ID) int { return int(id) % shards }

func shardOfKey(key string) int { return int(key[0]+key[1]) % shards }

// store is all that the service works with, in memory: versions, conditions, authors and idempotency
// keys as the real one has them, with a queue that is committed only when somebody awaits it.
type store struct {
	mu        sync.Mutex
	items     map[model.ID]model.Item
	keys      map[int]map[string]kept // by shard, as a key is only found where it was stored
	seq       model.Version
	committed model.Version
	nextID    model.ID
	writes    []model.Write
	awaited   int // writes queued when the first Await came

	remembered int // calls of Remember

	notReady    map[model.Store]error
	busy        bool                     // delayed writes turn into synchronous ones
	atSQL       bool                     // writes are committed at once
	beforeWrite func(*model.Write) error // runs outside the lock
	awaitErr    error
	rememberErr error
}

// kept is what is stored under a key: bytes that begin with a fingerprint, and of a write its result.
type kept struct {
	text   string
	result model.WriteResult
}

func newStore() *store {
	return &store{
		items: map[model.ID]model.Item{}, keys: map[int]map[string]kept{},
		nextID: 1000, notReady: map[model.Store]error{},
	}
}

var clock = time.Date(2026, 5, 4, 3, 2, 1, 987654321, time.FixedZone("elsewhere", 3600))

func newFeeds(s *store) *service.Feeds {
	return service.NewFeeds(service.FeedsDeps{
		Reader: s, Evictor: s, Writer: s, Minter: s, Results: s, ShardOf: shardOf, ShardOfKey: shardOfKey,
		Now:    func() time.Time { return clock },
		Config: service.Config{MaxContentBytes: 200},
	})
}

func (s *store) Write(_ context.Context, w *model.Write) (model.WriteResult, error) {
	if s.beforeWrite != nil {
		if err := s.beforeWrite(w); err != nil {
			return model.WriteResult{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, *w)
	shard := shardOf(w.ID)
	if k, known := s.keys[shard][w.IdempotencyKey]; known && w.IdempotencyKey != "" {
		if !strings.HasPrefix(k.text, w.Fingerprint) {
			return model.WriteResult{Outcome: model.OutcomeKeyReused}, nil
		}
		if k.result.ID == 0 {
			return model.WriteResult{}, &model.Error{Message: "what is stored is no result of a write"}
		}
		k.result.Replayed = true
		return k.result, nil
	}
	res := s.apply(w)
	if res.Committed = s.atSQL; s.atSQL {
		s.committed = s.seq
	}
	if res.Outcome == model.OutcomeApplied && w.IdempotencyKey != "" {
		s.keep(shard, w.IdempotencyKey, kept{w.Fingerprint + "|", res})
	}
	return res, nil
}

func (s *store) keep(shard int, key string, k kept) {
	if s.keys[shard] == nil {
		s.keys[shard] = map[string]kept{}
	}
	s.keys[shard][key] = k
}

func (s *store) apply(w *model.Write) model.WriteResult {
	cur := s.items[w.ID]
	exists := cur.Version != 0 && !cur.Deleted
	c := w.Cond
	matches := exists && slices.Contains(c.Match, cur.Version)
	switch {
	case c.Absent && exists, c.Exists && !exists, len(c.Match) > 0 && !matches:
		return model.WriteResult{ID: w.ID, Outcome: model.OutcomeCondFailed, Version: cur.Version}
	case w.Op == model.OpDelete && !exists:
		return model.WriteResult{ID: w.ID, Outcome: model.OutcomeUnchanged, Version: cur.Version}
	case w.Op == model.OpPut && cur.Version != 0 && cur.AuthorID != w.AuthorID:
		return model.WriteResult{ID: w.ID, Outcome: model.OutcomeAuthorConflict}
	}
	s.seq++
	next := model.Item{
		ID: w.ID, AuthorID: w.AuthorID, Kind: w.Kind, Content: w.Content,
		CreatedAt: w.At, UpdatedAt: w.At, Version: s.seq, Deleted: w.Op == model.OpDelete,
	}
	if exists {
		next.AuthorID, next.CreatedAt = cur.AuthorID, cur.CreatedAt
	}
	s.items[w.ID] = next
	return model.WriteResult{
		ID: w.ID, Outcome: model.OutcomeApplied, Version: s.seq, Created: !exists,
		CreatedAt: next.CreatedAt, UpdatedAt: next.UpdatedAt,
	}
}

func (s *store) Await(ctx context.Context, _ model.ID, v model.Version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaited == 0 {
		s.awaited = len(s.writes)
	}
	if s.awaitErr != nil {
		return s.awaitErr
	}
	s.committed = max(s.committed, v)
	return ctx.Err()
}

func (s *store) Ready(store model.Store) (model.Store, error) {
	if s.busy {
		return model.StoreSync, s.notReady[model.StoreSync]
	}
	return store, s.notReady[store]
}

func (s *store) Durability() string { return "fsync" }

func (s *store) Mint(_ context.Context, n int) ([]model.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]model.ID, n)
	for i := range ids {
		s.nextID++
		ids[i] = s.nextID
	}
	return ids, nil
}

func (s *store) Remember(_ context.Context, key string, result []byte) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remembered++
	if s.rememberErr != nil {
		return nil, false, s.rememberErr
	}
	shard := shardOfKey(key)
	if first, known := s.keys[shard][key]; known {
		return []byte(first.text), true, nil
	}
	s.keep(shard, key, kept{text: string(result)})
	return result, false, nil
}

func (s *store) Current(_ context.Context, id model.ID) (model.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items[id], nil
}

func (s *store) Get(ctx context.Context, id model.ID, _ bool) (model.Doc, error) {
	item, err := s.Current(ctx, id)
	if err != nil || item.Version == 0 || item.Deleted {
		return model.Doc{}, err
	}
	return model.Doc{Body: item.AppendJSON(nil), Version: item.Version, Tier: model.TierSQL}, nil
}

func (s *store) GetMany(ctx context.Context, ids []model.ID, exact bool) ([]model.Doc, []error) {
	docs, errs := make([]model.Doc, len(ids)), make([]error, len(ids))
	for i, id := range ids {
		docs[i], errs[i] = s.Get(ctx, id, exact)
	}
	return docs, errs
}

func (s *store) List(_ context.Context, authors []model.ID, before model.ID, limit int, _ bool) (model.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.IsSorted(authors) {
		return model.Page{}, &model.Error{Message: "authors are not sorted"}
	}
	var found []model.Item
	for _, it := range s.items {
		if !it.Deleted && slices.Contains(authors, it.AuthorID) && (before == 0 || it.ID < before) {
			found = append(found, it)
		}
	}
	slices.SortFunc(found, func(a, b model.Item) int { return int(b.ID - a.ID) })
	return model.Page{Items: found[:min(limit, len(found))], More: len(found) > limit}, nil
}

func (s *store) MayExist(_ context.Context, id model.ID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.items[id]
	return ok, nil
}

func (s *store) Evict(context.Context, model.ID) error { return nil }

// live returns the items that are not deleted.
func (s *store) live() map[model.ID]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[model.ID]string{}
	for id, it := range s.items {
		if !it.Deleted {
			all[id] = string(it.AppendJSON(nil))
		}
	}
	return all
}

func draft(id, author model.ID, content string) service.Draft {
	return service.Draft{ID: id, AuthorID: author, Content: json.RawMessage(content)}
}

var (
	sync1   = service.WriteOptions{Store: model.StoreSync}
	delayed = service.WriteOptions{Store: model.StoreDelayed}
)

// wantErr fails unless err is of the kind and names the field.
func wantErr(t *testing.T, err error, kind model.Kind, field string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want kind %d of field %q", kind, field)
	}
	if model.KindOf(err) != kind || (field != "" && !strings.HasPrefix(err.Error(), field+": ")) {
		t.Fatalf("error %q of kind %d, want kind %d of field %q", err, model.KindOf(err), kind, field)
	}
}

func must(t *testing.T, w service.Written, err error) service.Written {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return w
}
