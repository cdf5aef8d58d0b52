package postgres_test

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/repo/migrate"
	"github.com/zmsg/zmsg/repo/postgres"
	"github.com/zmsg/zmsg/repo/repotest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// config returns that of the defaults, but for fewer connections.
func config(dsn string) postgres.Config {
	return postgres.Config{DSN: postgres.DSN(dsn), MaxConns: 8, ConnectTimeout: 3 * time.Second, IdleInTransaction: 5 * time.Second}
}

// open returns a migrated database of the test's own.
func open(tb testing.TB) *postgres.DB {
	tb.Helper()
	dsn := testenv.DB(tb)
	if err := migrate.Up(tb.Context(), dsn, zap.NewNop()); err != nil {
		tb.Fatal(err)
	}
	db, err := postgres.Open(tb.Context(), config(dsn))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	return db
}

func TestConformance(t *testing.T) {
	t.Parallel()
	repotest.Run(t, func(t *testing.T) repotest.Repo {
		t.Helper()
		db := open(t)
		return repotest.Repo{
			Feeds: db.Feeds(), Tombstones: db.Feeds(), Drain: db.Drain(), Shards: db.Shards(), Claims: db.Shards(),
			Direct: db.Direct(), Nodes: db.Nodes(), Counters: db.Counters(), Keys: db.Keys(),
			Letters: db.DeadLetters(), Retries: db.DeadLetters(), SQL: db.Number,
		}
	})
}
