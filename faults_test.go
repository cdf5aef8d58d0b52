package zmsg_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// While shards change hands a list may fail, but it never leaves a queued write out.
func TestP2_ListsNeverLeaveQueuedWritesOutWhileShardsMove(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	w := newWorld(t)
	a := w.open(t)
	author := newID()
	var held atomic.Bool
	held.Store(true)
	failpoint.Set(t, "drain.before_commit", func() error {
		if held.Load() {
			return errors.New("held")
		}
		return nil
	})
	id := newID()
	a.mustPut(t, id, author, "queued", delayed)
	var answered, refused int
	for round := range 3 {
		must(t, w.client(t).ScriptFlush(t.Context()).Err())
		for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
			page, err := a.Feeds.List(t.Context(), service.ListQuery{Authors: []model.ID{author}})
			if err != nil {
				refused++
				continue
			}
			answered++
			if len(page.Items) != 1 || page.Items[0].ID != id {
				t.Fatalf("round %d: listed %v", round, page.Items)
			}
		}
		held.Store(false) // the opening drains what is left
		a.awaitReady(t)
	}
	t.Logf("%d answered, %d refused", answered, refused)
	if answered == 0 {
		t.Error("no list was answered")
	}
}

// What another replica has done is acknowledged here too: by a deletion that finds nothing left to delete,
// and by the repeat of a write. From then on this replica must know, events or not.
func TestP2_AnswersThatRestOnWritesOfOthersAreReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	gone, author := newID(), newID()
	a.mustPut(t, gone, author, "old", stored)
	eventually(t, 10*time.Second, "b has it in L1", func() bool {
		doc, err := b.Feeds.Get(t.Context(), gone, false)
		return err == nil && doc.Tier == model.TierL1
	})
	b.cutEvents.Store(true)
	eventually(t, 10*time.Second, "the events are cut", func() bool { return b.metric(t, "zmsg_cache_event_errors_total") > 0 })
	a.mustDelete(t, gone, delayed)
	b.mustDelete(t, gone, delayed)
	if got := b.text(t, gone, false); got != "" {
		t.Errorf("read %q after an acknowledged deletion", got)
	}
	if ids := b.listed(t, false, author); len(ids) != 0 {
		t.Errorf("listed %v after an acknowledged deletion", ids)
	}

	keyed := delayed
	keyed.IdempotencyKey, keyed.Fingerprint = "key", "f"
	made, err := a.Feeds.Create(t.Context(), draft(0, author, "made"), keyed)
	must(t, err)
	again, err := b.Feeds.Create(t.Context(), draft(0, author, "made"), keyed)
	must(t, err)
	if !again.Replayed || again.Item.ID != made.Item.ID {
		t.Fatalf("the repeat made %+v", again)
	}
	if ids := b.listed(t, false, author); !slices.Equal(ids, []model.ID{made.Item.ID}) {
		t.Errorf("listed %v after the acknowledged repeat", ids)
	}
	if got := b.text(t, made.Item.ID, false); got != "made" {
		t.Errorf("read %q after the acknowledged repeat", got)
	}
}

// A Redis that is full refuses new writes, but what is queued can leave it.
func TestP8_FullRedisIsDrained(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{Args: []string{"--maxmemory", "12mb", "--maxmemory-policy", "noeviction"}})}
	a := w.open(t)
	var held atomic.Bool
	held.Store(true)
	failpoint.Set(t, "drain.before_commit", func() error {
		if held.Load() {
			return errors.New("held")
		}
		return nil
	})
	text := strings.Repeat("x", 20_000)
	queued := 0
	for {
		_, err := a.Feeds.Put(t.Context(), draft(newID(), 7, text), delayed)
		if unavailable(err) {
			break
		}
		must(t, err)
		if queued++; queued > 2000 {
			t.Fatal("Redis is never full")
		}
	}
	held.Store(false)
	w.awaitDrained(t)
	if n := w.count(t, "SELECT count(*) FROM feeds"); n < int64(queued) {
		t.Errorf("%d rows of %d acknowledged items", n, queued)
	}
}

// A Redis that hangs costs requests no more than one that refuses, once it is known to hang.
func TestP9_HangingRedisDelaysNoReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.open(t)
	author := newID()
	var ids []model.ID
	for i := range 20 {
		id := newID()
		ids = append(ids, id)
		a.mustPut(t, id, author, textN(i), stored)
	}
	must(t, w.redis.Pause())
	eventually(t, 10*time.Second, "the outage is noticed", func() bool { return a.down("redis") })
	began := time.Now()
	docs, errs := a.Feeds.GetMany(t.Context(), ids, true)
	for i := range docs {
		if errs[i] != nil || textOf(t, docs[i]) != textN(i) || docs[i].Tier != model.TierSQL {
			t.Errorf("item %d: %+v, %v", i, docs[i], errs[i])
		}
	}
	if ids := a.listed(t, false, author); len(ids) != 20 {
		t.Errorf("listed %d", len(ids))
	}
	if got := a.text(t, ids[0], true); got != textN(0) {
		t.Errorf("read %q", got)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("three reads took %v", took)
	}
	must(t, w.redis.Resume())
	a.awaitReady(t)
	a.mustPut(t, ids[0], author, "after", stored)
	if got := a.text(t, ids[0], false); got != "after" {
		t.Errorf("read %q", got)
	}
}

// A database that hangs is as good as away: what needs none goes on without a break.
func TestP10_HangingPostgreSQLInterruptsNothingThatNeedsNone(t *testing.T) {
	t.Parallel()
	pg := testenv.NewPostgres(t, testenv.PostgresOptions{})
	proxy := testenv.NewProxy(t, pg.Addr())
	w := &world{dsn: strings.Replace(pg.DSN(), pg.Addr(), proxy.Addr(), 1), redis: testenv.NewRedis(t, testenv.RedisOptions{})}
	a := w.open(t)
	eventually(t, 10*time.Second, "the filter is complete", func() bool { return a.metric(t, "zmsg_cache_bloom_complete_shards") == testShards })
	id, author := newID(), newID()
	a.mustPut(t, id, author, "cached", stored)
	proxy.Stall()
	var took []time.Duration
	for deadline := time.Now().Add(4 * time.Second); time.Now().Before(deadline); {
		if got := a.text(t, id, false); got != "cached" {
			t.Fatalf("read %q", got)
		}
		began := time.Now()
		a.mustPut(t, newID(), author, "queued", delayed)
		took = append(took, time.Since(began))
		<-time.After(5 * time.Millisecond) // or the backlog would take the rest of the test to drain
	}
	slices.Sort(took)
	if median, worst := took[len(took)/2], took[len(took)-1]; median > 100*time.Millisecond || worst > 2*time.Second {
		t.Errorf("a delayed write took %v (median), %v at worst", median, worst)
	}
	must(t, proxy.Heal())
	w.dsn = pg.DSN()
	a.awaitReady(t)
	w.awaitDrained(t)
}
