package zmsg_test

import (
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// openBehind starts a replica that reaches Redis through a proxy.
func (w *world) openBehind(t *testing.T) (*replica, *testenv.Proxy) {
	t.Helper()
	proxy := testenv.NewProxy(t, w.redis.Addr())
	return w.open(t, "ZMSG_REDIS_ADDR="+proxy.Addr()), proxy
}

// Of two replicas one loses Redis: both go on in SQL, which both reach, until it is healed.
func TestP9_OneOfTwoReplicasIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cut, proxy := w.openBehind(t)
	e := loaded(t, w, w.open(t), cut)
	must(t, proxy.Cut())
	e.awaitInSQL(allShards)
	e.more()
	must(t, proxy.Heal())
	e.awaitInSQL(0)
	e.more()
	e.wantExact()
}

// Of three replicas one loses Redis: the others keep it. The one that is cut off answers no counter that is
// too old, and reads items from SQL alone, where it says so, unless they are to be exact; what it had queued is
// not lost.
func TestP9_OneOfThreeReplicasIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cut, proxy := w.openBehind(t)
	e := loaded(t, w, w.open(t), w.open(t))
	epochs := w.count(t, "SELECT sum(epoch) FROM shards")
	id, author := newID(), newID()
	kept := cut.mustPut(t, id, author, "queued by the one", delayed)
	counter := model.Counter{Subject: "post:" + id.String(), Metric: "likes"}
	_, err := cut.Counters.Increment(t.Context(), counter, 7, service.CountOptions{})
	must(t, err)
	must(t, proxy.Cut())
	eventually(t, 10*time.Second, "the cut is noticed", func() bool { return cut.down("redis") })

	other := e.replicas[0]
	_, err = other.Counters.Increment(t.Context(), counter, 1, service.CountOptions{})
	must(t, err)
	if got, err := cut.Counters.Get(within(t, 2*time.Second), counter); err == nil && got != 8 || err != nil && !unavailable(err) {
		t.Errorf("the counter is %d, %v where it is cut off; 8 are acknowledged", got, err)
	}
	if _, err := cut.Counters.Increment(within(t, 2*time.Second), counter, 1, service.CountOptions{IdempotencyKey: "k"}); !unavailable(err) {
		t.Errorf("an increment where it is cut off: %v", err)
	}
	eventually(t, 10*time.Second, "the others store what the one has queued", func() bool { return w.sql(t, id).version == kept.Item.Version })
	doc, err := cut.Feeds.Get(t.Context(), id, false)
	if err != nil || textOf(t, doc) != "queued by the one" || !doc.Bypass {
		t.Errorf("an item reads %+v, %v where it is cut off", doc, err)
	}
	if doc, err := cut.Feeds.Get(within(t, time.Second), id, true); !unavailable(err) {
		t.Errorf("an exact read of an item where it is cut off: %+v, %v", doc, err)
	}
	e.more()
	e.awaitInSQL(0)
	if now := w.count(t, "SELECT sum(epoch) FROM shards"); now != epochs {
		t.Errorf("the majority has moved: the sum of epochs is %d, was %d", now, epochs)
	}

	must(t, proxy.Heal())
	cut.awaitReady(t)
	if got, err := cut.Counters.Get(t.Context(), counter); err != nil || got != 8 {
		t.Errorf("the counter is %d, %v after all; 8 are acknowledged", got, err)
	}
	e.more()
	e.feeds.keep(&feedWrite{id: id, feedItem: feedItem{author: author, text: "queued by the one", version: kept.Item.Version}})
	e.wantExact()
}
