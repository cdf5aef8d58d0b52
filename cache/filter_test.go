package cache

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

func newTestFilter(tb testing.TB, shards int, capacity int64) *Filter {
	tb.Helper()
	f, err := NewFilter(shards, capacity, 0.001)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// build builds a shard from the IDs.
func build(tb testing.TB, f *Filter, shard int, era uint32, ids ...model.ID) {
	tb.Helper()
	b, ok := f.StartBuild(shard, era)
	if !ok {
		tb.Fatal("the build did not start")
	}
	b.Add(ids...)
	if !b.Complete() {
		tb.Fatal("the build did not complete")
	}
}

func sequence(from, to model.ID) []model.ID {
	ids := make([]model.ID, 0, to-from+1)
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shards   int
		capacity int64
		fp       float64
	}{{0, 1, 0.1}, {1, 0, 0.1}, {1, 1, 0}, {1, 1, 1}} {
		if _, err := NewFilter(c.shards, c.capacity, c.fp); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestFilterAnswersOnlyWhenComplete(t *testing.T) {
	t.Parallel()
	f := newTestFilter(t, 2, 1000)
	silent := func(when string, tip uint64) {
		t.Helper()
		if f.Absent(1, 99, tip) {
			t.Errorf("%s: the filter answers", when)
		}
	}
	silent("before anything", 0)
	f.Reset(1, 5, 10)
	silent("after Reset", 0)
	b, ok := f.StartBuild(1, 5)
	if !ok {
		t.Fatal("the build did not start")
	}
	b.Add(1, 2, 3)
	silent("while it is built", 0)
	f.Add(1, 4)
	f.Observe(1, 5, 11)
	if !b.Complete() {
		t.Fatal("the build did not complete")
	}
	if !f.Absent(1, 99, 11) || !f.Absent(1, 99, 3) {
		t.Error("the complete filter is silent")
	}
	for id := model.ID(1); id <= 4; id++ {
		if f.Absent(1, id, 11) {
			t.Errorf("the filter lies about %d", id)
		}
	}
	silent("behind the tip", 12)
	f.Observe(1, 4, 12)
	silent("after another era's event", 12)
	f.Observe(1, 5, 12)
	if !f.Absent(1, 99, 12) {
		t.Error("the filter is silent at the tip")
	}
	f.Observe(1, 5, 7)
	if cursor, complete := f.Cursor(1); cursor != 12 || !complete {
		t.Errorf("cursor %d, complete %v", cursor, complete)
	}
	f.Reset(1, 6, 0)
	silent("in a new era", 0)
	if f.Absent(0, 99, 0) {
		t.Error("another shard answers")
	}
	if st := f.Stats(); st.Shards != 2 || st.Complete != 0 || st.Absent != 3 || st.Passed != 11 {
		t.Errorf("got %+v", st)
	}
}

func TestFilterBuildOfAnEndedEraComesToNothing(t *testing.T) {
	t.Parallel()
	f := newTestFilter(t, 1, 1000)
	f.Reset(0, 1, 0)
	old, _ := f.StartBuild(0, 1)
	if _, ok := f.StartBuild(0, 1); ok {
		t.Error("two builds at once")
	}
	f.Reset(0, 1, 0) // a gap: the same era may be entered anew
	if old.Complete() {
		t.Error("a build survived Reset")
	}
	f.Reset(0, 2, 0)
	if _, ok := f.StartBuild(0, 1); ok {
		t.Error("a build of an ended era started")
	}
	b, ok := f.StartBuild(0, 2)
	old.Abandon()
	old.Add(1)
	if !ok || !b.Complete() {
		t.Error("an ended build stopped the present one")
	}
	if b.Complete() {
		t.Error("one build completed twice")
	}
	again, _ := f.StartBuild(0, 2)
	again.Abandon()
	if _, complete := f.Cursor(0); again.Complete() || !complete {
		t.Error("an abandoned build took effect")
	}
}

func TestFilterGrows(t *testing.T) {
	t.Parallel()
	f := newTestFilter(t, 1, 1000)
	f.Reset(0, 1, 0)
	build(t, f, 0, 1, sequence(1, 1000)...)
	if due := f.Due(); len(due) != 0 {
		t.Errorf("due %v at its capacity", due)
	}
	for range 5 { // writes of what is known are no growth
		for id := model.ID(1); id <= 1000; id++ {
			f.Add(0, id)
		}
	}
	if due := f.Due(); len(due) != 0 {
		t.Errorf("due %v after repeated writes", due)
	}
	for id := model.ID(1001); id <= 5000; id++ {
		f.Add(0, id)
	}
	if due := f.Due(); len(due) != 1 || due[0] != 0 {
		t.Fatalf("due %v beyond the capacity", due)
	}
	before := f.Stats()
	b, _ := f.StartBuild(0, 1)
	if due := f.Due(); len(due) != 0 {
		t.Errorf("due %v while it is built", due)
	}
	b.Add(sequence(1, 5000)...)
	f.Add(0, 5001) // reaches the old filter and the new one
	for id := model.ID(1); id <= 5001; id++ {
		if f.Absent(0, id, 0) {
			t.Fatalf("the overfull filter lies about %d", id)
		}
	}
	if !b.Complete() {
		t.Fatal("the build did not complete")
	}
	for id := model.ID(1); id <= 5001; id++ {
		if f.Absent(0, id, 0) {
			t.Fatalf("the larger filter lies about %d", id)
		}
	}
	after := f.Stats()
	if after.Capacity < 5001 || after.Bytes <= before.Bytes || len(f.Due()) != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestFilterIsAsPreciseAndSmallAsStated(t *testing.T) {
	t.Parallel()
	f := newTestFilter(t, 64, 1_000_000)
	for shard := range 64 {
		f.Reset(shard, 1, 0)
		from := model.ID(shard*15625 + 1)
		build(t, f, shard, 1, sequence(from, from+15624)...)
	}
	const asked = 200_000
	passed := 0
	for i := range asked {
		if !f.Absent(i%64, model.ID(10_000_000+i), 0) {
			passed++
		}
	}
	if st := f.Stats(); passed > asked/500 || st.Bytes > 1_900_000 || st.Complete != 64 || st.Items != 1_000_000 {
		t.Errorf("%d of %d passed, %+v", passed, asked, st)
	}
}

// TestFilterNeverLies drives a shard in random order: writes that become events, a tailer that follows
// them, builds that scan what is stored, new eras. Whatever has been written up to the tip must never
// be called absent.
func TestFilterNeverLies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, err := NewFilter(1, 64, 0.001)
		if err != nil {
			t.Fatal(err)
		}
		var events []model.ID // by position, from 1; all are in SQL or queued
		tailed := 0           // of this era
		era := uint32(1)
		type scan struct {
			build *Build
			todo  []model.ID
		}
		var scans []*scan
		f.Reset(0, era, 0)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) { events = append(events, model.ID(rapid.IntRange(1, 500).Draw(t, "id"))) },
			"tail": func(*rapid.T) {
				if tailed < len(events) {
					f.Add(0, events[tailed])
					tailed++
					f.Observe(0, era, uint64(tailed))
				}
			},
			"own": func(*rapid.T) { // a write of this replica is added before its event arrives
				if len(events) > 0 {
					f.Add(0, events[len(events)-1])
				}
			},
			"era": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "new") {
					era++
				}
				tailed = len(events)
				f.Reset(0, era, uint64(tailed))
			},
			"start": func(*rapid.T) {
				if b, ok := f.StartBuild(0, era); ok {
					scans = append(scans, &scan{build: b, todo: append([]model.ID(nil), events...)})
				}
			},
			"scan": func(*rapid.T) {
				for _, s := range scans {
					n := (len(s.todo) + 1) / 2
					s.build.Add(s.todo[:n]...)
					s.todo = s.todo[n:]
				}
			},
			"complete": func(t *rapid.T) {
				for _, s := range scans {
					if len(s.todo) == 0 {
						s.build.Complete()
					} else if rapid.Bool().Draw(t, "abandon") {
						s.build.Abandon()
					}
				}
			},
			"": func(t *rapid.T) {
				for _, id := range events {
					if f.Absent(0, id, uint64(len(events))) {
						t.Fatalf("item %d was written and is called absent", id)
					}
				}
			},
		})
	})
}

func TestFilterConcurrently(t *testing.T) {
	t.Parallel()
	f := newTestFilter(t, 1, 64)
	f.Reset(0, 1, 0)
	const writes = 2000
	var written atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := model.ID(1); i <= writes; i++ {
			f.Add(0, i)
			f.Observe(0, 1, uint64(i))
			written.Store(int64(i))
		}
	})
	wg.Go(func() {
		for written.Load() < writes {
			if b, ok := f.StartBuild(0, 1); ok {
				b.Add(sequence(1, model.ID(written.Load())+1)...) // the write under way is stored, too
				b.Complete()
			}
			f.Stats()
			f.Due()
			runtime.Gosched()
		}
	})
	for range 2 {
		wg.Go(func() {
			for n := int64(0); n < writes; n = written.Load() {
				for id := max(1, n-50); id <= n; id++ {
					if f.Absent(0, model.ID(id), uint64(n)) {
						t.Errorf("item %d was written and is called absent", id)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
