package persist_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/persist"
	"github.com/zmsg/zmsg/kv/internal/resp"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/tries"
	"github.com/zmsg/zmsg/kv/internal/vfs"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// db is an engine with its files.
type db struct {
	t *testing.T
	e *engine.Engine
	s *persist.Store
	c *engine.Client
}

func configured(dir string) *engine.Config {
	c := engine.Defaults()
	c.Dir, c.AppendOnly = dir, true
	return c
}

func newEngine(c *engine.Config) *engine.Engine {
	e := engine.New(c)
	e.Register(admin.Commands...)
	e.Register(scalars.Commands...)
	e.Register(keys.Commands...)
	e.Register(lists.Commands...)
	e.Register(hashes.Commands...)
	e.Register(sets.Commands...)
	e.Register(zsets.Commands...)
	e.Register(streams.Commands...)
	e.Register(tries.Commands...)
	return e
}

// open opens a database, which is closed at the test's end.
func open(t *testing.T, fsys vfs.FS, c *engine.Config) *db {
	t.Helper()
	d, err := tryOpen(t, fsys, c, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.s.Close() })
	return d
}

func tryOpen(t *testing.T, fsys vfs.FS, c *engine.Config, o persist.Options) (*db, error) {
	t.Helper()
	d := &db{t: t, e: newEngine(c)}
	s, err := persist.Open(fsys, d.e, o)
	if err != nil {
		return nil, err
	}
	d.s, d.c = s, d.e.NewClient(engine.Front{})
	return d, nil
}

// do executes a command, commits, and returns the reply.
func (d *db) do(line string) (string, error) {
	words := strings.Fields(line)
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	reply := d.e.Do(d.c, args, nil)
	return strings.TrimSpace(string(reply)), d.e.Commit(d.c)
}

// must executes commands that have to succeed.
func (d *db) must(lines ...string) {
	d.t.Helper()
	for _, line := range lines {
		reply, err := d.do(line)
		if err != nil || strings.HasPrefix(reply, "-") {
			d.t.Fatalf("%s: %s, %v", line, reply, err)
		}
	}
}

// locked calls f with the engine's lock.
func (d *db) locked(f func()) {
	d.e.Lock()
	defer d.e.Unlock()
	f()
}

// field returns a field of INFO persistence.
func (d *db) field(name string) (value string) {
	d.locked(func() {
		for _, f := range d.s.Status() {
			if f.Name == name {
				value = f.Value
			}
		}
	})
	return value
}

// until waits until a field has a value.
func (d *db) until(name, value string) {
	d.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for d.field(name) != value {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s stays %q, not %q", name, d.field(name), value)
		}
		<-time.After(time.Millisecond)
	}
}

// rewrite rewrites the log, and waits for it.
func (d *db) rewrite() {
	d.t.Helper()
	n, _ := strconv.Atoi(d.field("aof_rewrites"))
	var err error
	d.locked(func() { _, err = d.s.StartRewrite() })
	if err != nil {
		d.t.Fatal(err)
	}
	d.until("aof_rewrites", strconv.Itoa(n+1))
	if ok := d.field("aof_last_bgrewrite_status"); ok != "ok" {
		d.t.Fatalf("rewrite: %s", ok)
	}
}

// state is everything in the database, as text.
func (d *db) state() string {
	d.e.Lock()
	defer d.e.Unlock()
	return stateOf(d.e)
}

// stateOf needs the lock. Keys that are due are told, and stay.
func stateOf(e *engine.Engine) string {
	var lines []string
	c := e.Internal()
	for _, k := range e.Keyspaces() {
		c.Select(k.Index())
		for en := range k.Table().All() {
			kind := engine.TypeOf(en)
			var parts []string
			if s, ok := engine.StringOf(en); ok {
				parts = []string{string(s)}
			} else if c.Call(readAll(kind, en.Key())) {
				parts = flat(c.TakeReply())
			}
			lines = append(lines, line(k.Index(), kind, en.Key(), parts, en.Deadline()))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// line describes a key, in a form that does not depend on how its value came about.
func line(db int, kind engine.Type, key []byte, parts []string, deadline int64) string {
	switch kind {
	case engine.TypeHash, engine.TypeTrie:
		var pairs []string
		for i := 0; i+1 < len(parts); i += 2 {
			pairs = append(pairs, parts[i]+" -> "+parts[i+1])
		}
		slices.Sort(pairs)
		parts = pairs
		kind = engine.TypeHash // Redis has a hash in a trie's place
	case engine.TypeSet:
		slices.Sort(parts)
	}
	return fmt.Sprintf("%d %s %q = %q until %d", db, kind, key, parts, deadline)
}

// readAll is the command that reads all of a value.
func readAll(kind engine.Type, key []byte) [][]byte {
	command := map[engine.Type][]string{
		engine.TypeString: {"GET", ""}, engine.TypeList: {"LRANGE", "", "0", "-1"}, engine.TypeHash: {"HGETALL", ""},
		engine.TypeSet: {"SMEMBERS", ""}, engine.TypeZSet: {"ZRANGE", "", "0", "-1", "WITHSCORES"},
		engine.TypeStream: {"XRANGE", "", "-", "+"}, engine.TypeTrie: {"TRIE.SCAN", "", ""},
	}[kind]
	args := bytesOf(command)
	args[1] = key
	return args
}

// flat is the strings in a reply.
func flat(reply []byte) []string {
	v, _, err := resp.Decode(reply)
	if err != nil {
		return []string{err.Error()}
	}
	return flatValue(v)
}

func flatValue(v resp.Value) []string {
	if v.Kind != resp.Array {
		return []string{v.Text()}
	}
	var all []string
	for _, e := range v.Elems {
		all = append(all, flatValue(e)...)
	}
	return all
}

func contents(t *testing.T, fsys vfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func list(t *testing.T, fsys vfs.FS, dir string) []string {
	t.Helper()
	names, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
