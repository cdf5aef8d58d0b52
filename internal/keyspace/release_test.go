package keyspace

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/zmsg/zmsg/internal/testenv"
	"github.com/zmsg/zmsg/model"
)

// none is the position of a release before which nothing was ever left out.
var none = Hex(0)

func TestReleaseRelVer_NewerWriteStaysPinned(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	first := h.put(7, "first")
	other := h.put(8, "other")
	h.wantPinned(8, other)
	second := h.mustWrite(write{id: 7, author: 9, text: "second"})
	if got := h.release(other); got != Hex(other)+" 0 "+none {
		t.Errorf("release: %s", got)
	}
	h.wantPinned(7, second)
	h.wantCached(8, other, valueTTL)
	if got := h.release(first); got != Hex(other)+" 0 "+none {
		t.Errorf("release of a lower position: %s", got)
	}
	h.wantPinned(7, second)
	h.release(second)
	h.wantCached(7, second, valueTTL)
	if e, _, _ := h.entry(7); string(e.Item.Content) != "second" {
		t.Errorf("released: %+v", e)
	}
}

func TestReleaseGivesDeletionsALifeOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.put(7, "first")
	v := h.mustWrite(write{id: 7, delete: true})
	h.release(v)
	h.wantCached(7, v, deletionTTL)
	if e, _, _ := h.entry(7); !e.Item.Deleted {
		t.Errorf("released: %+v", e)
	}
}

func TestReleaseIsIdempotentAndTellsReplicas(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	v := h.put(7, "x")
	h.release(v)
	if got, want := h.stream(h.sp.Events(h.s)), []string{"1-1 v 7 9 1000", "1-2 r " + Hex(v) + " " + none}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if got := h.meta("rel"); got != Hex(v) {
		t.Errorf("released position %s", got)
	}
	h.unchanged("a repeated release", func() {
		for _, to := range []model.Version{v, v - 1, 0} {
			if got := h.release(to); got != Hex(v)+" 0 "+none {
				t.Errorf("release up to %d again: %s", to, got)
			}
		}
	})
}

func TestReleaseGoesOnInChunks(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	var last model.Version
	for id := model.ID(1); id <= 5; id++ {
		last = h.put(id, "x")
	}
	for _, tc := range []struct {
		seq  int64
		more int
	}{{2, 1}, {4, 1}, {5, 0}, {5, 0}} {
		if got, want := h.releaseSome(last, 2), fmt.Sprintf("%s %d %s", Hex(model.NewVersion(1, tc.seq)), tc.more, none); got != want {
			t.Errorf("chunk: %s, want %s", got, want)
		}
		for id := model.ID(1); id <= 5; id++ {
			if e, _, _ := h.entry(id); e.Pinned != (int64(id) > tc.seq) {
				t.Errorf("released up to %d: entry %s is %+v", tc.seq, id, e)
			}
		}
	}
}

// releaseRead releases what the caller says it has read after a position.
func (h *shard) releaseRead(after, to model.Version, ids ...model.ID) string {
	h.t.Helper()
	return h.releaseWith(to, releaseArgs{most: 1000, read: true, from: after, ids: ids})
}

func TestReleaseTrustsACallerOnlyFromTheReleasedPositionOn(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	first, second, third := h.put(7, "x"), h.put(8, "x"), h.put(9, "x")
	again := h.mustWrite(write{id: 8, author: 9, text: "y"})
	if got := h.releaseRead(0, second, 7, 8); got != Hex(second)+" 0 "+none {
		t.Errorf("release: %s", got)
	}
	h.wantCached(7, first, valueTTL)
	h.wantPinned(8, again) // named, but written again since
	// Read after a position that others have passed: what it names is not all there is to release.
	if got := h.releaseRead(first, again, 8); got != Hex(again)+" 0 "+none {
		t.Errorf("release: %s", got)
	}
	h.wantCached(8, again, valueTTL)
	h.wantCached(9, third, valueTTL)
}

func TestTrimDropsWhatIsReleasedAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	trim := func() string {
		t.Helper()
		return h.run(Trim, []string{h.sp.Meta(h.s), h.sp.Queue(h.s)}, h.epoch)
	}
	h.put(7, "x")
	second := h.put(8, "x")
	h.put(9, "x")
	h.unchanged("nothing is released", func() {
		if got := trim(); got != "0" {
			t.Errorf("trim: %s", got)
		}
	})
	h.release(second)
	if got := trim(); got != "2" {
		t.Errorf("trim: %s", got)
	}
	if got := h.stream(h.sp.Queue(h.s)); !slices.Equal(got, []string{"1-3 v9 9|post|1000|1000|x"}) {
		t.Errorf("queue %q", got)
	}
}

