package zsets_test

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	s := newSubject()
	for _, x := range []struct{ command, want string }{
		{"ZADD z 1 a 2 b 3 c", ":3"},
		{"ZADD z CH 5 a 2 b 9 d", ":2"},
		{"ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"},
		{"ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"},
		{"ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"},
		{"ZADD z 1", "-ERR wrong number of arguments for 'zadd' command"},
		{"ZADD z CH 1", "-ERR syntax error"},
		{"ZADD z GT INCR -1 a", "$-1"},
		{"ZADD z INCR 0.1 a", "$18|5.0999999999999996"},
		{"ZINCRBY z inf a", "$3|inf"},
		{"ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)"},
		{"ZRANK z c", ":1"},
		{"ZREVRANK z c", ":2"},
		{"ZRANK z c WITHSCORE", "-ERR wrong number of arguments for 'zrank' command"},
		{"ZRANGE z 0 -1 WITHSCORES", "*8|$1|b|$1|2|$1|c|$1|3|$1|d|$1|9|$1|a|$3|inf"},
		{"ZRANGE z (2 +inf BYSCORE LIMIT 1 1", "*1|$1|d"},
		{"ZRANGE z 0 1 LIMIT 1 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"},
		{"ZRANGE z - + BYLEX WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX"},
		{"ZRANGEBYSCORE z x 1", "-ERR min or max is not a float"},
		{"ZLEXCOUNT z a b", "-ERR min or max not valid string range item"},
		{"ZUNION 0 z", "-ERR at least 1 input key is needed for 'zunion' command"},
		{"ZUNION 2 z", "-ERR syntax error"},
		{"ZUNION 1 z WEIGHTS x", "-ERR weight value is not a float"},
		{"ZINTERCARD 1 z LIMIT -1", "-ERR LIMIT can't be negative"},
		{"ZPOPMIN z -1", "-ERR value is out of range, must be positive"},
		{"ZPOPMIN z 1 2", "-ERR syntax error"},
		{"ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0"},
		{"ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0"},
		{"ZMPOP 2 none z MAX COUNT 2", "*2|$1|z|*2|*2|$1|a|$3|inf|*2|$1|d|$1|9"},
		{"BZPOPMAX none z x", "-ERR timeout is not a float or out of range"},
		{"BZPOPMAX none z -1", "-ERR timeout is negative"},
		{"BZPOPMAX none z 0", "*3|$1|z|$1|c|$1|3"},
		{"ZPOPMAX z 5", "*2|$1|b|$1|2"},
		{"ZCARD z", ":0"},
		{"ZSCAN z x", "-ERR invalid cursor"},
		{"ZSCAN z 0", "*2|$1|0|*0"},
		{"GEOADD z 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2"},
		{"GEOADD z 200 1 x", "-ERR invalid longitude,latitude pair 200.000000,1.000000"},
		{"GEODIST z Palermo Catania km", "$8|166.2742"},
		{"GEODIST z Palermo Catania x", "-ERR unsupported unit provided. please use M, KM, FT, MI"},
		{"GEOHASH z Palermo none", "*2|$11|sqc8b49rny0|$-1"},
		{"GEOPOS z Palermo none", "*2|*2|$20|13.36138933897018433|$20|38.11555639549629859|*-1"},
		{"GEOSEARCH z FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST", "*2|*2|$7|Catania|$7|56.4413|*2|$7|Palermo|$8|190.4424"},
		{"GEOSEARCH z FROMLONLAT 15 37 ASC COUNT 5 ANY", "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH"},
		{"GEOSEARCH z BYRADIUS 1 m ASC ASC ASC", "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH"},
		{"GEORADIUS z 15 37 200 km STORE d WITHDIST", "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"},
		{"GEORADIUS z 15 37 100 km STOREDIST d", ":1"},
		{"GEORADIUSBYMEMBER z none 1 m", "-ERR could not decode requested zset member"},
		{"GEORADIUS_RO z 15 37 100 km STORE d", "-ERR syntax error"},
	} {
		if got := s.try(x.command); got != x.want {
			t.Errorf("%s\n got %q\nwant %q", x.command, got, x.want)
		}
	}
}

