package keyspace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// tester is a test, or one run of a property.
type tester interface {
	rapid.TB
	Context() context.Context
}

// shard is one shard on a real Redis, opened in epoch 1.
type shard struct {
	t     tester
	c     *redis.Client
	sp    *Space
	sc    *Scripts
	s     int
	epoch int64

	lookUp int64 // for how many seconds after an opening keys must be looked up
}

const (
	valueTTL    = time.Hour
	deletionTTL = time.Minute
	eventsKept  = 1000
	keyPeriod   = 100_000_000 // s, three years: no test sees it pass
)

func newShard(t *testing.T) *shard {
	t.Helper()
	return newShardOn(t, testenv.RedisAddr(t))
}

func newShardOn(t *testing.T, addr string) *shard {
	t.Helper()
	sc, err := NewScripts("process:replication")
	if err != nil {
		t.Fatal(err)
	}
	h := &shard{t: t, c: redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1}), sp: New(8), sc: sc, s: 5}
	t.Cleanup(func() { _ = h.c.Close() })
	h.loadScripts()
	h.open(1, 0)
	return h
}

func (h *shard) loadScripts() {
	h.t.Helper()
	for _, s := range h.sc.All() {
		if err := s.Load(h.t.Context(), h.c).Err(); err != nil {
			h.t.Fatal(err)
		}
	}
}

