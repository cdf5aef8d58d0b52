package keys_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/oracle"
	"github.com/zmsg/zmsg/kv/internal/rdb"
)

// try executes a command and returns its reply, with "|" for line breaks.
func try(s *oracle.Subject, command string) string {
	reply := strings.TrimSuffix(string(s.Do(oracle.Words(command))), "\r\n")
	return strings.ReplaceAll(reply, "\r\n", "|")
}

// play executes lines of "command => reply".
func play(t *testing.T, s *oracle.Subject, lines string) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		command, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		if got := try(s, command); got != want {
			t.Fatalf("%s\n got %s\nwant %s", command, got, want)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	play(t, newSubject(t), `
		MSET a 1 b 2 c 3 => +OK
		EXISTS a a nokey b => :3
		DEL a a nokey => :1
		UNLINK b nokey => :1
		TOUCH c c nokey => :2
		DBSIZE => :1
		KEYS * => *1|$1|c
		RANDOMKEY => $1|c
		SCAN 0 => *2|$1|0|*1|$1|c
		SCAN 0 MATCH x* => *2|$1|0|*0
		SCAN 0 TYPE StrinG => *2|$1|0|*1|$1|c
		SCAN 0 TYPE foo => *2|$1|0|*0
		TYPE c => +string
		TYPE nokey => +none
		EXPIRE nokey 10 => :0
		EXPIRE c 100 XX => :0
		EXPIRE c 100 GT => :0
		EXPIRE c 100 LT => :1
		EXPIRE c 200 NX => :0
		EXPIRE c 200 LT => :0
		EXPIRE c 200 GT => :1
		TTL c => :200
		PERSIST c => :1
		PERSIST c => :0
		TTL c => :-1
		TTL nokey => :-2
		PEXPIREAT c 99999999999999 => :1
		PEXPIRETIME c => :99999999999999
		EXPIRETIME c => :100000000000
		RENAME c d => +OK
		PEXPIRETIME d => :99999999999999
		RENAME c d => -ERR no such key
		RENAMENX d d => :0
		SET e 5 => +OK
		RENAMENX d e => :0
		COPY e d => :0
		COPY e d REPLACE => :1
		TTL d => :-1
		OBJECT REFCOUNT e => :2147483647
		SET e x => +OK
		OBJECT REFCOUNT e => :1
		OBJECT IDLETIME e => :0
		MOVE e 3 => :1
		GET e => $-1
		SELECT 3 => +OK
		GET e => $1|x
		EXPIRE e -1 => :1
		RANDOMKEY => $-1
		SORT nokey => *0
	`)
}

// TestDueKeys looks at keys whose time has run out before anything has removed them.
func TestDueKeys(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"KEYS *", "SCAN 0", "SCAN 0 TYPE none", "RANDOMKEY", "TYPE k", "EXISTS k", "DEL k", "TTL k", "PERSIST k", "RENAME k l",
		"MOVE k 1", "COPY k l", "DUMP k", "OBJECT ENCODING k", "SORT l BY nosort GET k*", "EXPIRE k 5",
	} {
		s := newSubject(t)
		want := try(s, command)
		play(t, s, "RPUSH l - => :1")
		if strings.HasPrefix(command, "SORT") {
			want = "*1|$-1"
		} else {
			play(t, s, "DEL l => :1")
		}
		play(t, s, "SET k v PX 1 => +OK")
		for start := time.Now(); time.Since(start) < 3*time.Millisecond; {
			continue
		}
		if got := try(s, command); got != want {
			t.Errorf("%s\n got %s\nwant %s", command, got, want)
		}
		gone := try(s, "DBSIZE") == ":0" || strings.HasPrefix(command, "SORT")
		if !gone && command != "KEYS *" {
			t.Errorf("%s has left the key", command)
		}
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	s.E.Lock()
	s.E.Config().Policy, s.E.Config().MaxMemory = engine.AllKeysLFU, 1<<30
	s.E.Unlock()
	play(t, s, "SET a 1 => +OK")
	payload := bulk(t, s.Do(oracle.Words("DUMP a")))
	s.Do(append([][]byte{[]byte("RESTORE"), []byte("b"), []byte("0"), payload}, oracle.Words("FREQ 77")...))
	play(t, s, `
		OBJECT FREQ b => :77
		RENAME b c => +OK
		OBJECT FREQ c => :77
		OBJECT FREQ c => :77
		OBJECT REFCOUNT c => :1
		OBJECT FREQ nokey => $-1
		OBJECT IDLETIME c => -ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
		CONFIG SET maxmemory-policy allkeys-lru => +OK
	`)
	s.Do(append([][]byte{[]byte("RESTORE"), []byte("b"), []byte("0"), payload}, oracle.Words("IDLETIME 1000")...))
	play(t, s, `
		EXISTS b => :1
		OBJECT IDLETIME b => :1000
		TOUCH b => :1
		OBJECT IDLETIME b => :0
	`)
}

