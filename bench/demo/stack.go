package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/zmsg/zmsg/internal/testenv"
)

const (
	replicaCount = 2
	readyLimit   = 60 * time.Second
	readyPoll    = 20 * time.Millisecond
	readyTimeout = time.Second // of one question
	stopLimit    = 30 * time.Second
	logTail      = 2000 // bytes
)

// stack is a PostgreSQL, a Redis and replicas of the server, all private to this run.
type stack struct {
	dir      string
	server   string // path of the program
	postgres *testenv.Postgres
	redis    *testenv.Redis
	replicas []*replica
}

// startStack builds the server from this module and starts everything. Both databases keep what they
// acknowledge over a crash, as in production.
func startStack(ctx context.Context) (_ *stack, err error) {
	s := &stack{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "zmsg-demo-"); err != nil {
		return nil, err
	}
	s.server = filepath.Join(s.dir, "server")
	build := exec.CommandContext(ctx, "go", "build", "-o", s.server, "github.com/zmsg/zmsg/cmd/server")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if s.postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Fsync: true}); err != nil {
		return nil, err
	}
	if s.redis, err = testenv.StartRedis(ctx, testenv.RedisOptions{AppendOnly: true}); err != nil {
		return nil, err
	}
	for range replicaCount {
		r, err := s.newReplica(ctx)
		if err != nil {
			return nil, err
		}
		if err := r.start(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stack) dsn() string { return s.postgres.DSN() }

func (s *stack) addrs() []string {
	var all []string
	for _, r := range s.replicas {
		all = append(all, "http://"+r.addr)
	}
	return all
}

func (s *stack) admins() []string {
	var all []string
	for _, r := range s.replicas {
		all = append(all, r.admin)
	}
	return all
}

// logs returns the ends of the replicas' logs.
func (s *stack) logs() string {
	var all bytes.Buffer
	for _, r := range s.replicas {
		fmt.Fprintf(&all, "--- end of %s\n%s\n", r.logPath, r.tail())
	}
	return all.String()
}

// close stops everything, the replicas first.
func (s *stack) close() error {
	var err error
	for _, r := range s.replicas {
		err = errors.Join(err, r.stop())
	}
	if s.redis != nil {
		err = errors.Join(err, s.redis.Close())
	}
	if s.postgres != nil {
		err = errors.Join(err, s.postgres.Close())
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// replica is one process of the server.
type replica struct {
	path    string
	addr    string
	admin   string
	env     []string
	logPath string
	cmd     *exec.Cmd     // nil while it does not run
	exited  chan struct{} // closed when cmd has been waited for
	spawned time.Time
}

// newReplica adds a replica, which is not started.
func (s *stack) newReplica(ctx context.Context) (*replica, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	r := &replica{
		path: s.server, addr: addr, admin: admin,
		logPath: filepath.Join(s.dir, "replica-"+strconv.Itoa(len(s.replicas))+".log"),
		env: append(os.Environ(), "ZMSG_ADDR="+addr, "ZMSG_ADMIN_ADDR="+admin,
			"ZMSG_POSTGRES_DSN="+s.postgres.DSN(), "ZMSG_REDIS_ADDR="+s.redis.Addr()),
	}
	s.replicas = append(s.replicas, r)
	return r, nil
}

// freeAddr returns an address on which nobody listens now.
func freeAddr(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts the process and returns when it is ready.
func (r *replica) start(ctx context.Context) error {
	if err := r.spawn(ctx); err != nil {
		return err
	}
	for {
		if ready, err := r.isReady(ctx); ready || err != nil {
			return err
		}
		if err := pause(ctx, readyPoll); err != nil {
			return err
		}
	}
}

// spawn starts the process.
func (r *replica) spawn(ctx context.Context) error {
	log, err := os.OpenFile(r.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // The child has a descriptor of its own; nothing was written here.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), r.path)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, log, log
	if err := testenv.StartCommand(cmd); err != nil {
		return err
	}
	exited := make(chan struct{})
	r.cmd, r.exited, r.spawned = cmd, exited, time.Now()
	go func() {
		defer close(exited)
		_ = cmd.Wait() // How it ended is asked for by whoever did not expect it.
	}()
	return nil
}

// isReady reports whether the process is ready. It fails if that will not come any more.
func (r *replica) isReady(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := r.ready(ctx)
	if err == nil {
		return true, nil
	}
	select {
	case <-r.exited:
		return false, fmt.Errorf("the server exited: %v\n%s", r.cmd.ProcessState, r.tail())
	default:
	}
	if time.Since(r.spawned) > readyLimit {
		return false, fmt.Errorf("the server is not ready after %v: %w\n%s", readyLimit, err, r.tail())
	}
	return false, nil
}

func (r *replica) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", resp.Status)
	}
	return nil
}

// kill ends the process by SIGKILL.
func (r *replica) kill() error { return r.end(syscall.SIGKILL) }

// stop ends the process in good order.
func (r *replica) stop() error { return r.end(syscall.SIGTERM) }

// end signals the process and waits for its end. It is a no-op while it does not run.
func (r *replica) end(sig syscall.Signal) error {
	if r.cmd == nil {
		return nil
	}
	err := r.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	t := time.NewTimer(stopLimit)
	defer t.Stop()
	select {
	case <-r.exited:
	case <-t.C:
		err = errors.Join(err, fmt.Errorf("the server did not end within %v of %v", stopLimit, sig), r.cmd.Process.Kill())
		<-r.exited
	}
	r.cmd = nil
	return err
}

// tail returns the end of the log.
func (r *replica) tail() []byte {
	b, err := os.ReadFile(r.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-logTail):]
}
