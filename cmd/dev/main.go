// Command dev runs the server on this machine with a PostgreSQL and a Redis of its own. Their data
// is kept in .dev, so a restart finds it again. It is what "make run" calls.
//
// Where ZMSG_POSTGRES_DSN or ZMSG_REDIS_ADDR is set already, that server is used and none is started.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

const (
	postgresEnv = "ZMSG_POSTGRES_DSN"
	redisEnv    = "ZMSG_REDIS_ADDR"
	addrEnv     = "ZMSG_ADDR"

	// stopTimeout is how long the server may take to stop after Ctrl-C before it is killed.
	stopTimeout = time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends us at once, and the kernel the rest.
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.As(err, &exit) && exit.Exited():
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// dev is one run.
type dev struct {
	bin, data string
	env       []string
	out       io.Writer
	closers   []func() error // to be called in reverse
	started   []server
}

// server is one that was started for the run.
type server struct {
	name, log string
	exited    <-chan struct{}
}

// run returns when the server has ended, by itself or because ctx was done, and everything that was
// started for it has stopped.
func run(ctx context.Context, args, env []string, out io.Writer) (err error) {
	d := &dev{env: slices.Clone(env), out: out}
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.StringVar(&d.bin, "bin", "bin/zmsg", "the server's binary, as \"make build\" leaves it")
	flags.StringVar(&d.data, "data", ".dev", "directory that keeps the data")
	if err := flags.Parse(args); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(); err != nil {
		return err
	}
	if err := d.startPostgres(ctx); err != nil {
		return err
	}
	if err := d.startRedis(ctx); err != nil {
		return err
	}
	return d.serve(ctx)
}

// prepare makes the data directory and locks it: two servers on the same files would destroy them.
func (d *dev) prepare() error {
	var err error
	if d.bin, err = exec.LookPath(d.bin); err != nil {
		return fmt.Errorf("%w (\"make build\" builds it)", err)
	}
	if err := os.MkdirAll(d.data, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(d.data, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, lock.Close)
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another run uses the data in %s: %w", d.data, err)
	}
	return nil
}

func (d *dev) startPostgres(ctx context.Context) error {
	if d.has(postgresEnv) {
		d.say("PostgreSQL  as %s says", postgresEnv)
		return nil
	}
	dir, err := postgresDir(d.data)
	if err != nil {
		return err
	}
	pg, err := testenv.StartPostgres(ctx, testenv.PostgresOptions{Dir: dir, Fsync: true})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, pg.Close)
	d.started = append(d.started, server{"PostgreSQL", pg.LogFile(), pg.Exited()})
	d.env = append(d.env, postgresEnv+"="+pg.DSN())
	d.say("PostgreSQL  %s\n            data and log in %s", pg.DSN(), dir)
	return nil
}

func (d *dev) startRedis(ctx context.Context) error {
	if d.has(redisEnv) {
		d.say("Redis       as %s says", redisEnv)
		return nil
	}
	dir := filepath.Join(d.data, "redis")
	r, err := testenv.StartRedis(ctx, testenv.RedisOptions{
		Dir: dir, AppendOnly: true, Args: []string{"--maxmemory-policy", "noeviction"},
	})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, r.Close)
	d.started = append(d.started, server{"Redis", r.LogFile(), r.Exited()})
	d.env = append(d.env, redisEnv+"="+r.Addr())
	d.say("Redis       %s\n            data and log in %s", r.Addr(), dir)
	return nil
}

// serve runs the server until it ends. When ctx is done it is told to stop, as by SIGTERM.
func (d *dev) serve(ctx context.Context) error {
	// The kernel ends the child when this *thread* ends, so the thread must last as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, d.bin)
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env, d.out, os.Stderr
	cmd.SysProcAttr = sysProcAttr()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	d.say("zmsg        %s on %s; Ctrl-C stops everything and keeps the data\n", d.bin, d.get(addrEnv, ":8080"))
	unwatch := d.watch()
	err := cmd.Run()
	unwatch()
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || cmd.ProcessState != nil && cmd.ProcessState.Success()) {
		return nil // It stopped as told.
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.bin, err)
	}
	return nil
}

// watch tells when a server that was started ends by itself. The returned function ends the watch.
func (d *dev) watch() func() {
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	for _, s := range d.started {
		watchers.Go(func() {
			select {
			case <-s.exited:
				d.say("\n%s has ended by itself, see %s. The service does what it can without it; Ctrl-C stops it.\n", s.name, s.log)
			case <-stop:
			}
		})
	}
	return func() {
		close(stop)
		watchers.Wait()
	}
}

// close stops what was started, the latest first.
func (d *dev) close() error {
	var err error
	for _, closer := range slices.Backward(d.closers) {
		err = errors.Join(err, closer())
	}
	return err
}

// say prints a line. That the terminal is gone must not keep the servers from being stopped.
func (d *dev) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format+"\n", args...) }

func (d *dev) has(name string) bool { return d.get(name, "") != "" }

func (d *dev) get(name, otherwise string) string {
	for _, kv := range slices.Backward(d.env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return cmp.Or(value, otherwise)
		}
	}
	return otherwise
}
