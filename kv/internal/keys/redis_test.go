package keys_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/hashes"
	"github.com/zmsg/zmsg/kv/internal/keys"
	"github.com/zmsg/zmsg/kv/internal/lists"
	"github.com/zmsg/zmsg/kv/internal/oracle"
	"github.com/zmsg/zmsg/kv/internal/scalars"
	"github.com/zmsg/zmsg/kv/internal/sets"
	"github.com/zmsg/zmsg/kv/internal/tries"
	"github.com/zmsg/zmsg/kv/internal/zsets"
)

func newSubject(t *testing.T) *oracle.Subject {
	t.Helper()
	return oracle.NewSubject(t, keys.Commands, scalars.Commands, lists.Commands, sets.Commands, zsets.Commands,
		hashes.Commands, tries.Commands, admin.Commands)
}

func TestCommandTableAgainstRedis(t *testing.T) {
	t.Parallel()
	oracle.CompareTable(t, oracle.Start(t), keys.Commands)
}

// TestAgainstRedis gives random commands to a redis-server and to an engine: replies, contents and logs must
// be the same.
func TestAgainstRedis(t *testing.T) {
	t.Parallel()
	for proto := 2; proto <= 3; proto++ {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			r, s := oracle.Start(t), newSubject(t)
			g := generator{rand.New(rand.NewPCG(5, uint64(proto))), time.Now().Unix()/1000*1000 + 10_000_000}
			r.Do(oracle.Words("HELLO " + strconv.Itoa(proto)))
			s.Do(oracle.Words("HELLO " + strconv.Itoa(proto)))
			compare(t, r, s, append(weights(), "SELECT 1", "CONFIG SET rdbcompression no")) // there are many ways to do that
			compare(t, r, s, weights())
			for range 200 {
				commands := make([]string, 0, 120)
				for range 100 {
					commands = append(commands, g.next())
				}
				compare(t, r, s, append(commands, contents()...))
			}
			oracle.CompareLogs(t, r, s)
		})
	}
}

// contents asks for what is under the keys.
func contents() (commands []string) {
	for n := range 4 {
		i := strconv.Itoa(n)
		commands = append(commands, "GET a"+i, "LRANGE a"+i+" 0 -1", "SORT s"+i+" ALPHA", "ZRANGE z"+i+" 0 -1 WITHSCORES")
	}
	return commands
}

func compare(t *testing.T, r *oracle.Redis, s *oracle.Subject, commands []string) {
	t.Helper()
	var all [][][]byte
	for _, c := range commands {
		all = append(all, oracle.Words(c))
	}
	for i, want := range r.Do(all...) {
		if got := s.Do(all[i]); !same(commands[i], got, want) {
			t.Fatalf("%s\n got %.1000q\nwant %.1000q\nafter %s", commands[i], got, want, strings.Join(commands[max(0, i-20):i], "; "))
		}
	}
}

// same reports whether replies are the same, but for the order of keys, and for the time that tests take.
func same(command string, got, want []byte) bool {
	name, what, _ := strings.Cut(command, " ")
	if name == "OBJECT" && strings.HasPrefix(what, "IDLETIME") && got[0] == ':' && want[0] == ':' {
		return true // a second may have begun
	}
	switch name {
	case "KEYS", "SCAN":
		return slices.Equal(sorted(got), sorted(want))
	case "TTL", "EXPIRETIME":
		return near(got, want, 10)
	case "PTTL", "PEXPIRETIME":
		return near(got, want, 10_000)
	}
	return bytes.Equal(got, want)
}

func sorted(reply []byte) []string {
	lines := strings.Split(string(reply), "\r\n")
	slices.Sort(lines)
	return lines
}

func near(got, want []byte, tolerance int) bool {
	a, err := strconv.Atoi(strings.TrimSpace(string(got[1:])))
	b, err2 := strconv.Atoi(strings.TrimSpace(string(want[1:])))
	return err == nil && err2 == nil && (a == b || a > 0 && b > 0 && a-b <= tolerance && b-a <= tolerance)
}