func TestWrongType(t *testing.T) {
	t.Parallel()
	s := newSubject()
	s.try("SET s x")
	for _, command := range []string{
		"ZADD s 1 a", "ZINCRBY s 1 a", "ZREM s a", "ZCARD s", "ZSCORE s a", "ZMSCORE s a", "ZRANK s a", "ZCOUNT s 0 1",
		"ZRANGE s 0 1", "ZRANGESTORE d s 0 1", "ZREMRANGEBYRANK s 0 1", "ZPOPMIN s", "ZMPOP 1 s MIN", "BZPOPMIN s 0",
		"ZRANDMEMBER s", "ZRANDMEMBER s 5", "ZSCAN s 0", "ZUNION 1 s", "ZDIFFSTORE d 1 s", "GEOADD s 1 1 a", "GEODIST s a b",
		"GEOPOS s a", "GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m", "GEORADIUS s 1 1 1 m",
	} {
		if got := s.try(command); got != "-"+engine.ErrWrongType {
			t.Errorf("%s: %s", command, got)
		}
	}
}

// members is a value that is a set.
type members []string

func (members) Type() engine.Type           { return engine.TypeSet }
func (members) Encoding() string            { return "hashtable" }
func (members) Bytes() int                  { return 1 }
func (members) Stamp() uint32               { return 1 }
func (m members) Clone(uint32) engine.Value { return m }
func (m members) Len() int                  { return len(m) }
func (m members) Has(member []byte) bool    { return slices.Contains(m, string(member)) }

var _ zsets.Members = members(nil)

func (m members) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, x := range m {
			if !yield([]byte(x)) {
				return
			}
		}
	}
}

func TestSetsCombine(t *testing.T) {
	t.Parallel()
	s := newSubject()
	s.try("ZADD z 2 a 3 b")
	s.e.Lock()
	s.c.DB().SetValue([]byte("s"), members{"b", "c"}, 0)
	s.e.Unlock()
	for _, x := range []struct{ command, want string }{
		{"ZUNION 2 z s WITHSCORES", "*6|$1|c|$1|1|$1|a|$1|2|$1|b|$1|4"},
		{"ZINTER 2 s z WEIGHTS 10 1 WITHSCORES", "*2|$1|b|$2|13"},
		{"ZDIFF 2 s z WITHSCORES", "*2|$1|c|$1|1"},
		{"ZDIFF 2 z s WITHSCORES", "*2|$1|a|$1|2"},
		{"ZINTERCARD 2 s z", ":1"},
		{"ZUNIONSTORE s 1 s", ":2"},
		{"ZRANGE s 0 -1 WITHSCORES", "*4|$1|b|$1|1|$1|c|$1|1"},
	} {
		if got := s.try(x.command); got != x.want {
			t.Errorf("%s\n got %q\nwant %q", x.command, got, x.want)
		}
	}
}

