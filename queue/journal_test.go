package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// flushed is a database that takes pages of journals. err, if set, is what it answers.
type flushed struct {
	Direct
	mu     sync.Mutex
	pages  [][]model.Version
	epochs []int64
	err    error
	gate   chan struct{} // if set, what each call waits for
}

func (f *flushed) Flush(_ context.Context, _ int, epoch int64, writes []model.Queued) (model.Applied, error) {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return model.Applied{}, f.err
	}
	var page []model.Version
	for _, q := range writes {
		page = append(page, q.Version)
	}
	f.pages, f.epochs = append(f.pages, page), append(f.epochs, epoch)
	return model.Applied{}, nil
}

// newJournal returns a journal over a table without permissions, in which nothing is ever released.
func newJournal(t *testing.T) (*Journal, *flushed, *observer.ObservedLogs) {
	t.Helper()
	sql := &flushed{}
	core, logs := observer.New(zapcore.InfoLevel)
	j := NewJournal(Config{BatchBytes: 1 << 20}, JournalDeps{
		Table: shards.NewTable(keyspace.New(itemShards)), Direct: sql, Log: zap.New(core), Registerer: prometheus.NewRegistry(),
		Drainer: &Drainer{metrics: newMetrics(prometheus.NewRegistry())},
	})
	return j, sql, logs
}

func entryOf(epoch, seq int64) model.Queued {
	v := model.NewVersion(epoch, seq)
	return model.Queued{Shard: 1, Version: v, Item: &model.Item{ID: model.ID(seq), Version: v, Content: []byte(`"x"`)}}
}

func addAll(j *Journal, epoch int64, seqs ...int64) {
	for _, seq := range seqs {
		j.Add(entryOf(epoch, seq))
	}
}

// versions names versions of an epoch.
func versions(epoch int64, seqs ...int64) (list []model.Version) {
	for _, seq := range seqs {
		list = append(list, model.NewVersion(epoch, seq))
	}
	return list
}

// Writers overtake each other between their script and the journal. What the position covers is not sent.
func TestJournalFlushesWhatIsNotStoredInOrder(t *testing.T) {
	t.Parallel()
	j, sql, _ := newJournal(t)
	addAll(j, 1, 2, 5, 1, 4, 3, 5, 1, 3) // some are answered twice
	if j.Len() != 5 {
		t.Errorf("%d entries", j.Len())
	}
	sh := model.Shard{Shard: 1, Epoch: 2, Home: "new", Position: model.NewVersion(1, 2)}
	if err := j.Flush(t.Context(), sh); err != nil {
		t.Fatal(err)
	}
	if len(sql.pages) != 1 || !slices.Equal(sql.pages[0], versions(1, 3, 4, 5)) || sql.epochs[0] != 2 {
		t.Errorf("flushed %v in %v", sql.pages, sql.epochs)
	}
	if j.Len() != 0 || j.Bytes() != 0 {
		t.Errorf("%d entries of %d bytes are left", j.Len(), j.Bytes())
	}
	for _, v := range versions(1, 1, 2, 3, 5) {
		if !j.stored(1, v) || j.holds(1, v) {
			t.Errorf("%d is stored: %v, held: %v", v, j.stored(1, v), j.holds(1, v))
		}
	}
}

// The epoch has ended, and with it the writer's permission: its entry would be stored by nobody.
func TestJournalTakesNothingOfAnEndedEpoch(t *testing.T) {
	t.Parallel()
	j, sql, _ := newJournal(t)
	sh := model.Shard{Shard: 1, Epoch: 2, Home: model.HomeSQL}
	if err := j.Flush(t.Context(), sh); err != nil || len(sql.pages) != 0 {
		t.Errorf("%v, flushed %v", err, sql.pages)
	}
	addAll(j, 1, 7)
	addAll(j, 2, 1)
	if j.Len() != 1 || !j.holds(1, model.NewVersion(2, 1)) {
		t.Errorf("%d entries", j.Len())
	}
	if err := j.Flush(t.Context(), sh); err != nil || len(sql.pages) != 0 || j.Len() != 1 {
		t.Errorf("the present epoch is left alone: %v, flushed %v, %d entries", err, sql.pages, j.Len())
	}
}

