package table

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// row is what the model has of an entry.
type row struct {
	value    string
	deadline int64
	lru      uint32
	flag     bool
	box      bool
}

func rowOf(e *Entry) row {
	r := row{deadline: e.Deadline(), lru: e.LRU(), flag: e.Flag()}
	if b := e.Box(); b != nil {
		r.box, r.value = true, b.Val.(string)
	} else {
		r.value = string(e.Value())
	}
	return r
}

func rowsOf(t *Table) map[string]row {
	rows := map[string]row{}
	for e := range t.All() {
		rows[string(e.Key())] = rowOf(e)
	}
	return rows
}

// check compares the table with the model, and with itself.
func check(t *rapid.T, tab *Table, model map[string]row) {
	if got := rowsOf(tab); tab.Len() != len(model) || !maps.Equal(got, model) {
		t.Fatalf("the table has %d (%v), want %v", tab.Len(), got, model)
	}
	size := 8 * len(tab.dir)
	for i := 0; i < len(tab.dir); {
		s := tab.dir[i]
		size += s.bytes()
		n := 1 << (tab.bits - s.depth)
		live, used, deadlines := 0, 0, 0
		for j := range n {
			if tab.dir[i+j] != s {
				t.Fatal("a segment is not in all of its places")
			}
		}
		i += n
		for j, e := range s.slots {
			if s.tags[j] != tagEmpty {
				used++
			}
			if (e != nil) != (s.tags[j]&tagFull != 0) {
				t.Fatal("a tag does not tell its slot")
			}
			if e == nil {
				continue
			}
			live++
			size += e.size()
			if tab.Find(e.Key()) != e {
				t.Fatalf("%q is not found", e.Key())
			}
			if d := e.Deadline(); d != 0 {
				deadlines++
				if d < s.lowest || d < tab.expiry.lowest || tab.expiry.passed > d && hash(e.Key()) < tab.expiry.cursor {
					t.Fatal("a deadline is lower than its bound")
				}
			}
		}
		if !bytes.Equal(s.tags[:group], s.tags[len(s.slots):]) || int32(live) != s.live || int32(used) != s.used ||
			int32(deadlines) != s.deadlines || used > len(s.slots)/8*7 {
			t.Fatalf("the segment counts %d, %d, %d; has %d, %d, %d", s.live, s.used, s.deadlines, live, used, deadlines)
		}
	}
	if size != tab.Bytes() {
		t.Fatalf("%d bytes, want %d", tab.Bytes(), size)
	}
}

// mutate makes one random change to both.
func mutate(t *rapid.T, tab *Table, model map[string]row) {
	number := rapid.IntRange(0, 4000).Draw(t, "key")
	key := fmt.Sprint(number)
	if number == 0 {
		key = ""
	}
	value := fmt.Sprintf("%*d", rapid.IntRange(0, 40).Draw(t, "width"), number)
	deadline := int64(rapid.IntRange(0, 3).Draw(t, "deadline"))
	old, there := model[key]
	next := row{value: value, deadline: deadline, lru: old.lru, flag: old.flag}
	switch op := rapid.IntRange(0, 9).Draw(t, "op"); op {
	case 0, 1:
		e, added := tab.Put([]byte(key), []byte(value), deadline)
		if added == there || e != tab.Find([]byte(key)) {
			t.Fatal("Put")
		}
		model[key] = next
	case 2:
		next.box = true
		b, added := tab.PutBox([]byte(key), value, deadline)
		if added == there || &b.Entry != tab.Find([]byte(key)) {
			t.Fatal("PutBox")
		}
		model[key] = next
	case 3, 4:
		e := tab.Delete([]byte(key))
		if (e != nil) != there || there && rowOf(e) != old {
			t.Fatal("Delete")
		}
		delete(model, key)
	case 5, 6: // many at once: segments split and shrink
		for i := range 600 {
			k := fmt.Sprint(number, "/", i)
			if op == 5 {
				tab.Put([]byte(k), []byte(value), deadline)
				old := model[k]
				model[k] = row{value: value, deadline: deadline, lru: old.lru, flag: old.flag}
			} else {
				tab.Delete([]byte(k))
				delete(model, k)
			}
		}
	default:
		e := tab.Find([]byte(key))
		if (e != nil) != there {
			t.Fatal("Find")
		}
		if !there {
			return
		}
		if op == 9 {
			e = tab.SetDeadline(e, deadline)
			old.deadline = deadline
		}
		e = tab.Own(e)
		old.lru, old.flag = uint32(number)<<12, number%2 == 0
		e.SetLRU(old.lru)
		e.SetFlag(old.flag)
		model[key] = old
	}
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tab, model := New(1), map[string]row{}
		type old struct {
			tab   *Table
			model map[string]row
		}
		var olds []old
		for range rapid.IntRange(1, 60).Draw(t, "rounds") {
			if rapid.IntRange(0, 9).Draw(t, "clone") == 0 && len(olds) < 3 {
				olds = append(olds, old{tab, maps.Clone(model)})
				tab = tab.Clone(tab.Stamp() + 1)
			}
			mutate(t, tab, model)
		}
		check(t, tab, model)
		for _, o := range olds {
			if got := rowsOf(o.tab); !maps.Equal(got, o.model) || o.tab.Len() != len(o.model) {
				t.Fatal("a snapshot has changed")
			}
		}
	})
}

