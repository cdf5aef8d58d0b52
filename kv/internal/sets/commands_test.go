package sets_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/redistest"
	"github.com/zmsg/zmsg/kv/internal/sets"
)

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"

func TestCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		command      string
		resp2, resp3 string // "" is the same
	}{
		{"SADD s 3 1 2 3", ":3", ""},
		{"SADD s 1", ":0", ""},
		{"SADD s", "-ERR wrong number of arguments for 'sadd' command", ""},
		{"SMEMBERS s", "*3|$1|1|$1|2|$1|3", "~3|$1|1|$1|2|$1|3"},
		{"SMEMBERS none", "*0", "~0"},
		{"SCARD s", ":3", ""},
		{"SCARD none", ":0", ""},
		{"SISMEMBER s 1", ":1", ""},
		{"SISMEMBER s x", ":0", ""},
		{"SISMEMBER none x", ":0", ""},
		{"SMISMEMBER s 1 x 3", "*3|:1|:0|:1", ""},
		{"SMISMEMBER none 1 x", "*2|:0|:0", ""},
		{"SADD t 3 4", ":2", ""},
		{"SINTER s t", "*1|$1|3", "~1|$1|3"},
		{"SINTER s none", "*0", "~0"},
		{"SUNION s t", "*4|$1|1|$1|2|$1|3|$1|4", "~4|$1|1|$1|2|$1|3|$1|4"},
		{"SDIFF s t", "*2|$1|1|$1|2", "~2|$1|1|$1|2"},
		{"SDIFF s t s", "*0", "~0"},
		{"SINTERCARD 2 s t", ":1", ""},
		{"SINTERCARD 2 s s LIMIT 2", ":2", ""},
		{"SINTERCARD 2 s s LIMIT 0", ":3", ""},
		{"SINTERCARD 0 s", "-ERR numkeys should be greater than 0", ""},
		{"SINTERCARD 3 s t", "-ERR Number of keys can't be greater than number of args", ""},
		{"SINTERCARD 1 s LIMIT -1", "-ERR LIMIT can't be negative", ""},
		{"SINTERCARD 1 s t", "-ERR syntax error", ""},
		{"SUNIONSTORE u s t", ":4", ""},
		{"SINTERSTORE i s t", ":1", ""},
		{"SDIFFSTORE d s t", ":2", ""},
		{"SMEMBERS d", "*2|$1|1|$1|2", "~2|$1|1|$1|2"},
		{"SDIFFSTORE d none s", ":0", ""},
		{"OBJECT ENCODING d", "$-1", "_"},
		{"SMOVE s t 1", ":1", ""},
		{"SMOVE s t 1", ":0", ""},
		{"SMOVE s s 2", ":1", ""},
		{"SMOVE none str x", ":0", ""},
		{"SMEMBERS t", "*3|$1|1|$1|3|$1|4", "~3|$1|1|$1|3|$1|4"},
		{"SET str x", "+OK", ""},
		{"SMOVE s str 2", wrongType, ""},
		{"SADD str x", wrongType, ""},
		{"SREM str x", wrongType, ""},
		{"SPOP str", wrongType, ""},
		{"SPOP str 1", wrongType, ""},
		{"SRANDMEMBER str 1", wrongType, ""},
		{"SUNIONSTORE u s str", wrongType, ""},
		{"SSCAN str 0", wrongType, ""},
		{"SCARD str", wrongType, ""},
		{"SINTERSTORE str s none", ":0", ""}, // what is not a set may be overwritten
		{"OBJECT ENCODING str", "$-1", "_"},
		{"SSCAN t 0", "*2|$1|0|*3|$1|1|$1|3|$1|4", ""},
		{"SSCAN t 0 MATCH [34] COUNT 1", "*2|$1|0|*2|$1|3|$1|4", ""},
		{"SSCAN none 0 x", "*2|$1|0|*0", ""},
		{"SSCAN t x", "-ERR invalid cursor", ""},
		{"SSCAN t 0 COUNT 0", "-ERR syntax error", ""},
		{"SREM t 1 3 5", ":2", ""},
		{"SREM none 1", ":0", ""},
		{"SPOP none", "$-1", "_"},
		{"SPOP none 2", "*0", "~0"},
		{"SPOP t 0", "*0", "~0"},
		{"SPOP t -1", "-ERR value is out of range, must be positive", ""},
		{"SPOP t 1 1", "-ERR syntax error", ""},
		{"SRANDMEMBER t", "$1|4", ""},
		{"SRANDMEMBER t -2", "*2|$1|4|$1|4", ""},
		{"SRANDMEMBER t 5", "*1|$1|4", ""},
		{"SRANDMEMBER none", "$-1", "_"},
		{"SRANDMEMBER none 5", "*0", ""},
		{"SPOP t", "$1|4", ""},
		{"OBJECT ENCODING t", "$-1", "_"},
		{"SPOP u 9", "*4|$1|1|$1|2|$1|3|$1|4", "~4|$1|1|$1|2|$1|3|$1|4"},
		{"OBJECT ENCODING u", "$-1", "_"},
	}
	for proto := 2; proto <= 3; proto++ {
		s := redistest.NewSubject(t, sets.Commands)
		s.SetProto(proto)
		for _, test := range tests {
			want := test.resp2
			if proto == 3 && test.resp3 != "" {
				want = test.resp3
			}
			if got := s.Try(test.command); got != want {
				t.Errorf("%s (RESP%d)\n got %s\nwant %s", test.command, proto, got, want)
			}
		}
	}
}

