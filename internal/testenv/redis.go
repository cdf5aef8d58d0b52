package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// RedisOptions say how a redis-server is run. The zero value keeps everything in memory only.
type RedisOptions struct {
	// Dir keeps the data and the log over restarts. "" means a temporary directory, removed by Close.
	Dir string
	// AppendOnly logs every write to Dir, so that a restart brings the data back.
	AppendOnly bool
	// Valkey runs valkey-server, which knows WAITAOF, in place of redis-server, which may be too old.
	Valkey bool
	// Genuine says that only Redis itself will do, also where another server stands in for it (see
	// StandIn): the test needs its replication, or what it does not know.
	Genuine bool
	// ReplicaOf is the address of the server to replicate, "" for none.
	ReplicaOf string
	// Args are further arguments of redis-server, as "--appendfsync", "always". The last one wins.
	Args []string
}

// Redis is a private redis-server (or a sentinel). Its methods may be called from several goroutines.
type Redis struct {
	process
	dir  string
	temp bool // dir is ours to remove
	port *port
	bus  *port // of a cluster node, else nil
}

// StartRedis starts a redis-server and returns when it answers and has read its data. The server
// outlives ctx; Close ends it.
func StartRedis(ctx context.Context, opts RedisOptions) (*Redis, error) {
	path, command, err := opts.program()
	if err != nil {
		return nil, err
	}
	r, err := newRedis(path, opts.Dir)
	if err != nil {
		return nil, err
	}
	r.args = slices.Concat(command, []string{
		"--port", r.port.String(), "--bind", loopback.String(), "--dir", r.dir,
		"--save", "", "--appendonly", map[bool]string{true: "yes", false: "no"}[opts.AppendOnly],
	})
	if opts.ReplicaOf != "" {
		host, port, err := net.SplitHostPort(opts.ReplicaOf)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.args = append(r.args, "--replicaof", host, port)
	}
	r.args = append(r.args, opts.Args...)
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// StandIn is the environment variable with the path of a zmsg binary, whose "zmsg kv" runs in place of
// redis-server and valkey-server: "make test/kv" shows that the service keeps its promises on it too.
const StandIn = "ZMSG_TEST_KV"

// program returns the program to run, and the arguments with which it becomes a server.
func (o RedisOptions) program() (path string, command []string, err error) {
	if path := os.Getenv(StandIn); path != "" && !o.Genuine && o.ReplicaOf == "" {
		return path, []string{"kv"}, nil
	}
	if o.Valkey {
		path, err = findValkey()
	} else {
		path, err = findRedis()
	}
	return path, nil, err
}

func findRedis() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("redis-server is not in PATH; install it: apt-get install postgresql redis-server: %w", err)
	}
	return path, nil
}

// findValkey looks into bin of the module, where "make bin/valkey-server" puts it, then into PATH.
func findValkey() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			if path, err := exec.LookPath(filepath.Join(dir, "bin", "valkey-server")); err == nil {
				return path, nil
			}
			break
		}
	}
	path, err := exec.LookPath("valkey-server")
	if err != nil {
		return "", fmt.Errorf("valkey-server is not there; get it: make bin/valkey-server: %w", err)
	}
	return path, nil
}

// newRedis prepares a server that is not started yet and has no arguments.
func newRedis(path, dir string) (r *Redis, err error) {
	r = &Redis{dir: dir, temp: dir == ""}
	if r.temp {
		r.dir, err = tempDir("redis-")
	} else if r.dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(r.dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	if r.port, err = reservePort(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.process = process{
		name: filepath.Base(path), path: path, logPath: filepath.Join(r.dir, "server.log"),
		stopSignal: syscall.SIGTERM, killSignal: syscall.SIGKILL, ready: r.ping,
	}
	return r, nil
}

// Addr returns "127.0.0.1:port".
func (r *Redis) Addr() string { return r.port.addr() }

// LogFile returns the path of the log of the latest start.
func (r *Redis) LogFile() string { return r.logPath }

// Start starts the server again on the same port and directory, and returns when it has read its
// data. It is a no-op while the server runs.
func (r *Redis) Start(ctx context.Context) error { return r.start(ctx) }

// Stop stops the server in good order. It is a no-op while it is stopped.
func (r *Redis) Stop() error { return r.stop() }

// Kill ends the server with SIGKILL. It is a no-op while it is stopped.
func (r *Redis) Kill() error { return r.kill() }

// Pause freezes the server (SIGSTOP): the kernel still accepts connections for it, but nothing is
// answered until Resume. Stop and Kill work on a paused server too.
func (r *Redis) Pause() error { return r.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on (SIGCONT).
func (r *Redis) Resume() error { return r.signal(syscall.SIGCONT) }

// Exited returns a channel that is closed when the server, as started last, has ended.
func (r *Redis) Exited() <-chan struct{} { return r.exited() }

// Do sends one command and returns the reply's text: a string, a status or a number as it is, an
// error reply as an error. It is meant for set-up and for looking at a server from outside; it cannot
// read arrays.
func (r *Redis) Do(ctx context.Context, args ...string) (string, error) {
	reply, err := do(ctx, r.Addr(), args...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return reply, nil
}

// Close stops the server for good and removes its directory if it is a temporary one.
func (r *Redis) Close() error {
	err := errors.Join(r.stop(), r.port.release(), r.bus.release())
	if r.temp {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// ping fails while the server reads its data (LOADING). A replica may answer before it is in sync.
func (r *Redis) ping(ctx context.Context) error {
	reply, err := do(ctx, r.Addr(), "PING")
	if err == nil && reply != "PONG" {
		err = fmt.Errorf("PING was answered by %q", reply)
	}
	return err
}

// do runs one command on a connection of its own.
func do(ctx context.Context, addr string, args ...string) (reply string, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	req := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		req = fmt.Appendf(req, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write(req); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

// readReply reads one RESP2 reply that is no array.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", errors.New("empty reply")
	}
	switch kind, text := line[0], line[1:]; kind {
	case '+', ':':
		return text, nil
	case '-':
		return "", errors.New(text)
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", err // n is -1 for a key that does not exist
		}
		b := make([]byte, n)
		_, err = io.ReadFull(r, b)
		return string(b), err
	default:
		return "", fmt.Errorf("cannot read a reply of type %q", kind)
	}
}
