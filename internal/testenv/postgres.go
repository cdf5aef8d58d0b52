package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// superuser is the role that every connection uses; it needs no password.
const superuser = "postgres"

// PostgresOptions say how a PostgreSQL server is run. The zero value is a fast one for tests.
type PostgresOptions struct {
	// Dir keeps the data and the log over restarts. "" means a temporary directory, removed by Close.
	// When we are root it is given to the user postgres, because PostgreSQL refuses to run as root.
	Dir string
	// Fsync makes a commit survive the machine's death. Off, it survives only the server's.
	Fsync bool
	// Settings are further "name=value" settings.
	Settings []string
}

// Postgres is a private PostgreSQL server. Its methods may be called from several goroutines.
type Postgres struct {
	process
	dir  string
	temp bool // dir is ours to remove
	port *port
}

// StartPostgres creates the cluster in opts.Dir unless there is one, and returns when the server
// takes connections. The server outlives ctx; Close ends it.
func StartPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	credential, err := postgresCredential()
	if err != nil {
		return nil, err
	}
	pg := &Postgres{dir: opts.Dir}
	if opts.Dir == "" {
		pg.temp = true
		if pg.dir, err = tempDir("postgres-"); err != nil {
			return nil, err
		}
	}
	if pg.dir, err = filepath.Abs(pg.dir); err != nil {
		return nil, err
	}
	if err := pg.initialize(ctx, bin, credential, opts.Fsync); err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	pg.process = process{
		name: "postgres", path: filepath.Join(bin, "postgres"), credential: credential,
		logPath:    filepath.Join(pg.dir, "server.log"),
		stopSignal: syscall.SIGINT,  // "fast": ends sessions, writes a checkpoint
		killSignal: syscall.SIGQUIT, // "immediate": recovery at the next start, as after a crash
		ready:      pg.ping,
	}
	if pg.port, err = reservePort(); err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	pg.args = serverArgs(pg.data(), pg.port, opts)
	if err := pg.Start(ctx); err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	return pg, nil
}

// DSN returns the connection URL of the database "postgres".
func (pg *Postgres) DSN() string { return pg.dsn("postgres") }

// Addr returns "127.0.0.1:port".
func (pg *Postgres) Addr() string { return pg.port.addr() }

// LogFile returns the path of the log of the latest start.
func (pg *Postgres) LogFile() string { return pg.logPath }

// Start starts the server again on the same port and data, and returns when it takes connections. It
// is a no-op while the server runs.
func (pg *Postgres) Start(ctx context.Context) error { return pg.start(ctx) }

// Stop ends the sessions and stops the server in good order. It is a no-op while it is stopped.
func (pg *Postgres) Stop() error { return pg.stop() }

// Kill ends the server at once: the next start recovers from the write-ahead log, as after a crash.
// It is a no-op while the server is stopped.
func (pg *Postgres) Kill() error { return pg.kill() }

// Exited returns a channel that is closed when the server, as started last, has ended.
func (pg *Postgres) Exited() <-chan struct{} { return pg.exited() }

// Close stops the server for good and removes its directory if it is a temporary one.
func (pg *Postgres) Close() error {
	err := errors.Join(pg.stop(), pg.port.release())
	if pg.temp {
		err = errors.Join(err, os.RemoveAll(pg.dir))
	}
	return err
}

func (pg *Postgres) data() string { return filepath.Join(pg.dir, "data") }

func (pg *Postgres) dsn(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Host: pg.port.addr(), Path: database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (pg *Postgres) ping(ctx context.Context) error {
	return pg.exec(ctx, "SELECT 1")
}

// exec runs one statement in the database "postgres", on a connection of its own.
func (pg *Postgres) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, pg.DSN())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// initialize runs initdb unless that was done before. The cluster gets its final name only when it is
// complete, so an interrupted run leaves nothing that looks like one.
func (pg *Postgres) initialize(ctx context.Context, bin string, credential *syscall.Credential, fsync bool) error {
	if err := os.MkdirAll(pg.dir, 0o755); err != nil {
		return err
	}
	if credential != nil {
		if err := os.Chown(pg.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(pg.data()); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	partial := pg.data() + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+partial, "--username="+superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
	if !fsync {
		cmd.Args = append(cmd.Args, "--no-sync")
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb in %s: %w\n%s", partial, err, out)
	}
	return os.Rename(partial, pg.data())
}

// serverArgs returns the arguments of postgres. Later settings win, so a caller may change any.
func serverArgs(data string, p *port, opts PostgresOptions) []string {
	onOff := map[bool]string{true: "on", false: "off"}[opts.Fsync]
	settings := append([]string{
		"listen_addresses=" + loopback.String(),
		"port=" + p.String(),
		"unix_socket_directories=",
		"max_connections=200",
		"shared_buffers=64MB",
		"fsync=" + onOff,
		"full_page_writes=" + onOff,
		"timezone=UTC",
	}, opts.Settings...)
	args := []string{"-D", data}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

var errNoPostgres = errors.New("PostgreSQL's initdb and postgres were found neither in PATH nor in " +
	"/usr/lib/postgresql/*/bin; install them: apt-get install postgresql redis-server")

// postgresBin returns the directory of initdb and postgres: PATH's, else Debian's newest.
func postgresBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		// PATH may hold a link; postgres is found beside the link's target.
		if path, err = filepath.EvalSymlinks(path); err == nil && hasPostgres(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !hasPostgres(dir) })
	if len(dirs) == 0 {
		return "", errNoPostgres
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return majorVersion(a) - majorVersion(b) }), nil
}

func hasPostgres(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "postgres"))
	_, err2 := os.Stat(filepath.Join(dir, "initdb"))
	return err == nil && err2 == nil
}

// majorVersion reads N of /usr/lib/postgresql/N/bin, 0 if it is no number.
func majorVersion(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

// postgresCredential returns the user to run PostgreSQL as: ourselves (nil), or postgres for root.
func postgresCredential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
