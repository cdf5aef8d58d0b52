package hashes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/redistest"
)

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"

func TestCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		command      string
		resp2, resp3 string // "" is the same
	}{
		{"HSET h a 1 b x", ":2", ""},
		{"HSET h a 2 c 3", ":1", ""},
		{"HSET h a", "-ERR wrong number of arguments for 'hset' command", ""},
		{"HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command", ""},
		{"HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command", ""},
		{"HMSET h d 4", "+OK", ""},
		{"HSETNX h d 5", ":0", ""},
		{"HSETNX h e 5", ":1", ""},
		{"HGET h a", "$1|2", ""},
		{"HGET h x", "$-1", "_"},
		{"HGET none x", "$-1", "_"},
		{"HMGET h a x b", "*3|$1|2|$-1|$1|x", "*3|$1|2|_|$1|x"},
		{"HMGET none a b", "*2|$-1|$-1", "*2|_|_"},
		{"HDEL h d e x", ":2", ""},
		{"HDEL none d", ":0", ""},
		{"HGETALL h", "*6|$1|a|$1|2|$1|b|$1|x|$1|c|$1|3", "%3|$1|a|$1|2|$1|b|$1|x|$1|c|$1|3"},
		{"HGETALL none", "*0", "%0"},
		{"HKEYS h", "*3|$1|a|$1|b|$1|c", ""},
		{"HVALS h", "*3|$1|2|$1|x|$1|3", ""},
		{"HKEYS none", "*0", ""},
		{"HVALS none", "*0", ""},
		{"HLEN h", ":3", ""},
		{"HLEN none", ":0", ""},
		{"HEXISTS h a", ":1", ""},
		{"HEXISTS h x", ":0", ""},
		{"HSTRLEN h a", ":1", ""},
		{"HSTRLEN h x", ":0", ""},
		{"HINCRBY h a 5", ":7", ""},
		{"HINCRBY h new -5", ":-5", ""},
		{"HINCRBY h b 1", "-ERR hash value is not an integer", ""},
		{"HINCRBY h a x", "-ERR value is not an integer or out of range", ""},
		{"HINCRBY h a 9223372036854775807", "-ERR increment or decrement would overflow", ""},
		{"HINCRBYFLOAT h a 0.5", "$3|7.5", ""},
		{"HINCRBYFLOAT h f 1e-3", "$5|0.001", ""},
		{"HINCRBYFLOAT h b 1", "-ERR hash value is not a float", ""},
		{"HINCRBYFLOAT h a x", "-ERR value is not a valid float", ""},
		{"HINCRBYFLOAT h a inf", "-ERR value is NaN or Infinity", ""},
		{"HSCAN h 0 MATCH [ab]", "*2|$1|0|*4|$1|a|$3|7.5|$1|b|$1|x", ""},
		{"HSCAN none 0", "*2|$1|0|*0", ""},
		{"HSCAN h x", "-ERR invalid cursor", ""},
		{"HSCAN h 0 COUNT x", "-ERR value is not an integer or out of range", ""},
		{"HSCAN h 0 NOVALUES", "-ERR syntax error", ""},
		{"HDEL h a b c new", ":4", ""},
		{"HRANDFIELD h", "$1|f", ""},
		{"HRANDFIELD h 3", "*1|$1|f", ""},
		{"HRANDFIELD h -2", "*2|$1|f|$1|f", ""},
		{"HRANDFIELD h 2 WITHVALUES", "*2|$1|f|$5|0.001", "*1|*2|$1|f|$5|0.001"},
		{"HRANDFIELD h 0", "*0", ""},
		{"HRANDFIELD none", "$-1", "_"},
		{"HRANDFIELD none 1", "*0", ""},
		{"HRANDFIELD none -1 WITHVALUES", "*0", ""},
		{"HRANDFIELD h 1 x", "-ERR syntax error", ""},
		{"HRANDFIELD h 9223372036854775807 WITHVALUES", "-ERR value is out of range", ""},
		{"SET s x", "+OK", ""},
		{"HSET s a b", wrongType, ""},
		{"HSETNX s a b", wrongType, ""},
		{"HGET s a", wrongType, ""},
		{"HMGET s a", wrongType, ""},
		{"HDEL s a", wrongType, ""},
		{"HGETALL s", wrongType, ""},
		{"HKEYS s", wrongType, ""},
		{"HVALS s", wrongType, ""},
		{"HLEN s", wrongType, ""},
		{"HEXISTS s a", wrongType, ""},
		{"HSTRLEN s a", wrongType, ""},
		{"HINCRBY s a 1", wrongType, ""},
		{"HINCRBYFLOAT s a 1", wrongType, ""},
		{"HSCAN s 0", wrongType, ""},
		{"HRANDFIELD s", wrongType, ""},
		{"HRANDFIELD s 1", wrongType, ""},
		{"HDEL h f f", ":1", ""},
		{"OBJECT ENCODING h", "$-1", "_"},
	}
	for proto := 2; proto <= 3; proto++ {
		s := redistest.NewSubject(t, hashes.Commands)
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

func TestScanGoesThroughAll(t *testing.T) {
	t.Parallel()
	s := redistest.NewSubject(t, hashes.Commands)
	for i := range 3000 {
		s.Do("HSET", "h", fmt.Sprint("f", i), fmt.Sprint(i))
	}
	seen, cursor, calls := map[string]string{}, "0", 0
	for first := true; first || cursor != "0"; first = false {
		lines := strings.Split(s.Do("HSCAN", "h", cursor, "COUNT", "100"), "\r\n")
		cursor = lines[2]
		for i := 5; i+2 < len(lines); i += 4 {
			seen[lines[i]] = lines[i+2]
		}
		calls++
	}
	if len(seen) != 3000 || seen["f77"] != "77" || calls < 20 || calls > 31 {
		t.Errorf("%d fields in %d calls", len(seen), calls)
	}
}

// A snapshot keeps what it has while commands go on.
func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	s := redistest.NewSubject(t, hashes.Commands)
	for i := range 1000 {
		s.Do("HSET", "big", fmt.Sprint(i), "1")
		s.Do("HSET", "small", fmt.Sprint(i%100), "1")
	}
	s.Engine.Lock()
	snap := s.Engine.Snapshot()
	s.Engine.Unlock()
	for i := range 100 {
		s.Do("HINCRBY", "big", fmt.Sprint(i), "1")
		s.Do("HSET", "small", fmt.Sprint(i), "new")
		s.Do("HDEL", "big", fmt.Sprint(900+i))
	}
	for key, want := range map[string]int{"big": 1000, "small": 100} {
		old := snap.Tables[0].Find([]byte(key)).Box().Val.(*hashes.Hash)
		n := 0
		for _, v := range old.All() {
			if string(v) == "1" {
				n++
			}
		}
		if n != want {
			t.Errorf("%s has %d old values in the snapshot", key, n)
		}
	}
	snap.Release()
	if got := s.Try("HLEN big") + s.Try("HGET big 5") + s.Try("HGET small 5"); got != ":900$1|2$3|new" {
		t.Error(got)
	}
}
