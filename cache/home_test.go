package cache

import (
	"context"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

// atSQL returns a node whose shards have lost their Redis.
func atSQL(t *testing.T) *node {
	t.Helper()
	n := newNode(t, true)
	if err := n.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	n.eventually("all shards are at home in SQL", func() bool { return n.table.AtSQL() == n.space.Shards() })
	return n
}

// slowGet starts a read of id that has found its row, but not returned, until the function is called that
// this returns. That waits for the read's answer.
func (n *node) slowGet(id model.ID) (finish func() (model.Doc, error)) {
	n.t.Helper()
	found, resume, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	n.sql.setFound(func() {
		close(found)
		<-resume
	})
	var doc model.Doc
	var err error
	go func() {
		defer close(done)
		doc, err = n.Get(n.t.Context(), id, false)
	}()
	<-found
	return func() (model.Doc, error) {
		close(resume)
		<-done
		return doc, err
	}
}

func (n *node) wantVersion(id model.ID, exact bool, want model.Version) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	if doc, err := n.Get(ctx, id, exact); err != nil || doc.Version != want {
		n.t.Errorf("got version %s, %v, want %s", doc.Version, err, want)
	}
}

// In SQL too nobody joins a read that began before an own write, or before an exact read that may have
// found more.
func TestP2_ReadsInSQLJoinNothingOlder(t *testing.T) {
	t.Parallel()
	news := map[string]func(n *node, it model.Item){
		"an own write": func(n *node, it model.Item) { n.Wrote(n.grant(n.space.Shard(it.ID)), &it) },
		"an exact read": func(n *node, it model.Item) {
			n.t.Helper()
			n.wantVersion(it.ID, true, it.Version)
		},
	}
	for name, learn := range news {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := atSQL(t)
			it := item(newID(), newID(), "old")
			it.Version = model.NewVersion(2, 1)
			n.sql.store(it)
			finish := n.slowGet(it.ID)
			it.Version++
			n.sql.store(it)
			learn(n, it)
			n.wantVersion(it.ID, false, it.Version)
			if _, err := finish(); err != nil { // it began before: either version is right
				t.Errorf("the slow read: %v", err)
			}
		})
	}
}

// While a read goes around Redis, its shard moves to SQL: what the replica knew of the queue is forgotten
// then, and the row that was read before the move does not show it.
func TestP2_ReadAroundRedisThatIsOvertakenByTheMove(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	it := n.queue(item(newID(), newID(), "queued"))
	n.catchUp()
	n.sql.setStay(true)
	if err := n.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	n.eventually("the loss is noticed", func() bool { return n.table.Away(n.space.Shard(it.ID)) })
	finish := n.slowGet(it.ID)
	n.sql.setStay(false)
	n.eventually("all shards are at home in SQL", func() bool { return n.table.AtSQL() == n.space.Shards() })
	if doc, err := finish(); err != nil || doc.Version != it.Version {
		t.Errorf("got version %s, %v, want %s", doc.Version, err, it.Version)
	}
}
