package queue

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

func TestP8_Levels(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	cfg := &Config{MaxWrites: 100, MaxBytes: 1000, MaxAge: time.Minute}
	for name, tc := range map[string]struct {
		pile   pile
		memory shards.Memory
		want   level
	}{
		"empty":               {want: levelOK},
		"writes at limit":     {pile: pile{writes: 100}, want: levelOK},
		"writes past limit":   {pile: pile{writes: 101}, want: levelBusy},
		"writes below twice":  {pile: pile{writes: 199}, want: levelBusy},
		"writes at twice":     {pile: pile{writes: 200}, want: levelFull},
		"bytes at limit":      {pile: pile{bytes: 1000}, want: levelOK},
		"bytes past limit":    {pile: pile{bytes: 1001}, want: levelBusy},
		"bytes at twice":      {pile: pile{bytes: 2000}, want: levelFull},
		"young":               {pile: pile{oldest: now.Add(-time.Minute)}, want: levelOK},
		"old":                 {pile: pile{oldest: now.Add(-time.Minute - 1)}, want: levelBusy},
		"very old":            {pile: pile{oldest: now.Add(-time.Hour)}, want: levelBusy},
		"of a faster clock":   {pile: pile{oldest: now.Add(time.Hour)}, want: levelOK},
		"memory at its limit": {memory: shards.Memory{Policy: "noeviction", Used: 90, Limit: 100}, want: levelOK},
		"memory tight":        {memory: shards.Memory{Policy: "noeviction", Used: 91, Limit: 100}, want: levelBusy},
		"memory of a cache":   {memory: shards.Memory{Policy: "volatile-lru", Used: 100, Limit: 100}, want: levelOK},
		"memory unlimited":    {memory: shards.Memory{Policy: "noeviction", Used: 1 << 40}, want: levelOK},
		"the worst counts":    {pile: pile{writes: 101, bytes: 5000}, want: levelFull},
	} {
		if got := cfg.level(tc.pile, now, tc.memory); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// The streams of all shards count, what was just written by this replica too, and nothing once SQL is the home.
func TestBacklogMeasuresAllShards(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	began := time.Now()
	for s := range itemShards {
		r.put(r.inShard(s, 0), `"x"`)
	}
	r.count(add("a", "likes", 1))
	if n, seen := r.backlog.ownWrites.Load(), r.backlog.seen.Load().total.writes; n != 5 || seen != 0 || r.backlog.ownBytes.Load() < 5 {
		t.Errorf("%d own writes, %d seen", n, seen)
	}
	r.backlog.measure(t.Context())
	total := r.backlog.seen.Load().total
	if total.writes != 5 || total.bytes < 5*50 || r.backlog.ownWrites.Load() != 0 || r.backlog.ownBytes.Load() != 0 {
		t.Errorf("measured %+v, %d own writes", total, r.backlog.ownWrites.Load())
	}
	if want := time.UnixMilli(1000); total.oldest.Sub(want).Abs() > time.Since(began)+time.Second {
		t.Errorf("oldest is of %v, want %v", total.oldest, want)
	}
	report := r.backlog.Report()
	if len(report) != testShards || report[1].Backlog != 1 || report[1].Home != "redis" || report[1].Process == "" || report[1].Epoch != 1 ||
		report[1].Drainer != "a" || report[1].Lag < time.Hour || report[1].Counters || !report[counterShard].Counters || report[1].Bytes == 0 {
		t.Errorf("reported %+v", report)
	}
	if err := r.round(0); err != nil {
		t.Fatal(err)
	}
	r.backlog.measure(t.Context())
	if n := r.backlog.seen.Load().total.writes; n != 4 {
		t.Errorf("%d writes after a round", n)
	}
	r.loseRedis()
	r.backlog.measure(t.Context())
	if total := r.backlog.seen.Load().total; total != (pile{}) {
		t.Errorf("measured %+v", total)
	}
	if report := r.backlog.Report(); report[1].Home != model.HomeSQL || !report[1].RedisOut || report[1].Process != "" {
		t.Errorf("reported %+v", report[1])
	}
}

// Redis does not answer: what was seen last counts until the shard moves.
func TestBacklogKeepsItsFiguresWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(r.inShard(0, 0), `"x"`)
	r.backlog.measure(t.Context())
	if err := r.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.redis.Resume() })
	before := r.backlog.seen.Load()
	piles := append([]pile(nil), before.shards...)
	r.backlog.look(t.Context(), piles)
	if r.table.Redis(0) != nil && piles[0] != before.shards[0] {
		t.Errorf("seen %+v, before %+v", piles[0], before.shards[0])
	}
}

// ready asks how a write may be stored, and names the answer.
func ready(b *Backlog, store model.Store) string {
	got, err := b.Ready(store)
	switch {
	case err == nil && got == model.StoreDelayed:
		return "delayed"
	case err == nil:
		return "sync"
	case model.KindOf(err) != model.Unavailable:
		return err.Error()
	}
	if e, ok := err.(*model.Error); ok && e.RetryAfter >= time.Second { //nolint:errorlint // it is what the client gets
		return "full"
	}
	return "unavailable"
}