// try runs a script.
func (h *shard) try(n Name, keys []string, args ...any) (any, error) {
	cmd := h.sc.Cmd(h.t.Context(), n, keys, args...)
	if err := h.c.Process(h.t.Context(), cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// run runs a script that must succeed and returns its reply as text, lists with spaces.
func (h *shard) run(n Name, keys []string, args ...any) string {
	h.t.Helper()
	reply, err := h.try(n, keys, args...)
	if err != nil {
		h.t.Fatalf("%s: %v", files[n], err)
	}
	return textOf(reply)
}

// textOf returns a reply as text, lists with spaces, and of an entry of the queue in its end "queued" and the ID.
func textOf(reply any) string {
	if list, _ := reply.([]any); len(list) > 1 {
		if entry, _ := list[len(list)-1].([]any); len(entry) == 2 {
			return fmt.Sprintf("%s queued %v", textOf(list[:len(list)-1]), entry[0])
		}
	}
	return strings.Trim(fmt.Sprint(reply), "[]")
}

func (h *shard) tryOpen(epoch int64, position model.Version) string {
	h.t.Helper()
	return h.run(Open, []string{h.sp.Meta(h.s), h.sp.Queue(h.s), h.sp.Events(h.s), h.sp.Gen(h.s)},
		epoch, Hex(position), h.sp.Prefix(h.s), valueTTL.Milliseconds(), deletionTTL.Milliseconds(), h.lookUp)
}

// open opens an epoch, in which the shard is used from here on.
func (h *shard) open(epoch int64, position model.Version) {
	h.t.Helper()
	if got := h.tryOpen(epoch, position); got != "ok" {
		h.t.Fatalf("open: %s", got)
	}
	h.epoch = epoch
}

// write is what the write script is told. Its zero value puts content "" of kind "" by author 0.
type write struct {
	id, author model.ID
	delete     bool
	kind, text string
	now        int64
	cond       string
	tip        string // of the snapshot; "": there is none
	snapshot   []byte
	key, print string
	looked     bool // the key was looked up in SQL
}

func (h *shard) writeArgs(w write) ([]string, []any) {
	op := "v"
	if w.delete {
		op = "d"
	}
	return []string{h.sp.Meta(h.s), h.sp.Entry(h.s, w.id), h.sp.Queue(h.s), h.sp.Events(h.s), h.sp.Gen(h.s)},
		[]any{
			h.epoch, op, Stripe(w.id), int64(w.id), int64(w.author), w.kind, w.text, w.now, w.cond,
			w.tip, w.snapshot, h.sp.Prefix(h.s), w.key, w.print, keyPeriod, flag(w.looked),
		}
}

// flag is how scripts are told yes and no.
func flag(yes bool) string {
	if yes {
		return "1"
	}
	return ""
}

func (h *shard) write(w write) string {
	h.t.Helper()
	keys, args := h.writeArgs(w)
	return h.run(Write, keys, args...)
}

// absent makes w bring the news that SQL had no row when the tip was read.
func (h *shard) absent(w write) write {
	w.tip, w.snapshot = h.meta("seq"), AppendSnapshot(nil, &model.Item{ID: w.id}, h.epoch)
	return w
}

// put writes a text that must be taken, and returns its version.
func (h *shard) put(id model.ID, text string) model.Version {
	h.t.Helper()
	return h.mustWrite(h.absent(write{id: id, author: 9, kind: "post", text: text, now: 1000}))
}

func (h *shard) mustWrite(w write) model.Version {
	h.t.Helper()
	var seq int64
	reply := h.write(w)
	if _, err := fmt.Sscanf(reply, "ok %d", &seq); err != nil {
		h.t.Fatalf("write of %s: %s", w.id, reply)
	}
	return model.NewVersion(h.epoch, seq)
}

// release releases up to a position, all at once, and returns the reply.
func (h *shard) release(to model.Version) string {
	h.t.Helper()
	return h.releaseSome(to, 1000)
}

func (h *shard) releaseSome(to model.Version, most int) string {
	h.t.Helper()
	return h.releaseWith(to, releaseArgs{most: most})
}

// fill brings what SQL said after a miss at the tip.
func (h *shard) fill(tip int64, it *model.Item) string {
	h.t.Helper()
	return h.run(Fill, []string{h.sp.Meta(h.s), h.sp.Entry(h.s, it.ID), h.sp.Gen(h.s)},
		h.epoch, Stripe(it.ID), tip, AppendEntry(nil, it, h.epoch), valueTTL.Milliseconds())
}

func (h *shard) evict(id model.ID) string {
	h.t.Helper()
	return h.run(Evict, []string{h.sp.Meta(h.s), h.sp.Entry(h.s, id), h.sp.Events(h.s), h.sp.Gen(h.s)},
		h.epoch, int64(id), eventsKept, Stripe(id))
}

func (h *shard) meta(field string) string {
	h.t.Helper()
	v, err := h.c.HGet(h.t.Context(), h.sp.Meta(h.s), field).Result()
	if err != nil {
		h.t.Fatalf("meta %s: %v", field, err)
	}
	return v
}

// entry returns the decoded entry and its life; ok is false if there is none.
func (h *shard) entry(id model.ID) (e Entry, ttl time.Duration, ok bool) {
	h.t.Helper()
	b, err := h.c.Get(h.t.Context(), h.sp.Entry(h.s, id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return Entry{}, 0, false
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if e, err = ParseEntry(id, b); err != nil {
		h.t.Fatal(err)
	}
	ttl, err = h.c.PTTL(h.t.Context(), h.sp.Entry(h.s, id)).Result()
	if err != nil {
		h.t.Fatal(err)
	}
	return e, ttl, true
}

// wantPinned checks that an entry is pinned, which excludes a life that ends, at a version.
func (h *shard) wantPinned(id model.ID, v model.Version) {
	h.t.Helper()
	e, ttl, ok := h.entry(id)
	if !ok || !e.Pinned || ttl >= 0 || e.Item.Version != v {
		h.t.Errorf("entry of %s is %+v, life %v, want version %d pinned", id, e, ttl, v)
	}
}

// wantCached checks that an entry is not pinned and lives as long as it should.
func (h *shard) wantCached(id model.ID, v model.Version, life time.Duration) {
	h.t.Helper()
	e, ttl, ok := h.entry(id)
	if !ok || e.Pinned || ttl > life || ttl < life-10*time.Second || e.Item.Version != v {
		h.t.Errorf("entry of %s is %+v, life %v, want version %d cached for %v", id, e, ttl, v, life)
	}
}

// stream returns the entries of a stream, "<id> <field> <value>" each, with all of their fields.
func (h *shard) stream(key string) []string {
	h.t.Helper()
	reply, err := h.c.Do(h.t.Context(), "xrange", key, "-", "+").Slice()
	if err != nil {
		h.t.Fatal(err)
	}
	var lines []string
	for _, entry := range reply {
		text := fmt.Sprint(entry) // [<id> [<field> <value>...]]
		lines = append(lines, strings.Replace(text[1:len(text)-2], "[", "", 1))
	}
	return lines
}

// dump returns the whole contents of Redis.
func (h *shard) dump() map[string]string {
	h.t.Helper()
	all := make(map[string]string)
	iter := h.c.Scan(h.t.Context(), 0, "*", 1000).Iterator()
	for iter.Next(h.t.Context()) {
		v, err := h.c.Dump(h.t.Context(), iter.Val()).Result()
		if err != nil {
			h.t.Fatal(err)
		}
		all[iter.Val()] = v
	}
	if err := iter.Err(); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// unchanged checks that f changes nothing in Redis.
func (h *shard) unchanged(what string, f func()) {
	h.t.Helper()
	before := h.dump()
	f()
	if after := h.dump(); !maps.Equal(before, after) {
		h.t.Errorf("%s changed Redis from %q to %q", what, before, after)
	}
}
