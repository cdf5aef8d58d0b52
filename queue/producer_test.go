package queue

import (
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

func keyed(id model.ID, text, key, fingerprint string) model.Write {
	return model.Write{
		ID: id, AuthorID: 9, Kind: "post", Content: []byte(text), IdempotencyKey: key, Fingerprint: fingerprint, At: time.UnixMilli(1000).UTC(),
	}
}

// What was queued when Redis went is stored by this replica; writes go to SQL, and to Redis again when it is
// back. Keys are known throughout.
func TestP4_WritesFollowTheHomeAndKeysAreKnownThroughout(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	id := r.inShard(0, 0)
	before := keyed(id, `"queued"`, "k1", "p1")
	first, err := r.producer.Write(t.Context(), &before)
	if err != nil || first.Committed || first.Version == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	r.loseRedis()
	if row, _ := r.sql.Get(t.Context(), id); row.Version != first.Version || string(row.Content) != `"queued"` {
		t.Errorf("what was queued is stored as %+v", row)
	}
	if n := r.journal.Len(); n != 0 {
		t.Errorf("%d writes are in the journal yet", n)
	}
	direct := keyed(id, `"direct"`, "k2", "p2")
	second, err := r.producer.Write(t.Context(), &direct)
	if err != nil || !second.Committed || second.Version <= first.Version {
		t.Errorf("direct write: %+v, %v", second, err)
	}
	if stored, replayed, err := r.producer.Remember(t.Context(), "r1", []byte("one")); string(stored) != "one" || replayed || err != nil {
		t.Errorf("remember: %s, %v, %v", stored, replayed, err)
	}
	r.returnRedis()
	for key, w := range map[string]model.Write{"k1": before, "k2": direct} {
		want := map[string]model.Version{"k1": first.Version, "k2": second.Version}[key]
		if res, err := r.producer.Write(t.Context(), &w); err != nil || !res.Replayed || !res.Committed || res.Version != want {
			t.Errorf("repeat of %s: %+v, %v", key, res, err)
		}
		w.Fingerprint = "other"
		if res, err := r.producer.Write(t.Context(), &w); err != nil || res.Outcome != model.OutcomeKeyReused {
			t.Errorf("reuse of %s: %+v, %v", key, res, err)
		}
	}
	if stored, replayed, err := r.producer.Remember(t.Context(), "r1", []byte("two")); err != nil {
		t.Error(err)
	} else if r.space.ShardOfKey("r1") < itemShards && (string(stored) != "one" || !replayed) {
		t.Errorf("remembered: %s, %v", stored, replayed)
	}
	if stored, replayed, err := r.producer.Remember(t.Context(), "new", []byte("x")); string(stored) != "x" || replayed || err != nil {
		t.Errorf("new result: %s, %v, %v", stored, replayed, err)
	}
	fresh := keyed(id, `"again"`, "k3", "p3")
	third, err := r.producer.Write(t.Context(), &fresh)
	if err != nil || third.Committed || third.Version <= second.Version || third.Created {
		t.Errorf("queued again: %+v, %v", third, err)
	}
}

// The transaction finds that the shard has moved: nothing was done, and the next permission is used.
func TestDirectWriteThatFindsTheShardMovedIsMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	r.loseRedis()
	r.direct.failOnce(model.ErrMoved)
	w := keyed(1, `"x"`, "", "")
	if res, err := r.producer.Write(t.Context(), &w); err != nil || !res.Committed {
		t.Errorf("%+v, %v", res, err)
	}
	r.direct.failOnce(model.ErrMoved)
	if _, _, err := r.producer.Remember(t.Context(), "key", []byte("x")); err != nil {
		t.Error(err)
	}
	r.direct.failOnce(model.ErrMoved)
	if results, errs := r.counts.Count(t.Context(), []model.Count{add("a", "likes", 2)}); errs[0] != nil || results[0].Value != 2 {
		t.Errorf("%+v, %v", results, errs)
	}
}