func TestBlocking(t *testing.T) {
	t.Parallel()
	s := newSubject()
	one, two := s.e.NewClient(engine.Front{}), s.e.NewClient(engine.Front{})
	park := func(c *engine.Client, command string) {
		t.Helper()
		if out := s.e.Do(c, args(strings.Split(command, " ")), nil); len(out) != 0 {
			t.Fatalf("%s replies %q", command, out)
		}
	}
	take := func(c *engine.Client) string {
		return strings.ReplaceAll(strings.TrimSuffix(string(s.e.Take(c, nil)), "\r\n"), "\r\n", "|")
	}
	park(one, "BZPOPMAX none z 0")
	park(two, "BZMPOP 0 2 z none MIN COUNT 2")
	if got := s.try("ZADD z 1 a 2 b 3 c 4 d"); got != ":4" {
		t.Fatal(got)
	}
	if got := take(one); got != "*3|$1|z|$1|d|$1|4" {
		t.Errorf("one: %q", got)
	}
	if got := take(two); got != "*2|$1|z|*2|*2|$1|a|$1|1|*2|$1|b|$1|2" {
		t.Errorf("two: %q", got)
	}
	if got := s.try("ZRANGE z 0 -1"); got != "*1|$1|c" {
		t.Errorf("left: %q", got)
	}
	// The last member goes to the one, and the other waits on; a string under the key is nothing for it.
	park(one, "BZPOPMIN w 0")
	park(two, "BZPOPMIN w 0")
	s.try("ZADD w 1 x")
	s.try("SET w y")
	if got := take(one); got != "*3|$1|w|$1|x|$1|1" {
		t.Errorf("one: %q", got)
	}
	if got := take(two); got != "" {
		t.Errorf("two: %q", got)
	}
	s.try("DEL w")
	s.try("ZRANGESTORE w z 0 -1")
	if got := take(two); got != "*3|$1|w|$1|c|$1|3" {
		t.Errorf("two: %q", got)
	}
	want := []string{
		"zadd z 1 a 2 b 3 c 4 d", "zpopmax z", "zpopmin z 2", "zadd w 1 x", "zpopmin w", "set w y", "del w", "zrangestore w z 0 -1", "zpopmin w",
	}
	var got []string
	for _, e := range entries(t, s.j.b) {
		var words []string
		for i, line := range strings.Split(e, "\r\n") {
			if i > 0 && i%2 == 0 {
				words = append(words, line)
			}
		}
		got = append(got, strings.ToLower(strings.Join(words, " ")))
	}
	if got = slices.DeleteFunc(got, func(s string) bool { return s == "multi" || s == "exec" }); !slices.Equal(got, want) {
		t.Errorf("log\n got %q\nwant %q", got, want)
	}
	park(one, "BZMPOP 0.001 1 none MIN")
	for deadline := time.Now().Add(20 * time.Second); take(one) != "*-1"; {
		if time.Now().After(deadline) {
			t.Fatal("the timeout never comes")
		}
		<-time.After(time.Millisecond)
	}
}

// A snapshot must not see what is written after it, be the set small or large.
func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	s := newSubject()
	g := strings.Fields("1 a 2 b 3 c")
	s.do(append([]string{"ZADD", "small"}, g...)...)
	s.do(append([]string{"ZADD", "large", "0", strings.Repeat("x", 99)}, g...)...)
	s.e.Lock()
	snap := s.e.Snapshot()
	s.e.Unlock()
	for _, command := range []string{
		"ZADD small 9 a 9 n", "ZADD large 9 a 9 n", "ZPOPMIN small", "ZPOPMIN large", "ZREMRANGEBYRANK small 0 0", "ZREMRANGEBYSCORE large 3 3",
	} {
		s.try(command)
	}
	for key, want := range map[string]string{"small": "a b c", "large": strings.Repeat("x", 99) + " a b c"} {
		z := snap.Tables[0].Find([]byte(key)).Box().Val.(*zsets.ZSet)
		var got []string
		for member := range z.All() {
			got = append(got, string(member))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("the snapshot's %s has %q, want %q", key, got, want)
		}
	}
	if got := s.try("ZRANGE large 0 -1"); got != "*3|$1|b|$1|a|$1|n" {
		t.Errorf("now it is %q", got)
	}
}

func TestRandomMembers(t *testing.T) {
	t.Parallel()
	s := newSubject()
	words := []string{"ZADD", "z"}
	for i := range 300 {
		words = append(words, "1", strings.Repeat("m", i))
	}
	s.do(words...)
	for _, count := range []int{1, 10, 250} {
		seen := map[string]bool{}
		for i, line := range strings.Split(s.try("ZRANDMEMBER z "+strconv.Itoa(count)), "|$") {
			if i > 0 {
				seen[line] = true
			}
		}
		if len(seen) != count {
			t.Errorf("%d members are %d different ones", count, len(seen))
		}
	}
	if got := s.try("ZRANDMEMBER z -5"); strings.Count(got, "|$") != 5 {
		t.Errorf("five members are %q", got)
	}
}