// A table takes far more than a thousand keys, and back.
func TestGrowAndShrink(t *testing.T) {
	t.Parallel()
	const n = 100_000
	tab := New(1)
	empty := tab.Bytes()
	for i := range n {
		tab.Put(number(i), nil, 0)
	}
	for i := range n {
		if tab.Find(number(i)) == nil {
			t.Fatalf("%d is lost", i)
		}
	}
	for i := range n {
		if e := tab.Delete(number(i)); e == nil || tab.Len() != n-i-1 {
			t.Fatalf("%d is lost", i)
		}
		if i == n-100 && tab.dir[0].depth > 3 {
			t.Errorf("segments of a nearly empty table are not joined: depth %d", tab.dir[0].depth)
		}
	}
	if tab.Bytes() != empty || tab.Find(number(1)) != nil {
		t.Errorf("an empty table takes %d bytes, at first %d", tab.Bytes(), empty)
	}
}

func number(i int) []byte { return fmt.Appendf(nil, "key:%012d", i) }

func TestLargeStrings(t *testing.T) {
	t.Parallel()
	tab := New(1)
	for _, n := range []int{0, 1, 7, 8, 9, 1000, 1007, 1008, 1009, 1024, 1025, 32750, 32768, 32769, 1 << 20} {
		key, value := bytes.Repeat([]byte{'k'}, n), bytes.Repeat([]byte{'v'}, n)
		e, _ := tab.Put(key, value, 5)
		if !bytes.Equal(e.Key(), key) || !bytes.Equal(e.Value(), value) || e.Deadline() != 5 {
			t.Errorf("a string of %d bytes is not kept", n)
		}
		if e.Key() == nil || e.Value() == nil {
			t.Error("an empty string is nil")
		}
		if again, _ := tab.Put(key, value, 0); again != e || e.Deadline() != 0 {
			t.Errorf("a string of %d bytes is not overwritten in place", n)
		}
	}
}

// What is there from the first step of a scan to the last is emitted, whatever happens to the rest.
func TestScanGuarantee(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tab := New(1)
		kept := rapid.IntRange(0, 3000).Draw(t, "kept")
		for i := range kept {
			tab.Put(number(i), nil, 0)
		}
		extra := rapid.IntRange(0, 6000).Draw(t, "extra")
		for i := range extra {
			tab.Put(number(1_000_000+i), nil, 0)
		}
		seen := map[string]bool{}
		growing := rapid.Bool().Draw(t, "growing")
		batch := rapid.IntRange(0, 100).Draw(t, "batch")
		for cursor, steps := uint64(0), 0; ; steps++ {
			cursor = tab.Scan(cursor, func(e *Entry) { seen[string(e.Key())] = true })
			if cursor == 0 {
				break
			}
			if cursor >= 1<<48 || steps > 100_000 {
				t.Fatal("the scan does not end")
			}
			for range batch {
				if growing {
					tab.Put(number(1_000_000+extra), nil, 0)
					extra++
				} else if extra > 0 {
					extra--
					tab.Delete(number(1_000_000 + extra))
				}
			}
			if growing && extra > 30_000 {
				growing, batch = false, 1
			}
		}
		for i := range kept {
			if !seen[string(number(i))] {
				t.Fatalf("%d has not been seen", i)
			}
		}
	})
}

func TestScanEmitsOnceAndFew(t *testing.T) {
	t.Parallel()
	tab := New(1)
	for i := range 50_000 {
		tab.Put(number(i), nil, 0)
	}
	seen := map[string]int{}
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		n := 0
		cursor = tab.Scan(cursor, func(e *Entry) { seen[string(e.Key())]++; n++ })
		if n > 60 {
			t.Fatalf("one step has %d entries", n)
		}
	}
	for k, n := range seen {
		if n != 1 {
			t.Fatalf("%s was emitted %d times", k, n)
		}
	}
	if len(seen) != tab.Len() {
		t.Errorf("%d entries, want %d", len(seen), tab.Len())
	}
	tab.Scan(1<<64-1, func(*Entry) {}) // no cursor of ours
}

