package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

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

func TestErrorsHaveTheirKind(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want model.Kind
	}{
		{&pgconn.PgError{Code: "08006"}, model.Unavailable},
		{&pgconn.PgError{Code: "40P01"}, model.Unavailable},
		{&pgconn.PgError{Code: "53300"}, model.Unavailable},
		{&pgconn.PgError{Code: "57P01"}, model.Unavailable},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "25006"}), model.Unavailable},
		{&pgconn.PgError{Code: "22021"}, model.Invalid},
		{&pgconn.PgError{Code: "23514"}, model.Invalid},
		{&pgconn.PgError{Code: "44000"}, model.Invalid},
		{&pgconn.PgError{Code: "54000"}, model.Invalid},
		{&pgconn.PgError{Code: "P0001"}, model.Invalid},
		{&pgconn.PgError{Code: "42P01"}, model.Internal},
		{&pgconn.PgError{}, model.Internal},
		{pgx.ErrNoRows, model.Internal},
		{context.DeadlineExceeded, model.Unavailable},
		{context.Canceled, model.Unavailable},
		{errors.New("conn closed"), model.Unavailable},
		{model.NewUnavailable("x", nil), model.Unavailable},
		{fmt.Errorf("wrapped: %w", model.NewInvalid("x", "y")), model.Invalid},
	} {
		got := postgres.Translate(tc.err)
		if model.KindOf(got) != tc.want || !errors.Is(got, tc.err) {
			t.Errorf("%v became %v, of kind %v, want %v", tc.err, got, model.KindOf(got), tc.want)
		}
	}
	if err := postgres.Translate(nil); err != nil {
		t.Errorf("success became %v", err)
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
	if _, err := db.Drain().Apply(t.Context(), &model.Batch{Writes: puts(it)}); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // on a broken connection, then without any
		_, err = db.Feeds().Get(t.Context(), 1)
		wantUnavailable(t, "Get", err)
		_, err = db.Drain().Apply(t.Context(), &model.Batch{Writes: puts(it)})
		wantUnavailable(t, "Apply", err)
		_, err = db.Shards().Heartbeat(t.Context(), model.Beat{Replica: "r", TTL: time.Second})
		wantUnavailable(t, "Heartbeat", err)
		_, err = db.Nodes().Acquire(t.Context(), "h", time.Second)
		wantUnavailable(t, "Acquire", err)
		_, _, err = db.Keys().Recall(t.Context(), 0, "k")
		wantUnavailable(t, "Recall", err)
		if message := new(model.Error); !errors.As(err, &message) || !strings.Contains(message.Message, "idempotency key") {
			t.Errorf("Recall does not say what it wanted: %v", err)
		}
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
	if model.KindOf(err) != model.Unavailable {
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
	if err := db.Shards().Init(t.Context(), 1, 1); err != nil {
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
	if _, err := db.Shards().Heartbeat(ctx, model.Beat{Replica: "r", TTL: time.Second}); err != nil {
		t.Errorf("Heartbeat: %v", err)
	}
	if _, err := db.Shards().All(ctx); err != nil {
		t.Errorf("All: %v", err)
	}
	if _, err := db.Nodes().Acquire(ctx, "h", time.Second); err != nil {
		t.Errorf("Acquire: %v", err)
	}
	applied, err := db.Drain().Apply(ctx, &model.Batch{Advances: []model.Advance{{Opening: true, To: 7}}})
	if err != nil || applied.Refused != nil {
		t.Errorf("Apply: refused %v, %v", applied.Refused, err)
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

// puts returns the items as writes of shard 0.
func puts(items ...model.Item) []model.Queued {
	writes := make([]model.Queued, len(items))
	for i := range items {
		writes[i] = model.Queued{Version: items[i].Version, Item: &items[i]}
	}
	return writes
}

func liveItem(id model.ID) model.Item {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return model.Item{
		ID: id, AuthorID: id%1000 + 1, Kind: "post", Version: 1, CreatedAt: at, UpdatedAt: at,
		Content: []byte(`{"text":"The quick brown fox jumps over the lazy dog, twice a day, and then some more.","tags":["a","b"]}`),
	}
}
