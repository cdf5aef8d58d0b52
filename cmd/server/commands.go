package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/zmsg/zmsg/repo/migrate"
)

// migrateCommand runs migrate up, down N, force N or version.
func migrateCommand(ctx context.Context, cfg Config, args []string, out, errOut io.Writer) error {
	dsn := string(cfg.Engine.Postgres.DSN)
	if dsn == "" {
		return usageError{errors.New("ZMSG_POSTGRES_DSN: an address is needed, such as postgres://user@host/database")}
	}
	log, err := cfg.logger(zapcore.AddSync(errOut))
	if err != nil {
		return usageError{err}
	}
	switch {
	case len(args) == 1 && args[0] == "up":
		if err := migrate.Up(ctx, dsn, log); err != nil {
			return err
		}
		return printVersion(ctx, dsn, out)
	case len(args) == 2 && args[0] == "down":
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 {
			return usageError{fmt.Errorf("migrate down: %q is no number of migrations", args[1])}
		}
		if err := migrate.Down(ctx, dsn, n, log); err != nil {
			return err
		}
		return printVersion(ctx, dsn, out)
	case len(args) == 2 && args[0] == "force":
		n, err := strconv.ParseUint(args[1], 10, 31)
		if err != nil {
			return usageError{fmt.Errorf("migrate force: %q is no version", args[1])}
		}
		if err := migrate.Force(ctx, dsn, uint(n)); err != nil {
			return err
		}
		return printVersion(ctx, dsn, out)
	case len(args) == 1 && args[0] == "version":
		return printVersion(ctx, dsn, out)
	default:
		return usageError{errors.New("migrate wants one of: up, down N, force N, version")}
	}
}

func printVersion(ctx context.Context, dsn string, out io.Writer) error {
	status, err := migrate.Version(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "schema version %d, this program knows up to %d\n", status.Version, status.Latest)
	if status.Dirty {
		err = errors.Join(err, status.Check())
	}
	return err
}

// healthcheck asks the service on this host whether it is ready.
func healthcheck(ctx context.Context, cfg Config) error {
	host, port, err := net.SplitHostPort(cfg.HTTP.Addr)
	if err != nil {
		return usageError{fmt.Errorf("ZMSG_ADDR: %w", err)}
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost" // the service listens on every address
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	return nil
}