// A writer that waits for its commit when Redis is lost is served by the journal.
func TestP2_SynchronousWriteOutlivesTheLossOfRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	id := r.inShard(1, 0)
	v := r.put(id, `"x"`)
	results, errs := r.counts.Count(t.Context(), []model.Count{add("a", "likes", 3)})
	if errs[0] != nil {
		t.Fatal(errs)
	}
	waits := make(chan error, 2)
	go func() { waits <- r.producer.Await(t.Context(), id, v) }()
	go func() { waits <- r.counts.AwaitCount(t.Context(), "a", results[0].Version) }()
	r.eventually("both wait", func() bool { return r.backlog.Waiting() == 2 })
	r.loseRedis()
	for range 2 {
		if err := <-waits; err != nil {
			t.Error(err)
		}
	}
	if n := r.sql.counters[model.Counter{Subject: "a", Metric: "likes"}]; n != 3 {
		t.Errorf("counted %d", n)
	}
	if n := r.backlog.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// A write that SQL refuses: its writer learns of it, whoever waits for others does not.
func TestP7_AwaitTellsOfADeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled, func(sql *memory) {
		sql.refuse = func(q *model.Queued) bool { return q.Item != nil && string(q.Item.Content) == `"poison"` }
	})
	r.start()
	good, bad := r.inShard(0, 0), r.inShard(0, 1)
	vGood, vBad := r.put(good, `"x"`), r.put(bad, `"poison"`)
	wantError(t, r.producer.Await(t.Context(), bad, vBad), model.Invalid, "dead letter")
	if err := r.producer.Await(t.Context(), good, vGood); err != nil {
		t.Error(err)
	}
	if r.table.Skipped(0) < vBad {
		t.Errorf("skipped up to %d", r.table.Skipped(0))
	}
}

// So it is when the write is refused on its way from the journal.
func TestP7_AwaitTellsOfADeadLetterOfTheJournal(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled, func(sql *memory) { sql.refuse = func(*model.Queued) bool { return true } })
	id := r.inShard(2, 0)
	v := r.put(id, `"poison"`)
	r.loseRedis()
	wantError(t, r.producer.Await(t.Context(), id, v), model.Invalid, "dead letter")
}

// What went with Redis, and with the replica that knew it, is reported as unknown.
func TestAwaitOfALostWriteDoesNotSucceed(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	id := r.inShard(2, 0)
	v := r.put(id, `"x"`)
	results, _ := r.counts.Count(t.Context(), []model.Count{add("a", "likes", 3)})
	for s := range r.journal.shards { // it is another's write
		own := &r.journal.shards[s]
		own.mu.Lock()
		r.journal.dropWhile(own, func(model.Version) bool { return true })
		own.mu.Unlock()
	}
	r.loseRedis()
	wantError(t, r.producer.Await(t.Context(), id, v), model.Unavailable, "lost sight")
	wantError(t, r.counts.AwaitCount(t.Context(), "a", results[0].Version), model.Unavailable, "lost sight")
}

// Redis's memory is full: nothing is done, and the client is told when to come again.
func TestP8_FullMemoryOfRedisRefusesWritesAndDoesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	id := r.inShard(0, 0)
	r.put(id, `"x"`)
	if _, errs := r.counts.Count(t.Context(), []model.Count{add("a", "likes", 1)}); errs[0] != nil {
		t.Fatal(errs)
	}
	if _, err := r.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	w := keyed(id, `"y"`, "key", "print")
	_, err := r.producer.Write(t.Context(), &w)
	_, errs := r.counts.Count(t.Context(), []model.Count{add("a", "likes", 1)})
	_, _, err2 := r.producer.Remember(t.Context(), "other", []byte("x"))
	for _, err := range []error{err, errs[0], err2} {
		wantError(t, err, model.Unavailable, "the queue is full")
		if e, ok := err.(*model.Error); ok && e.RetryAfter < time.Second { //nolint:errorlint // it is what the client gets
			t.Errorf("retry after %v", e.RetryAfter)
		}
	}
	if n := len(r.queued(0)) + len(r.queued(counterShard)); n != 2 || r.journal.Len() != 2 {
		t.Errorf("%d are queued, %d in the journal", n, r.journal.Len())
	}
	if _, err := r.redis.Do(t.Context(), "CONFIG", "SET", "maxmemory", "0"); err != nil {
		t.Fatal(err)
	}
	if res, err := r.producer.Write(t.Context(), &w); err != nil || res.Replayed {
		t.Errorf("after: %+v, %v", res, err)
	}
}

