package repotest

import (
	"fmt"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

var keyTests = []test{
	{"Keys/OneRowForShardAndRound", oneRowOfKeys},
	{"Keys/RecallsNewest", recallsNewest},
	{"Keys/Expire", expiresKeys},
	{"Keys/ExpireFlushed", forgetsFlushed},
}

func keyed(w model.Queued, key, record string) model.Queued {
	w.Key, w.Record = key, record
	return w
}

func wantKey(t *testing.T, r Repo, shard int, key, want string) {
	t.Helper()
	got, ok, err := r.Keys.Recall(t.Context(), shard, key)
	if err != nil || got != want || ok != (want != "") {
		t.Errorf("Recall of %q in shard %d: %q, %v, %v; want %q", key, shard, got, ok, err, want)
	}
}

func oneRowOfKeys(t *testing.T, r Repo) {
	s := opened(t, r, 3)
	for round := model.Version(1); round <= 2; round++ {
		b := &model.Batch{}
		for _, sh := range state(t, r) {
			b.Advances = append(b.Advances, move(sh, round))
		}
		for i := range 300 {
			w := puts(item(model.ID(i+1), 1, round))[0]
			if w.Shard = i % 2; i%2 == 1 {
				w = change(1, round, "s", fmt.Sprint(i), 1)
			}
			b.Writes = append(b.Writes, keyed(w, fmt.Sprintf("key %d of %d", i, round), fmt.Sprintf("fp|%d|%d", i, round)))
		}
		b.Writes = append(b.Writes, change(2, round, "s", "m", 1)) // without a key
		if refused := apply(t, r, b); refused != nil {
			t.Fatal(refused)
		}
		if rows := r.SQL(t, "SELECT count(*) FROM idempotency"); rows != int64(2*round) {
			t.Errorf("%d rows after round %d, want one for each shard with keys", rows, round)
		}
	}
	wantKey(t, r, 0, "key 298 of 1", "fp|298|1")
	wantKey(t, r, 1, "key 7 of 2", "fp|7|2")
	wantKey(t, r, 0, "key 7 of 2", "") // of another shard
	wantKey(t, r, 1, "nobody's", "")
	wantKey(t, r, len(s)+7, "key 7 of 2", "")
}

// A key that Redis has forgotten may be used again while SQL still knows it.
func recallsNewest(t *testing.T, r Repo) {
	opened(t, r, 1)
	for _, record := range []string{"first", "second", "third"} {
		count(t, r, keyed(change(0, 1, "s", "m", 1), "k", record), keyed(change(0, 2, "s", "m", 1), record, "x"))
	}
	wantKey(t, r, 0, "k", "third")
	// What no client sends, a damaged entry may hold.
	count(t, r, keyed(change(0, 3, "s", "m", 1), "\x00\xff", "\xfe"))
	wantKey(t, r, 0, "\x00\xff", "\uFFFD")
	wantTotals(t, r, "s", map[string]int64{"m": 7})
}

func expiresKeys(t *testing.T, r Repo) {
	opened(t, r, 1)
	const old = 2100 // more than are removed at once
	r.SQL(t, `INSERT INTO idempotency (shard, at, keys, records)
		SELECT 0, now() - interval '1 hour', ARRAY['old' || n], ARRAY['x'] FROM generate_series(1, $1::int) AS n`, old)
	count(t, r, keyed(change(0, 1, "s", "m", 1), "young", "record"))
	wantKey(t, r, 0, "old7", "x")
	n, err := r.Keys.Expire(t.Context(), time.Now().Add(-time.Minute))
	if err != nil || n != old {
		t.Errorf("Expire: %d rows, %v; want %d", n, err, old)
	}
	wantKey(t, r, 0, "old7", "")
	wantKey(t, r, 0, "young", "record")
}

// The note of a flush is needed until the position has passed it.
func forgetsFlushed(t *testing.T, r Repo) {
	s := opened(t, r, 2)
	apply(t, r, &model.Batch{Advances: []model.Advance{move(s[0], 5)}})
	r.SQL(t, "INSERT INTO flushed (shard, version) VALUES (0, 4), (0, 5), (0, 6), (1, 1)")
	if n, err := r.Keys.Expire(t.Context(), noon); err != nil || n != 2 {
		t.Errorf("Expire: %d, %v; want 2", n, err)
	}
	if n := r.SQL(t, "SELECT count(*) FROM flushed WHERE (shard, version) IN ((0, 6), (1, 1))"); n != 2 {
		t.Errorf("%d notes are left of those that are needed, want 2", n)
	}
}