// TestPayloadsAgainstRedis has each restore what the other has dumped.
func TestPayloadsAgainstRedis(t *testing.T) {
	t.Parallel()
	r, s := oracle.Start(t), newSubject(t)
	var many [][]byte
	for i := range 600 {
		many = append(many, []byte(strconv.Itoa(i*i)), []byte("v"+strconv.Itoa(i)))
	}
	fill := [][][]byte{
		oracle.Words("SET text hello"), oracle.Words("SET number 12345"), oracle.Words("SET long " + strings.Repeat("ab", 500)),
		oracle.Words("RPUSH list a b 3"), oracle.Words("SADD ints 1 2 300000"), oracle.Words("SADD set a b"),
		oracle.Words("ZADD zset 1 a 2.5 b"), oracle.Words("HSET hash a 1 b 2"),
		append(oracle.Words("RPUSH biglist"), many...), append(oracle.Words("SADD bigset"), many...),
		append(oracle.Words("HSET bighash"), many...),
	}
	for i := range 300 {
		fill = append(fill, oracle.Words("ZADD bigzset "+strconv.Itoa(i)+" m"+strconv.Itoa(i)))
	}
	oracle.Compare(t, r, s, fill...)
	names := strings.Fields("text number long list ints set zset hash biglist bigset bighash bigzset")
	for _, name := range names {
		ask := oracle.Words("DUMP " + name)
		theirs, ours := bulk(t, r.Do(ask)[0]), bulk(t, s.Do(ask))
		for _, payload := range [][]byte{theirs, ours} {
			oracle.Compare(t, r, s, [][]byte{[]byte("RESTORE"), []byte(name), []byte("0"), payload, []byte("REPLACE")})
			oracle.Compare(t, r, s, oracle.Words("OBJECT ENCODING "+name), oracle.Words("TYPE "+name))
		}
	}
	oracle.Compare(t, r, s, oracle.Words("GET text"), oracle.Words("GET number"), oracle.Words("GET long"),
		oracle.Words("LRANGE biglist 0 -1"), oracle.Words("SORT bigset ALPHA"), oracle.Words("SORT ints"),
		oracle.Words("ZRANGE bigzset 0 -1 WITHSCORES"), oracle.Words("HGET bighash 4"), oracle.Words("HLEN bighash"),
		oracle.Words("HGETALL hash"), oracle.Words("ZRANGE zset 0 -1 WITHSCORES"), oracle.Words("LRANGE list 0 -1"))
}

// TestRestoreAgainstRedis compares options, deadlines and damaged payloads.
func TestRestoreAgainstRedis(t *testing.T) {
	t.Parallel()
	r, s := oracle.Start(t), newSubject(t)
	oracle.Compare(t, r, s, oracle.Words("RPUSH list a b 3"))
	payload := bulk(t, r.Do(oracle.Words("DUMP list"))[0])
	restore := func(key, ttl string, payload []byte, options string) [][]byte {
		return append([][]byte{[]byte("RESTORE"), []byte(key), []byte(ttl), payload}, oracle.Words(options)...)
	}
	for _, options := range []string{
		"", "REPLACE", "ABSTTL", "IDLETIME 5", "FREQ 5", "IDLETIME 5 FREQ 5", "FREQ 5 IDLETIME 5", "IDLETIME -1", "FREQ 256",
		"FREQ x", "IDLETIME x", "IDLETIME", "FREQ", "FOO", "REPLACE ABSTTL IDLETIME 7", "IDLETIME 9223372036854775807 REPLACE",
	} {
		for _, ttl := range []string{"0", "100000", "1", "500000000", "-1", "x", "9223372036854775807"} {
			if ttl == "1" && !strings.Contains(options, "ABSTTL") {
				continue
			}
			oracle.Compare(t, r, s, restore("k", ttl, payload, options), oracle.Words("EXISTS k"), oracle.Words("LRANGE k 0 -1"))
			oracle.Compare(t, r, s, restore("list", ttl, payload, options), oracle.Words("EXISTS list"))
			oracle.Compare(t, r, s, oracle.Words("DEL k"))
		}
	}
	oracle.Compare(t, r, s, restore("k", "0", nil, ""), restore("k", "0", payload[:5], ""))
	for i := range payload {
		damaged := bytes.Clone(payload)
		damaged[i] ^= 0x41
		oracle.Compare(t, r, s, restore("k", "0", damaged, ""))
	}
	oracle.CompareLogs(t, r, s)
}

func bulk(t *testing.T, reply []byte) []byte {
	t.Helper()
	_, text, ok := bytes.Cut(reply, []byte("\r\n"))
	if !ok || reply[0] != '$' {
		t.Fatalf("not a string: %q", reply)
	}
	return bytes.TrimSuffix(text, []byte("\r\n"))
}
