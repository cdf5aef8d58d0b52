package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// An error before the commit leaves nothing; after it, all is there though the outcome was unknown.
// Not parallel: failpoints are the process's.
func TestP1_ErrorsAroundCommit(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	db := open(t)
	if err := db.Shards().Init(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	batch := &model.Batch{
		Advances: []model.Advance{{Shard: 0, Opening: true, To: 7}},
		Writes:   puts(liveItem(1)),
	}
	position := func() model.Version {
		h, err := db.Shards().Heartbeat(t.Context(), model.Beat{Replica: "r", TTL: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return h.Shards[0].Position
	}
	for _, tc := range []struct { //nolint:paralleltest // failpoints are the process's
		point string
		want  model.Version
	}{{"drain.before_commit", 0}, {"drain.after_commit", 7}} {
		t.Run(tc.point, func(t *testing.T) {
			failpoint.Set(t, tc.point, func() error { return errors.New("crash") })
			_, err := db.Drain().Apply(t.Context(), batch)
			wantUnavailable(t, tc.point, err)
			if got := position(); got != tc.want {
				t.Errorf("the position is %d, want %d", got, tc.want)
			}
			it, err := db.Feeds().Get(t.Context(), 1)
			if err != nil || (it.Version != 0) != (tc.want != 0) {
				t.Errorf("the item is %+v, %v", it, err)
			}
		})
	}
	if applied, err := db.Drain().Apply(t.Context(), batch); err != nil || len(applied.Refused) != 1 {
		t.Errorf("the batch again: %v, %v", applied, err)
	}
}

// A row that another transaction holds costs a round only that shard, and no time; an opener waits.
func TestDrainDoesNotWaitForLockedShards(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	if err := migrate.Up(t.Context(), dsn, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), config(dsn))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Shards().Init(t.Context(), 4, 4); err != nil {
		t.Fatal(err)
	}
	openShards(t, db, 0, 1, 2)
	release := hold(t, dsn, "BEGIN; SELECT FROM shards WHERE shard IN (1, 3) FOR NO KEY UPDATE")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	batch := &model.Batch{Writes: puts(liveItem(1))}
	for _, s := range []int{2, 1, 0} {
		batch.Advances = append(batch.Advances, model.Advance{Shard: s, Epoch: 1, Home: "h", To: 7})
	}
	applied, err := db.Drain().Apply(ctx, batch)
	if err != nil || !slices.Equal(applied.Refused, []int{1}) {
		t.Fatalf("Apply with a shard locked: %v, %v", applied, err)
	}
	batch.Advances = slices.Delete(batch.Advances, 1, 2)
	if applied, err = db.Drain().Apply(ctx, batch); err != nil || applied.Refused != nil {
		t.Fatalf("Apply without the locked shard: %v, %v", applied, err)
	}

	opened := make(chan error, 1)
	go func() {
		applied, err := db.Drain().Apply(t.Context(), &model.Batch{Advances: []model.Advance{{Shard: 3, Opening: true, To: 7}}})
		if err == nil && applied.Refused != nil {
			err = fmt.Errorf("refused %v", applied.Refused)
		}
		opened <- err
	}()
	awaitLockWait(t, dsn)
	release()
	if err := <-opened; err != nil {
		t.Errorf("an opener's drain of a locked shard: %v", err)
	}
}

// openShards makes shards ready at home "h" in epoch 1.
func openShards(tb testing.TB, db *postgres.DB, shards ...int) {
	tb.Helper()
	var claims []model.Claim
	for _, s := range shards {
		claims = append(claims, model.Claim{Shard: s, Home: "h"})
	}
	claimed, _, err := db.Shards().Claim(tb.Context(), "r", claims)
	if err != nil {
		tb.Fatal(err)
	}
	if ready, err := db.Shards().Confirm(tb.Context(), claimed); err != nil || len(ready) != len(shards) {
		tb.Fatalf("ready %v, %v", ready, err)
	}
}

// awaitLockWait returns when a transaction of the database waits for a row.
func awaitLockWait(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for deadline := time.Now().Add(10 * time.Second); ; {
		var waits bool
		err := conn.QueryRow(t.Context(), `SELECT EXISTS (
			SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
		if waits {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for a lock")
		}
	}
}

// A replica that stalls between its writes and its commit loses its locks, so that others go on.
// Not parallel: failpoints are the process's.
func TestStalledDrainLosesItsLocks(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	cfg := config(testenv.DB(t))
	cfg.IdleInTransaction = 100 * time.Millisecond
	if err := migrate.Up(t.Context(), string(cfg.DSN), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Shards().Init(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	failpoint.Set(t, "drain.before_commit", func() error {
		// Other replicas do not wait for the drain to renew, but to claim.
		if _, err := db.Shards().Heartbeat(t.Context(), model.Beat{Replica: "b", TTL: time.Second}); err != nil {
			t.Errorf("a heartbeat beside a stalled drain: %v", err)
		}
		claimed, _, err := db.Shards().Claim(t.Context(), "b", []model.Claim{{Home: "h"}})
		if err != nil || len(claimed) != 1 || claimed[0].Position != 0 {
			t.Errorf("a claim beside a stalled drain: %+v, %v", claimed, err)
		}
		return nil
	})
	_, err = db.Drain().Apply(t.Context(), &model.Batch{Advances: []model.Advance{{Opening: true, To: 7}}})
	wantUnavailable(t, "Apply", err)
}

// Trouble that passes is no fault of the data: whether the batch is good or has bad rows too, the round
// fails as a whole, and no write becomes a dead letter.
func TestP7_TroubleIsNotPoison(t *testing.T) {
	t.Parallel()
	bad := liveItem(2)
	bad.Kind = "\x00"
	for name, tc := range map[string]struct {
		setting string // of the server for our connections
		end     bool   // somebody ends our session instead
		bad     bool   // the batch has a bad row, and is written with care
	}{
		"statement_timeout":          {setting: "statement_timeout=150"},
		"lock_timeout":               {setting: "lock_timeout=100"},
		"lock_timeout, bad row":      {setting: "lock_timeout=100", bad: true},
		"session ended":              {end: true},
		"session ended, bad row":     {end: true, bad: true},
		"statement_timeout, bad row": {setting: "statement_timeout=150", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testenv.DB(t)
			if err := migrate.Up(t.Context(), dsn, zap.NewNop()); err != nil {
				t.Fatal(err)
			}
			db, err := postgres.Open(t.Context(), config(dsn+withOption(dsn, tc.setting)))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Shards().Init(t.Context(), 1, 1); err != nil {
				t.Fatal(err)
			}
			openShards(t, db, 0)
			batch := &model.Batch{
				Advances: []model.Advance{{Shard: 0, Epoch: 1, Home: "h", To: 7}},
				Writes:   puts(liveItem(1)),
			}
			if _, err := db.Drain().Apply(t.Context(), &model.Batch{Writes: batch.Writes}); err != nil {
				t.Fatal(err)
			}
			release := hold(t, dsn, "BEGIN; SELECT FROM feeds FOR UPDATE")
			if tc.bad {
				batch.Writes = append(batch.Writes, puts(bad)...)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := db.Drain().Apply(t.Context(), batch)
				ended <- err
			}()
			if tc.end {
				endWaiting(t, dsn)
			}
			wantUnavailable(t, "Apply", <-ended)
			release()
			if n := db.Number(t, "SELECT position FROM shards") + db.Number(t, "SELECT count(*) FROM dead_letters"); n != 0 {
				t.Error("a round that failed has moved the shard, or left a dead letter")
			}
			applied, err := db.Drain().Apply(t.Context(), batch)
			if err != nil || applied.Refused != nil || len(applied.DeadLetters) != len(batch.Writes)-1 {
				t.Errorf("the batch again: %+v, %v", applied, err)
			}
		})
	}
}

// withOption returns what is appended to the address for a setting of the server.
func withOption(dsn, setting string) string {
	switch {
	case setting == "":
		return ""
	case strings.Contains(dsn, "?"):
		return "&" + setting
	default:
		return "?" + setting
	}
}

// endWaiting ends the session that waits for a row.
func endWaiting(t *testing.T, dsn string) {
	t.Helper()
	awaitLockWait(t, dsn)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	if err != nil {
		t.Fatal(err)
	}
}

// The commit of a round with bad rows is as uncertain as any other, and as exact.
// Not parallel: failpoints are the process's.
func TestP1_ErrorsAroundCommitOfBadRows(t *testing.T) { //nolint:paralleltest // failpoints are the process's
	db := open(t)
	if err := db.Shards().Init(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	openShards(t, db, 0)
	bad := liveItem(-1)
	batch := &model.Batch{
		Advances: []model.Advance{{Shard: 0, Epoch: 1, Home: "h", To: 7}},
		Writes:   puts(bad, liveItem(1)),
	}
	for _, tc := range []struct { //nolint:paralleltest // failpoints are the process's
		point string
		want  int64
	}{{"drain.before_commit", 0}, {"drain.after_commit", 1}} {
		t.Run(tc.point, func(t *testing.T) {
			failpoint.Set(t, tc.point, func() error { return errors.New("crash") })
			_, err := db.Drain().Apply(t.Context(), batch)
			wantUnavailable(t, tc.point, err)
			for sql, want := range map[string]int64{
				"SELECT count(*) FROM dead_letters": tc.want, "SELECT count(*) FROM feeds": tc.want,
				"SELECT position FROM shards": 7 * tc.want, "SELECT skipped FROM shards": 7 * tc.want,
			} {
				if got := db.Number(t, sql); got != want {
					t.Errorf("%s: %d, want %d", sql, got, want)
				}
			}
		})
	}
	if applied, err := db.Drain().Apply(t.Context(), batch); err != nil || !slices.Equal(applied.Refused, []int{0}) {
		t.Errorf("the batch again: %+v, %v", applied, err)
	}
}
