package keyspace

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua lua/lib/*.lua
var luaFiles embed.FS

// Name is one of the scripts.
type Name int

// The scripts. Each one but Open compares the shard's epoch with the caller's and answers STALE when
// they differ.
const (
	Read       Name = iota // entries of a shard, and its event tip
	Fill                   // store in L2 what SQL said, unless the key was written since
	Write                  // every write: version, pinned entry, stream, event, idempotency key
	Evict                  // drop an entry that is not pinned, tell every replica
	Release                // unpin what is committed up to a position, record the position
	Trim                   // drop released writes from the stream
	Pending                // a page of the queued writes, without their contents
	Recall                 // store an answer under an idempotency key, or return the one that is there
	Count                  // changes of counters: totals, pending sums, stream, event, idempotency keys
	Totals                 // the totals of some subjects, as far as they are hot
	LoadTotals             // make the totals of a subject hot with what SQL said
	Open                   // make an epoch the one that is served
	names
)

var files = [names]string{
	"read", "fill", "write", "evict", "release", "trim", "pending", "recall", "count", "totals", "load_totals", "open",
}

// Scripts are the scripts as one Redis process knows them. The identity of the process is part of
// their text, and only the opening of an epoch loads them: a call that reaches another process, or the
// same one restarted, is answered NOSCRIPT and does nothing. That is the fence that keeps a replica
// from writing to a Redis which is not, or is no longer, the home of the shard.
type Scripts struct {
	Process string
	scripts []*redis.Script
}

// NewScripts returns the scripts for one Redis process, named as redisconn.Identity names it.
func NewScripts(process string) (*Scripts, error) {
	if strings.ContainsAny(process, "\n\r") || process == "" {
		return nil, fmt.Errorf("keyspace: %q is no identity of a Redis process", process)
	}
	var bodies [names]string
	for n, f := range files {
		body, err := luaFiles.ReadFile("lua/" + f + ".lua")
		if err != nil {
			return nil, fmt.Errorf("keyspace: %w", err)
		}
		if bodies[n], err = withLibrary(string(body)); err != nil {
			return nil, err
		}
	}
	sc := &Scripts{Process: process}
	for _, text := range scriptTexts(process, bodies) {
		sc.scripts = append(sc.scripts, redis.NewScript(text))
	}
	return sc, nil
}

// withLibrary puts what several scripts share, a file of lua/lib, in the place of the line that asks for
// it: "-- include keys".
func withLibrary(body string) (string, error) {
	lines := strings.SplitAfter(body, "\n")
	for i, line := range lines {
		name, ok := strings.CutPrefix(line, "-- include ")
		if !ok {
			continue
		}
		text, err := luaFiles.ReadFile("lua/lib/" + strings.TrimSpace(name) + ".lua")
		if err != nil {
			return "", fmt.Errorf("keyspace: %w", err)
		}
		lines[i] = string(text)
	}
	return strings.Join(lines, ""), nil
}

// scriptTexts returns the bodies with a first line that says whose they are.
func scriptTexts(process string, bodies [names]string) (texts [names]string) {
	set := sha256.Sum256([]byte(strings.Join(bodies[:], "\x00")))
	for n, body := range bodies {
		mark := fmt.Sprintf("-- zmsg %s of the set %x, for the process %s only\n", files[n], set[:8], process)
		texts[n] = mark + body
		if flags, rest, ok := strings.Cut(body, "\n"); ok && strings.HasPrefix(flags, "#!") {
			texts[n] = flags + "\n" + mark + rest // Redis wants its flags on the first line
		}
	}
	return texts
}

// All returns what the opening loads.
func (sc *Scripts) All() []*redis.Script { return sc.scripts }

// Cmd returns the call of a script. It is for a client that does not repeat commands.
func (sc *Scripts) Cmd(ctx context.Context, n Name, keys []string, args ...any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", sc.scripts[n].Hash(), len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	return cmd
}

// Refused reports whether Redis refused a script without having done anything, because the shard's
// epoch is another one (STALE), the process is not the one that was opened (NOSCRIPT), it is no master any
// more (READONLY), or serves the shard no more (MOVED).
func Refused(err error) bool {
	if err == nil {
		return false
	}
	msg := err.Error()
	return strings.HasPrefix(msg, "STALE") || strings.HasPrefix(msg, "NOSCRIPT") ||
		strings.HasPrefix(msg, "READONLY") || strings.HasPrefix(msg, "MOVED")
}
