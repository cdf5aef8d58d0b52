package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/repo/migrate"
	"github.com/zmsg/zmsg/repo/postgres"
)

func TestDSNShowsNoPassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []postgres.DSN{
		"postgres://ann:hunter2@db.example:6432/feeds?sslmode=disable",
		"host=db.example port=6432 user=ann password=hunter2 dbname=feeds sslmode=disable",
		"postgres://ann:hunter2@db.example:notaport/feeds",
	} {
		cfg := postgres.Config{DSN: dsn, MaxConns: 1}
		text, err := dsn.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{fmt.Sprint(cfg), fmt.Sprintf("%#v", cfg), fmt.Sprintf("%+v", cfg), string(text)} {
			if strings.Contains(s, "hunter2") {
				t.Errorf("the password is in %s", s)
			}
		}
		if want := "postgres://ann@db.example:6432/feeds"; dsn.String() != want && !strings.Contains(string(dsn), "notaport") {
			t.Errorf("shown as %s, want %s", dsn, want)
		}
		db, err := postgres.Open(t.Context(), cfg)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in the error %v", err)
		}
		if err == nil {
			db.Close()
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*postgres.Config){
		"dsn":      func(c *postgres.Config) { c.DSN = "postgres://[" },
		"no conns": func(c *postgres.Config) { c.MaxConns = 0 },
		"min>max":  func(c *postgres.Config) { c.MinConns = 9 },
		"control":  func(c *postgres.Config) { c.ControlConns = -1 },
	} {
		cfg := config("postgres://localhost/x")
		change(&cfg)
		if _, err := postgres.Open(t.Context(), cfg); model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeywordDSN(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(testenv.DB(t))
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), config(fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable",
		u.Hostname(), u.Port(), u.User.Username(), u.Path[1:])))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&pgconn.PgError{Code: "08006"}, true},
		{&pgconn.PgError{Code: "40P01"}, true},
		{&pgconn.PgError{Code: "53300"}, true},
		{&pgconn.PgError{Code: "57P01"}, true},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "25006"}), true},
		{&pgconn.PgError{Code: "22021"}, false},
		{&pgconn.PgError{Code: "23514"}, false},
		{&pgconn.PgError{Code: "42P01"}, false},
		{&pgconn.PgError{}, false},
		{pgx.ErrNoRows, false},
		{context.DeadlineExceeded, true},
		{context.Canceled, true},
		{errors.New("conn closed"), true},
		{model.NewUnavailable("x", nil), true},
		{model.NewInvalid("x", "y"), false},
	} {
		if got := postgres.Retryable(tc.err); got != tc.want {
			t.Errorf("%v: retryable %v, want %v", tc.err, got, tc.want)
		}
	}
}

// The database dies and comes back: calls fail as Unavailable, then succeed on the same pool.
func TestP10_DatabaseDies(t *testing.T) {
	t.Parallel()
	server := testenv.NewPostgres(t, testenv.PostgresOptions{})
	if err := migrate.Up(t.Context(), server.DSN(), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), config(server.DSN()))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	it := liveItem(1)
	if _, err := db.Drain().Apply(t.Context(), &model.Batch{Items: []model.Item{it}}); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // on a broken connection, then without any
		_, err = db.Feeds().Get(t.Context(), 1)
		wantUnavailable(t, "Get", err)
		_, err = db.Drain().Apply(t.Context(), &model.Batch{Items: []model.Item{it}})
		wantUnavailable(t, "Apply", err)
		_, err = db.Shards().Heartbeat(t.Context(), "r", time.Second)
		wantUnavailable(t, "Heartbeat", err)
		_, err = db.Nodes().Acquire(t.Context(), "h", time.Second)
		wantUnavailable(t, "Acquire", err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, err := db.Feeds().Get(t.Context(), 1)
		if err == nil && got.Version == it.Version {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the restart: %+v, %v", got, err)
		}
	}
}

func wantUnavailable(t *testing.T, call string, err error) {
	t.Helper()
	if model.KindOf(err) != model.Unavailable || !postgres.Retryable(err) {
		t.Errorf("%s without the database: %v", call, err)
	}
}

