package zmsg_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// keyed are requests under one idempotency key, and their first answers.
type keyed struct {
	key              string
	author, given    model.ID
	counter          model.Counter
	created, put     service.Written
	added            service.CountWritten
	delta            int64
	store            model.Store
	otherFingerprint service.WriteOptions
}

func newKeyed(name string, store model.Store) *keyed {
	k := &keyed{key: name, author: newID(), given: newID(), delta: 5, store: store}
	k.counter = model.Counter{Subject: "post:" + k.given.String(), Metric: "likes"}
	k.otherFingerprint = service.WriteOptions{Store: store, IdempotencyKey: name, Fingerprint: "other"}
	return k
}

func (k *keyed) options() service.WriteOptions {
	return service.WriteOptions{Store: k.store, IdempotencyKey: k.key, Fingerprint: "f"}
}

// send makes all requests once.
func (k *keyed) send(t *testing.T, r *replica) (created, put service.Written, added service.CountWritten) {
	t.Helper()
	var err error
	if created, err = r.Feeds.Create(t.Context(), draft(0, k.author, "made"), k.options()); err != nil {
		t.Fatalf("%s: create: %v", k.key, err)
	}
	if put, err = r.Feeds.Put(t.Context(), draft(k.given, k.author, "put"), k.options()); err != nil {
		t.Fatalf("%s: put: %v", k.key, err)
	}
	added, err = r.Counters.Increment(t.Context(), k.counter, k.delta, service.CountOptions{Store: k.store, IdempotencyKey: k.key})
	if err != nil {
		t.Fatalf("%s: increment: %v", k.key, err)
	}
	return created, put, added
}

// make sends the requests for the first time.
func (k *keyed) make(t *testing.T, r *replica) {
	t.Helper()
	k.created, k.put, k.added = k.send(t, r)
	if k.created.Replayed || k.put.Replayed || k.added.Replayed || !k.added.Known || k.added.Value != k.delta {
		t.Fatalf("%s is said to be a repeat: %+v, %+v, %+v", k.key, k.created, k.put, k.added)
	}
}

// repeat sends them again: the first answers come back, nothing is done, and other requests are refused the
// key.
func (k *keyed) repeat(t *testing.T, when string, replicas ...*replica) {
	t.Helper()
	for n, r := range replicas {
		created, put, added := k.send(t, r)
		if !created.Replayed || created.Item.ID != k.created.Item.ID || created.Item.Version != k.created.Item.Version {
			t.Errorf("%s, replica %d: the creation of %s: first %+v, again %+v", when, n, k.key, k.created, created)
		}
		if !put.Replayed || put.Item.Version != k.put.Item.Version {
			t.Errorf("%s, replica %d: the put of %s: first %+v, again %+v", when, n, k.key, k.put, put)
		}
		if !added.Replayed || added.Value != k.added.Value {
			t.Errorf("%s, replica %d: the increment of %s: first %+v, again %+v", when, n, k.key, k.added, added)
		}
		if _, err := r.Feeds.Create(t.Context(), draft(0, k.author, "other"), k.otherFingerprint); model.KindOf(err) != model.KeyReused {
			t.Errorf("%s, replica %d: another creation with the key %s: %v", when, n, k.key, err)
		}
		_, err := r.Counters.Increment(t.Context(), k.counter, k.delta+1, service.CountOptions{Store: k.store, IdempotencyKey: k.key})
		if model.KindOf(err) != model.KeyReused {
			t.Errorf("%s, replica %d: another increment with the key %s: %v", when, n, k.key, err)
		}
		if got, err := r.Counters.Get(t.Context(), k.counter); err != nil || got != k.delta {
			t.Errorf("%s, replica %d: the counter of %s is %d, %v", when, n, k.key, got, err)
		}
	}
}

// What was done under a key before Redis was lost is not done again while it is away, or after, whatever is
// left of its memory; nor what was done while it was away.
func TestP9_IdempotencyAcrossTheChange(t *testing.T) {
	t.Parallel()
	for name, appendOnly := range map[string]bool{"WithItsFile": true, "Empty": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: appendOnly})}
			a, b := w.open(t), w.open(t)
			atSQL := func(want float64) func() bool {
				return func() bool {
					return a.metric(t, "zmsg_shards_at_sql") == want && b.metric(t, "zmsg_shards_at_sql") == want && !a.down("shards") && !b.down("shards")
				}
			}
			var all []*keyed
			more := func(name string) {
				for n, store := range []model.Store{model.StoreSync, model.StoreDelayed} {
					k := newKeyed(fmt.Sprintf("%s %d", name, n), store)
					k.make(t, []*replica{a, b}[n])
					all = append(all, k)
				}
			}
			repeat := func(when string) {
				for _, k := range all {
					k.repeat(t, when, a, b)
				}
			}
			more("at first")
			for _, round := range []string{"first", "second"} {
				must(t, w.redis.Kill())
				eventually(t, 20*time.Second, "the shards are in SQL", atSQL(allShards))
				repeat("during the " + round + " loss")
				more("during the " + round + " loss")
				repeat("during the " + round + " loss")
				must(t, w.redis.Start(t.Context()))
				eventually(t, 20*time.Second, "the shards are in Redis", atSQL(0))
				repeat("after the " + round + " loss")
				more("after the " + round + " loss")
				repeat("after the " + round + " loss")
			}
			w.awaitDrained(t)
			if n := w.count(t, "SELECT count(*) FROM feeds"); n != int64(2*len(all)) {
				t.Errorf("%d rows of %d creations and puts", n, 2*len(all))
			}
			if n := w.count(t, "SELECT sum(value) FROM counters"); n != 5*int64(len(all)) {
				t.Errorf("the counters sum up to %d after %d increments of 5", n, len(all))
			}
		})
	}
}
