package queue

import (
	"context"
	"fmt"
	"testing"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

func change(op model.CountOp, subject, metric string, n int64) model.Count {
	return model.Count{Counter: model.Counter{Subject: subject, Metric: metric}, Op: op, N: n}
}

func add(subject, metric string, n int64) model.Count {
	return change(model.CountAdd, subject, metric, n)
}

func set(subject, metric string, n int64) model.Count {
	return change(model.CountSet, subject, metric, n)
}

func remove(subject, metric string) model.Count {
	return change(model.CountRemove, subject, metric, 0)
}

func withKey(c model.Count, key, fingerprint string) model.Count {
	c.IdempotencyKey, c.Fingerprint = key, fingerprint
	return c
}

// count makes changes, and returns what became of each.
func (r *rig) count(counts ...model.Count) []string {
	r.t.Helper()
	results, errs := r.counts.Count(r.t.Context(), counts)
	texts := make([]string, len(counts))
	for i, res := range results {
		texts[i] = fmt.Sprintf("%d", res.Value)
		switch {
		case errs[i] != nil:
			texts[i] = errs[i].Error()
		case res.Outcome == model.OutcomeOutOfRange:
			texts[i] = fmt.Sprintf("range %d", res.Value)
		case res.Outcome == model.OutcomeTooManyMetrics:
			texts[i] = "many"
		case res.Outcome == model.OutcomeKeyReused:
			texts[i] = "reused"
		case res.Outcome != model.OutcomeApplied:
			texts[i] = fmt.Sprintf("outcome %d", res.Outcome)
		case !res.Known:
			texts[i] = "unknown"
		}
		if res.Replayed {
			texts[i] = "again " + texts[i]
		}
	}
	return texts
}

func (r *rig) wantCounts(want []string, counts ...model.Count) {
	r.t.Helper()
	if got := r.count(counts...); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		r.t.Errorf("got %q, want %q", got, want)
	}
}

func TestCountEveryOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled, func(sql *memory) {
		sql.counters[model.Counter{Subject: "a", Metric: "likes"}] = 40
		for i := range model.MaxMetrics {
			sql.counters[model.Counter{Subject: "full", Metric: fmt.Sprintf("m%d", i)}] = 1
		}
	})
	r.wantCounts([]string{"42", "-7", "7", "0", "5", "range 7", "many", "2"},
		add("a", "likes", 2), add("a", "views", -7), set("a", "views", 7), remove("a", "likes"), add("b", "likes", 5),
		add("a", "views", model.MaxCount), add("full", "more", 1), add("full", "m0", 1))
	r.wantCounts([]string{"12", "again 12", "reused"},
		withKey(add("a", "views", 5), "key", "print"), withKey(add("a", "views", 5), "key", "print"), withKey(add("a", "views", 6), "key", "prin"))
	if n := r.journal.Len(); n != 7 { // what was refused or repeated changed nothing
		t.Errorf("%d changes in the journal", n)
	}
	if err := r.counterRound(); err != nil {
		t.Fatal(err)
	}
	for metric, want := range map[string]int64{"likes": 0, "views": 12} {
		if got := r.sql.counters[model.Counter{Subject: "a", Metric: metric}]; got != want {
			t.Errorf("%s is stored as %d, want %d", metric, got, want)
		}
	}
}

// counterRound drains the counters once.
func (r *rig) counterRound() error {
	return r.counters.round(r.t.Context(), []int{counterShard})
}

// Sets and removals are journaled as the differences that they made: their sum is what counts.
func TestP1_JournalOfChangesAddsUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled, func(sql *memory) { sql.counters[model.Counter{Subject: "a", Metric: "likes"}] = 40 })
	r.wantCounts([]string{"41", "-9", "0", "3", "again 3"},
		add("a", "likes", 1), set("a", "likes", -9), remove("a", "likes"), withKey(add("a", "likes", 3), "key", "print"),
		withKey(add("a", "likes", 3), "key", "print"))
	r.loseRedis()
	if got := r.sql.counters[model.Counter{Subject: "a", Metric: "likes"}]; got != 3 {
		t.Errorf("stored as %d", got)
	}
	r.wantCounts([]string{"7"}, add("a", "likes", 4)) // in SQL
	r.returnRedis()
	repeat := withKey(add("a", "likes", 3), "key", "print")
	r.wantCounts([]string{"again 3", "reused", "8", "9"},
		repeat, withKey(add("a", "likes", 4), "key", "other"), withKey(add("a", "likes", 1), "new", "print"), add("a", "likes", 1))
	if results, _ := r.counts.Count(t.Context(), []model.Count{repeat}); !results[0].Committed {
		t.Errorf("repeat: %+v", results[0])
	}
}

