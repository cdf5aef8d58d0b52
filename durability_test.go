package zmsg_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func TestP1_SyncWriteIsInSQLWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	for i := range 30 {
		r := []*replica{a, b}[i%2]
		id := newID()
		res := r.mustPut(t, id, 7, textN(i), stored)
		if got := w.sql(t, id); got.version != res.Item.Version || got.content != fmt.Sprintf("%q", textN(i)) {
			t.Fatalf("answered %s, SQL holds %+v", res.Item.Version, got)
		}
		r.mustDelete(t, id, stored)
		if got := w.sql(t, id); !got.deleted {
			t.Fatalf("deleted, SQL holds %+v", got)
		}
	}
}

func TestP1_DelayedWritesReachSQL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	want := map[model.ID]model.Version{}
	for i := range 500 {
		id := newID()
		want[id] = []*replica{a, b}[i%2].mustPut(t, id, 7, textN(i), delayed).Item.Version
	}
	w.awaitDrained(t)
	for id, v := range want {
		if got := w.sql(t, id); got.version != v {
			t.Fatalf("%s: acknowledged %s, SQL holds %+v", id, v, got)
		}
	}
}

// Every line of the drain at which it can fail fails now and then. Nothing is lost, nothing is applied
// twice, and what a failed round has left is completed.
func TestP1_DrainFailingAnywhereLosesAndDoublesNothing(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	for _, point := range []string{"drain.before_commit", "drain.after_commit", "drain.before_release", "drain.before_trim"} { //nolint:paralleltest // as above
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.open(t), w.open(t)
			var hits atomic.Int64
			failpoint.Set(t, point, func() error {
				if hits.Add(1)%3 == 0 {
					return errors.New("injected")
				}
				return nil
			})
			want := writeALot(t, a, b, 300)
			w.awaitDrained(t)
			if hits.Load() < 3 {
				t.Fatalf("the point was reached %d times", hits.Load())
			}
			w.verify(t, want, a, b)
		})
	}
}

// written is what a test's client knows of an item after its last acknowledged write.
type written struct {
	text    string // "" if deleted
	version model.Version
}

