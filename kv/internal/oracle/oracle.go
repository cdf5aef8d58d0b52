// Package oracle has tests compare what an engine does with what a redis-server does: replies, logs, and the
// order in which blocked clients are served. Only tests import it.
package oracle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// patience is how long a redis-server may take for anything.
const patience = 30 * time.Second

// Redis is a redis-server of the test's own, without active expiry, with an append-only log.
type Redis struct {
	t       *testing.T
	dir     string
	conns   []*conn
	control *conn // tells who is blocked
}

type conn struct {
	net.Conn
	replies chan []byte
	id      string
}

// Start starts a redis-server, which must be on the PATH. It ends with the test.
func Start(t *testing.T) *Redis {
	t.Helper()
	dir, err := os.MkdirTemp("", "kv") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &Redis{t: t, dir: dir}
	cmd := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", filepath.Join(dir, "s"), "--save", "",
		"--appendonly", "yes", "--appendfsync", "no", "--dir", dir, "--enable-debug-command", "yes")
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server must be on the PATH: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, c := range append(r.conns, r.control) {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	r.control = r.dial()
	r.connect(0)
	// Keys shall expire when a command meets them, at the same place of the log as in an engine without its
	// clock.
	r.Do(Words("DEBUG SET-ACTIVE-EXPIRE 0"))
	return r
}

// connect connects clients up to number i.
func (r *Redis) connect(i int) {
	r.t.Helper()
	for len(r.conns) <= i {
		r.conns = append(r.conns, r.dial())
	}
}

func (r *Redis) dial() *conn {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		n, err := (&net.Dialer{}).DialContext(r.t.Context(), "unix", filepath.Join(r.dir, "s"))
		if err == nil {
			c := &conn{Conn: n, replies: make(chan []byte, 100)}
			go c.read()
			c.id = strings.TrimSpace(strings.TrimPrefix(string(r.on(c, Words("CLIENT ID"))[0]), ":"))
			return c
		}
		if time.Now().After(deadline) {
			r.t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// read hands replies on until the connection ends.
func (c *conn) read() {
	defer close(c.replies)
	in := bufio.NewReader(c)
	for {
		reply, err := readReply(in, nil)
		if err != nil {
			return
		}
		c.replies <- reply
	}
}

// Do executes commands in one go and returns their replies, as they are.
func (r *Redis) Do(commands ...[][]byte) [][]byte {
	r.t.Helper()
	return r.on(r.conns[0], commands...)
}

func (r *Redis) on(c *conn, commands ...[][]byte) [][]byte {
	r.t.Helper()
	var request []byte
	for _, args := range commands {
		request = engine.AppendCommand(request, args)
	}
	go func() { _, _ = c.Write(request) }()
	replies := make([][]byte, len(commands))
	for n := range commands {
		replies[n] = r.reply(c)
	}
	return replies
}

func (r *Redis) reply(c *conn) []byte {
	r.t.Helper()
	select {
	case reply, ok := <-c.replies:
		if ok {
			return reply
		}
		r.t.Fatal("redis-server has ended the connection")
	case <-time.After(patience):
		r.t.Fatal("redis-server does not reply")
	}
	return nil
}

// readReply appends one encoded reply to dst.
func readReply(in *bufio.Reader, dst []byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	dst = append(dst, line...)
	n, _ := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			at := len(dst)
			dst = append(dst, make([]byte, n+2)...)
			_, err = io.ReadFull(in, dst[at:])
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			if dst, err = readReply(in, dst); err != nil {
				break
			}
		}
	}
	return dst, err
}

// Log returns what has been logged, one command a line, without MULTI, EXEC and SELECT, and with absolute
// times that are less than days away made comparable with those of nearly the same moment.
func (r *Redis) Log() []string {
	r.t.Helper()
	files, _ := filepath.Glob(filepath.Join(r.dir, "appendonlydir", "*.incr.aof"))
	if len(files) != 1 {
		r.t.Fatalf("%d log files", len(files))
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		r.t.Fatal(err)
	}
	return logLines(r.t, b)
}

func logLines(t *testing.T, b []byte) []string {
	t.Helper()
	var lines []string
	for in := bufio.NewReader(bytes.NewReader(b)); ; {
		head, err := in.ReadString('\n')
		if err == io.EOF {
			return lines
		}
		var line []string
		n, _ := strconv.Atoi(strings.TrimSpace(head[1:]))
		for range n {
			word, err := readReply(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := bytes.Cut(word, []byte("\r\n"))
			line = append(line, string(bytes.TrimSuffix(text, []byte("\r\n"))))
		}
		line[0] = strings.ToUpper(line[0])
		switch line[0] {
		case "MULTI", "EXEC", "SELECT":
			continue
		case "PEXPIREAT", "RESTORE":
			line[2] = round(line[2])
		}
		lines = append(lines, fmt.Sprintf("%.400q", line))
	}
}

// round makes a time that is some time from now comparable with one of nearly the same moment.
func round(ms string) string {
	n, _ := strconv.ParseInt(ms, 10, 64)
	if ahead := n - time.Now().UnixMilli(); ahead > -100_000 && ahead < 1_000_000_000 {
		return "now+" + strconv.FormatInt((ahead+250_000)/100_000-2, 10) + "e5"
	}
	return ms
}

// Words splits a command; "-" stands for an empty argument.
func Words(command string) [][]byte {
	var args [][]byte
	for _, w := range strings.Fields(command) {
		if w == "-" {
			w = ""
		}
		args = append(args, []byte(w))
	}
	return args
}