// While SQL is away, what is in no cache may be added to, and nothing else.
func TestP7_ColdCountersAreAddedToWhileSQLIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled, func(sql *memory) { sql.counters[model.Counter{Subject: "a", Metric: "likes"}] = 40 })
	r.wantCounts([]string{"1"}, add("hot", "likes", 1))
	r.sql.away.Store(true)
	cold := "not attempted: the counter is in no cache, and the database is out of reach"
	r.wantCounts([]string{"unknown", cold, cold, "unknown", "2", "unknown"},
		add("a", "likes", 1), set("a", "likes", 7), remove("b", "likes"), add("a", "likes", 1), add("hot", "likes", 1), add("b", "views", 1))
	r.wantCounts([]string{cold, cold}, add("a", "likes", model.MaxCount), add("c", "likes", model.MaxCount+1))
	r.sql.away.Store(false)
	r.wantCounts([]string{"43", "2"}, add("a", "likes", 1), add("b", "views", 1))
}

// A key that Redis does not know is not counted under before SQL was asked.
func TestP4_KeysThatCannotBeLookedUpAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	r.loseRedis()
	r.returnRedis()
	r.sql.away.Store(true)
	_, errs := r.counts.Count(t.Context(), []model.Count{withKey(add("a", "likes", 1), "key", "print"), add("a", "likes", 1)})
	wantError(t, errs[0], model.Unavailable, "the database is away")
	if errs[1] != nil {
		t.Errorf("without a key: %v", errs[1])
	}
	w := keyed(1, `"x"`, "k", "p")
	_, err := r.producer.Write(t.Context(), &w)
	wantError(t, err, model.Unavailable, "the database is away")
	if n := r.journal.Len(); n != 1 {
		t.Errorf("%d writes in the journal", n)
	}
}

func TestCountManyInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	var counts []model.Count
	for i := range 3*countChunk + 7 {
		counts = append(counts, add(fmt.Sprintf("s%d", i%5), "likes", 1))
	}
	counts = append(counts, set("s0", "likes", 1000), add("s0", "likes", 1))
	results, errs := r.counts.Count(t.Context(), counts)
	for i, res := range results {
		want := int64(i/5 + 1)
		if i >= len(counts)-2 {
			want = 1000 + int64(i-len(counts)+2)
		}
		if errs[i] != nil || res.Value != want || !res.Known || res.Version == 0 {
			t.Fatalf("change %d: %+v, %v; want %d", i, res, errs[i], want)
		}
	}
	r.start()
	if err := r.counts.AwaitCount(t.Context(), "s0", results[len(results)-1].Version); err != nil {
		t.Error(err)
	}
	if n := r.sql.counters[model.Counter{Subject: "s0", Metric: "likes"}]; n != 1001 {
		t.Errorf("stored as %d", n)
	}
	r.eventually("the journal is empty", func() bool {
		r.journal.Trim()
		return r.journal.Len() == 0 && r.journal.Bytes() == 0
	})
}

// Each change of a batch has its own error, whichever shards they are of.
func TestCountSaysOfEachChangeWhatFailed(t *testing.T) {
	t.Parallel()
	space := keyspace.New(64)
	c := NewCounts(Config{}, CountsDeps{Space: space, Table: shards.NewTable(space)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	counts, shardsOf := make([]model.Count, 1000), make(map[int]int)
	for i := range counts {
		counts[i] = add(fmt.Sprint("s", i), "likes", 1)
		shardsOf[space.ShardOfSubject(counts[i].Subject)]++
	}
	results, errs := c.Count(ctx, counts)
	if len(results) != len(counts) || len(errs) != len(counts) || len(shardsOf) < 2 {
		t.Fatalf("%d results, %d errors, %d shards", len(results), len(errs), len(shardsOf))
	}
	for _, err := range errs {
		wantError(t, err, model.Unavailable, "waiting for the queue")
	}
	if results, errs := c.Count(ctx, nil); len(results) != 0 || len(errs) != 0 {
		t.Errorf("of nothing: %v, %v", results, errs)
	}
}