// The repeat of a request of an earlier epoch needs no wait: its write was stored before this epoch began.
func TestRepeatOfAnEarlierEpochIsCommitted(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	w := keyed(r.inShard(0, 0), `"x"`, "key", "print")
	first, err := r.producer.Write(t.Context(), &w)
	if err != nil {
		t.Fatal(err)
	}
	count := add("a", "likes", 1)
	count.IdempotencyKey, count.Fingerprint = "count", "print"
	if _, errs := r.counts.Count(t.Context(), []model.Count{count}); errs[0] != nil {
		t.Fatal(errs)
	}
	if res, err := r.producer.Write(t.Context(), &w); err != nil || !res.Replayed || res.Committed {
		t.Errorf("repeat while it is queued: %+v, %v", res, err)
	}
	r.reopen(0)
	r.reopen(counterShard)
	res, err := r.producer.Write(t.Context(), &w)
	if err != nil || !res.Replayed || !res.Committed || res.Version != first.Version {
		t.Errorf("repeat: %+v, %v", res, err)
	}
	results, errs := r.counts.Count(t.Context(), []model.Count{count})
	if errs[0] != nil || !results[0].Replayed || !results[0].Committed {
		t.Errorf("repeat: %+v, %v", results, errs)
	}
}

func TestWriteEveryOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.inShard(0, 0)
	v := r.put(id, `"x"`)
	base := model.Write{ID: id, AuthorID: 9, Kind: "post", Content: []byte(`"y"`), At: time.UnixMilli(2000).UTC()}
	for name, tc := range map[string]struct {
		change  func(*model.Write)
		outcome model.Outcome
		version model.Version
	}{
		"condition": {func(w *model.Write) { w.Cond.Absent = true }, model.OutcomeCondFailed, v},
		"author":    {func(w *model.Write) { w.AuthorID = 8 }, model.OutcomeAuthorConflict, 0},
		"nothing":   {func(w *model.Write) { w.ID, w.Op = r.inShard(0, 1), model.OpDelete }, model.OutcomeUnchanged, 0},
	} {
		w := base
		tc.change(&w)
		res, err := r.producer.Write(t.Context(), &w)
		if err != nil || res.Outcome != tc.outcome || res.Version != tc.version {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
	if r.journal.Len() != 1 || r.producer.Durability() != r.cfg.Durability || r.counts.Durability() != r.cfg.Durability {
		t.Errorf("%d entries in the journal", r.journal.Len())
	}
	base.Op = model.OpDelete
	gone, err := r.producer.Write(t.Context(), &base)
	if err != nil || gone.Outcome != model.OutcomeApplied {
		t.Fatalf("%+v, %v", gone, err)
	}
	if res, err := r.producer.Write(t.Context(), &base); err != nil || res.Outcome != model.OutcomeUnchanged || res.Version != gone.Version {
		t.Errorf("deleted again: %+v, %v", res, err)
	}
	own := &r.journal.shards[0]
	if q := own.list[len(own.list)-1]; q.Version != gone.Version || !q.Item.Deleted || q.Item.AuthorID != 9 || q.Item.Content != nil {
		t.Errorf("journaled as %+v", q.Item)
	}
}

// Redis hangs: whether it has done what it was asked is not known, and what follows is not attempted.
func TestOutcomeIsUnknownWhenRedisDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.wantCounts([]string{"1"}, add("a", "likes", 1))
	if err := r.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.redis.Resume() })
	counts := make([]model.Count, countChunk+1)
	for i := range counts {
		counts[i] = add("a", "likes", 1)
	}
	answered := make(chan error, 2)
	go func() {
		w := keyed(r.inShard(0, 0), `"x"`, "", "")
		_, err := r.producer.Write(t.Context(), &w)
		answered <- err
	}()
	go func() {
		_, errs := r.counts.Count(t.Context(), counts)
		wantError(t, errs[countChunk], model.Unavailable, "not attempted")
		answered <- errs[0]
	}()
	for range 2 {
		wantError(t, <-answered, model.Unavailable, "outcome is unknown")
	}
	if n := r.journal.Len(); n != 1 {
		t.Errorf("%d entries in the journal", n)
	}
}