// fillers make a value of each form under the key K, and change it; % stands for 1 to 2000.
var fillers = []struct{ fill, change, look string }{
	{"SET K v", "APPEND K x", "GET K"},
	{"APPEND K v", "APPEND K x", "GET K"},
	{"RPUSH K 1 2", "LSET K 0 x", "LRANGE K 0 -1"},
	{"RPUSH K %", "LSET K 100 x", "LRANGE K 0 -1"},
	{"RPUSH K %", "RPUSH K x", "LRANGE K 0 -1"},
	{"HSET K 1 2", "HSET K 1 x", "HGETALL K"},
	{"HSET K %", "HSET K 101 x", "HGET K 101"},
	{"HSET K %", "HDEL K 103", "HEXISTS K 103"},
	{"SADD K 1 2", "SREM K 1", "SORT K"},
	{"SADD K a 1 2;SREM K a", "SREM K 1", "SORT K"},
	{"SADD K %", "SREM K 100", "SORT K"},
	{"SADD K %", "SADD K 0", "SORT K"},
	{"ZADD K 1 2", "ZADD K 5 2", "ZRANGE K 0 -1 WITHSCORES"},
	{"ZADD K %", "ZADD K 5 102", "ZRANGE K 0 -1 WITHSCORES"},
	{"ZADD K %", "ZREM K 102", "ZRANGE K 0 -1 WITHSCORES"},
	{"TRIE.PUT K a 1", "TRIE.PUT K a 2", "TRIE.GET K a"},
	{"TRIE.PUT K %", "TRIE.DEL K 101", "TRIE.GET K 101"},
}

// TestCopiesAreIndependent changes originals and copies, with and without a snapshot that shares them.
func TestCopiesAreIndependent(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 2000 {
		many.WriteString(" " + strconv.Itoa(i+1))
	}
	for _, f := range fillers {
		for _, snapshot := range []bool{false, true} {
			for _, changed := range []string{"k", "k2"} {
				s := newSubject(t)
				on := func(key, commands string) (reply string) {
					for c := range strings.SplitSeq(commands, ";") {
						reply = try(s, strings.ReplaceAll(strings.ReplaceAll(c, "K", key), "%", many.String()))
					}
					return reply
				}
				on("k", f.fill)
				if snapshot {
					s.E.Lock()
					snap := s.E.Snapshot()
					s.E.Unlock()
					defer snap.Release()
				}
				before, encoding := on("k", f.look), try(s, "OBJECT ENCODING k")
				play(t, s, "COPY k k2 => :1")
				if other := try(s, "OBJECT ENCODING k2"); other != encoding {
					t.Errorf("%s: the copy of a %s is a %s", f.fill, encoding, other)
				}
				on(changed, f.change)
				other := map[string]string{"k": "k2", "k2": "k"}[changed]
				if on(changed, f.look) == before || on(other, f.look) != before {
					t.Errorf("%s, %s of %s, snapshot %t: %.200s and %.200s, was %.200s", f.fill, f.change, changed, snapshot, on("k", f.look), on("k2", f.look), before)
				}
			}
		}
	}
}

// TestMovedValuesUnderSnapshot renames and moves values that a snapshot has, and changes them: what the
// snapshot has does not change.
func TestMovedValuesUnderSnapshot(t *testing.T) {
	t.Parallel()
	for _, f := range fillers {
		s := newSubject(t)
		for c := range strings.SplitSeq(strings.ReplaceAll(strings.ReplaceAll(f.fill, "K", "k"), "%", "1 2 101 102 103 104"), ";") {
			try(s, c)
		}
		s.E.Lock()
		snap := s.E.Snapshot()
		en := snap.Tables[0].Find([]byte("k"))
		before := rdb.EncodeValue(nil, en, false)
		s.E.Unlock()
		play(t, s, `
			EXPIREAT k 99999999999 => :1
			RENAME k l => +OK
			MOVE l 1 => :1
			SELECT 1 => +OK
			RENAME l k => +OK
		`)
		try(s, strings.ReplaceAll(f.change, "K", "k"))
		if en != snap.Tables[0].Find([]byte("k")) || !bytes.Equal(before, rdb.EncodeValue(nil, en, false)) || en.Deadline() != 0 {
			t.Errorf("%s, %s: the snapshot has changed", f.fill, f.change)
		}
		snap.Release()
	}
}
