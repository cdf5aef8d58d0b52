package postgres_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/postgres"
)

// holdSubject keeps the lock of a subject, as a transaction of another replica does.
func holdSubject(t *testing.T, dsn, subject string) (release func()) {
	t.Helper()
	h := fnv.New32a()
	_, _ = h.Write([]byte(subject))
	return hold(t, dsn, fmt.Sprintf("BEGIN; SELECT pg_advisory_xact_lock(%d, %d)", postgres.LockSubject, int32(h.Sum32())))
}

func countOne(ctx context.Context, db *postgres.DB, subject string) error {
	_, err := db.Direct().Count(ctx, 0, 1, []model.Count{{Counter: model.Counter{Subject: subject, Metric: "m"}, N: 1}})
	return err
}

// Those who wait for a hot subject, of which there may be any number, take nobody else's connection.
func TestDirect_HotSubjectDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	const writers = 200
	db, dsn := openSQL(t, usual)
	release := holdSubject(t, dsn, "hot")
	done := make(chan error, writers)
	for range writers {
		go func() { done <- countOne(t.Context(), db, "hot") }()
	}
	eventuallyQueued(t, db, writers)
	awaitWaiters(t, dsn, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := countOne(ctx, db, "cold"); err != nil {
		t.Errorf("another subject: %v", err)
	}
	awaitWaiters(t, dsn, 1)
	release()
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := db.Number(t, "SELECT value FROM counters WHERE subject = 'hot'"); n != writers {
		t.Errorf("counted %d of %d", n, writers)
	}
	if n := db.Queued(); n != 0 {
		t.Errorf("%d have a turn after all have ended", n)
	}
}

// Who gives up loses its place, and all the places that it had.
func TestDirect_WhoGivesUpLeavesTheQueue(t *testing.T) {
	t.Parallel()
	db, dsn := openSQL(t, usual)
	release := holdSubject(t, dsn, "hot")
	defer release()
	first := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { first <- countOne(ctx, db, "hot") }()
	awaitWaiters(t, dsn, 1)
	second := make(chan error, 1)
	ctx2, cancel2 := context.WithCancel(t.Context())
	go func() {
		_, err := db.Direct().Count(ctx2, 0, 1, []model.Count{
			{Counter: model.Counter{Subject: "cold", Metric: "m"}, N: 1, IdempotencyKey: "k", Fingerprint: "f"},
			{Counter: model.Counter{Subject: "hot", Metric: "m"}, N: 1},
		})
		second <- err
	}()
	eventuallyQueued(t, db, 3) // two for the hot one, one for the key; the other subject comes before or after
	cancel2()
	wantUnavailable(t, "who gave up in the queue", <-second)
	if n := db.Queued(); n != 1 {
		t.Errorf("%d are queued, want the first alone", n)
	}
	cancel()
	if err := <-first; err == nil {
		t.Error("the first was not held up")
	}
	if err := countOne(t.Context(), db, "cold"); err != nil {
		t.Error(err)
	}
	if n := db.Queued(); n != 0 {
		t.Errorf("%d have a turn after all have ended", n)
	}
}

// eventuallyQueued waits until at least so many have a turn or wait for one.
func eventuallyQueued(t *testing.T, db *postgres.DB, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); db.Queued() < want; {
		if time.Now().After(deadline) {
			t.Fatalf("%d are queued, not %d", db.Queued(), want)
		}
		<-time.After(time.Millisecond)
	}
}
