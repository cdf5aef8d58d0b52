package tries_test

import (
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/tries"
)

// do executes commands, told as words with "-" for an empty one, and returns the last reply with | for
// line breaks.
func do(e *engine.Engine, c *engine.Client, commands ...string) string {
	var out []byte
	for _, cmd := range commands {
		var args [][]byte
		for _, w := range strings.Fields(cmd) {
			if w == "-" {
				w = ""
			}
			args = append(args, []byte(w))
		}
		out = e.Do(c, args, nil)
	}
	return strings.ReplaceAll(strings.TrimSuffix(string(out), "\r\n"), "\r\n", "|")
}

func newEngine(t *testing.T) (*engine.Engine, *engine.Client) {
	t.Helper()
	e := engine.New(engine.Defaults())
	e.Register(tries.Commands...)
	e.Register(scalars.Commands...)
	t.Cleanup(e.Close)
	return e, e.NewClient(engine.Front{})
}

func TestCommands(t *testing.T) {
	t.Parallel()
	const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"
	tests := []struct {
		command      string
		resp2, resp3 string // "" is the same
	}{
		{"TRIE.PUT t /a 1 /a/b 2 /a/c 3 /b 4", ":4", ""},
		{"TRIE.PUT t /a 9 /z 5", ":1", ""},
		{"TRIE.PUT t /a", "-ERR wrong number of arguments for 'trie.put' command", ""},
		{"TRIE.PUT t /a 1 2", "-ERR wrong number of arguments for 'trie.put' command", ""},
		{"TRIE.LEN t", ":5", ""},
		{"TRIE.LEN none", ":0", ""},
		{"TRIE.GET t /a", "$1|9", ""},
		{"TRIE.GET t /", "$-1", "_"},
		{"TRIE.GET none /", "$-1", "_"},
		{"TRIE.SCAN t /a", "*6|$2|/a|$1|9|$4|/a/b|$1|2|$4|/a/c|$1|3", "%3|$2|/a|$1|9|$4|/a/b|$1|2|$4|/a/c|$1|3"},
		{"TRIE.SCAN t - NOVALUES", "*5|$2|/a|$4|/a/b|$4|/a/c|$2|/b|$2|/z", ""},
		{"TRIE.SCAN t - AFTER /a/b COUNT 2 NOVALUES", "*2|$4|/a/c|$2|/b", ""},
		{"TRIE.SCAN t - after - count 1", "*2|$2|/a|$1|9", "%1|$2|/a|$1|9"},
		{"TRIE.SCAN t x", "*0", "%0"},
		{"TRIE.SCAN none x", "*0", "%0"},
		{"TRIE.SCAN t - COUNT 0", "-ERR value is out of range, must be positive", ""},
		{"TRIE.SCAN t - COUNT x", "-ERR value is not an integer or out of range", ""},
		{"TRIE.SCAN t - COUNT", "-ERR syntax error", ""},
		{"TRIE.PREFIX t /a/bc", "*2|$4|/a/b|$1|2", ""},
		{"TRIE.PREFIX t /a/", "*2|$2|/a|$1|9", ""},
		{"TRIE.PREFIX t a", "*-1", "_"},
		{"TRIE.PREFIX none a", "*-1", "_"},
		{"SET s 1", "+OK", ""},
		{"GET t", wrongType, ""},
		{"TRIE.PUT s a b", wrongType, ""},
		{"TRIE.GET s a", wrongType, ""},
		{"TRIE.DEL s a", wrongType, ""},
		{"TRIE.LEN s", wrongType, ""},
		{"TRIE.SCAN s a", wrongType, ""},
		{"TRIE.PREFIX s a", wrongType, ""},
		{"TRIE.DEL none a", ":0", ""},
		{"TRIE.DEL t /a /a /none", ":1", ""},
		{"TRIE.DEL t /a/b /a/c /b /z", ":4", ""},
	}
	for proto := 2; proto <= 3; proto++ {
		e, c := newEngine(t)
		c.SetProto(proto)
		for _, test := range tests {
			want := test.resp2
			if proto == 3 && test.resp3 != "" {
				want = test.resp3
			}
			if got := do(e, c, test.command); got != want {
				t.Errorf("%s (RESP%d)\n got %s\nwant %s", test.command, proto, got, want)
			}
		}
		if c.DB().Peek([]byte("t")) != nil {
			t.Error("the key stays when its last field has gone")
		}
	}
}

func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	e, c := newEngine(t)
	do(e, c, "TRIE.PUT t a 1 ab 2")
	e.Lock()
	s := e.Snapshot()
	e.Unlock()
	do(e, c, "TRIE.PUT t a 9 abc 3", "TRIE.DEL t ab")
	old := s.Tables[0].Find([]byte("t")).Box().Val.(*tries.Trie)
	var got []string
	for f, v := range old.All() {
		got = append(got, string(f)+v)
	}
	s.Release()
	if strings.Join(got, " ") != "a1 ab2" {
		t.Errorf("the snapshot has %q", got)
	}
	if got := do(e, c, "TRIE.SCAN t -"); got != "*4|$1|a|$1|9|$3|abc|$1|3" {
		t.Error(got)
	}
}

func TestMemoryIsAccounted(t *testing.T) {
	t.Parallel()
	e, c := newEngine(t)
	do(e, c, "TRIE.PUT t a 1")
	before := e.Memory()
	do(e, c, "TRIE.PUT t b "+strings.Repeat("x", 10_000))
	if grown := e.Memory() - before; grown < 10_000 || grown > 12_000 {
		t.Errorf("a value of 10000 bytes counts as %d", grown)
	}
	do(e, c, "TRIE.DEL t b")
	if left := e.Memory() - before; left < 0 || left > 100 {
		t.Errorf("%d bytes are left", left)
	}
}
