package zmsg_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// damage puts an entry into a shard's stream that no replica has written.
func (w *world) damage(t *testing.T, s int, fields ...string) {
	t.Helper()
	space, c := keyspace.New(testShards), w.client(t)
	epoch, err := c.HGet(t.Context(), space.Meta(s), "epoch").Int64()
	must(t, err)
	seq, err := c.HIncrBy(t.Context(), space.Meta(s), "seq", 1).Result()
	must(t, err)
	id := keyspace.StreamID(model.NewVersion(epoch, seq))
	must(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: space.Queue(s), ID: id, Values: fields}).Err())
}

// Entries that cannot be read become dead letters. Whatever else is in their shards goes on.
func TestP7_DamagedEntriesHoldUpNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t, fastFlush), w.open(t, fastFlush)
	const s = 3
	space := keyspace.New(testShards)
	item, author, likes := newID(), newID(), model.Counter{Subject: "post:1", Metric: "likes"}
	for space.Shard(item) != s {
		item = newID()
	}
	a.mustPut(t, item, author, "before", stored)
	a.mustAdd(t, likes, 1, model.StoreSync)
	release := w.hold(t, "feeds, counters")
	a.mustPut(t, item, author, "after", delayed)
	b.mustAdd(t, likes, 2, model.StoreDelayed)
	w.damage(t, s, "v"+item.String(), "not a record")
	w.damage(t, s, "nonsense", "\xff\x00")
	w.damage(t, space.ShardOfSubject(likes.Subject), "i", "post:1|likes|a lot|1000|")
	release()
	w.awaitDrained(t)
	eventually(t, takeoverPatience, "the missed events are made up for", func() bool { return a.ready() && b.ready() })
	list := a.letters(t)
	if len(list) != 3 {
		t.Fatalf("dead letters %+v", list)
	}
	for _, l := range list {
		if l.Kind != "entry" || l.Reason == "" || l.Code != "" || l.Write.Raw == "" {
			t.Errorf("dead letter %+v", l)
		}
		wantKind(t, "retry of what cannot be read", b.DeadLetters.Retry(t.Context(), l.ID), model.Invalid)
		if err := b.DeadLetters.Discard(t.Context(), l.ID); err != nil {
			t.Errorf("discard: %v", err)
		}
	}
	wantText(t, item, "after", a, b)
	wantCount(t, likes, 3, a, b)
	a.mustPut(t, item, author, "on", stored)
	b.mustAdd(t, likes, 4, model.StoreSync)
	wantText(t, item, "on", b, a)
	wantCount(t, likes, 7, a, b)
	if list := a.letters(t); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}

// Redis goes with a bad row in its queue. If its replica is gone, too, the next opener finds the row in the file;
// else the replica that had queued it brings it to SQL, and if the file comes back after that, the row is not
// found a second time.
func TestP7_BadRowsOfALostRedis(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	for name, lost := range map[string]struct{ replicas, file bool }{ //nolint:paralleltest // as above
		"Leftovers": {replicas: true}, "Journal": {file: true}, "JournalThenLeftovers": {},
	} {
		t.Run(name, func(t *testing.T) {
			var closed atomic.Bool
			failpoint.Set(t, "drain.before_commit", func() error {
				if closed.Load() {
					return errors.New("injected")
				}
				return nil
			})
			var leftovers atomic.Int64
			failpoint.Set(t, "leftovers.before_commit", func() error {
				leftovers.Add(1)
				return nil
			})
			w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: true, Args: []string{"--appendfsync", "always"}})}
			a, b := w.open(t, fastFlush), w.open(t, fastFlush)
			bad, author := newID(), newID()
			count := model.Counter{Subject: "post:9", Metric: capped}
			a.mustPut(t, bad, author, "before", stored)
			a.mustAdd(t, count, 90, model.StoreSync)
			w.exec(t, refuseItems, refuseAbove)
			closed.Store(true)
			want := putAll(t, 200, author, func(int) bool { return false }, a, b)
			want[bad] = "before"
			a.mustPut(t, bad, author, poison, delayed)
			b.mustAdd(t, count, 20, model.StoreDelayed)
			b.mustAdd(t, count, 3, model.StoreDelayed)
			if lost.replicas {
				a.close(t)
				b.close(t)
			}
			must(t, w.redis.Kill())
			closed.Store(false)
			if lost.replicas {
				must(t, w.redis.Start(t.Context()))
				a, b = w.open(t, fastFlush), w.open(t, fastFlush)
			} else {
				w.awaitHome(t, "home = 'sql'")
			}
			if !lost.file {
				must(t, w.redis.Start(t.Context()))
				w.awaitHome(t, "home <> 'sql'")
			}
			if found := leftovers.Load() > 0; found == lost.file {
				t.Errorf("an opener has found the queue: %v", found)
			}
			w.checkBadRows(t, want, bad, count, a, b)
		})
	}
}

// awaitHome waits until all shards are ready at a home.
func (w *world) awaitHome(t *testing.T, condition string) {
	t.Helper()
	eventually(t, 20*time.Second, condition, func() bool {
		return w.count(t, "SELECT count(*) FROM shards WHERE ready AND "+condition) == allShards
	})
}

// checkBadRows checks that everything has arrived but two bad rows, of which there is one dead letter each.
func (w *world) checkBadRows(t *testing.T, want map[model.ID]string, bad model.ID, count model.Counter, a, b *replica) {
	t.Helper()
	eventually(t, 20*time.Second, "all but the bad rows have arrived", func() bool {
		return w.count(t, "SELECT count(*) FROM feeds") == int64(len(want)) && w.counters(t)[count] == 93 &&
			w.count(t, "SELECT count(*) FROM shards WHERE ready") == allShards
	})
	w.wantTexts(t, want)
	for _, r := range []*replica{a, b} {
		eventually(t, 20*time.Second, "the replica answers", func() bool {
			_, err := r.Feeds.Get(t.Context(), bad, true)
			_, err2 := r.Counters.Get(t.Context(), count)
			return err == nil && err2 == nil
		})
		wantText(t, bad, "before", r)
		wantCount(t, count, 93, r)
	}
	list := a.letters(t)
	kinds := make([]string, len(list))
	for i, l := range list {
		kinds[i] = l.Kind
	}
	if slices.Sort(kinds); !slices.Equal(kinds, []string{"counter", "item"}) {
		t.Errorf("dead letters %+v", list)
	}
	w.exec(t, takeItems, takeAll)
	for _, l := range list {
		eventually(t, 20*time.Second, "the retry is possible", func() bool { // shards may still move
			err := b.DeadLetters.Retry(t.Context(), l.ID)
			return err == nil || model.KindOf(err) == model.NotFound
		})
	}
	wantText(t, bad, poison, a, b)
	wantCount(t, count, 113, a, b)
	if list := a.letters(t); len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}
