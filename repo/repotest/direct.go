package repotest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var directTests = []test{
	{"Direct/Outcomes", directOutcomes},
	{"Direct/VersionsOfAnEpoch", directVersions},
	{"Direct/P3_RepeatsHaveOneEffect", directRepeats},
	{"Direct/OneCreatorWins", oneCreator},
	{"Direct/BadValueIsInvalid", directBadValue},
	{"Direct/Fence", directFence},
	{"Direct/P1_ClaimEndsAnEpoch", claimEndsEpoch},
	{"Direct/Remember", remembers},
}

// atSQL returns shard 0 of one for items, whose home is SQL.
func atSQL(t *testing.T, r Repo) model.Shard {
	t.Helper()
	if err := r.Shards.Init(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	return open(t, r, model.Claim{Home: model.HomeSQL}, true)
}

// at is the time of the n-th write of a test.
func at(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }

// base is the first version of an epoch.
func base(epoch int64) model.Version { return model.NewVersion(epoch, 0) }

// put is a write of an item by author 5.
func put(id model.ID, n int) *model.Write {
	return &model.Write{ID: id, AuthorID: 5, Kind: "post", Content: fmt.Appendf(nil, `{"n":%d}`, n), At: at(n)}
}

func with(w *model.Write, change func(*model.Write)) *model.Write {
	change(w)
	return w
}

func matching(w *model.Write, v ...model.Version) *model.Write {
	return with(w, func(w *model.Write) { w.Cond.Match = v })
}

func absent(w *model.Write) *model.Write {
	return with(w, func(w *model.Write) { w.Cond.Absent = true })
}

func exists(w *model.Write) *model.Write {
	return with(w, func(w *model.Write) { w.Cond.Exists = true })
}

func by(author model.ID, w *model.Write) *model.Write {
	return with(w, func(w *model.Write) { w.AuthorID = author })
}

// remove is a deletion of item 1.
func remove(n int) *model.Write {
	return &model.Write{ID: 1, Op: model.OpDelete, At: at(n)}
}

func withKey(w *model.Write, key, fingerprint string) *model.Write {
	return with(w, func(w *model.Write) { w.IdempotencyKey, w.Fingerprint = key, fingerprint })
}

// outcomeCase is a write, and what it must be answered.
type outcomeCase struct {
	name  string
	write *model.Write
	want  model.WriteResult
}

// outcomeCases write item 1 again and again; b is the first version. The time of each write is its place
// in the list.
func outcomeCases(b model.Version) []outcomeCase {
	refused := func(o model.Outcome, v model.Version) model.WriteResult {
		return model.WriteResult{ID: 1, Outcome: o, Version: v, Committed: true}
	}
	done := func(v model.Version, created, updated int) model.WriteResult {
		return model.WriteResult{
			ID: 1, Outcome: model.OutcomeApplied, Version: v,
			CreatedAt: at(created), UpdatedAt: at(updated), Created: created == updated, Committed: true,
		}
	}
	again := func(res model.WriteResult) model.WriteResult {
		res.Replayed = true
		return res
	}
	const condFailed, unchanged, conflict, reused = model.OutcomeCondFailed, model.OutcomeUnchanged, model.OutcomeAuthorConflict, model.OutcomeKeyReused
	return []outcomeCase{
		{"delete what never was", remove(0), refused(unchanged, 0)},
		{"replace what never was", exists(put(1, 1)), refused(condFailed, 0)},
		{"match what never was", matching(put(1, 2), b), refused(condFailed, 0)},
		{"a refused write leaves its key alone", withKey(exists(put(1, 3)), "k", "f"), refused(condFailed, 0)},
		{"create", withKey(absent(put(1, 4)), "k", "f"), done(b, 4, 4)},
		{"repeat", withKey(absent(put(9, 5)), "k", "f"), again(done(b, 4, 4))},
		{"reuse the key", withKey(put(1, 6), "k", "g"), refused(reused, 0)},
		{"reuse the key with a longer fingerprint", withKey(put(1, 7), "k", "ff"), refused(reused, 0)},
		{"create again", absent(put(1, 8)), refused(condFailed, b)},
		{"replace somebody else's", by(6, put(1, 9)), refused(conflict, 0)},
		{"replace", put(1, 10), done(b+1, 4, 10)},
		{"match an old version", matching(put(1, 11), b), refused(condFailed, b+1)},
		{"match one of several", matching(put(1, 12), b, b+1), done(b+2, 4, 12)},
		{"replace what exists", exists(put(1, 13)), done(b+3, 4, 13)},
		{"delete an old version", matching(remove(14), b), refused(condFailed, b+3)},
		{"delete", withKey(matching(remove(15), b+3), "d", "f"), done(b+4, 4, 15)},
		{"repeat the deletion", withKey(matching(remove(16), b+3), "d", "f"), again(done(b+4, 4, 15))},
		{"delete again", remove(17), refused(unchanged, b+4)},
		{"delete what exists", exists(remove(18)), refused(condFailed, 0)},
		{"match a tombstone", matching(put(1, 19), b+4), refused(condFailed, 0)},
		{"create somebody else's tombstone", by(6, absent(put(1, 20))), refused(conflict, 0)},
		{"create once more", absent(put(1, 21)), done(b+5, 21, 21)},
		{"repeat the first creation", withKey(absent(put(1, 22)), "k", "f"), again(done(b, 4, 4))},
	}
}

func directOutcomes(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	for n, tc := range outcomeCases(base(sh.Epoch)) {
		before, err := r.Feeds.Get(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		tc.write.At = tc.write.At.Add(999 * time.Microsecond) // which is not stored
		got, err := r.Direct.Write(t.Context(), 0, sh.Epoch, tc.write)
		if err != nil || got != tc.want {
			t.Fatalf("%s:\n got %+v, %v\nwant %+v", tc.name, got, err, tc.want)
		}
		if want := after(before, tc.write, got); want.Version != 0 {
			wantItem(t, r, want)
		}
		if got.Outcome == model.OutcomeApplied && !got.Replayed && got.UpdatedAt != at(n) {
			t.Errorf("%s: updated at %v", tc.name, got.UpdatedAt)
		}
	}
	if got, err := r.Feeds.Get(t.Context(), 9); err != nil || got.Version != 0 {
		t.Errorf("a repeat made another item: %+v, %v", got, err)
	}
}

// after returns the item as it must be after a write: a tombstone keeps author and kind.
func after(it model.Item, w *model.Write, res model.WriteResult) model.Item {
	if res.Outcome != model.OutcomeApplied || res.Replayed {
		return it
	}
	it.ID, it.Version, it.CreatedAt, it.UpdatedAt, it.Deleted = w.ID, res.Version, res.CreatedAt, res.UpdatedAt, w.Op == model.OpDelete
	it.Content = w.Content
	if w.Op == model.OpPut {
		it.AuthorID, it.Kind = w.AuthorID, w.Kind
	}
	return it
}

// The versions of each epoch are above those of all before it.
func directVersions(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	store(t, r, item(1, 5, 7), item(2, 5, base(sh.Epoch)+41), tombstone(3, 5, 7))
	want := map[model.ID]model.Version{1: base(sh.Epoch), 2: base(sh.Epoch) + 42, 3: base(sh.Epoch), 4: base(sh.Epoch)}
	for range 2 {
		for id, v := range want {
			if got, err := r.Direct.Write(t.Context(), 0, sh.Epoch, put(id, 0)); err != nil || got.Version != v {
				t.Errorf("item %d in epoch %d: %+v, %v; want version %d", id, sh.Epoch, got, err, v)
			}
		}
		sh = open(t, r, model.Claim{Epoch: sh.Epoch, Home: model.HomeSQL}, true)
		want = map[model.ID]model.Version{1: base(sh.Epoch), 2: base(sh.Epoch), 3: base(sh.Epoch), 4: base(sh.Epoch)}
	}
}

func directRepeats(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	var mu sync.Mutex
	results := make(map[model.WriteResult]int)
	var g errgroup.Group
	for n := range 100 {
		g.Go(func() error {
			got, err := r.Direct.Write(t.Context(), 0, sh.Epoch, withKey(put(model.ID(n+1), n), "k", "f"))
			mu.Lock()
			defer mu.Unlock()
			results[got]++
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	items, err := r.Feeds.ListByAuthors(t.Context(), []model.ID{5}, 0, 100)
	if err != nil || len(items) != 1 || len(results) != 2 {
		t.Fatalf("100 repeats made %d items and the answers %v, %v", len(items), results, err)
	}
	for res, n := range results {
		if res.ID != items[0].ID || res.Version != items[0].Version || res.Replayed != (n == 99) {
			t.Errorf("%d repeats were told %+v", n, res)
		}
	}
}

func oneCreator(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	var created atomic.Int32
	var g errgroup.Group
	for n := range 32 {
		g.Go(func() error {
			got, err := r.Direct.Write(t.Context(), 0, sh.Epoch, absent(put(1, n)))
			switch {
			case err != nil:
				return err
			case got.Outcome == model.OutcomeApplied && got.Created:
				created.Add(1)
			case got.Outcome != model.OutcomeCondFailed || got.Version != base(sh.Epoch):
				return fmt.Errorf("the answer is %+v", got)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := created.Load(); n != 1 {
		t.Errorf("%d writers created one item", n)
	}
}

// A value that SQL refuses is told from trouble that passes, and nothing is kept of it.
func directBadValue(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	bad := withKey(put(1, 0), "k", "f")
	bad.Kind = "no\x00text"
	if got, err := r.Direct.Write(t.Context(), 0, sh.Epoch, bad); model.KindOf(err) != model.Invalid {
		t.Errorf("a bad value: %+v, %v", got, err)
	}
	if got, err := r.Direct.Write(t.Context(), 0, sh.Epoch, withKey(put(1, 0), "k", "g")); err != nil || !got.Created {
		t.Errorf("a good one after it: %+v, %v", got, err)
	}
}

// directCalls makes one call of each method, under the key "k", and returns their errors.
func directCalls(t *testing.T, r Repo, shard int, epoch int64) map[string]error {
	t.Helper()
	_, write := r.Direct.Write(t.Context(), shard, epoch, withKey(put(1, 0), "k", "f"))
	_, count := r.Direct.Count(t.Context(), shard, epoch, []model.Count{{Counter: likes("s"), N: 1, IdempotencyKey: "k"}})
	_, _, remember := r.Direct.Remember(t.Context(), shard, epoch, "k", []byte("f"))
	return map[string]error{"Write": write, "Count": count, "Remember": remember}
}

func directFence(t *testing.T, r Repo) {
	for s, home := range []string{model.HomeSQL, "h", model.HomeSQL, "h"} {
		if s == 0 {
			opened(t, r, 4)
		}
		open(t, r, model.Claim{Shard: s, Epoch: 1, Home: home}, s < 2)
	}
	for _, tc := range []struct {
		name  string
		shard int
		epoch int64
	}{
		{"an ended epoch", 0, 1},
		{"an epoch to come", 0, 3},
		{"no such shard", 7, 2},
		{"at Redis", 1, 2},
		{"on the way to SQL", 2, 2},
		{"on the way to Redis", 3, 2},
	} {
		for method, err := range directCalls(t, r, tc.shard, tc.epoch) {
			if !errors.Is(err, model.ErrMoved) {
				t.Errorf("%s, %s: %v", tc.name, method, err)
			}
		}
		if got, err := r.Feeds.Get(t.Context(), 1); err != nil || got.Version != 0 {
			t.Errorf("%s: the item is %+v, %v", tc.name, got, err)
		}
		wantTotals(t, r, "s", nil)
		if record, ok, err := r.Keys.Recall(t.Context(), tc.shard, "k"); err != nil || ok {
			t.Errorf("%s: the key is known with %q, %v", tc.name, record, err)
		}
	}
	if got, err := r.Direct.Write(t.Context(), 0, 2, put(1, 0)); err != nil || !got.Created {
		t.Errorf("where the home is SQL: %+v, %v", got, err)
	}
}

// However the two meet: what a claim has not waited for does not happen. The load never pauses, which must
// not keep the claim from coming through.
func claimEndsEpoch(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	for range 10 {
		var g errgroup.Group
		var answered atomic.Int64
		for range 6 {
			g.Go(func() error {
				for {
					got, err := r.Direct.Count(t.Context(), 0, sh.Epoch, []model.Count{{Counter: likes("s"), N: 1}})
					if errors.Is(err, model.ErrMoved) {
						return nil
					}
					if err != nil || got[0].Outcome != model.OutcomeApplied {
						return fmt.Errorf("%+v, %w", got, err)
					}
					answered.Add(1)
				}
			})
		}
		for deadline := time.Now().Add(20 * time.Second); answered.Load() < 10; <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the writers do not come on")
			}
		}
		next := open(t, r, model.Claim{Epoch: sh.Epoch, Home: model.HomeSQL}, false)
		before, err := r.Counters.Totals(t.Context(), 0, []string{"s"})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		wantTotals(t, r, "s", before.Values["s"])
		if _, err := r.Claims.Confirm(t.Context(), []model.Shard{next}); err != nil {
			t.Fatal(err)
		}
		sh = next
	}
}

func remembers(t *testing.T, r Repo) {
	sh := atSQL(t, r)
	for _, result := range [][]byte{[]byte("text"), {0, 0xff, '\\'}, []byte(`\x00`), {}} {
		key := fmt.Sprintf("%x", result)
		for n := range 3 {
			offered := result
			if n > 0 {
				offered = []byte("another")
			}
			stored, replayed, err := r.Direct.Remember(t.Context(), 0, sh.Epoch, key, offered)
			if err != nil || !bytes.Equal(stored, result) || replayed != (n > 0) {
				t.Errorf("call %d: %q, %v, %v; want %q", n, stored, replayed, err, result)
			}
		}
		if record, ok, err := r.Keys.Recall(t.Context(), 0, key); err != nil || !ok || record != string(result) {
			t.Errorf("recalled %q, %v, %v; want %q", record, ok, err, result)
		}
	}
	var first atomic.Int32
	var g errgroup.Group
	for range 20 {
		g.Go(func() error {
			_, replayed, err := r.Direct.Remember(t.Context(), 0, sh.Epoch, "k", []byte("f"))
			if !replayed {
				first.Add(1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || first.Load() != 1 {
		t.Errorf("%d of 20 were the first, %v", first.Load(), err)
	}
}
