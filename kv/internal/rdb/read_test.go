package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/table"
	"github.com/zmsg/zmsg/kv/internal/tries"
)

// file makes a file of a version with what encode writes.
func file(version int, encode func(s *sink)) []byte {
	s := &sink{}
	s.raw(fmt.Appendf(nil, "REDIS%04d", version))
	encode(s)
	s.byte(opEOF)
	if version >= 5 {
		s.uint64(sum(0, s.buf))
	}
	return s.buf
}

// str writes a key with a string.
func (s *sink) str(key, value string) {
	s.byte(typeString)
	s.text([]byte(key))
	s.text([]byte(value))
}

// told is what Read has called back with, as text.
func told(b []byte) (list []string, n int64, err error) {
	say := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	n, err = Read(iotest.HalfReader(bytes.NewReader(b)), ReadOptions{
		Warn: func(text string) { say("warning: %s", text) },
		Aux:  func(name, value string) { say("%s=%s", name, value) },
	}, func(i *Item) error {
		say("%d/%s=%s", i.DB, i.Key, i.String)
		if i.Deadline != 0 {
			say("until %d", i.Deadline)
		}
		if i.Idle >= 0 {
			say("idle %v", i.Idle)
		}
		if i.Frequency >= 0 {
			say("used %d", i.Frequency)
		}
		return nil
	})
	return list, n, err
}

