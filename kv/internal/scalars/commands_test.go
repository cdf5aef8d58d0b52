package scalars

import (
	"bytes"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	for _, test := range []struct{ command, want string }{
		{"SET k v", "+OK"},
		{"SET k w NX", "$-1"},
		{"SET k w NX GET", "$1|v"},
		{"SET k w XX GET", "$1|v"},
		{"SET none w XX", "$-1"},
		{"SET k w EX 0", "-ERR invalid expire time in 'set' command"},
		{"SET k w EX 1 KEEPTTL", "-ERR syntax error"},
		{"SETEX k x v", "-ERR value is not an integer or out of range"},
		{"PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command"},
		{"GETEX k PX 0", "-ERR invalid expire time in 'getex' command"},
		{"GETEX k EXAT 1", "$1|w"},
		{"GET k", "$-1"},
		{"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"},
		{"MSETNX a 1 b 2", ":1"},
		{"MSETNX b 1 c 2", ":0"},
		{"MGET a b c", "*3|$1|1|$1|2|$-1"},
		{"GETDEL a", "$1|1"},
		{"GETDEL a", "$-1"},
		{"APPEND a ab", ":2"},
		{"APPEND a cd", ":4"},
		{"SETRANGE a 5 x", ":6"},
		{"GETRANGE a 1 -2", "$4|bcd\x00"},
		{"GETRANGE a -1 -2", "$0|"},
		{"SETRANGE a 536870911 xx", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"},
		{"INCR a", "-ERR value is not an integer or out of range"},
		{"SET n 9223372036854775807", "+OK"},
		{"INCR n", "-ERR increment or decrement would overflow"},
		{"DECRBY n -9223372036854775808", "-ERR decrement would overflow"},
		{"DECR n", ":9223372036854775806"},
		{"INCRBYFLOAT n 1.5", "$21|9223372036854775807.5"},
		{"INCRBYFLOAT n inf", "-ERR increment would produce NaN or Infinity"},
		{"INCRBYFLOAT a 1", "-ERR value is not a valid float"},
		{"MSET x ohmytext y mynewtext", "+OK"},
		{"LCS x y", "$6|mytext"},
		{"LCS x y LEN", ":6"},
		{"LCS x y LEN IDX", "-ERR If you want both the length and indexes, please just use IDX."},
		{"LCS x y IDX MINMATCHLEN 4 WITHMATCHLEN", "*4|$7|matches|*1|*3|*2|:4|:7|*2|:5|:8|:4|$3|len|:6"},
		{"SETBIT bits 7 1", ":0"},
		{"SETBIT bits 4294967296 1", "-ERR bit offset is not an integer or out of range"},
		{"SETBIT bits 7 2", "-ERR bit is not an integer or out of range"},
		{"BITPOS bits 0", ":0"},
		{"BITPOS bits 2", "-ERR The bit argument must be 1 or 0."},
		{"BITOP NOT d x y", "-ERR BITOP NOT must be called with a single source key."},
		{"BITOP AND d none none", ":0"},
		{"BITFIELD bits SET i8 #1 -5 OVERFLOW FAIL INCRBY i8 8 -124", "*2|:0|$-1"},
		{"BITFIELD bits GET u64 0", "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."},
		{"BITFIELD_RO bits SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"},
		{"PFADD h a b c", ":1"},
		{"PFADD h a", ":0"},
		{"PFCOUNT h none", ":3"},
		{"PFCOUNT x", "-WRONGTYPE Key is not a valid HyperLogLog string value."},
	} {
		got := strings.ReplaceAll(strings.TrimSuffix(string(s.do(words(test.command))), "\r\n"), "\r\n", "|")
		if got != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.command, got, test.want)
		}
	}
}

// other is a value that is no string.
type other struct{ stamp uint32 }

func (other) Type() engine.Type               { return "other" }
func (other) Encoding() string                { return "other" }
func (other) Bytes() int                      { return 1 }
func (o other) Stamp() uint32                 { return o.stamp }
func (other) Clone(stamp uint32) engine.Value { return other{stamp} }

