package zmsg_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// orphans are writes that Redis has taken, and whose answers were lost: no replica knows them.
type orphans struct {
	created, deleted, author model.ID
	added, set, removed      model.Counter
}

// send makes all of the writes, or repeats them. Only those that need one to be known again have a key.
func (o *orphans) send(t *testing.T, r *replica) []error {
	t.Helper()
	ctx := t.Context()
	keyed := delayed
	keyed.IdempotencyKey, keyed.Fingerprint = "create", "print"
	_, created := r.Feeds.Create(ctx, draft(o.created, o.author, "created"), keyed)
	_, deleted := r.Feeds.Delete(ctx, o.deleted, delayed)
	_, added := r.Counters.Increment(ctx, o.added, 3, service.CountOptions{IdempotencyKey: "add"})
	_, set := r.Counters.Set(ctx, o.set, 50, service.CountOptions{})
	_, removed := r.Counters.Remove(ctx, o.removed, service.CountOptions{})
	return []error{created, deleted, added, set, removed}
}

// want checks that each of the writes has had its effect, once.
func (o *orphans) want(t *testing.T, replicas ...*replica) {
	t.Helper()
	wantText(t, o.created, "created", replicas...)
	wantText(t, o.deleted, "", replicas...)
	wantCount(t, o.added, 10, replicas...)
	wantCount(t, o.set, 50, replicas...)
	wantCount(t, o.removed, 0, replicas...)
}

// Requests are answered after their repeat, which finds what the first attempt has left in Redis. That is all
// that is known of them when Redis is lost, but the replica that answered must stand by its word.
func TestP9_AnsweredRepeatsOutliveRedis(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	var stopped, mute atomic.Bool
	failpoint.Set(t, "drain.before_commit", func() error {
		if stopped.Load() {
			return errors.New("SQL takes nothing now")
		}
		return nil
	})
	for _, point := range []string{"write.after_script", "count.after_script"} {
		failpoint.Set(t, point, func() error {
			if mute.Load() {
				return model.NewUnavailable("the answer was lost", nil)
			}
			return nil
		})
	}
	for name, file := range map[string]bool{"Empty": false, "WithItsFile": true} { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			w := &world{dsn: testenv.DB(t), redis: testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: file})}
			a, b := w.open(t), w.open(t)
			o := orphans{created: newID(), deleted: newID(), author: newID()}
			for metric, c := range map[string]*model.Counter{"added": &o.added, "set": &o.set, "removed": &o.removed} {
				*c = model.Counter{Subject: "post:" + o.created.String(), Metric: metric}
				a.mustAdd(t, *c, 7, model.StoreSync)
			}
			a.mustPut(t, o.deleted, o.author, "to go", stored)
			stopped.Store(true)
			defer stopped.Store(false)

			mute.Store(true)
			for _, err := range o.send(t, a) {
				if !unavailable(err) {
					t.Fatalf("an answer was not lost: %v", err)
				}
			}
			mute.Store(false)
			for i, err := range o.send(t, b) {
				if err != nil {
					t.Fatalf("repeat %d: %v", i, err)
				}
			}
			must(t, w.redis.Kill())
			w.awaitHome(t, "home = 'sql'")
			eventually(t, 20*time.Second, "the replicas are ready", func() bool { return !a.down("shards") && !b.down("shards") })
			o.want(t, a, b)

			stopped.Store(false)
			must(t, w.redis.Start(t.Context()))
			w.awaitHome(t, "home <> 'sql'")
			eventually(t, 20*time.Second, "the replicas are ready", func() bool { return a.ready() && b.ready() })
			o.want(t, a, b)
			for _, err := range o.send(t, a) {
				if err != nil {
					t.Errorf("repeat in the end: %v", err)
				}
			}
			o.want(t, a, b)
			w.awaitDrained(t)
			if got := w.counters(t); got[o.added] != 10 || got[o.set] != 50 || got[o.removed] != 0 {
				t.Errorf("in SQL the counters are %v", got)
			}
		})
	}
}
