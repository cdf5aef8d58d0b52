package kv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv"
)

func mustOpen(tb testing.TB, o kv.Options) *kv.DB {
	tb.Helper()
	db, err := kv.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return db
}

// What was stored is there when the database is opened again, of every type.
func TestDataOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for _, fsync := range []kv.Fsync{kv.Always, kv.EverySecond, kv.Never} {
		t.Run(string(fsync), func(t *testing.T) {
			t.Parallel()
			o := kv.Options{Dir: t.TempDir(), Fsync: fsync}
			db := mustOpen(t, o)
			fill(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			again := mustOpen(t, o)
			check(t, again)
		})
	}
}

// SHUTDOWN asks the program to end, which then closes the database; its option says whether there is a last
// snapshot.
func TestShutdownSavesAsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		points, option string
		saved          bool
	}{
		{"", "", false},
		{"", "SAVE", true},
		{"3600 1", "", true},
		{"3600 1", "NOSAVE", false},
	} {
		t.Run(c.points+" "+c.option, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 1)
			dir := t.TempDir()
			db := mustOpen(t, kv.Options{
				Dir: dir, NoLog: true, Settings: map[string]string{"save": c.points}, OnShutdown: func() { asked <- struct{}{} },
			})
			must(t, db.SetString("k", "v"))
			conn, err := db.Dial()
			must(t, err)
			_, err = conn.Write([]byte("SHUTDOWN " + c.option + "\r\n"))
			must(t, err)
			<-asked
			must(t, conn.Close())
			must(t, db.Close())
			if _, err := os.Stat(filepath.Join(dir, "dump.rdb")); (err == nil) != c.saved {
				t.Errorf("dump.rdb: %v, want it: %v", err, c.saved)
			}
		})
	}
}

// A last snapshot that cannot be written keeps the program running, unless it is forced to end.
func TestShutdownThatCannotSave(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	dir := t.TempDir()
	db := mustOpen(t, kv.Options{Dir: dir, NoLog: true, OnShutdown: func() { asked <- struct{}{} }})
	must(t, db.SetString("k", "v"))
	obstacle := filepath.Join(dir, "dump.rdb", "x")
	must(t, os.MkdirAll(obstacle, 0o700))
	conn, err := db.Dial()
	must(t, err)
	_, err = conn.Write([]byte("SHUTDOWN SAVE\r\n"))
	must(t, err)
	reply := make([]byte, 100)
	n, err := conn.Read(reply)
	must(t, err)
	if got := string(reply[:n]); got != "-ERR Errors trying to SHUTDOWN. Check logs.\r\n" {
		t.Errorf("SHUTDOWN SAVE = %q", got)
	}
	select {
	case <-asked:
		t.Error("the program is asked to end")
	default:
	}
	_, err = conn.Write([]byte("SHUTDOWN SAVE FORCE\r\n"))
	must(t, err)
	<-asked
	must(t, conn.Close())
}

// A call that waits either has the element, or has left it in the list.
func TestNothingIsLostWhenWaitingEnds(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, kv.Options{})
	for i := range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var got []byte
		var err error
		wg.Go(func() { got, err = db.ListWaitFront(ctx, "q") })
		wg.Go(cancel)
		wg.Go(func() {
			if _, err := db.ListPushBack("q", []byte("v")); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		n, lerr := db.ListLen("q")
		must(t, lerr)
		if (err == nil) == (n == 1) || err == nil && string(got) != "v" || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: %q, %v, and %d in the list", i, got, err, n)
		}
		_, err = db.Delete("q")
		must(t, err)
	}
}