func TestP8_WritesDegradeToSynchronousThenAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.backlog
	for _, tc := range []struct {
		writes                           int
		delayed, sync, delayed2, waiting string // delayed2 and waiting: sync ones at their limit
	}{
		{0, "delayed", "sync", "delayed", "full"},
		{1000, "delayed", "sync", "delayed", "full"},
		{1001, "sync", "sync", "full", "full"},
		{2000, "full", "full", "full", "full"},
	} {
		b.ownWrites.Store(int64(tc.writes))
		b.waiting.Store(99)
		if d, s := ready(b, model.StoreDelayed), ready(b, model.StoreSync); d != tc.delayed || s != tc.sync {
			t.Errorf("%d writes: %s and %s", tc.writes, d, s)
		}
		b.waiting.Store(100)
		if d, s := ready(b, model.StoreDelayed), ready(b, model.StoreSync); d != tc.delayed2 || s != tc.waiting {
			t.Errorf("%d writes, many wait: %s and %s", tc.writes, d, s)
		}
	}
	b.ownWrites.Store(0)
	b.waiting.Store(0)
	r.sql.away.Store(true)
	r.eventually("the database is away", r.table.SQLDown)
	if d, s := ready(b, model.StoreDelayed), ready(b, model.StoreSync); d != "delayed" || s != "unavailable" {
		t.Errorf("without SQL: %s and %s", d, s)
	}
	b.ownWrites.Store(1001)
	if d := ready(b, model.StoreDelayed); d != "full" {
		t.Errorf("without SQL a busy queue takes writes: %s", d)
	}
	b.ownWrites.Store(0)
	if err := r.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	r.eventually("Redis is away", func() bool { return r.table.RedisDown() == testShards })
	if d := ready(b, model.StoreDelayed); d != "unavailable" {
		t.Errorf("without anything: %s", d)
	}
	r.sql.away.Store(false)
	r.eventually("the database is back", func() bool { return !r.table.SQLDown() })
	if d, s := ready(b, model.StoreDelayed), ready(b, model.StoreSync); d != "delayed" || s != "sync" {
		t.Errorf("without Redis, which SQL is about to stand in for: %s and %s", d, s)
	}
}

// Writers that wait are counted, and counted off when they have their answer.
func TestP8_WaitingWritesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const most = 100 // as the rig is configured
	v := r.put(r.inShard(0, 0), `"x"`)
	waits := make(chan error, most)
	for range most {
		go func() { waits <- r.producer.Await(t.Context(), r.inShard(0, 0), v) }()
	}
	r.eventually("all wait", func() bool { return r.backlog.Waiting() == most })
	if _, err := r.producer.Ready(model.StoreSync); err == nil {
		t.Error("one more may wait")
	}
	if _, err := r.counts.Ready(model.StoreDelayed); err != nil {
		t.Errorf("delayed: %v", err)
	}
	if err := r.round(0); err != nil {
		t.Fatal(err)
	}
	for range most {
		if err := <-waits; err != nil {
			t.Error(err)
		}
	}
	if store, err := r.producer.Ready(model.StoreSync); store != model.StoreSync || err != nil {
		t.Errorf("%v, %v", store, err)
	}
}

// watched is a database that sees whether those who write to it are counted.
type watched struct {
	Direct
	b         *Backlog
	uncounted atomic.Int64
}

func (w *watched) note() {
	if w.b.Waiting() == 0 {
		w.uncounted.Add(1)
	}
}

func (w *watched) Write(ctx context.Context, shard int, epoch int64, write *model.Write) (model.WriteResult, error) {
	w.note()
	return w.Direct.Write(ctx, shard, epoch, write)
}

func (w *watched) Count(ctx context.Context, shard int, epoch int64, counts []model.Count) ([]model.CountResult, error) {
	w.note()
	return w.Direct.Count(ctx, shard, epoch, counts)
}

func (w *watched) Remember(ctx context.Context, shard int, epoch int64, key string, result []byte) ([]byte, bool, error) {
	w.note()
	return w.Direct.Remember(ctx, shard, epoch, key, result)
}

// While Redis is lost all writes wait in SQL, whatever they ask for: as many as may wait, and no more.
func TestP8_WritesToSQLAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, journaled)
	if err := r.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	r.eventually("SQL is the home", func() bool { return r.table.AtSQL() == testShards })
	sql := &watched{Direct: r.direct, b: r.backlog}
	r.producer.direct, r.counts.direct = sql, sql
	all := func() (errs []error) {
		_, err := r.producer.Write(t.Context(), &model.Write{ID: r.inShard(0, 0), AuthorID: 9, Kind: "post", Content: []byte(`"x"`)})
		_, _, err2 := r.producer.Remember(t.Context(), "key", []byte("result"))
		_, errs = r.counts.Count(t.Context(), []model.Count{add("a", "likes", 1)})
		return append(errs, err, err2)
	}
	r.backlog.waiting.Add(100) // as the rig is configured
	for _, err := range all() {
		wantError(t, err, model.Unavailable, "the queue is full")
	}
	r.backlog.waiting.Add(-100)
	for _, err := range all() {
		if err != nil {
			t.Error(err)
		}
	}
	if sql.uncounted.Load() != 0 || r.backlog.Waiting() != 0 {
		t.Errorf("%d writes were not counted, %d wait", sql.uncounted.Load(), r.backlog.Waiting())
	}
}

// The journal is trimmed and the streams are measured in the background.
func TestBacklogLooksByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(r.inShard(0, 0), `"x"`)
	if err := r.backlog.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.backlog.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if r.backlog.seen.Load().total.writes != 1 {
		t.Error("not measured at the start")
	}
	if err := r.round(0); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is noticed", func() bool { return r.journal.Len() == 0 && r.backlog.seen.Load().total.writes == 0 })
	if l := r.backlog.Level(); l != "ok" {
		t.Errorf("level %s", l)
	}
}
