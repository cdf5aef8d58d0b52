package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/migrate"
	"github.com/zmsg/zmsg/repo/postgres"
)

// openSQL returns a database whose only shard has its home there, ready in epoch 1.
func openSQL(t *testing.T, change func(*postgres.Config)) (*postgres.DB, string) {
	t.Helper()
	dsn := testenv.DB(t)
	if err := migrate.Up(t.Context(), dsn, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	cfg := config(dsn)
	change(&cfg)
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Shards().Init(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	claimed, _, err := db.Shards().Claim(t.Context(), "r", []model.Claim{{Home: model.HomeSQL}})
	if err != nil {
		t.Fatal(err)
	}
	if ready, err := db.Shards().Confirm(t.Context(), claimed); err != nil || len(ready) != 1 {
		t.Fatalf("ready %v, %v", ready, err)
	}
	return db, dsn
}

func usual(*postgres.Config) {}

func directPut() *model.Write {
	return &model.Write{ID: 1, AuthorID: 5, Kind: "post", Content: []byte("{}"), At: time.UnixMilli(1), IdempotencyKey: "k", Fingerprint: "f"}
}

// awaitWaiters returns when so many transactions of the database wait for locks.
func awaitWaiters(t *testing.T, dsn string, want int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for deadline := time.Now().Add(10 * time.Second); ; {
		var waiters int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiters)
		if err != nil {
			t.Fatal(err)
		}
		if waiters == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d transactions wait for locks, not %d", waiters, want)
		}
	}
}

// A claim waits for the direct transaction that is open, and one that comes after the claim waits for it,
// and finds the epoch ended.
func TestP1_ClaimWaitsForDirectTransactions(t *testing.T) {
	t.Parallel()
	db, dsn := openSQL(t, usual)
	store := func(id model.ID) chan error {
		done := make(chan error, 1)
		go func() {
			w := directPut()
			w.ID, w.IdempotencyKey = id, ""
			_, err := db.Direct().Write(t.Context(), 0, 1, w)
			done <- err
		}()
		return done
	}
	if err := <-store(1); err != nil {
		t.Fatal(err)
	}
	release := hold(t, dsn, "BEGIN; SELECT FROM feeds WHERE id = 1 FOR UPDATE")
	before := store(1)
	awaitWaiters(t, dsn, 1)
	var claimed []model.Shard
	claim := make(chan error, 1)
	go func() {
		var err error
		claimed, _, err = db.Shards().Claim(t.Context(), "r", []model.Claim{{Epoch: 1, Home: "h"}})
		claim <- err
	}()
	awaitWaiters(t, dsn, 2)
	after := store(2)
	awaitWaiters(t, dsn, 3)
	if all, err := db.Shards().All(t.Context()); err != nil || all[0].Epoch != 1 || !all[0].Ready {
		t.Errorf("while a direct transaction is open: %+v, %v", all, err)
	}
	release()
	if err := <-before; err != nil {
		t.Errorf("the write before the claim: %v", err)
	}
	if err := <-claim; err != nil || len(claimed) != 1 || claimed[0].Epoch != 2 {
		t.Errorf("claimed %+v, %v", claimed, err)
	}
	if err := <-after; !errors.Is(err, model.ErrMoved) {
		t.Errorf("the write after the claim: %v", err)
	}
}

// An error before the commit leaves nothing; after it, all is there though the outcome was unknown, and a
// repeat learns that. Not parallel: failpoints are the process's.
func TestP1_ErrorsAroundDirectCommits(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	flush := []model.Queued{{
		Version: 5, Key: "k", Record: "f|7|0|5", Delta: &model.Delta{Counter: model.Counter{Subject: "s", Metric: "m"}, N: 7},
	}}
	calls := map[string]func(*postgres.DB) (replayed bool, err error){
		"direct": func(db *postgres.DB) (bool, error) {
			res, err := db.Direct().Write(t.Context(), 0, 1, directPut())
			return res.Replayed, err
		},
		"flush": func(db *postgres.DB) (bool, error) {
			applied, err := db.Direct().Flush(t.Context(), 0, 1, flush)
			return applied.LeftOut == 1, err
		},
	}
	for name, call := range calls { //nolint:paralleltest // failpoints are the process's
		for point, stays := range map[string]bool{name + ".before_commit": false, name + ".after_commit": true} {
			t.Run(point, func(t *testing.T) {
				db, _ := openSQL(t, usual)
				failed := false
				failpoint.Set(t, point, func() error {
					if failed {
						return nil
					}
					failed = true
					return errors.New("crash")
				})
				_, err := call(db)
				wantUnavailable(t, point, err)
				_, known, err := db.Keys().Recall(t.Context(), 0, "k")
				if err != nil || known != stays {
					t.Errorf("the key is known: %v, %v", known, err)
				}
				if replayed, err := call(db); err != nil || replayed != stays {
					t.Errorf("the repeat: replayed %v, %v", replayed, err)
				}
			})
		}
	}
}

// A flush waits for the direct transaction that is open: what that one has read is still so when it writes.
// Not parallel: failpoints are the process's.
func TestP4_FlushWaitsForDirectTransactions(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	db, dsn := openSQL(t, usual)
	counter := model.Counter{Subject: "s", Metric: "m"}
	flushed := make(chan error, 1)
	failpoint.Set(t, "direct.before_commit", func() error {
		go func() {
			_, err := db.Direct().Flush(t.Context(), 0, 1, []model.Queued{{Version: 5, Delta: &model.Delta{Counter: counter, N: 7}}})
			flushed <- err
		}()
		awaitWaiters(t, dsn, 1)
		return nil
	})
	if _, err := db.Direct().Count(t.Context(), 0, 1, []model.Count{{Counter: counter, N: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	if got, err := db.Counters().Totals(t.Context(), 0, []string{"s"}); err != nil || got.Values["s"]["m"] != 8 {
		t.Errorf("7 and 1 are %v, %v", got.Values, err)
	}
}

// However many direct transactions wait for others: reads do not, and a waiter gives up with its
// context.
func TestReadsDoNotWaitForDirectTransactions(t *testing.T) {
	t.Parallel()
	db, dsn := openSQL(t, func(c *postgres.Config) { c.MaxConns = 4 })
	if _, err := db.Direct().Write(t.Context(), 0, 1, directPut()); err != nil {
		t.Fatal(err)
	}
	release := hold(t, dsn, "BEGIN; LOCK TABLE feeds IN EXCLUSIVE MODE") // for no reads
	ctx, stop := context.WithCancel(t.Context())
	const writers = 12
	done := make(chan error, writers)
	for i := range writers {
		go func() {
			w := directPut()
			w.ID, w.IdempotencyKey = model.ID(i+1), ""
			_, err := db.Direct().Write(ctx, 0, 1, w)
			done <- err
		}()
	}
	awaitWaiters(t, dsn, 2)
	for range 20 {
		if it, err := db.Feeds().Get(t.Context(), 1); err != nil || it.Version == 0 {
			t.Errorf("Get: %+v, %v", it, err)
		}
	}
	awaitWaiters(t, dsn, 2)
	stop()
	for range writers {
		wantUnavailable(t, "Write", <-done)
	}
	release()
	// What was given up has left nothing behind.
	w := directPut()
	w.IdempotencyKey = ""
	if res, err := db.Direct().Write(t.Context(), 0, 1, w); err != nil || res.Version != model.NewVersion(1, 1) {
		t.Errorf("Write afterwards: %+v, %v", res, err)
	}
}