func TestFileIsTold(t *testing.T) {
	t.Parallel()
	all := file(readable, func(s *sink) {
		s.aux("redis-ver", "7.2.0")
		s.byte(opModuleAux) // module ID, when, and one value of each sort
		s.length(0x0c2d3b5a10c0ffee)
		for _, n := range []uint64{2, 1, 1, 99, 2, 1 << 40, 3} {
			s.length(n)
		}
		s.raw([]byte("1234"))
		s.length(4)
		s.raw([]byte("12345678"))
		s.length(5)
		s.text([]byte("text"))
		s.length(0)
		s.byte(opFunction2)
		s.text([]byte("#!lua"))
		s.byte(opSelectDB)
		s.length(2)
		s.byte(opResizeDB)
		s.length(3)
		s.length(1)
		s.byte(opExpireSecs)
		s.raw([]byte{1, 2, 0, 0})
		s.str("a", "1")
		s.str("b", "2")
		s.byte(opExpireMillis)
		s.uint64(77)
		s.byte(opIdle)
		s.length(9)
		s.byte(opFreq)
		s.byte(200)
		s.str("c", "3")
		s.byte(typeSet)
		s.text([]byte("empty"))
		s.length(0)
		s.byte(opSelectDB)
		s.length(0)
		s.str("d", "4")
	})
	want := []string{
		"redis-ver=7.2.0", `warning: data of the module "DC07WhDA_" is left out`, "warning: a library of functions is left out",
		"2/a=1", "until 513000", "2/b=2", "2/c=3", "until 77", "idle 9s", "used 200",
		`warning: the key "empty" is left out: it is empty`, "0/d=4",
	}
	// What follows the RDB part is not looked at.
	got, n, err := told(append(slices.Clone(all), "*1\r\n$4\r\nPING\r\n"...))
	if err != nil || n != int64(len(all)) || !slices.Equal(got, want) {
		t.Errorf("%q, %d of %d, %v", got, n, len(all), err)
	}
	for i := range all {
		if _, _, err := told(all[:i]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
		if all[i] ^= 1; i < len(all)-8 && (i < 5 || i > 8) { // another version may have no sum
			if _, _, err := told(all); err == nil {
				t.Fatalf("byte %d was flipped", i)
			}
		}
		all[i] ^= 1
	}
	copy(all[len(all)-8:], make([]byte, 8))
	if _, _, err := told(all); err != nil {
		t.Errorf("without a sum: %v", err)
	}
}

func TestOldFilesHaveNoSum(t *testing.T) {
	t.Parallel()
	got, _, err := told(file(4, func(s *sink) { s.str("a", "1") }))
	if err != nil || !slices.Equal(got, []string{"0/a=1"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	for want, b := range map[string][]byte{
		"version 12":                    file(12, func(*sink) {}),
		"begins like this":              []byte("RADIS0010\xff"),
		"no version":                    []byte("REDIS00x0\xff"),
		"unknown type 7":                file(10, func(s *sink) { s.str("a", "1"); s.byte(7); s.text([]byte("key")); s.byte(1) }),
		"begins at offset 14":           file(10, func(s *sink) { s.str("a", "1"); s.byte(7); s.text([]byte("key")); s.byte(1) }),
		`key "key" of database 3`:       file(10, func(s *sink) { s.byte(opSelectDB); s.length(3); s.byte(7); s.text([]byte("key")) }),
		"release candidate":             file(10, func(s *sink) { s.byte(opFunction) }),
		`unknown type "graph"`:          file(10, func(s *sink) { s.aux(auxType, "graph") }),
		"a trie of type 0":              file(10, func(s *sink) { s.aux(auxType, auxTrie); s.str("a", "1") }),
		"unknown form 3 of":             file(10, func(s *sink) { s.raw([]byte("\x12\x01a\x01\x03")) }),
		"unknown part 9":                file(10, func(s *sink) { s.raw([]byte("\xf7\x01\x09")) }),
		"the sum is":                    append(file(10, func(*sink) {})[:10], "wrongsum"...),
		"not an intset":                 file(10, func(s *sink) { s.raw([]byte("\x0b\x01a\x03abc")) }),
		"not a listpack":                file(10, func(s *sink) { s.raw([]byte("\x10\x01a\x03abc")) }),
		"not a zipmap":                  file(10, func(s *sink) { s.raw([]byte("\x09\x01a\x03abc")) }),
		"the same member twice":         file(10, func(s *sink) { s.raw([]byte("\x02\x01a\x02\x01a\x01a")) }),
		"is not a score":                file(10, func(s *sink) { s.raw([]byte("\x03\x01a\x01\x01a\x01x")) }),
		"a string where a length":       file(10, func(s *sink) { s.raw([]byte("\x02\x01a\xc0\x01")) }),
		"no length begins":              file(10, func(s *sink) { s.raw([]byte("\x02\x01a\x82\x01")) }),
		"cannot be decompressed":        file(10, func(s *sink) { s.raw([]byte("\x00\x01a\xc3\x02\x09ab")) }),
		"unknown encoding 4":            file(10, func(s *sink) { s.raw([]byte("\x00\x01a\xc4")) }),
		"a compressed string of 429496": file(10, func(s *sink) { s.raw([]byte("\x00\x01a\xc3\x02\x80\xff\xff\xff\xffab")) }),
	} {
		if _, _, err := told(b); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestErrorOfTheCallbackEndsReading(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	calls := 0
	_, err := Read(bytes.NewReader(file(10, func(s *sink) { s.str("a", "1"); s.str("b", "2") })), ReadOptions{}, func(*Item) error {
		calls++
		return boom
	})
	if !errors.Is(err, boom) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// A real server's functions are left out, and its eviction's notes are read, and written, and read there.
func TestNotesOfEvictionAreKept(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"allkeys-lru", "allkeys-lfu"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			c := realServer(t, nil, "--maxmemory-policy", policy)
			do(t, c, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
			do(t, c, "SET", "key", "value")
			dump := []byte(do(t, c, "DUMP", "key").(string))
			lfu := policy == "allkeys-lfu"
			ask := "IDLETIME"
			if lfu {
				do(t, c, "RESTORE", "key", 0, dump, "REPLACE", "FREQ", 77)
				ask = "FREQ"
			} else {
				do(t, c, "RESTORE", "key", 0, dump, "REPLACE", "IDLETIME", 77)
			}
			got, _, err := told(saved(t, c))
			note := "idle 1m17s"
			if lfu {
				note = "used 77"
			}
			if err != nil || !slices.Contains(got, note) || !slices.Contains(got, "warning: a library of functions is left out") {
				t.Fatalf("%q, %v", got, err)
			}
			e := engine.New(engine.Defaults())
			e.Keyspace(0).SetString([]byte("key"), []byte("value"), 0)
			b := written(t, e, WriteOptions{Checksum: true, Use: func(*table.Entry) (time.Duration, int) {
				if lfu {
					return -1, 77
				}
				return 77 * time.Second, -1
			}})
			checked(t, b)
			if n, _ := do(t, realServer(t, b, "--maxmemory-policy", policy), "OBJECT", ask, "key").(int64); n < 76 || n > 79 {
				t.Errorf("%s is %d", ask, n)
			}
		})
	}
}

// A trie is a hash to Redis, and a trie to us.
func TestTriesAreMarked(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	k := e.Keyspace(3)
	trie := tries.New(k.Stamp())
	for i := range 600 {
		trie.Put(fmt.Appendf(nil, "field %d", i), fmt.Append(nil, i))
	}
	k.SetValue([]byte("trie"), trie, 1<<50)
	k.SetString([]byte("string"), []byte("s"), 0)
	b := written(t, e, WriteOptions{Checksum: true, AOFBase: true, Compress: true})
	checked(t, b)
	all := describe(t, realServer(t, b))
	if want := fmt.Sprintf("hashtable, expires at %d, hash", 1<<50); len(all) != 2 || !strings.HasPrefix(all["3/trie"], want) {
		t.Errorf("%.200q", all)
	}
	back := loaded(t, b)
	en := back.Keyspace(3).Peek([]byte("trie"))
	got, ok := en.Box().Val.(*tries.Trie)
	if v, _ := got.Get([]byte("field 299")); !ok || got.Len() != 600 || v != "299" || en.Deadline() != 1<<50 {
		t.Errorf("%T of %d", en.Box().Val, got.Len())
	}
	if _, ok := engine.StringOf(back.Keyspace(3).Peek([]byte("string"))); !ok {
		t.Error("what follows a trie is one")
	}
	var aux []string
	_, _ = Read(bytes.NewReader(b), ReadOptions{Aux: func(name, value string) { aux = append(aux, name+"="+value) }}, func(*Item) error { return nil })
	if !slices.Contains(aux, "aof-base=1") || !slices.Contains(aux, "redis-ver=7.0.15") || len(aux) != 5 {
		t.Errorf("%q", aux)
	}
}

func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	for i := range 60 {
		e.Keyspace(0).SetString(binary.AppendUvarint(nil, uint64(i)), []byte(random(100_000)), 0)
	}
	var at []int64
	keys := 0
	note := func(bytes int64, n int) { at, keys = append(at, bytes), n }
	b := written(t, e, WriteOptions{Progress: note})
	wrote := slices.Clone(at)
	if !slices.IsSorted(wrote) || len(wrote) < 5 || wrote[len(wrote)-1] != int64(len(b)) || keys != 60 {
		t.Errorf("writing: %d keys, %d", keys, wrote)
	}
	at, keys = nil, 0
	n, err := Read(bytes.NewReader(b), ReadOptions{Progress: note}, func(*Item) error { return nil })
	if err != nil || !slices.IsSorted(at) || len(at) < 5 || at[len(at)-1] != n || keys != 60 {
		t.Errorf("reading: %d keys, %d, %v", keys, at, err)
	}
}

func TestWriterStopsWhenItsWriterFails(t *testing.T) {
	t.Parallel()
	e := engine.New(engine.Defaults())
	for i := range 1000 {
		e.Keyspace(0).SetString(fmt.Append(nil, i), []byte(random(1000)), 0)
	}
	boom := errors.New("boom")
	e.Lock()
	snap := e.Snapshot()
	e.Unlock()
	defer snap.Release()
	if _, err := Write(failing{boom}, snap, WriteOptions{}); !errors.Is(err, boom) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