// Close ends calls that wait, and says so.
func TestCloseEndsWaiting(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, kv.Options{})
	done := make(chan error)
	go func() {
		_, err := db.ListWaitFront(t.Context(), "q")
		done <- err
	}()
	must(t, db.Close())
	if err := <-done; !errors.Is(err, kv.ErrClosed) {
		t.Errorf("the call returned %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, db *kv.DB) {
	t.Helper()
	must(t, db.SetString("string", "s"))
	must(t, db.SetString("mortal", "m", kv.Until(time.Now().Add(time.Hour))))
	_, err := db.MapSet("map", kv.Pair{Key: "f", Value: []byte("v")})
	must(t, err)
	_, err = db.SetAdd("set", "a", "b")
	must(t, err)
	_, err = db.ListPushBack("list", []byte("1"), []byte("2"))
	must(t, err)
	_, err = db.SortedAdd("sorted", kv.Scored{Member: "m", Score: 1.5})
	must(t, err)
	_, err = db.BitSet("bits", 100, true)
	must(t, err)
	_, err = db.TriePut("trie", kv.Pair{Key: "t", Value: []byte("v")})
	must(t, err)
	must(t, db.StreamAddID("stream", "5-1", kv.Pair{Key: "k", Value: []byte("v")}))
	other, err := db.Select(3)
	must(t, err)
	must(t, other.SetString("string", "of another database"))
}

func check(t *testing.T, db *kv.DB) {
	t.Helper()
	s, err := db.GetString("string")
	must(t, err)
	ttl, err := db.TTL("mortal")
	must(t, err)
	v, err := db.MapGet("map", "f")
	must(t, err)
	members, err := db.SetLen("set")
	must(t, err)
	list, err := db.ListRange("list", 0, -1)
	must(t, err)
	score, err := db.SortedScore("sorted", "m")
	must(t, err)
	bit, err := db.BitGet("bits", 100)
	must(t, err)
	field, err := db.TrieGet("trie", "t")
	must(t, err)
	stream, err := db.StreamRange("stream", "-", "+", 10)
	must(t, err)
	other, err := db.Select(3)
	must(t, err)
	s3, err := other.GetString("string")
	must(t, err)
	got := fmt.Sprintf("%s %v %s %d %s %v %v %s %s %s", s, ttl > 59*time.Minute, v, members, list, score, bit, field, stream[0].ID, s3)
	if want := "s true v 2 [1 2] 1.5 true v 5-1 of another database"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, kv.Options{MaxMemory: 10 << 20})
	must(t, db.SetString("s", "x"))
	_, wrong := db.ListLen("s")
	_, wrongGet := db.MapGet("s", "f")
	_, missing := db.SortedRank("none", "m")
	_, ttl := db.TTL("none")
	swapped, cas := db.CompareAndSwap("none", nil, nil)
	full := db.Set("big", make([]byte, 11<<20))
	for range 3 { // the limit is looked at before a command
		if full == nil {
			full = db.Set("more", []byte("x"))
		}
	}
	for name, tt := range map[string]struct{ err, want error }{
		"ListLen": {wrong, kv.ErrWrongType}, "MapGet": {wrongGet, kv.ErrWrongType}, "SortedRank": {missing, kv.ErrNotFound},
		"TTL": {ttl, kv.ErrNotFound}, "CompareAndSwap": {cas, kv.ErrNotFound}, "Set": {full, kv.ErrOutOfMemory},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.err, tt.want)
		}
	}
	if swapped {
		t.Error("CompareAndSwap says that it did")
	}
	must(t, db.Close())
	if _, err := db.Get("s"); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]kv.Options{
		"appendfsync":      {Fsync: "sometimes"},
		"maxmemory-policy": {Policy: "random"},
		"nonsense":         {Settings: map[string]string{"nonsense": "1"}},
		"MaxMemory":        {MaxMemory: -1},
	} {
		if _, err := kv.Open(o); !errors.Is(err, kv.ErrInvalidOption) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustOpen(t, kv.Options{Dir: dir})
	_, err := kv.Open(kv.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("opened twice: %v", err)
	}
}

// Damage in the middle of the log is not passed over in silence.
func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, kv.Options{Dir: dir})
	for i := range 100 {
		must(t, db.SetInt(fmt.Sprint("k", i), int64(i)))
	}
	must(t, db.Close())
	logs, _ := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if len(logs) != 1 {
		t.Fatalf("logs: %v", logs)
	}
	b, err := os.ReadFile(logs[0])
	must(t, err)
	b[len(b)/2] ^= 0xff
	b[len(b)/2+1] ^= 0xff
	must(t, os.WriteFile(logs[0], b, 0o600))
	if _, err := kv.Open(kv.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), filepath.Base(logs[0])) {
		t.Errorf("opened: %v", err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, kv.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := db.ListWaitFront(ctx, "queue"); !errors.Is(err, context.Canceled) {
		t.Errorf("ListWaitFront: %v", err)
	}
	var waiting sync.WaitGroup
	got := make(chan string, 1)
	waiting.Go(func() {
		b, err := db.ListWaitBack(t.Context(), "queue")
		got <- fmt.Sprintf("%s %v", b, err)
	})
	for done := false; !done; {
		_, err := db.ListPushFront("queue", []byte("x"))
		must(t, err)
		select {
		case g := <-got:
			if g != "x <nil>" {
				t.Errorf("ListWaitBack: %s", g)
			}
			done = true
		default:
		}
	}
	waiting.Wait()
}

// Many goroutines at once lose nothing.
func TestConcurrentIncrementsAreExact(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, kv.Options{Dir: t.TempDir()})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if _, err := db.Increment("n", 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if n, err := db.GetInt("n"); err != nil || n != 8000 {
		t.Errorf("%d, %v", n, err)
	}
	must(t, db.Flush())
}

func TestKeysVisitsAll(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, kv.Options{})
	for i := range 1000 {
		must(t, db.SetInt(fmt.Sprint("key:", i), 0))
	}
	must(t, db.SetInt("other", 0))
	seen := map[string]bool{}
	for key, err := range db.Keys("key:*") {
		must(t, err)
		seen[key] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d keys", len(seen))
	}
}

func BenchmarkAPI(b *testing.B) {
	for _, fsync := range []kv.Fsync{"memory", kv.EverySecond} {
		o := kv.Options{Dir: b.TempDir(), Fsync: fsync}
		if fsync == "memory" {
			o = kv.Options{}
		}
		db := mustOpen(b, o)
		keys := make([]string, 100_000)
		value := []byte("0123456789abcdef")
		for i := range keys {
			keys[i] = fmt.Sprintf("key:%012d", i)
			_ = db.Set(keys[i], value)
		}
		var buf []byte
		b.Run("GetAppend/"+string(fsync), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				buf, _ = db.GetAppend(buf[:0], keys[i%len(keys)])
			}
		})
		b.Run("Get/"+string(fsync), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, _ = db.Get(keys[i%len(keys)])
			}
		})
		b.Run("Set/"+string(fsync), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = db.Set(keys[i%len(keys)], value)
			}
		})
		b.Run("Increment/"+string(fsync), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = db.Increment("n", 1)
			}
		})
	}
}
