package difftest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// patience is how long an answer of the redis-server may take before the test gives up.
const patience = 20 * time.Second

// oracle is a private redis-server.
type oracle struct{ socket string }

func startOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{socket: filepath.Join(t.TempDir(), "s")}
	cmd := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", o.socket, "--save", "",
		"--appendonly", "no", "--enable-debug-command", "yes", "--dir", filepath.Dir(o.socket))
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server must be on the PATH: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); ; {
		l, err := o.dial(t)
		if err == nil {
			// Keys shall expire when a command meets them, on both sides.
			l.mustSend(t, "DEBUG", "SET-ACTIVE-EXPIRE", "0")
			l.close()
			return o
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// line is a connection to the oracle.
type line struct {
	conn *net.UnixConn
	in   *bufio.Reader
}

func (o *oracle) dial(t *testing.T) (*line, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", o.socket)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &line{conn: conn.(*net.UnixConn), in: bufio.NewReaderSize(conn, 1<<16)}, nil
}

func (l *line) write(request []byte) { _, _ = l.conn.Write(request) }

// read returns the next n replies, as they are.
func (l *line) read(n int) ([]byte, error) {
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	var out []byte
	for range n {
		var err error
		if out, err = readReply(l.in, out); err != nil {
			return out, fmt.Errorf("after %.300q: %w", out, err)
		}
	}
	return out, nil
}

// mustSend executes one command and returns its reply.
func (l *line) mustSend(t *testing.T, words ...string) []byte {
	t.Helper()
	l.write(encode(words))
	reply, err := l.read(1)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// close ends the connection after all that was sent has been executed.
func (l *line) close() {
	_ = l.conn.CloseWrite()
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.Copy(io.Discard, l.in)
	_ = l.conn.Close()
}

func encode(words []string) []byte {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	return engine.AppendCommand(nil, args)
}

// readReply appends one encoded reply to dst.
func readReply(in *bufio.Reader, dst []byte) ([]byte, error) {
	head, err := in.ReadSlice('\n')
	if err != nil {
		return dst, err
	}
	kind := head[0]
	n, _ := strconv.Atoi(string(bytes.TrimSpace(head[1:])))
	dst = append(dst, head...)
	switch kind {
	case '$', '=', '!':
		if n >= 0 {
			at := len(dst)
			dst = append(dst, make([]byte, n+2)...)
			_, err = io.ReadFull(in, dst[at:])
		}
	case '*', '%', '~', '>':
		if kind == '%' {
			n *= 2
		}
		for range n {
			if dst, err = readReply(in, dst); err != nil {
				break
			}
		}
	}
	return dst, err
}