func TestWrongType(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	s.do(words("SET s 1"))
	s.e.Lock()
	s.c.DB().SetValue([]byte("o"), other{s.c.DB().Stamp()}, 0)
	s.e.Unlock()
	for _, command := range []string{
		"SET o v GET", "GET o", "GETSET o v", "GETDEL o", "GETEX o", "APPEND o x", "STRLEN o", "SETRANGE o 0 x",
		"GETRANGE o 0 1", "SUBSTR o 0 1", "INCR o", "DECRBY o 1", "INCRBYFLOAT o 1", "SETBIT o 1 1", "GETBIT o 1",
		"BITCOUNT o", "BITPOS o 1", "BITOP OR d s o", "BITFIELD o GET u8 0", "BITFIELD o SET u8 0 1",
		"BITFIELD_RO o GET u8 0", "PFADD o x", "PFCOUNT o", "PFCOUNT s2 o", "PFMERGE d o", "PFMERGE o",
	} {
		if got := string(s.do(words(command))); got != "-"+engine.ErrWrongType+"\r\n" {
			t.Errorf("%s: %s", command, got)
		}
	}
	if got := string(s.do(words("LCS o s"))); got != "-ERR The specified keys must contain string values\r\n" {
		t.Error(got)
	}
	if got := string(s.do(words("MGET o s"))); got != "*2\r\n$-1\r\n$1\r\n1\r\n" {
		t.Error(got)
	}
	if got := string(s.do(words("SET o v"))); got != "+OK\r\n" {
		t.Error(got)
	}
}

// A snapshot must not see what is written after it, whichever way the string is kept.
func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	setup := []string{"SET inline abcdef", "SET n 41", "APPEND raw abc", "APPEND raw def", "SETBIT bits 3 1", "PFADD h a b", "PFCOUNT h"}
	for _, c := range setup {
		s.do(words(c))
	}
	before := map[string][]byte{}
	for _, key := range []string{"inline", "n", "raw", "bits", "h"} {
		before[key] = s.do(words("GET " + key))
	}
	s.e.Lock()
	snap := s.e.Snapshot()
	s.e.Unlock()
	for _, c := range []string{
		"SET inline ABCDEF", "INCR n", "SETRANGE raw 1 X", "APPEND raw tail", "SETBIT bits 3 0",
		"BITFIELD bits SET u8 0 255", "PFADD h c d", "PFCOUNT h", "PFMERGE h none", "GETEX raw EX 100",
	} {
		s.do(words(c))
	}
	for key, want := range before {
		got, ok := engine.StringOf(snap.Tables[0].Find([]byte(key)))
		if !ok || !bytes.Contains(want, append(got, '\r', '\n')) {
			t.Errorf("the snapshot's %s is %q, was %q", key, got, want)
		}
		if bytes.Equal(s.do(words("GET "+key)), want) {
			t.Errorf("%s has not changed", key)
		}
	}
	snap.Release()
}

// The deadline of a string that is changed in part, or counted up, stays.
func TestDeadlinesStay(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	const at = "99999999999999"
	for _, c := range []string{
		"APPEND k 1", "SETRANGE k 1 2", "SETBIT k 9 1", "BITFIELD k SET u8 0 1", "SET k 5 KEEPTTL", "INCR k",
		"INCRBYFLOAT k 1.5", "GETEX k", "INCRBY k 100000000000", "INCRBYFLOAT k 0.125",
	} {
		if strings.HasPrefix(c, "INCR") {
			s.do(words("SET k 7 KEEPTTL"))
		} else {
			s.do(words("SET k 1 PXAT " + at))
		}
		s.do(words(c))
		if d := s.c.DB().Peek([]byte("k")).Deadline(); d != 99999999999999 {
			t.Errorf("after %s the deadline is %d", c, d)
		}
	}
	for _, c := range []string{"SET k 1", "GETSET k 1", "MSET k 1", "BITOP NOT k k", "GETEX k PERSIST"} {
		s.do(words("SET k 1 PXAT " + at))
		s.do(words(c))
		if d := s.c.DB().Peek([]byte("k")).Deadline(); d != 0 {
			t.Errorf("after %s the deadline is %d", c, d)
		}
	}
}

//nolint:paralleltest // allocations are counted process-wide
func TestHotCommandsDoNotAllocate(t *testing.T) {
	s := newSubject(t)
	s.e.SetJournal(nil)
	out := make([]byte, 0, 1<<16)
	for _, command := range []string{"SET k 0123456789", "GET k", "INCR n", "MSET k 9876543210 l 1", "MGET k l n", "SETEX e 100 v", "SETBIT b 9 1"} {
		in := engine.AppendCommand(nil, words(command))
		_, out = s.e.Process(s.c, in, out[:0])
		if n := testing.AllocsPerRun(200, func() { _, out = s.e.Process(s.c, in, out[:0]) }); n > 0 {
			t.Errorf("%s allocates %v times", command, n)
		}
	}
}
