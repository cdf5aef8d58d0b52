package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/pubsub"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/streams"
	"github.com/zmsg/zmsg/kv/internal/tries"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

// recorder is a Journal that keeps the log.
type recorder struct{ text strings.Builder }

func (r *recorder) Append(p []byte) int64 {
	r.text.Write(p)
	return int64(r.text.Len())
}
func (*recorder) Commit(int64) error { return nil }
func (*recorder) Sync(int64) error   { return nil }
func (*recorder) Err() error         { return nil }

// rig is an engine with all commands, a log, and clients by name.
type rig struct {
	t       *testing.T
	e       *engine.Engine
	log     *recorder
	clients map[string]*engine.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, e: engine.New(engine.Defaults()), log: &recorder{}, clients: map[string]*engine.Client{}}
	for _, c := range [][]*engine.Command{
		admin.Commands, keys.Commands, scalars.Commands, hashes.Commands, lists.Commands, sets.Commands,
		zsets.Commands, streams.Commands, tries.Commands, pubsub.Commands,
	} {
		r.e.Register(c...)
	}
	r.e.Lock()
	r.e.SetJournal(r.log)
	r.e.Unlock()
	t.Cleanup(r.e.Close)
	return r
}

func (r *rig) client(name string) *engine.Client {
	if r.clients[name] == nil {
		r.clients[name] = r.e.NewClient(engine.Front{Addr: name})
	}
	return r.clients[name]
}

// do executes a command, written with spaces, and returns the reply with "|" for line breaks. A word of _
// is the empty string.
func (r *rig) do(name, command string) string {
	var args [][]byte
	for word := range strings.FieldsSeq(command) {
		if word == "_" {
			word = ""
		}
		args = append(args, []byte(word))
	}
	return bars(string(r.e.Do(r.client(name), args, nil)))
}

// pipe sends commands in one go, one a line, and returns how many bytes of them were not executed.
func (r *rig) pipe(name string, commands ...string) (reply string, left int) {
	in := strings.Join(commands, "\r\n") + "\r\n"
	n, out := r.e.Process(r.client(name), []byte(in), nil)
	return bars(string(out)), len(in) - n
}

func bars(reply string) string { return strings.ReplaceAll(reply, "\r\n", "|") }

// take returns what a client got without having asked.
func (r *rig) take(name string) string { return bars(string(r.e.Take(r.client(name), nil))) }

// expect executes pairs of a command, with the client's name before a colon, and its reply; an empty
// command takes what has come out of turn.
func (r *rig) expect(steps ...string) {
	r.t.Helper()
	for i := 0; i+1 < len(steps); i += 2 {
		name, command, _ := strings.Cut(steps[i], ": ")
		var got string
		if command == "" {
			got = r.take(strings.TrimSuffix(name, ":"))
		} else {
			got = r.do(name, command)
		}
		if got != steps[i+1] {
			r.t.Fatalf("%s\n got %q\nwant %q", steps[i], got, steps[i+1])
		}
	}
}

// logged returns what has been logged since the last call: the arguments, and ";" after each command.
func (r *rig) logged() string {
	r.e.Lock()
	defer r.e.Unlock()
	var all []string
	var words []string
	for line := range strings.SplitSeq(r.log.text.String(), "\r\n") {
		switch {
		case strings.HasPrefix(line, "*"):
			if len(words) > 0 {
				all = append(all, strings.Join(words, " "))
			}
			words = nil
		case line != "" && !strings.HasPrefix(line, "$"):
			words = append(words, line)
		}
	}
	if len(words) > 0 {
		all = append(all, strings.Join(words, " "))
	}
	r.log.text.Reset()
	return strings.Join(all, "; ")
}

// due stores a string whose time has run out already.
func (r *rig) due(key string) {
	r.e.Lock()
	defer r.e.Unlock()
	r.e.Keyspace(0).SetString([]byte(key), []byte("v"), time.Now().UnixMilli()-1000)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}
