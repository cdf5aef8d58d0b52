package testenv_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/internal/testenv"
)

func connect(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

func execSQL(tb testing.TB, dsn, sql string) {
	tb.Helper()
	if _, err := connect(tb, dsn).Exec(tb.Context(), sql); err != nil {
		tb.Fatal(err)
	}
}

func queryInt(tb testing.TB, dsn, sql string) (n int) {
	tb.Helper()
	if err := connect(tb, dsn).QueryRow(tb.Context(), sql).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	t.Parallel()
	a, b := testenv.DB(t), testenv.DB(t)
	execSQL(t, a, "CREATE TABLE t (n int)")
	const tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
	if got := queryInt(t, a, tables); got != 1 {
		t.Errorf("the first database has %d tables, want 1", got)
	}
	if got := queryInt(t, b, tables); got != 0 {
		t.Errorf("the second database has %d tables, want 0", got)
	}
}

func TestDatabaseIsDroppedWithItsSessions(t *testing.T) {
	t.Parallel()
	var dropped string
	// Not parallel: its parent looks at what it left behind.
	t.Run("use", func(t *testing.T) {
		dsn := testenv.DB(t)
		dropped = queryString(t, dsn, "SELECT current_database()")
	})
	conn := connect(t, testenv.DB(t))
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", dropped).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("database %q is still there", dropped)
	}
}

func queryString(tb testing.TB, dsn, sql string) (s string) {
	tb.Helper()
	if err := connect(tb, dsn).QueryRow(tb.Context(), sql).Scan(&s); err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestPostgresKeepsCommitsOverKillAndStop(t *testing.T) {
	t.Parallel()
	pg := testenv.NewPostgres(t, testenv.PostgresOptions{Dir: testenv.TempDir(t), Fsync: true})
	dsn := pg.DSN()
	if got := queryString(t, dsn, "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %s, want on", got)
	}
	execSQL(t, dsn, "CREATE TABLE t (n int)")
	for want, end := range []func() error{pg.Kill, pg.Stop} {
		execSQL(t, dsn, "INSERT INTO t VALUES (1)")
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.Connect(t.Context(), dsn); err == nil {
			t.Fatal("the server still takes connections")
		}
		if err := pg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := queryInt(t, dsn, "SELECT count(*) FROM t"); got != want+1 {
			t.Errorf("%d rows after the restart, want %d", got, want+1)
		}
	}
}

func TestPostgresOpensAnExistingDirectory(t *testing.T) {
	t.Parallel()
	opts := testenv.PostgresOptions{Dir: testenv.TempDir(t), Settings: []string{"work_mem=7MB"}}
	first := testenv.NewPostgres(t, opts)
	execSQL(t, first.DSN(), "CREATE TABLE t AS SELECT 7 AS n")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := testenv.NewPostgres(t, opts)
	if got := queryInt(t, second.DSN(), "SELECT n FROM t"); got != 7 {
		t.Errorf("read %d, want 7", got)
	}
	if got := queryString(t, second.DSN(), "SHOW work_mem"); got != "7MB" {
		t.Errorf("work_mem is %s, want 7MB", got)
	}
}

func TestStartReportsTheServersOwnWords(t *testing.T) {
	t.Parallel()
	_, err := testenv.StartPostgres(t.Context(), testenv.PostgresOptions{Settings: []string{"no_such_setting=1"}})
	wantError(t, err, "no_such_setting")
	_, err = testenv.StartRedis(t.Context(), testenv.RedisOptions{Args: []string{"--no-such-option", "1"}})
	wantError(t, err, "no-such-option")
}