// What SPOP has removed by chance is logged member by member: the log repeated has the same members left.
func TestPopIsLogged(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"", "m"} {
		for _, count := range []int{1, 5, 60, 95, 99, 100} {
			s := redistest.NewSubject(t, sets.Commands)
			add := []string{"SADD", "s"}
			for i := range 100 {
				add = append(add, fmt.Sprint(word, i))
			}
			s.Do(add...)
			popped := strings.Split(s.Do("SPOP", "s", fmt.Sprint(count)), "\r\n")
			if want := fmt.Sprint("*", count); popped[0] != want || len(popped) != 2+2*count {
				t.Fatalf("%v, want %s", popped, want)
			}
			again := redistest.NewSubject(t, sets.Commands)
			for _, entry := range s.Log(t) {
				lines := strings.Split(entry, "\r\n")
				var command []string
				for i := 2; i < len(lines); i += 2 {
					command = append(command, lines[i])
				}
				if command[0] == "SPOP" {
					t.Fatal("SPOP is logged as it is")
				}
				if command[0] != "MULTI" && command[0] != "EXEC" {
					again.Do(command...)
				}
			}
			if got, want := all(again), all(s); !slices.Equal(got, want) {
				t.Errorf("SPOP %d: %v after the log, want %v", count, got, want)
			}
		}
	}
}

func all(s *redistest.Subject) []string {
	lines := strings.Split(s.Do("SMEMBERS", "s"), "\r\n")
	slices.Sort(lines)
	return lines
}

// When nearly all members are popped, the rest is a new set, and an intset if it can be.
func TestPopMakesIntset(t *testing.T) {
	t.Parallel()
	s := redistest.NewSubject(t, sets.Commands)
	add := []string{"SADD", "s"}
	for i := range 600 {
		add = append(add, fmt.Sprint(i))
	}
	s.Do(add...)
	s.Do("SPOP", "s", "590")
	if got := s.Try("OBJECT ENCODING s") + s.Try("SCARD s"); got != "$6|intset:10" {
		t.Error(got)
	}
}

func TestScanGoesThroughAll(t *testing.T) {
	t.Parallel()
	s := redistest.NewSubject(t, sets.Commands)
	for i := range 3000 {
		s.Do("SADD", "s", fmt.Sprint("m", i))
	}
	seen, cursor, calls := map[string]bool{}, "0", 0
	for first := true; first || cursor != "0"; first = false {
		lines := strings.Split(s.Do("SSCAN", "s", cursor, "COUNT", "100"), "\r\n")
		cursor = lines[2]
		for i := 5; i < len(lines); i += 2 {
			seen[lines[i]] = true
		}
		calls++
	}
	if len(seen) != 3000 || calls < 20 || calls > 31 {
		t.Errorf("%d members in %d calls", len(seen), calls)
	}
}

// A snapshot keeps what it has while commands go on.
func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	s := redistest.NewSubject(t, sets.Commands)
	for i := range 1000 {
		s.Do("SADD", "big", fmt.Sprint("m", i))
		s.Do("SADD", "small", fmt.Sprint(i%100))
	}
	s.Engine.Lock()
	snap := s.Engine.Snapshot()
	s.Engine.Unlock()
	s.Do("SPOP", "big", "700")
	s.Do("SPOP", "small", "70")
	s.Do("SADD", "big", "new")
	for key, want := range map[string]int{"big": 1000, "small": 100} {
		old := snap.Tables[0].Find([]byte(key)).Box().Val.(*sets.Set)
		n := 0
		for range old.All() {
			n++
		}
		if n != want || old.Len() != want {
			t.Errorf("%s has %d members in the snapshot", key, n)
		}
	}
	snap.Release()
	if got := s.Try("SCARD big") + s.Try("SCARD small"); got != ":301:30" {
		t.Error(got)
	}
}
