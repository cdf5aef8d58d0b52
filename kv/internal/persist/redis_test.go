package persist_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/resp"
	"github.com/zmsg/zmsg/kv/internal/vfs"
)

// server is a redis-server that works on a directory.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	conn net.Conn
	in   *bufio.Reader
	buf  []byte
}

// startRedis starts a redis-server on dir, which must be on the PATH, and waits until it has loaded.
func startRedis(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "s")
	args = append([]string{"--port", "0", "--unixsocket", sock, "--save", "", "--dir", dir, "--appendonly", "yes"}, args...)
	s := &server{t: t, cmd: exec.CommandContext(t.Context(), "redis-server", args...)}
	out := &strings.Builder{}
	s.cmd.Stdout = out
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("redis-server must be on the PATH: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", sock)
		if err == nil {
			s.conn, s.in = conn, bufio.NewReader(conn)
			if s.do("PING").Text() == "PONG" {
				return s
			}
			_ = conn.Close()
		}
		select {
		case <-ended:
			t.Fatalf("redis-server has ended:\n%s", out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not start")
		}
	}
}

// stop ends the server as SHUTDOWN does, with everything written.
func (s *server) stop() {
	s.t.Helper()
	_, _ = s.conn.Write(engine.AppendCommand(nil, bytesOf([]string{"SHUTDOWN"})))
	_, _ = s.in.ReadByte() // until it has closed the connection
	deadline := time.Now().Add(20 * time.Second)
	for s.cmd.Process.Signal(syscall.Signal(0)) == nil {
		if time.Now().After(deadline) {
			s.t.Fatal("redis-server does not stop")
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (s *server) do(words ...string) resp.Value {
	s.t.Helper()
	if _, err := s.conn.Write(engine.AppendCommand(nil, bytesOf(words))); err != nil {
		s.t.Fatal(err)
	}
	s.buf = s.buf[:0]
	for {
		v, n, err := resp.Decode(s.buf)
		if err == nil && n > 0 {
			return v
		}
		more := make([]byte, 1<<16)
		read, err := s.in.Read(more)
		if err != nil {
			s.t.Fatal(err)
		}
		s.buf = append(s.buf, more[:read]...)
	}
}

// must executes a command that has to succeed.
func (s *server) must(words ...string) {
	s.t.Helper()
	if err := s.do(words...).Err(); err != nil {
		s.t.Fatalf("%q: %v", words, err)
	}
}

// state is everything in the server, in the form of db.state.
func (s *server) state() string {
	var lines []string
	for db := range 16 {
		s.must("SELECT", strconv.Itoa(db))
		for _, key := range flatValue(s.do("KEYS", "*")) {
			kind := engine.Type(s.do("TYPE", key).Text())
			command := readAll(kind, []byte(key))
			words := make([]string, len(command))
			for i, w := range command {
				words[i] = string(w)
			}
			parts := slices.Clone(flatValue(s.do(words...)))
			for i := range parts {
				parts[i] = strings.Clone(parts[i])
			}
			deadline := s.do("PEXPIRETIME", key).Int
			lines = append(lines, line(db, kind, []byte(key), parts, max(0, deadline)))
		}
	}
	s.must("SELECT", "0")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// everyType are commands that make values of every type in every encoding.
func everyType() (commands [][]string) {
	add := func(words ...string) { commands = append(commands, words) }
	add("SET", "string", "a string that is long enough not to be kept with its key, in one piece of memory")
	add("SET", "int", "-12345")
	add("SET", "binary\x00\xff\r\n", "\x00\r\n\xff")
	add("SET", "empty", "")
	add("SET", "large", strings.Repeat("abcdefgh", 20000))
	add("SET", "deadline", "x", "PX", "1000000000")
	add("APPEND", "string", "!")
	add("SETRANGE", "range", "5", "x")
	add("INCRBYFLOAT", "float", "1.5")
	add("RPUSH", "list", "a", "1", "-70000", strings.Repeat("x", 10000))
	add("SADD", "intset", "1", "2", "-3", "70000", "10000000000")
	add("SADD", "set", "a", "b", "\x00")
	add("HSET", "hash", "f", "v", "1", "2")
	add("ZADD", "zset", "1.5", "a", "-inf", "b", "3", "c")
	add("ZADD", "doubles", "0.1", "a", "1e300", "b", "-2.2250738585072014e-308", "c")
	add("XADD", "stream", "1-1", "field", "value")
	add("XGROUP", "CREATE", "stream", "group", "0")
	add("XREADGROUP", "GROUP", "group", "consumer", "STREAMS", "stream", ">")
	for i := range 1000 {
		n := strconv.Itoa(i)
		add("XADD", "stream", strconv.Itoa(i+2)+"-7", "field", n, "other "+n, "")
		add("RPUSH", "longlist", n, "element "+n)
		add("SADD", "largeset", "member "+n)
		add("SADD", "largeintset", n)
		add("HSET", "largehash", "field "+n, n)
		add("ZADD", "largezset", n, "member "+n)
	}
	add("SELECT", "9")
	add("MULTI")
	add("SET", "in nine", "1")
	add("LPUSH", "list", "2")
	add("EXEC")
	add("SELECT", "0")
	return commands
}

// later are commands that change some of that.
func later() [][]string {
	return [][]string{
		{"INCR", "int"},
		{"LPOP", "longlist"},
		{"RPOP", "list"},
		{"HDEL", "largehash", "field 5"},
		{"ZINCRBY", "largezset", "0.5", "member 7"},
		{"SREM", "largeset", "member 9"},
		{"SPOP", "largeintset", "3"},
		{"DEL", "empty"},
		{"XADD", "stream", "5000-0", "a", "b"},
		{"XDEL", "stream", "500-7"},
		{"XACK", "stream", "group", "1-1"},
		{"SELECT", "3"},
		{"SET", "in three", "3"},
		{"SELECT", "0"},
		{"MULTI"},
		{"SET", "a", "1"},
		{"SET", "b", "2", "EX", "100000"},
		{"EXEC"},
		{"SET", "last", "1"},
	}
}

// run executes commands that have to succeed.
func (d *db) run(commands [][]string) {
	d.t.Helper()
	for _, c := range commands {
		reply := string(d.e.Do(d.c, bytesOf(c), nil))
		if err := d.e.Commit(d.c); err != nil || strings.HasPrefix(reply, "-") {
			d.t.Fatalf("%.100q: %s, %v", c, reply, err)
		}
	}
}

// checkAOF has Redis's own tool look at a log.
func checkAOF(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest")
	out, err := exec.CommandContext(t.Context(), "redis-check-aof", name).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "All AOF files and manifest are valid") {
		t.Errorf("redis-check-aof: %v\n%s", err, out)
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("%s: %d keys, want %d; line %d is\n%.300s\nwant\n%.300s", what, len(a), len(b), i, at(a, i), at(b, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "missing"
}

// TestRedisGoesOn has a database written, rewritten and appended to, then redis-server go on with it, and
// then again a database.
func TestRedisGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, vfs.OS{}, configured(dir))
	d.run(everyType())
	d.run([][]string{{"TRIE.PUT", "trie", "a", "1", "ab", "2"}})
	d.rewrite()
	d.run(later())
	want := d.state()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	checkAOF(t, dir)

	redis := startRedis(t, dir)
	same(t, "redis-server has loaded", redis.state(), want)
	for _, c := range [][]string{{"SET", "from redis", "1"}, {"XADD", "stream", "6000-1", "a", "b"}, {"XREADGROUP", "GROUP", "group", "other", "STREAMS", "stream", ">"}, {"DEL", "list"}, {"INCR", "int"}, {"LPUSH", "list", "redis"}} {
		redis.must(c...)
	}
	want = redis.state()
	redis.stop()

	d = open(t, vfs.OS{}, configured(dir))
	same(t, "after redis-server", d.state(), want)
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAfterRedis loads what redis-server has written in each of its ways.
func TestAfterRedis(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"RDB base":      nil,
		"commands only": {"--aof-use-rdb-preamble", "no"},
		"timestamps":    {"--aof-timestamp-enabled", "yes", "--aof-use-rdb-preamble", "no"},
		"no rewrite":    {"--appendfsync", "always"},
		"LRU":           {"--maxmemory-policy", "allkeys-lru", "--maxmemory", "1gb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			redis := startRedis(t, dir, args...)
			for _, c := range everyType() {
				redis.must(c...)
			}
			if name != "no rewrite" {
				redis.must("BGREWRITEAOF")
				for deadline := time.Now().Add(30 * time.Second); !strings.Contains(redis.do("INFO", "persistence").Text(), "aof_rewrites:1"); {
					if time.Now().After(deadline) {
						t.Fatal("no rewrite")
					}
					<-time.After(10 * time.Millisecond)
				}
				for strings.Contains(redis.do("INFO", "persistence").Text(), "aof_rewrite_in_progress:1") {
					<-time.After(10 * time.Millisecond)
				}
			}
			for _, c := range later() {
				redis.must(c...)
			}
			want := redis.state()
			redis.stop()
			d := open(t, vfs.OS{}, configured(dir))
			same(t, "loaded", d.state(), want)
			d.rewrite()
			if err := d.s.Close(); err != nil {
				t.Fatal(err)
			}
			checkAOF(t, dir)
			same(t, "redis-server has loaded", startRedis(t, dir).state(), want)
		})
	}
}

// TestRedisLoadsWhatACrashLeaves shows that after a torn end was cut off, Redis finds nothing wrong.
func TestRedisLoadsWhatACrashLeaves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := configured(dir)
	d := open(t, vfs.OS{}, config)
	d.run(later())
	want := d.state()
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "appendonlydir", "appendonly.aof.1.incr.aof")
	f, err := vfs.OS{}.OpenAppend(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprint(f, words("MULTI"), words("SET", "x", "1"), "*3\r\n$3")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	d = open(t, vfs.OS{}, config)
	same(t, "loaded", d.state(), want)
	if err := d.s.Close(); err != nil {
		t.Fatal(err)
	}
	checkAOF(t, dir)
	same(t, "redis-server has loaded", startRedis(t, dir).state(), want)
}