func TestJournalKeepsWhatCouldNotBeFlushed(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{model.NewUnavailable("the database is away", model.ErrDatabase), model.ErrMoved} {
		j, sql, _ := newJournal(t)
		sql.err = cause
		addAll(j, 1, 1, 2)
		sh := model.Shard{Shard: 1, Epoch: 2, Home: model.HomeSQL}
		if err := j.Flush(t.Context(), sh); !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
		if j.Len() != 2 || j.stored(1, model.NewVersion(1, 1)) {
			t.Errorf("%d entries, stored: %v", j.Len(), j.stored(1, model.NewVersion(1, 1)))
		}
		sql.err = nil
		sh.Epoch = 3 // a later attempt
		if err := j.Flush(t.Context(), sh); err != nil || len(sql.pages) != 1 || sql.epochs[0] != 3 || j.Len() != 0 {
			t.Errorf("%v, flushed %v in %v", err, sql.pages, sql.epochs)
		}
	}
}

// Redis serves the shard again before this replica could store its own: what the stream did not hold is lost.
func TestJournalCountsWhatItFlushesTooLate(t *testing.T) {
	t.Parallel()
	j, sql, logs := newJournal(t)
	addAll(j, 1, 1, 2, 3)
	addAll(j, 2, 1)
	sh := model.Shard{Shard: 1, Epoch: 2, Home: "redis", Ready: true, Position: model.NewVersion(1, 1)}
	for range 2 {
		if err := j.Flush(t.Context(), sh); err != nil {
			t.Fatal(err)
		}
	}
	if len(sql.pages) != 0 || j.Len() != 1 || testutil.ToFloat64(j.lost) != 2 {
		t.Errorf("flushed %v, %d entries, %v lost", sql.pages, j.Len(), testutil.ToFloat64(j.lost))
	}
	told := logs.FilterLevelExact(zapcore.ErrorLevel).All()
	if len(told) != 1 || !strings.Contains(told[0].Message, "lost") || told[0].ContextMap()["writes"] != int64(2) {
		t.Errorf("told %+v", told)
	}
	for seq, want := range map[int64]bool{1: true, 2: false, 3: false} {
		if got := j.stored(1, model.NewVersion(1, seq)); got != want {
			t.Errorf("%d is stored: %v", seq, got)
		}
	}
}

// A later epoch has come and was drained while this replica slept. Whether the stream still held its writes when
// that epoch was opened cannot be told from a position of it: nobody may be told that they are stored.
func TestP1_JournalVouchesForNothingThatALaterPositionCovers(t *testing.T) {
	t.Parallel()
	for name, sh := range map[string]model.Shard{
		"in the epoch after": {Shard: 1, Epoch: 2, Home: "new", Ready: true, Position: model.NewVersion(2, 9)},
		"one more, in SQL":   {Shard: 1, Epoch: 3, Home: model.HomeSQL, Ready: true, Position: model.NewVersion(2, 9)},
		"one more, in Redis": {Shard: 1, Epoch: 3, Home: "newer", Position: model.NewVersion(2, 9)},
	} {
		j, sql, logs := newJournal(t)
		addAll(j, 1, 1, 2)
		if err := j.Flush(t.Context(), sh); err != nil || len(sql.pages) != 0 || j.Len() != 0 {
			t.Errorf("%s: %v, flushed %v, %d entries", name, err, sql.pages, j.Len())
		}
		for _, v := range versions(1, 1, 2) {
			if j.stored(1, v) {
				t.Errorf("%s: %d is said to be stored", name, v)
			}
		}
		told := logs.FilterLevelExact(zapcore.WarnLevel).All()
		if len(told) != 1 || told[0].ContextMap()["writes"] != int64(2) || testutil.ToFloat64(j.lost) != 0 {
			t.Errorf("%s: told %+v", name, told)
		}
	}
}

// What was lost once stays so, whatever is lost later.
func TestJournalRemembersAllThatWasLost(t *testing.T) {
	t.Parallel()
	j, _, _ := newJournal(t)
	for epoch := range int64(2) {
		addAll(j, epoch+1, 1, 5)
		sh := model.Shard{Shard: 1, Epoch: epoch + 2, Home: "new", Ready: true, Position: model.NewVersion(epoch+1, 3)}
		if err := j.Flush(t.Context(), sh); err != nil {
			t.Fatal(err)
		}
	}
	for v, want := range map[model.Version]bool{
		model.NewVersion(1, 1): true, model.NewVersion(1, 5): false, model.NewVersion(2, 5): false,
	} {
		if j.stored(1, v) != want {
			t.Errorf("%d is stored: %v", v, !want)
		}
	}
}