// What has no deadline is passed over, in steps of a thousand entries where none has one.
func TestScanMortal(t *testing.T) {
	t.Parallel()
	const n = 50_000
	tab := New(1)
	for i := range n {
		tab.Put(number(i), nil, 0)
	}
	round := func() (steps int, seen map[string]int) {
		seen = map[string]int{}
		for cursor := uint64(0); steps == 0 || cursor != 0; steps++ {
			cursor = tab.ScanMortal(cursor, func(e *Entry) { seen[string(e.Key())]++ })
		}
		return steps, seen
	}
	if steps, seen := round(); steps > n/100 || len(seen) != 0 {
		t.Errorf("%d steps, %d entries", steps, len(seen))
	}
	for i := range 10 {
		tab.Put(number(i*n/10), nil, 1)
	}
	steps, seen := round()
	if steps > n/10 || len(seen) != 10 {
		t.Errorf("%d steps, entries %v", steps, seen)
	}
	for k, times := range seen {
		if times != 1 {
			t.Errorf("%s was emitted %d times", k, times)
		}
	}
}

func TestRandomIsUniform(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	tab := New(1)
	if tab.Random(r) != nil {
		t.Error("an empty table has an entry")
	}
	for _, n := range []int{1, 5, 100, 3000} {
		for i := range n {
			tab.Put(number(i), nil, 0)
		}
		got := map[string]int{}
		const per = 400
		for range n * per {
			got[string(tab.Random(r).Key())]++
		}
		for k, c := range got { // the deviation is sqrt(per) = 20
			if c < per-130 || c > per+130 {
				t.Errorf("%s of %d was chosen %d times, not about %d", k, n, c, per)
			}
		}
		if len(got) != n {
			t.Errorf("%d of %d entries were chosen", len(got), n)
		}
	}
	for i := range 2999 {
		tab.Delete(number(i))
	}
	if e := tab.Random(r); e == nil || string(e.Key()) != string(number(2999)) {
		t.Error("the last entry is not chosen")
	}
}

func TestExpire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tab := New(1)
		n := rapid.IntRange(0, 3000).Draw(t, "n")
		var old *Table
		for i := range n {
			tab.Put(number(i), []byte("x"), int64(i%10)) // 0 never
			if i == n/2 {
				old = tab
				tab = tab.Clone(2)
			}
		}
		before, calls := 0, 0
		if old != nil {
			before = len(rowsOf(old))
		}
		for now := int64(1); now < 10; now++ {
			budget := rapid.IntRange(1, 500).Draw(t, "budget")
			for range 100_000 {
				due := 0
				more := tab.Expire(now, budget, func(e *Entry) {
					if e.Deadline() > now || e.Deadline() == 0 {
						t.Fatal("an entry is not due")
					}
					due++
					calls++
					switch {
					case bytes.HasSuffix(e.Key(), []byte("33")):
						tab.SetDeadline(e, now+100)
					case calls%2 == 0:
						tab.Delete(e.Key())
					}
				})
				if due > budget {
					t.Fatalf("%d were due with a budget of %d", due, budget)
				}
				if !more {
					break
				}
			}
			for e := range tab.All() {
				if d := e.Deadline(); d != 0 && d <= now {
					t.Fatalf("%s is still there at %d", e.Key(), now)
				}
			}
		}
		check(t, tab, rowsOf(tab))
		if old != nil && len(rowsOf(old)) != before {
			t.Fatal("the snapshot has changed")
		}
	})
}

func TestPrefetchChangesNothing(t *testing.T) {
	t.Parallel()
	tab := New(1)
	for i := range 5000 {
		tab.Put(number(i), nil, 0)
	}
	for i := range 6000 {
		tab.Prefetch([][]byte{number(i), number(i + 1)})
		if (tab.Find(number(i)) != nil) != (i < 5000) {
			t.Fatal(i)
		}
	}
}

// A snapshot is read by another goroutine while the table goes on; the race detector watches.
func TestSnapshotIsReadConcurrently(t *testing.T) {
	t.Parallel()
	tab := New(1)
	for i := range 20_000 {
		tab.Put(number(i), []byte("old"), int64(i%2))
	}
	old := tab
	tab = tab.Clone(2)
	done := make(chan int)
	go func() {
		n := 0
		for e := range old.All() {
			if string(e.Value()) == "old" && e.Deadline() < 2 {
				n++
			}
		}
		done <- n
	}()
	tab.Expire(1, 1000, func(e *Entry) { tab.Delete(e.Key()) })
	for i := range 20_000 {
		tab.Put(number(i), []byte("new"), 0)
		tab.Delete(number(i - 5))
	}
	if n := <-done; n != 20_000 {
		t.Errorf("the snapshot has %d entries", n)
	}
}

// A key and a value of 16 bytes each take 80 bytes at most, just loaded.
func TestMemory(t *testing.T) { //nolint:paralleltest // it measures the heap
	const n = 300_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tab := New(1)
	for i := range n {
		tab.Put(number(i), number(i), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := (int(after.HeapAlloc) - int(before.HeapAlloc)) / n
	counted := tab.Bytes() / n
	t.Logf("%d bytes per key, %d counted", per, counted)
	if per > 80 || counted < per-3 || counted > per+3 {
		t.Errorf("%d bytes per key, %d counted", per, counted)
	}
	runtime.KeepAlive(tab)
}