// writeALot creates, updates and deletes items through both replicas, sync and delayed, each item by one
// of several concurrent clients.
func writeALot(t *testing.T, a, b *replica, items int) map[model.ID]written {
	t.Helper()
	var mu sync.Mutex
	want := make(map[model.ID]written)
	var group sync.WaitGroup
	const clients = 8
	for c := range clients {
		group.Go(func() {
			for i := c; i < items; i += clients {
				r := []*replica{a, b}[i%2]
				opts := delayed
				if i%5 == 0 {
					opts = stored
				}
				id := newID()
				last := written{text: textN(i)}
				res, err := r.Feeds.Put(t.Context(), draft(id, 7, last.text), opts)
				if err == nil && i%3 == 0 {
					last.text = textN(-i)
					res, err = r.Feeds.Put(t.Context(), draft(id, 7, last.text), opts)
				}
				if err == nil && i%7 == 0 {
					last.text = ""
					res, err = r.Feeds.Delete(t.Context(), id, opts)
				}
				if err != nil {
					t.Errorf("write %d: %v", i, err)
					return
				}
				last.version = res.Item.Version
				mu.Lock()
				want[id] = last
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return want
}

// verify compares what was acknowledged with SQL and with both replicas.
func (w *world) verify(t *testing.T, want map[model.ID]written, replicas ...*replica) {
	t.Helper()
	for id, last := range want {
		got := w.sql(t, id)
		if got.version != last.version || got.deleted != (last.text == "") {
			t.Errorf("%s: acknowledged %+v, SQL holds %+v", id, last, got)
		}
		for _, r := range replicas {
			if text := r.text(t, id, true); text != last.text {
				t.Errorf("%s: acknowledged %q, read %q", id, last.text, text)
			}
		}
	}
	if n := w.count(t, "SELECT count(*) FROM feeds"); n != int64(len(want)) {
		t.Errorf("SQL holds %d rows, %d items were written", n, len(want))
	}
}

func TestP1_IdempotentCreateHasOneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	for _, store := range []model.Store{model.StoreSync, model.StoreDelayed} {
		opts := service.WriteOptions{Store: store, IdempotencyKey: fmt.Sprintf("key-%d", store), Fingerprint: "f1"}
		results := make([]service.Written, 20)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() {
				var err error
				results[i], err = []*replica{a, b}[i%2].Feeds.Create(t.Context(), draft(0, 7, "once"), opts)
				if err != nil {
					t.Errorf("create: %v", err)
				}
			})
		}
		group.Wait()
		first := 0
		for _, r := range results {
			if !r.Replayed {
				first++
			}
			if r.Item.ID != results[0].Item.ID || r.Item.Version != results[0].Item.Version {
				t.Errorf("got %s@%s and %s@%s", r.Item.ID, r.Item.Version, results[0].Item.ID, results[0].Item.Version)
			}
		}
		if first != 1 {
			t.Errorf("%d requests say that they were the first", first)
		}
		opts.Fingerprint = "f2"
		if _, err := a.Feeds.Create(t.Context(), draft(0, 7, "other"), opts); model.KindOf(err) != model.KeyReused {
			t.Errorf("another request with the key: %v", err)
		}
	}
	w.awaitDrained(t)
	if n := w.count(t, "SELECT count(*) FROM feeds"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// One key belongs to one request, wherever the items of two requests live and whichever comes first. 0
// stands for a new ID.
func TestKeyOfAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	cases := [][2]model.ID{{0, 0}}
	for range 8 { // of 64 shards most IDs miss the key's
		cases = append(cases, [2]model.ID{0, newID()}, [2]model.ID{newID(), 0}, [2]model.ID{newID(), newID()})
	}
	for i, ids := range cases {
		opts := service.WriteOptions{Store: model.StoreDelayed, IdempotencyKey: fmt.Sprintf("key-%d", i), Fingerprint: "f1"}
		first, err := a.Feeds.Create(t.Context(), draft(ids[0], 7, "first"), opts)
		if err != nil {
			t.Fatalf("create %s: %v", ids[0], err)
		}
		opts.Fingerprint = "f2"
		if _, err := b.Feeds.Create(t.Context(), draft(ids[1], 7, "second"), opts); model.KindOf(err) != model.KeyReused {
			t.Errorf("%s, then %s with the key: %v", ids[0], ids[1], err)
		}
		opts.Fingerprint = "f1"
		again, err := b.Feeds.Create(t.Context(), draft(ids[0], 7, "first"), opts)
		if err != nil || !again.Replayed || again.Item.ID != first.Item.ID || again.Item.Version != first.Item.Version {
			t.Errorf("%s again: %+v, %v", ids[0], again, err)
		}
	}
	w.awaitDrained(t)
	if n := w.count(t, "SELECT count(*) FROM feeds"); n != int64(len(cases)) {
		t.Errorf("%d rows after %d creations", n, len(cases))
	}
}

// Clients that write at the same time share transactions.
func TestSyncWritersShareCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	const clients, each = 64, 20
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for i := range each {
				if _, err := a.Feeds.Put(t.Context(), draft(newID(), 7, textN(c*each+i)), stored); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	group.Wait()
	commits := a.metric(t, "zmsg_queue_commits_total")
	t.Logf("%d writes, %.0f transactions", clients*each, commits)
	if commits > clients*each/4 {
		t.Errorf("%d writes took %.0f transactions", clients*each, commits)
	}
}

func TestContentComesBackByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	for _, content := range []string{
		`{"b" : 1,  "a":1.0e+05 , "esc":"\u00e9\ud83d\ude00\u0000\/"}`, `null`, `"x"`, `-0`, `1E400`, `[ ]`, "{\n\t\"k\":[1,2 ,3]}", `"\ud800"`, `""`, `{"":""}`,
	} {
		for _, opts := range []service.WriteOptions{stored, delayed} {
			id := newID()
			d := service.Draft{ID: id, AuthorID: 7, Content: json.RawMessage(content)}
			if _, err := a.Feeds.Put(t.Context(), d, opts); err != nil {
				t.Fatalf("%s: %v", content, err)
			}
			for range 2 { // from L2, then from SQL
				doc, err := b.Feeds.Get(t.Context(), id, true)
				if err != nil {
					t.Fatal(err)
				}
				var got struct{ Content json.RawMessage }
				if err := json.Unmarshal(doc.Body, &got); err != nil {
					t.Fatalf("%s: %v", doc.Body, err)
				}
				if string(got.Content) != content {
					t.Errorf("sent %s, got %s from %s", content, got.Content, doc.Tier)
				}
				w.awaitDrained(t)
				w.evictAll(t)
			}
		}
	}
}

func TestTombstonesAreRemovedAfterTheirRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t, "ZMSG_IDEMPOTENCY_TTL=1s", "ZMSG_TOMBSTONE_RETENTION=2s", "ZMSG_TOMBSTONE_PERIOD=50ms")
	id := newID()
	a.mustPut(t, id, 7, "x", stored)
	began := time.Now()
	a.mustDelete(t, id, stored)
	eventually(t, 20*time.Second, "the row is gone", func() bool { return w.sql(t, id).version == 0 })
	if age := time.Since(began); age < 2*time.Second-time.Millisecond { // times are kept in milliseconds
		t.Errorf("the row went after %v", age)
	}
	w.evictAll(t)
	if got := a.text(t, id, true); got != "" {
		t.Errorf("read %q", got)
	}
	a.mustPut(t, id, 8, "again", stored) // the ID is free again, for another author too
	if got := a.text(t, id, false); got != "again" {
		t.Errorf("read %q", got)
	}
}

// A deleted item is another author's neither to a replica that started later nor after everything that
// may be evicted is gone: its tombstone still says whose it was.
func TestDeletedItemKeepsItsAuthorAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.open(t)
	id := newID()
	first.mustPut(t, id, 7, "x", stored)
	first.mustDelete(t, id, stored)
	first.close(t)
	w.evictAll(t)
	second := w.open(t)
	eventually(t, 10*time.Second, "the filter is complete", func() bool {
		return second.metric(t, "zmsg_cache_bloom_complete_shards") == testShards
	})
	if _, err := second.Feeds.Put(t.Context(), draft(id, 8, "theirs"), stored); model.KindOf(err) != model.Conflict {
		t.Errorf("another author's put: %v", err)
	}
	second.mustPut(t, id, 7, "again", stored)
	if got := second.text(t, id, false); got != "again" {
		t.Errorf("read %q", got)
	}
}

func unavailable(err error) bool { return model.KindOf(err) == model.Unavailable }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