func TestJournalFlushesInPages(t *testing.T) {
	t.Parallel()
	j, sql, _ := newJournal(t)
	for seq := range int64(2*journalPage + 5) {
		addAll(j, 1, seq+1)
	}
	big := entryOf(1, 3*journalPage)
	big.Item.Content = make([]byte, 1<<20)
	j.Add(big)
	addAll(j, 1, 3*journalPage+1)
	if err := j.Flush(t.Context(), model.Shard{Shard: 1, Epoch: 2, Home: model.HomeSQL, Ready: true}); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, page := range sql.pages {
		sizes = append(sizes, len(page))
	}
	if !slices.Equal(sizes, []int{journalPage, journalPage, 6, 1}) || j.Bytes() != 0 {
		t.Errorf("pages of %v", sizes)
	}
}

// Two ask for the same flush: the second finds nothing left to do.
func TestJournalFlushesAShardOnceAtATime(t *testing.T) {
	t.Parallel()
	j, sql, _ := newJournal(t)
	sql.gate = make(chan struct{})
	addAll(j, 1, 1)
	sh := model.Shard{Shard: 1, Epoch: 2, Home: model.HomeSQL}
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- j.Flush(t.Context(), sh) }()
	}
	sql.gate <- struct{}{}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if len(sql.pages) != 1 {
		t.Errorf("flushed %v", sql.pages)
	}
	j.shards[1].flushing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Flush(ctx, sh); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits may give up: %v", err)
	}
}

// What has been released goes with the next write, or a look now and then. The memory goes too.
func TestP8_JournalLetsGoOfWhatIsReleased(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 3 * journalKeep {
		r.put(r.inShardFast(0, n), `"x"`)
	}
	if n := r.journal.Len(); n != 3*journalKeep {
		t.Fatalf("%d entries", n)
	}
	for len(r.queued(0)) > 0 {
		if err := r.round(0); err != nil {
			t.Fatal(err)
		}
	}
	r.put(r.inShardFast(0, 0), `"y"`)
	own := &r.journal.shards[0]
	if n := r.journal.Len(); n != 1 || len(own.list)-own.head != 1 || r.journal.Bytes() != sizeOf(&own.list[own.head]) {
		t.Errorf("%d entries of %d bytes", n, r.journal.Bytes())
	}
	if err := r.round(0); err != nil {
		t.Fatal(err)
	}
	r.journal.Trim()
	if r.journal.Len() != 0 || r.journal.Bytes() != 0 || cap(own.list) > journalKeep {
		t.Errorf("%d entries of %d bytes, room for %d", r.journal.Len(), r.journal.Bytes(), cap(own.list))
	}
}

// inShardFast returns an ID of a shard, another for each n.
func (r *rig) inShardFast(s, n int) model.ID {
	for id := model.ID(1 + n*1000); ; id++ {
		if r.space.Shard(id) == s {
			return id
		}
	}
}

// A backlog that grows and shrinks while it is used costs each entry a move or two.
func TestJournalStaysInOrderWhileItShrinks(t *testing.T) {
	t.Parallel()
	j, _, _ := newJournal(t)
	sh := &j.shards[1]
	next, oldest := int64(1), int64(1)
	for round := range int64(200) {
		for range 1 + round*7%13 {
			addAll(j, 1, next)
			next++
		}
		oldest = min(next, oldest+round*5%11)
		sh.mu.Lock()
		j.dropReleased(sh, model.NewVersion(1, oldest-1))
		live := sh.list[sh.head:]
		if len(live) != int(next-oldest) || len(live) > 0 && (live[0].Version.Seq() != oldest || live[len(live)-1].Version.Seq() != next-1) {
			t.Fatal(fmt.Sprint("round ", round, ": ", len(live), " entries from ", oldest, " to ", next))
		}
		if sh.head > len(live)+1 {
			t.Fatalf("%d places are wasted before %d entries", sh.head, len(live))
		}
		sh.mu.Unlock()
	}
	if j.Len() != int(next-oldest) {
		t.Errorf("%d entries, want %d", j.Len(), next-oldest)
	}
}
