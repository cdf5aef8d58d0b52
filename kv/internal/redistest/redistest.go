// Package redistest compares commands with a real redis-server, which must be on the PATH: the same commands
// must have the same replies, and must leave the same log.
package redistest

import (
	"bufio"
	"bytes"
	"errors"
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

// Server is a private redis-server that logs what it executes.
type Server struct {
	t    *testing.T
	dir  string
	conn net.Conn
	in   *bufio.Reader
}

// Start starts a redis-server, which ends with the test, and connects to it.
func Start(t *testing.T) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	sock := filepath.Join(s.dir, "s")
	cmd := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", sock, "--save", "",
		"--appendonly", "yes", "--appendfsync", "no", "--dir", s.dir)
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server must be on the PATH: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); s.conn == nil; {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", sock)
		switch {
		case err == nil:
			s.conn, s.in = conn, bufio.NewReader(conn)
		case time.Now().After(deadline):
			t.Fatal(err)
		default:
			<-time.After(10 * time.Millisecond)
		}
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	return s
}

// Do executes commands in one go and returns their replies as they are.
func (s *Server) Do(commands ...[]string) []string {
	s.t.Helper()
	var request []byte
	for _, c := range commands {
		request = engine.AppendCommand(request, Args(c...))
	}
	go func() { _, _ = s.conn.Write(request) }()
	replies := make([]string, len(commands))
	for i := range commands {
		var reply bytes.Buffer
		if err := readReply(s.in, &reply); err != nil {
			s.t.Fatal(err)
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

// Log returns the entries of the server's log, without the choice of the database.
func (s *Server) Log() []string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		s.t.Fatalf("log files %v: %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return entries(s.t, text)
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
		if e := entry.String(); !strings.Contains(e, "SELECT") {
			list = append(list, e)
		}
	}
}

// Args returns words as arguments.
func Args(words ...string) (args [][]byte) {
	for _, w := range words {
		args = append(args, []byte(w))
	}
	return args
}

// journal keeps what an engine logs.
type journal struct{ b []byte }

func (j *journal) Append(p []byte) int64 { j.b = append(j.b, p...); return int64(len(j.b)) }
func (*journal) Commit(int64) error      { return nil }
func (*journal) Sync(int64) error        { return nil }
func (*journal) Err() error              { return nil }

// Subject is an engine with the commands under test, one client, and a log.
type Subject struct {
	Engine *engine.Engine
	Client *engine.Client
	log    journal
}

// NewSubject returns an engine with the commands, and with SET, DEL and OBJECT ENCODING as far as
// tests need them.
func NewSubject(t *testing.T, commands []*engine.Command) *Subject {
	t.Helper()
	s := &Subject{Engine: engine.New(engine.Defaults())}
	s.Engine.Register(commands...)
	s.Engine.Register(helpers...)
	s.Engine.Lock()
	s.Engine.SetJournal(&s.log)
	s.Engine.Unlock()
	t.Cleanup(s.Engine.Close)
	s.Client = s.Engine.NewClient(engine.Front{})
	return s
}

var helpers = []*engine.Command{
	{Name: "del", Arity: 2, Flags: engine.Write, First: 1, Last: 1, Step: 1, Run: func(c *engine.Client, args [][]byte) {
		removed := c.DB().Remove(args[1])
		if removed {
			c.Changed(args[1], engine.EventGeneric, "del")
		}
		c.Bool01(removed)
	}},
	{Name: "set", Arity: 3, Flags: engine.Write, First: 1, Last: 1, Step: 1, Run: func(c *engine.Client, args [][]byte) {
		c.DB().SetString(args[1], args[2], 0)
		c.Changed(args[1], engine.EventString, "set")
		c.OK()
	}},
	{Name: "object", Arity: 3, Flags: engine.ReadOnly, First: 2, Last: 2, Step: 1, Run: func(c *engine.Client, args [][]byte) {
		if en := c.DB().Peek(args[2]); en != nil {
			c.BulkString(engine.EncodingOf(en))
		} else {
			c.Null()
		}
	}},
}

// Do executes a command and returns its reply as it is.
func (s *Subject) Do(words ...string) string {
	return string(s.Engine.Do(s.Client, Args(words...), nil))
}

// Try executes a command that is written with spaces, and returns the reply with "|" for line breaks.
func (s *Subject) Try(command string) string {
	return strings.ReplaceAll(strings.TrimSuffix(s.Do(strings.Split(command, " ")...), "\r\n"), "\r\n", "|")
}

// SetProto sets the protocol version of the client.
func (s *Subject) SetProto(version int) {
	s.Engine.Lock()
	defer s.Engine.Unlock()
	s.Client.SetProto(version)
}

// Log returns the entries of the log, without the choice of the database.
func (s *Subject) Log(t *testing.T) []string {
	t.Helper()
	return entries(t, s.log.b)
}

// Compare gives the same commands to a redis-server and to an engine, whose replies, once clean has taken out
// what may differ, and whose logs must be the same. The keys str and text have strings again and again.
func Compare(t *testing.T, proto int, commands []*engine.Command, clean func(command []string, reply string) string, next func() []string) {
	t.Helper()
	server, s := Start(t), NewSubject(t, commands)
	server.Do([]string{"HELLO", strconv.Itoa(proto)})
	s.SetProto(proto)
	for range 200 {
		batch := [][]string{{"SET", "str", "x"}, {"SET", "text", "x"}}
		for range 100 {
			batch = append(batch, next())
		}
		for i, want := range server.Do(batch...) {
			got := s.Do(batch[i]...)
			if clean(batch[i], got) != clean(batch[i], want) {
				t.Fatalf("%q\n got %q\nwant %q", batch[i], got, want)
			}
		}
	}
	got, want := s.Log(t), server.Log()
	for i := range min(len(got), len(want)) {
		if !strings.EqualFold(got[i], want[i]) {
			t.Fatalf("entry %d of the log\n got %q\nwant %q\nafter %q", i, got[i], want[i], got[max(0, i-1)])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries in the log, Redis has %d", len(got), len(want))
	}
}
