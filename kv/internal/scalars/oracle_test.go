package scalars

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

// An oracle is a private redis-server.
type oracle struct {
	t    *testing.T
	dir  string
	conn net.Conn
	in   *bufio.Reader
}

func startOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{t: t, dir: t.TempDir()}
	sock := filepath.Join(o.dir, "s")
	cmd := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", sock, "--save", "",
		"--appendonly", "yes", "--appendfsync", "no", "--dir", o.dir, "--enable-debug-command", "yes")
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server must be on the PATH: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", sock)
		if err == nil {
			o.conn, o.in = conn, bufio.NewReader(conn)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Cleanup(func() { _ = o.conn.Close() })
	// Keys shall expire when a command meets them, at the same place of the log as here.
	o.do(words("DEBUG SET-ACTIVE-EXPIRE 0"))
	return o
}

// do executes commands in one go and returns their replies, as they are.
func (o *oracle) do(commands ...[][]byte) [][]byte {
	o.t.Helper()
	var request []byte
	for _, args := range commands {
		request = engine.AppendCommand(request, args)
	}
	go func() { _, _ = o.conn.Write(request) }()
	replies := make([][]byte, len(commands))
	for i := range commands {
		var err error
		if replies[i], err = readReply(o.in, nil); err != nil {
			o.t.Fatal(err)
		}
	}
	return replies
}

// readReply appends one encoded reply to dst.
func readReply(in *bufio.Reader, dst []byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	dst = append(dst, line...)
	kind := line[0]
	n, _ := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	switch kind {
	case '$':
		if n >= 0 {
			at := len(dst)
			dst = append(dst, make([]byte, n+2)...)
			_, err = io.ReadFull(in, dst[at:])
		}
	case '*', '%', '~':
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

// log returns what has been logged, one command a line, without MULTI, EXEC and SELECT.
func (o *oracle) log() []string {
	o.t.Helper()
	files, _ := filepath.Glob(filepath.Join(o.dir, "appendonlydir", "*.incr.aof"))
	if len(files) != 1 {
		o.t.Fatalf("%d log files", len(files))
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		o.t.Fatal(err)
	}
	return logLines(o.t, b)
}

func logLines(t *testing.T, b []byte) []string {
	t.Helper()
	var lines []string
	for in := bufio.NewReader(bytes.NewReader(b)); ; {
		head, err := in.ReadString('\n')
		if err == io.EOF {
			return lines
		}
		var words []string
		n, _ := strconv.Atoi(strings.TrimSpace(head[1:]))
		for range n {
			word, err := readReply(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := bytes.Cut(word, []byte("\r\n"))
			words = append(words, string(bytes.TrimSuffix(text, []byte("\r\n"))))
		}
		switch strings.ToUpper(words[0]) {
		case "MULTI", "EXEC", "SELECT":
			continue
		case "PEXPIREAT":
			words[2] = round(words[2])
		case "SET":
			words[0] = "SET"
			for i := range words {
				if i > 3 && words[i-1] == "PXAT" {
					words[i] = round(words[i])
				}
			}
		}
		lines = append(lines, fmt.Sprintf("%.400q", words))
	}
}

// round makes a deadline that is some time from now comparable with one of nearly the same moment.
func round(ms string) string {
	n, _ := strconv.ParseInt(ms, 10, 64)
	if ahead := n - time.Now().UnixMilli(); ahead > -100_000 && ahead < 1_000_000_000 {
		return "now+" + strconv.FormatInt((ahead+200_000)/100_000-2, 10) + "e5"
	}
	if n > 1e15 {
		return "for ages"
	}
	return ms
}

// journal is an engine.Journal in memory.
type journal struct{ b []byte }

func (j *journal) Append(p []byte) int64 {
	j.b = append(j.b, p...)
	return int64(len(j.b))
}
func (*journal) Commit(int64) error { return nil }
func (*journal) Sync(int64) error   { return nil }
func (*journal) Err() error         { return nil }

// subject is an engine with this package's commands.
type subject struct {
	e *engine.Engine
	c *engine.Client
	j journal
}

func newSubject(tb testing.TB) *subject {
	tb.Helper()
	s := &subject{e: engine.New(engine.Defaults())}
	s.e.Register(Commands...)
	s.e.Lock()
	s.e.SetJournal(&s.j)
	s.e.Unlock()
	s.c = s.e.NewClient(engine.Front{})
	tb.Cleanup(s.e.Close)
	return s
}

func (s *subject) do(args [][]byte) []byte { return s.e.Do(s.c, args, nil) }

// words splits a command; "-" stands for an empty argument.
func words(command string) [][]byte {
	var args [][]byte
	for _, w := range strings.Fields(command) {
		if w == "-" {
			w = ""
		}
		args = append(args, []byte(w))
	}
	return args
}