// Events are trimmed to about the newest ones, never to fewer.
func TestReleaseKeepsTheNewestEvents(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	const writes = 3 * eventsKept
	pipe := h.c.Pipeline()
	for range writes {
		keys, args := h.writeArgs(h.absent(write{id: 7, author: 9}))
		if err := pipe.Process(t.Context(), h.sc.Cmd(t.Context(), Write, keys, args...)); err != nil {
			t.Fatal(err)
		}
		if pipe.Len() == 500 {
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.release(model.NewVersion(1, writes))
	events := h.c.XLen(t.Context(), h.sp.Events(h.s)).Val()
	if events < eventsKept || events > eventsKept+200 {
		t.Errorf("%d events are kept", events)
	}
	if queued := h.c.XLen(t.Context(), h.sp.Queue(h.s)).Val(); queued != writes {
		t.Errorf("%d writes in the stream: the release must not trim it", queued)
	}
}

func TestOpenBacklog_RefusesWhileSQLLacksSomething(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.put(7, "x")
	v := h.put(8, "y")
	h.unchanged("a refused opening", func() {
		if got := h.tryOpen(2, v-1); got != "backlog" {
			t.Errorf("open: %s", got)
		}
	})
	h.open(2, v)
}

func TestOpenNewer_LateAttemptIsRefused(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.open(3, 0)
	h.put(7, "x")
	h.unchanged("a late attempt, and a repeated one", func() {
		if got := h.tryOpen(2, model.NewVersion(3, 1)); got != "newer" {
			t.Errorf("an earlier attempt: %s", got)
		}
		if got := h.tryOpen(3, 0); got != "ok" {
			t.Errorf("the same attempt: %s", got)
		}
	})
}

func TestOpenCompletesTheReleaseAndStartsAnew(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	const items = 1203 // more than two pages
	var last model.Version
	for id := model.ID(1); id <= items; id++ {
		last = h.put(id, "x")
	}
	h.evict(items)
	deleted := h.mustWrite(write{id: 1, delete: true})
	h.release(model.NewVersion(1, 10))
	h.open(2, deleted)
	for id := model.ID(2); id <= items; id++ {
		h.wantCached(id, model.NewVersion(1, int64(id)), valueTTL)
		if e, _, _ := h.entry(id); e.Stamp != 1 {
			t.Fatalf("entry %+v is stamped anew: nobody has compared it with SQL", e)
		}
	}
	h.wantCached(1, deleted, deletionTTL)
	if h.meta("seq") != "0" || h.meta("rel") != Hex(deleted) || h.meta("epoch") != "2" || last == 0 {
		t.Errorf("meta: seq %s, rel %s, epoch %s", h.meta("seq"), h.meta("rel"), h.meta("epoch"))
	}
	for _, key := range []string{h.sp.Queue(h.s), h.sp.Events(h.s), h.sp.Gen(h.s)} {
		if h.c.Exists(t.Context(), key).Val() != 0 {
			t.Errorf("%s is still there", key)
		}
	}
	if v := h.put(items+1, "x"); v != model.NewVersion(2, 1) {
		t.Errorf("first version of the epoch: %d", v)
	}
}

func TestIdent_RestartedProcessKnowsNoScript(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{AppendOnly: true})
	h := newShardOn(t, server.Addr())
	h.put(7, "x")
	if err := errors.Join(server.Stop(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := h.meta("seq"); got != "1" { // the data is back, and yet nobody may use it
		t.Fatalf("sequence %s", got)
	}
	h.wantRefused("NOSCRIPT", h.calls())
}

func TestIdent_ScriptsAreOfOneProcessOnly(t *testing.T) {
	t.Parallel()
	h := newShard(t)
	h.put(7, "x")
	var err error
	if h.sc, err = NewScripts("process:promoted"); err != nil {
		t.Fatal(err)
	}
	h.wantRefused("NOSCRIPT", h.calls())
	for _, process := range []string{"", "a\nreturn 1", "a\rb"} {
		if _, err := NewScripts(process); err == nil {
			t.Errorf("%q is taken for an identity", process)
		}
	}
}

func TestIdent_DemotedProcessTakesNoWrite(t *testing.T) {
	t.Parallel()
	h := newShardOn(t, testenv.NewRedis(t, testenv.RedisOptions{Genuine: true}).Addr())
	h.put(7, "x")
	if err := h.c.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	var writes []call
	for _, c := range h.calls() {
		if c.name != Read && c.name != Pending && c.name != Totals {
			writes = append(writes, c)
		}
	}
	h.wantRefused("READONLY", writes)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"STALE epoch", "NOSCRIPT No matching script.", "READONLY You can't write", "MOVED 1 host:1"} {
		if !Refused(errors.New(text)) {
			t.Errorf("%s: something may have been done", text)
		}
	}
	for _, err := range []error{nil, errors.New("i/o timeout"), errors.New("ERR STALE"), errors.New("OOM command not allowed")} {
		if Refused(err) {
			t.Errorf("%v: surely nothing was done?", err)
		}
	}
}
