// Package migrate brings a database to the schema that this program works with.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/golang-migrate/migrate/v4"
	driver "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/db"
)

// lockKey names the advisory lock under which one process at a time migrates a database. The number
// is arbitrary and must never change.
const lockKey = 0x7a6d7367_6d696772

// Status is the version of a database's schema.
type Status struct {
	Version uint // 0: empty, nothing has been applied
	Latest  uint // the newest version that this program knows
	Dirty   bool // a migration failed; its statements were rolled back
}

// Check returns an error unless this program can work with a database of this status.
func (s Status) Check() error {
	switch {
	case s.Dirty:
		return s.dirty()
	case s.Version > s.Latest:
		return s.newer()
	case s.Version < s.Latest:
		return fmt.Errorf("the database's schema has version %d, this program needs %d: run its migrations", s.Version, s.Latest)
	}
	return nil
}

func (s Status) dirty() error {
	return fmt.Errorf("migration %d of the database failed and was rolled back: find the cause in the log of that run "+
		"or by running its statements by hand, mend it, then force the version to %d and migrate again", s.Version, s.Version-1)
}

func (s Status) newer() error {
	return fmt.Errorf("the database's schema has version %d, this program knows only up to %d: "+
		"run a newer program, or migrate down to %d with the newer one first", s.Version, s.Latest, s.Latest)
}

// Up applies all migrations that have not run. Several processes may call it at once: one works, the
// others wait, as long as ctx allows. dsn is a URL or has the keyword form.
func Up(ctx context.Context, dsn string, log *zap.Logger) error {
	return locked(ctx, dsn, func(r *runner) error {
		before, err := r.status()
		if err != nil {
			return err
		}
		switch {
		case before.Dirty:
			return before.dirty()
		case before.Version > before.Latest:
			return before.newer()
		}
		if err := r.step(ctx, int(before.Latest-before.Version)); err != nil {
			return err
		}
		if before.Version != before.Latest {
			log.Info("database migrated", zap.Uint("from", before.Version), zap.Uint("to", before.Latest))
		}
		return nil
	})
}

// Down takes back the newest steps migrations, and their data with them. It refuses more steps than
// were applied.
func Down(ctx context.Context, dsn string, steps int, log *zap.Logger) error {
	return locked(ctx, dsn, func(r *runner) error {
		before, err := r.status()
		if err != nil {
			return err
		}
		switch {
		case before.Dirty:
			return before.dirty()
		case before.Version > before.Latest:
			return before.newer()
		case steps < 1 || steps > int(before.Version):
			return fmt.Errorf("cannot take back %d migrations: %d are applied", steps, before.Version)
		}
		if err := r.step(ctx, -steps); err != nil {
			return err
		}
		log.Info("migrations taken back", zap.Uint("from", before.Version), zap.Uint("to", before.Version-uint(steps)))
		return nil
	})
}

// Version returns the status of the database's schema.
func Version(ctx context.Context, dsn string) (Status, error) {
	var s Status
	err := locked(ctx, dsn, func(r *runner) (err error) {
		s, err = r.status()
		return err
	})
	return s, err
}

// Force records version as applied, without running anything, and clears the mark of a failure.
func Force(ctx context.Context, dsn string, version uint) error {
	return locked(ctx, dsn, func(r *runner) error {
		s, err := r.status()
		if err != nil {
			return err
		}
		if version > s.Latest {
			return fmt.Errorf("there is no migration %d: the newest is %d", version, s.Latest)
		}
		if version == 0 {
			return r.m.Force(-1) // golang-migrate's name for "nothing applied"
		}
		return r.m.Force(int(version))
	})
}

// runner is golang-migrate on a connection of its own, under our lock.
type runner struct {
	m      *migrate.Migrate
	latest uint
}

// locked runs f under the database's migration lock. golang-migrate has a lock too, but waits for it
// without a bound; ours is waited for as long as ctx allows, and then the other one is free.
func locked(ctx context.Context, dsn string, f func(*runner) error) (err error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("database address: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	// Closing the session frees the lock, even when ctx has ended.
	defer func() { err = errors.Join(err, closeConn(ctx, conn)) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey)); err != nil {
		return fmt.Errorf("wait for another process that migrates the database: %w", err)
	}
	r, err := newRunner(ctx, stdlib.OpenDB(*cfg))
	if err != nil {
		return err
	}
	err = f(r)
	sourceErr, dbErr := r.m.Close()
	return errors.Join(err, sourceErr, dbErr)
}

const closeTimeout = 5 * time.Second

func closeConn(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return conn.Close(ctx)
}

// newRunner takes over pool: closing the runner closes it.
func newRunner(ctx context.Context, pool *sql.DB) (*runner, error) {
	src, err := iofs.New(db.Postgres, db.PostgresDir)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	cfg := &driver.Config{}
	if deadline, ok := ctx.Deadline(); ok {
		cfg.StatementTimeout = max(time.Until(deadline), time.Millisecond)
	}
	drv, err := driver.WithInstance(pool, cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the database for migrations: %w", err), pool.Close(), src.Close())
	}
	m, err := migrate.NewWithInstance("iofs", src, "pgx5", drv)
	if err != nil {
		return nil, errors.Join(err, drv.Close(), src.Close())
	}
	last, err := latest(src)
	if err != nil {
		return nil, errors.Join(err, drv.Close(), src.Close())
	}
	return &runner{m: m, latest: last}, nil
}

func latest(src source.Driver) (uint, error) {
	v, err := src.First()
	for err == nil {
		var next uint
		if next, err = src.Next(v); err == nil {
			v = next
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return v, nil
}

func (r *runner) status() (Status, error) {
	v, dirty, err := r.m.Version()
	if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
		return Status{}, fmt.Errorf("read the version of the database's schema: %w", err)
	}
	return Status{Version: v, Latest: r.latest, Dirty: dirty}, nil
}

// step goes n migrations up, or down if n is negative, one by one: golang-migrate reads migrations
// ahead in goroutines that a failure would leave behind.
func (r *runner) step(ctx context.Context, n int) error {
	one := 1
	if n < 0 {
		one = -1
	}
	for ; n != 0; n -= one {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.m.Steps(one); err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
	}
	return nil
}
