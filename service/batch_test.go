package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func put(id, author model.ID, content string) service.BatchOp {
	return service.BatchOp{Draft: draft(id, author, content)}
}

func TestFeeds_BatchEqualsItsOperationsInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(rapid.Custom(drawOp), 0, 40).Draw(t, "ops")
		batched, single := newStore(), newStore()
		results := newFeeds(batched).Batch(t.Context(), ops, delayed)
		f := newFeeds(single)
		for i, op := range ops {
			var err error
			opts := service.WriteOptions{Store: model.StoreDelayed, Cond: op.Cond}
			switch {
			case op.Op == model.OpDelete:
				_, err = f.Delete(t.Context(), op.Draft.ID, opts)
			case op.Create:
				_, err = f.Create(t.Context(), op.Draft, opts)
			default:
				_, err = f.Put(t.Context(), op.Draft, opts)
			}
			if (err == nil) != (results[i].Err == nil) || model.KindOf(err) != model.KindOf(results[i].Err) {
				t.Fatalf("operation %d: %v in the batch, %v alone", i, results[i].Err, err)
			}
		}
		if got, want := contents(batched), contents(single); !maps.Equal(got, want) {
			t.Fatalf("the batch left %v, its operations alone %v", got, want)
		}
	})
}

// drawOp draws operations on few items, so that many meet on the same one.
func drawOp(t *rapid.T) service.BatchOp {
	op := service.BatchOp{
		Op:     rapid.SampledFrom([]model.Op{model.OpPut, model.OpPut, model.OpDelete}).Draw(t, "op"),
		Create: rapid.Bool().Draw(t, "create"),
		Draft: draft(model.ID(rapid.IntRange(1, 5).Draw(t, "id")), model.ID(rapid.IntRange(0, 2).Draw(t, "author")),
			rapid.SampledFrom([]string{`1`, `{"a":2}`, `[3]`, ``, `x`}).Draw(t, "content")),
	}
	op.Cond.Exists = rapid.Bool().Draw(t, "exists")
	return op
}

// contents returns what items hold apart from their versions, which depend on the order of workers.
func contents(s *store) map[model.ID]string {
	all := map[model.ID]string{}
	for id, body := range s.live() {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			panic(err)
		}
		delete(m, "version")
		all[id] = fmt.Sprint(m)
	}
	return all
}

func TestFeeds_BatchFailsOperationsAlone(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	results := f.Batch(t.Context(), []service.BatchOp{
		put(1, 1, `1`),
		put(2, 0, `1`),
		put(1, 2, `1`),
		{Create: true, Draft: draft(1, 1, `1`)},
		put(0, 1, `1`),
		{Op: model.OpDelete},
	}, sync1)
	must(t, results[0].Written, results[0].Err)
	wantErr(t, results[1].Err, model.Invalid, "/author_id")
	wantErr(t, results[2].Err, model.Conflict, "/author_id")
	wantErr(t, results[3].Err, model.Conflict, "/id")
	wantErr(t, results[4].Err, model.Invalid, "/id")
	wantErr(t, results[5].Err, model.Invalid, "/id")
}

func TestFeeds_BatchQueuesAllBeforeItWaits(t *testing.T) {
	t.Parallel()
	s := newStore()
	ops := make([]service.BatchOp, 300)
	for i := range ops {
		ops[i] = service.BatchOp{Create: true, Draft: draft(0, 1, `1`)}
	}
	seen := map[model.ID]bool{}
	for _, r := range newFeeds(s).Batch(t.Context(), ops, sync1) {
		it := must(t, r.Written, r.Err).Item
		seen[it.ID] = true
		if s.committed < it.Version {
			t.Errorf("%d was answered before it was committed", it.ID)
		}
	}
	if len(seen) != len(ops) || s.awaited != len(ops) {
		t.Errorf("%d items; %d writes were queued when the first was awaited", len(seen), s.awaited)
	}
}

func TestFeeds_RepeatedBatchAnswersTheFirstResults(t *testing.T) {
	t.Parallel()
	s := newStore()
	f := newFeeds(s)
	ops := []service.BatchOp{
		{Create: true, Draft: draft(0, 1, `1`)},
		{Create: true, Draft: draft(0, 1, `1`)},
		put(7, 1, `1`), put(7, 1, `2`),
	}
	opts := service.WriteOptions{IdempotencyKey: "k", Fingerprint: "f"}
	first := f.Batch(t.Context(), ops, opts)
	again := f.Batch(t.Context(), ops, opts)
	for i := range first {
		if !again[i].Written.Replayed {
			t.Errorf("operation %d was applied again", i)
		}
		again[i].Written.Replayed = false
		if !reflect.DeepEqual(first[i], again[i]) {
			t.Errorf("operation %d: %+v, then %+v", i, first[i], again[i])
		}
	}
	if n := len(s.live()); n != 3 {
		t.Errorf("%d items", n)
	}
}

func TestFeeds_BatchStopsAtAnUnknownOutcomeOfTheItem(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.beforeWrite = func(w *model.Write) error {
		if string(w.Content) == `"lost"` {
			return model.NewUnavailable("no answer", nil)
		}
		return nil
	}
	results := newFeeds(s).Batch(t.Context(), []service.BatchOp{
		put(1, 1, `1`), put(1, 1, `"lost"`), put(1, 1, `3`), put(2, 1, `1`),
	}, sync1)
	must(t, results[0].Written, results[0].Err)
	wantErr(t, results[1].Err, model.Unavailable, "")
	wantErr(t, results[2].Err, model.Unavailable, "")
	must(t, results[3].Written, results[3].Err)
	if got := string(s.items[1].Content); got != `1` {
		t.Errorf("item 1 holds %s", got)
	}
}

func TestFeeds_BatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newStore()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.beforeWrite = func(w *model.Write) error {
		if string(w.Content) == `2` {
			cancel()
		}
		return nil
	}
	results := newFeeds(s).Batch(ctx, []service.BatchOp{put(1, 1, `1`), put(1, 1, `2`), put(1, 1, `3`)}, delayed)
	must(t, results[0].Written, results[0].Err)
	must(t, results[1].Written, results[1].Err)
	wantErr(t, results[2].Err, model.Unavailable, "")
	if len(s.writes) != 2 {
		t.Errorf("%d writes went out", len(s.writes))
	}
}

func TestFeeds_BatchOfARefusedStore(t *testing.T) {
	t.Parallel()
	s := newStore()
	s.notReady[model.StoreSync] = model.NewUnavailable("no database", nil)
	for _, r := range newFeeds(s).Batch(t.Context(), []service.BatchOp{put(1, 1, `1`), put(2, 1, `1`)}, sync1) {
		wantErr(t, r.Err, model.Unavailable, "")
	}
	if len(s.writes) != 0 {
		t.Errorf("%d writes went out", len(s.writes))
	}
}
