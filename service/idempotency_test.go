package service_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// Whichever two bodies come with one key, in whichever order: the second is refused, the first may be
// repeated. The IDs cover every shard, the key's own among them, and 0 stands for a new one.
func TestFeeds_KeyOfAnotherCreationIsRefused(t *testing.T) {
	t.Parallel()
	for first := range model.ID(shards + 1) {
		for second := range model.ID(shards + 1) {
			s := newStore()
			f := newFeeds(s)
			create := func(id model.ID, fingerprint string) (service.Written, error) {
				return f.Create(t.Context(), draft(id, 1, `1`), service.WriteOptions{IdempotencyKey: "k", Fingerprint: fingerprint})
			}
			made, err := create(first, "one")
			must(t, made, err)
			if _, err = create(second, "two"); model.KindOf(err) != model.KeyReused {
				t.Errorf("ID %d, then %d: %v", first, second, err)
			}
			again, err := create(first, "one")
			if must(t, again, err); !again.Replayed || again.Item.ID != made.Item.ID || again.Item.Version != made.Item.Version {
				t.Errorf("ID %d: first %+v, again %+v", first, made, again)
			}
			if n := len(s.live()); n != 1 {
				t.Errorf("ID %d, then %d: %d items", first, second, n)
			}
		}
	}
}

// The ID belongs to what a request says, whatever fingerprint a caller gives.
func TestFeeds_KeyOfAnotherIDIsRefusedWithoutFingerprint(t *testing.T) {
	t.Parallel()
	for first := range model.ID(shards + 1) {
		f := newFeeds(newStore())
		opts := service.WriteOptions{IdempotencyKey: "k"}
		w, err := f.Create(t.Context(), draft(first, 1, `1`), opts)
		must(t, w, err)
		for second := range model.ID(shards + 1) {
			if second == first {
				continue
			}
			if _, err := f.Create(t.Context(), draft(second, 1, `1`), opts); model.KindOf(err) != model.KeyReused {
				t.Errorf("ID %d, then %d: %v", first, second, err)
			}
		}
	}
}

func TestFeeds_KeyOfAnotherWriteIsRefused(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*service.Feeds, model.ID, service.WriteOptions) error{
		"put": func(f *service.Feeds, id model.ID, o service.WriteOptions) error {
			_, err := f.Put(t.Context(), draft(id, 1, `{}`), o)
			return err
		},
		"patch": func(f *service.Feeds, id model.ID, o service.WriteOptions) error {
			_, err := f.Patch(t.Context(), id, []byte(`{"a":1}`), o)
			return err
		},
		"delete": func(f *service.Feeds, id model.ID, o service.WriteOptions) error {
			_, err := f.Delete(t.Context(), id, o)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFeeds(newStore())
			for id := range model.ID(shards) {
				w, err := f.Put(t.Context(), draft(id+1, 1, `{}`), sync1)
				must(t, w, err)
			}
			if err := write(f, 1, service.WriteOptions{IdempotencyKey: "k", Fingerprint: "one"}); err != nil {
				t.Fatal(err)
			}
			for id := range model.ID(shards) {
				err := write(f, id+1, service.WriteOptions{IdempotencyKey: "k", Fingerprint: "two"})
				if model.KindOf(err) != model.KeyReused {
					t.Errorf("of ID 1, then of %d: %v", id+1, err)
				}
			}
		})
	}
}

// Only a key and a given ID in another shard cost a round trip of their own.
func TestFeeds_CommonCreationsAskForNoKey(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	for i := range 20 {
		w, err := f.Create(t.Context(), draft(0, 1, `1`), service.WriteOptions{IdempotencyKey: fmt.Sprint(i), Fingerprint: "f"})
		must(t, w, err)
		w, err = f.Create(t.Context(), draft(model.ID(i+1), 1, `1`), sync1)
		must(t, w, err)
	}
	if s.remembered != 0 {
		t.Errorf("%d round trips for keys", s.remembered)
	}
}

func TestFeeds_KeyThatCannotBeClaimedWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.rememberErr = context.DeadlineExceeded
	f := newFeeds(s)
	opts := service.WriteOptions{IdempotencyKey: "k", Fingerprint: "f"}
	failed := 0
	for id := range model.ID(shards) {
		if _, err := f.Create(t.Context(), draft(id+1, 1, `1`), opts); err != nil {
			wantErr(t, err, model.Unavailable, "")
			failed++
		}
	}
	if failed != shards-1 {
		t.Errorf("%d creations failed, all but the one in the key's shard should", failed)
	}
	for _, r := range f.Batch(t.Context(), []service.BatchOp{put(100, 1, `1`)}, opts) {
		wantErr(t, r.Err, model.Unavailable, "")
	}
	if len(s.writes) != 1 {
		t.Errorf("%d writes went out", len(s.writes))
	}
}

func TestFeeds_KeyOfAnotherBatchFailsAllOfIt(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	opts := service.WriteOptions{IdempotencyKey: "k", Fingerprint: "one"}
	for _, r := range f.Batch(t.Context(), []service.BatchOp{put(1, 1, `1`)}, opts) {
		must(t, r.Written, r.Err)
	}
	var ops []service.BatchOp
	for id := range model.ID(2 * shards) {
		ops = append(ops, put(id+1, 1, `2`))
	}
	opts.Fingerprint = "two"
	for _, r := range f.Batch(t.Context(), ops, opts) {
		wantErr(t, r.Err, model.KeyReused, "")
	}
	if len(s.writes) != 1 {
		t.Errorf("%d writes went out", len(s.writes))
	}
}