// A pool that is used up is trouble that passes, and waiting for it ends with the context.
func TestPoolExhausted(t *testing.T) {
	t.Parallel()
	cfg := config(testenv.DB(t))
	cfg.MaxConns = 1
	if err := migrate.Up(t.Context(), string(cfg.DSN), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	release := holdFeeds(t, string(cfg.DSN))
	busy := make(chan error, 1)
	go func() {
		_, err := db.Feeds().Get(t.Context(), 1)
		busy <- err
	}()
	for db.Stat().AcquiredConns() == 0 {
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = db.Feeds().Get(ctx, 2)
	wantUnavailable(t, "Get", err)
	release()
	if err := <-busy; err != nil {
		t.Errorf("the call that held the connection: %v", err)
	}
}

// However many reads wait for connections: permissions, ID windows and the drain do not.
func TestControlDoesNotWaitForReads(t *testing.T) {
	t.Parallel()
	cfg := config(testenv.DB(t))
	cfg.MaxConns, cfg.ControlConns = 2, 1
	if err := migrate.Up(t.Context(), string(cfg.DSN), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := db.Stat().MaxConns(); got != 3 {
		t.Errorf("the limit of connections is %d", got)
	}
	if err := db.Shards().Init(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	release := holdFeeds(t, string(cfg.DSN))
	var reads errgroup.Group
	for range 3 * cfg.MaxConns {
		reads.Go(func() error {
			_, err := db.Feeds().Get(t.Context(), 1)
			return err
		})
	}
	for db.Stat().AcquiredConns() < cfg.MaxConns {
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := db.Shards().Heartbeat(ctx, "r", time.Second); err != nil {
		t.Errorf("Heartbeat: %v", err)
	}
	if _, err := db.Shards().All(ctx); err != nil {
		t.Errorf("All: %v", err)
	}
	if _, err := db.Nodes().Acquire(ctx, "h", time.Second); err != nil {
		t.Errorf("Acquire: %v", err)
	}
	refused, err := db.Drain().Apply(ctx, &model.Batch{Advances: []model.Advance{{Opening: true, To: 7}}})
	if err != nil || refused != nil {
		t.Errorf("Apply: refused %v, %v", refused, err)
	}
	release()
	if err := reads.Wait(); err != nil {
		t.Errorf("a read: %v", err)
	}
}

// holdFeeds locks the table until the returned function is called.
func holdFeeds(t *testing.T, dsn string) func() {
	t.Helper()
	return hold(t, dsn, "BEGIN; LOCK TABLE feeds")
}

// hold keeps the transaction that sql begins open until the returned function is called.
func hold(t *testing.T, dsn, sql string) func() {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

func liveItem(id model.ID) model.Item {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return model.Item{
		ID: id, AuthorID: id%1000 + 1, Kind: "post", Version: 1, CreatedAt: at, UpdatedAt: at,
		Content: []byte(`{"text":"The quick brown fox jumps over the lazy dog, twice a day, and then some more.","tags":["a","b"]}`),
	}
}

// An error before the commit leaves nothing; after it, all is there though the outcome was unknown.
// Not parallel: failpoints are the process's.
func TestP1_ErrorsAroundCommit(t *testing.T) {
	db := open(t)
	if err := db.Shards().Init(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	batch := &model.Batch{
		Advances: []model.Advance{{Shard: 0, Opening: true, To: 7}},
		Items:    []model.Item{liveItem(1)},
	}
	position := func() model.Version {
		h, err := db.Shards().Heartbeat(t.Context(), "r", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return h.Shards[0].Position
	}
	for _, tc := range []struct {
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
	if refused, err := db.Drain().Apply(t.Context(), batch); err != nil || len(refused) != 1 {
		t.Errorf("the batch again: %v, %v", refused, err)
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
	if err := db.Shards().Init(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	openShards(t, db, 0, 1, 2)
	release := hold(t, dsn, "BEGIN; SELECT FROM shards WHERE shard IN (1, 3) FOR NO KEY UPDATE")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	batch := &model.Batch{Items: []model.Item{liveItem(1)}}
	for _, s := range []int{2, 1, 0} {
		batch.Advances = append(batch.Advances, model.Advance{Shard: s, Epoch: 1, Home: "h", To: 7})
	}
	refused, err := db.Drain().Apply(ctx, batch)
	if err != nil || !slices.Equal(refused, []int{1}) {
		t.Fatalf("Apply with a shard locked: refused %v, %v", refused, err)
	}
	batch.Advances = slices.Delete(batch.Advances, 1, 2)
	if refused, err = db.Drain().Apply(ctx, batch); err != nil || refused != nil {
		t.Fatalf("Apply without the locked shard: refused %v, %v", refused, err)
	}

	opened := make(chan error, 1)
	go func() {
		refused, err := db.Drain().Apply(t.Context(), &model.Batch{Advances: []model.Advance{{Shard: 3, Opening: true, To: 7}}})
		if err == nil && refused != nil {
			err = fmt.Errorf("refused %v", refused)
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
func openShards(t *testing.T, db *postgres.DB, shards ...int) {
	t.Helper()
	var claims []model.Claim
	for _, s := range shards {
		claims = append(claims, model.Claim{Shard: s, Home: "h"})
	}
	claimed, _, err := db.Shards().Claim(t.Context(), "r", claims)
	if err != nil {
		t.Fatal(err)
	}
	if ready, err := db.Shards().Confirm(t.Context(), claimed); err != nil || len(ready) != len(shards) {
		t.Fatalf("ready %v, %v", ready, err)
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
func TestStalledDrainLosesItsLocks(t *testing.T) {
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
	if err := db.Shards().Init(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	failpoint.Set(t, "drain.before_commit", func() error {
		// Other replicas do not wait for the drain to renew, but to claim.
		if _, err := db.Shards().Heartbeat(t.Context(), "b", time.Second); err != nil {
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
