package migrate_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/repo/migrate"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func exec(t *testing.T, dsn, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func version(t *testing.T, dsn string) migrate.Status {
	t.Helper()
	s, err := migrate.Version(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// up migrates, and fails the test on an error.
func up(t *testing.T, dsn string) {
	t.Helper()
	if err := migrate.Up(t.Context(), dsn, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
}

func TestUpAndDown(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	if s := version(t, dsn); s.Version != 0 || s.Dirty || s.Check() == nil {
		t.Fatalf("an empty database has status %+v", s)
	}
	for range 2 { // the second time nothing is left to do
		up(t, dsn)
		if s := version(t, dsn); s.Version != s.Latest || s.Check() != nil {
			t.Fatalf("after Up the status is %+v: %v", s, s.Check())
		}
	}
	latest := version(t, dsn).Latest
	if err := migrate.Down(t.Context(), dsn, int(latest)+1, zap.NewNop()); err == nil {
		t.Error("Down took back more than there was")
	}
	for v := latest; v > 0; v-- {
		if err := migrate.Down(t.Context(), dsn, 1, zap.NewNop()); err != nil {
			t.Fatalf("down from %d: %v", v, err)
		}
		if s := version(t, dsn); s.Version != v-1 {
			t.Fatalf("after Down from %d the status is %+v", v, s)
		}
	}
	up(t, dsn)
}

func TestKeywordDSN(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(testenv.DB(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable",
		u.Hostname(), u.Port(), u.User.Username(), u.Path[1:])
	up(t, dsn)
	if s := version(t, dsn); s.Check() != nil {
		t.Error(s.Check())
	}
}

func TestManyReplicasStart(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	var g errgroup.Group
	for range 8 {
		g.Go(func() error { return migrate.Up(t.Context(), dsn, zap.NewNop()) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := version(t, dsn).Check(); err != nil {
		t.Error(err)
	}
}

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", migrate.LockKey); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := migrate.Up(ctx, dsn, zap.NewNop()); err == nil || ctx.Err() == nil {
		t.Errorf("Up under another's lock: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	latest := func(t *testing.T, dsn string) uint { t.Helper(); return version(t, dsn).Latest }
	for name, tc := range map[string]struct {
		sql  func(latest uint) string
		want func(latest uint) string
	}{
		"newer": {
			func(n uint) string { return fmt.Sprintf("UPDATE schema_migrations SET version = %d", n+3) },
			func(n uint) string {
				return fmt.Sprintf("the database's schema has version %d, this program knows only up to %d: "+
					"run a newer program, or migrate down to %d with the newer one first", n+3, n, n)
			},
		},
		"dirty": {
			func(uint) string { return "UPDATE schema_migrations SET dirty = true" },
			func(n uint) string {
				return fmt.Sprintf("migration %d of the database failed and was rolled back: find the cause in the log "+
					"of that run or by running its statements by hand, mend it, then force the version to %d and migrate again", n, n-1)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testenv.DB(t)
			up(t, dsn)
			n := latest(t, dsn)
			exec(t, dsn, tc.sql(n))
			for _, err := range []error{
				migrate.Up(t.Context(), dsn, zap.NewNop()),
				migrate.Down(t.Context(), dsn, 1, zap.NewNop()),
				version(t, dsn).Check(),
			} {
				if err == nil || err.Error() != tc.want(n) {
					t.Errorf("got %v, want %s", err, tc.want(n))
				}
			}
		})
	}
}

// A migration that fails leaves nothing behind but the mark, and Force and Up then mend it.
func TestFailureAndForce(t *testing.T) {
	t.Parallel()
	dsn := testenv.DB(t)
	exec(t, dsn, "CREATE TABLE shards (in_the_way integer)")
	if err := migrate.Up(t.Context(), dsn, zap.NewNop()); err == nil {
		t.Fatal("Up passed over a table that was in its way")
	}
	s := version(t, dsn)
	if !s.Dirty {
		t.Fatalf("after a failure the status is %+v", s)
	}
	exec(t, dsn, "DROP TABLE shards")
	if err := migrate.Force(t.Context(), dsn, s.Version-1); err != nil {
		t.Fatal(err)
	}
	up(t, dsn)
	if err := version(t, dsn).Check(); err != nil {
		t.Error(err)
	}
	if err := migrate.Force(t.Context(), dsn, s.Latest+1); err == nil {
		t.Error("Force accepted a version that does not exist")
	}
}
