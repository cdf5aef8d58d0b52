package zsets_test

import (
	"bufio"
	"bytes"
	"errors"
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
	"github.com/zmsg/zmsg/kv/internal/geo"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// oracle is a private redis-server that logs what it executes.
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
		"--appendonly", "yes", "--appendfsync", "no", "--dir", o.dir)
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server must be on the PATH: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); o.conn == nil; {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", sock)
		switch {
		case err == nil:
			o.conn, o.in = conn, bufio.NewReader(conn)
		case time.Now().After(deadline):
			t.Fatal(err)
		default:
			<-time.After(10 * time.Millisecond)
		}
	}
	t.Cleanup(func() { _ = o.conn.Close() })
	return o
}

// do executes commands in one go and returns their replies, as they are.
func (o *oracle) do(commands [][]string) []string {
	o.t.Helper()
	var request []byte
	for _, c := range commands {
		request = engine.AppendCommand(request, args(c))
	}
	go func() { _, _ = o.conn.Write(request) }()
	replies := make([]string, len(commands))
	for i := range commands {
		var reply bytes.Buffer
		if err := readReply(o.in, &reply); err != nil {
			o.t.Fatal(err)
		}
		replies[i] = reply.String()
	}
	return replies
}

func readReply(in *bufio.Reader, out *bytes.Buffer) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	out.WriteString(line)
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			_, err = io.CopyN(out, in, int64(n+2))
		}
		return err
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		n = 0
	}
	for ; n > 0 && err == nil; n-- {
		err = readReply(in, out)
	}
	return err
}

// log returns the entries of the server's log, without the choice of the database.
func (o *oracle) log() []string {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(o.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		o.t.Fatalf("log files %v: %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		o.t.Fatal(err)
	}
	return entries(o.t, text)
}

func entries(t *testing.T, text []byte) (list []string) {
	t.Helper()
	for in := bufio.NewReader(bytes.NewReader(text)); ; {
		var entry bytes.Buffer
		err := readReply(in, &entry)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if s := entry.String(); !strings.Contains(s, "SELECT") {
			list = append(list, s)
		}
	}
}

// journal keeps what the engine logs.
type journal struct{ b []byte }

func (j *journal) Append(p []byte) int64 { j.b = append(j.b, p...); return int64(len(j.b)) }
func (*journal) Commit(int64) error      { return nil }
func (*journal) Sync(int64) error        { return nil }
func (*journal) Err() error              { return nil }

// subject is an engine with the commands under test, and one client.
type subject struct {
	e *engine.Engine
	c *engine.Client
	j *journal
}

func newSubject() *subject {
	s := &subject{e: engine.New(engine.Defaults()), j: &journal{}}
	s.e.Register(zsets.Commands...)
	s.e.Register(geo.Commands...)
	s.e.Register(
		&engine.Command{Name: "del", Arity: 2, Flags: engine.Write, First: 1, Last: 1, Step: 1, Run: del},
		&engine.Command{Name: "set", Arity: 3, Flags: engine.Write, First: 1, Last: 1, Step: 1, Run: set},
	)
	s.e.Lock()
	s.e.SetJournal(s.j)
	s.e.Unlock()
	s.c = s.e.NewClient(engine.Front{})
	return s
}

func del(c *engine.Client, args [][]byte) {
	removed := c.DB().Remove(args[1])
	if removed {
		c.Changed(args[1], engine.EventGeneric, "del")
	}
	c.Bool01(removed)
}

func set(c *engine.Client, args [][]byte) {
	c.DB().SetString(args[1], args[2], 0)
	c.Changed(args[1], engine.EventString, "set")
	c.OK()
}

func (s *subject) do(words ...string) string { return string(s.e.Do(s.c, args(words), nil)) }

// try executes a command that is written with spaces, and returns the reply with "|" for line breaks.
func (s *subject) try(command string) string {
	return strings.ReplaceAll(strings.TrimSuffix(s.do(strings.Split(command, " ")...), "\r\n"), "\r\n", "|")
}

func args(words []string) (list [][]byte) {
	for _, w := range words {
		list = append(list, []byte(w))
	}
	return list
}

// compare gives the same random commands to a redis-server and to the engine, whose replies and logs must
// be the same.
func compare(t *testing.T, proto int, clean func(command []string, reply string) string, next func() []string) {
	t.Helper()
	o, s := startOracle(t), newSubject()
	o.do([][]string{{"HELLO", strconv.Itoa(proto)}})
	s.e.Lock()
	s.c.SetProto(proto)
	s.e.Unlock()
	for range 200 {
		commands := [][]string{{"SET", "str", "x"}, {"SET", "text", "x"}}
		for range 100 {
			commands = append(commands, next())
		}
		for i, want := range o.do(commands) {
			got := s.do(commands[i]...)
			if clean(commands[i], got) != clean(commands[i], want) {
				t.Fatalf("%q\n got %q\nwant %q", commands[i], got, want)
			}
		}
	}
	got, want := entries(t, s.j.b), o.log()
	for i := range min(len(got), len(want)) {
		if !strings.EqualFold(got[i], want[i]) {
			t.Fatalf("entry %d of the log\n got %q\nwant %q\nafter %q", i, got[i], want[i], got[max(0, i-1)])
		}
	}
	if len(got) != len(want) {
		t.Fatal(fmt.Sprint(len(got), " entries in the log, Redis has ", len(want)))
	}
}
