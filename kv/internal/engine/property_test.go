package engine_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/rdb"
	"github.com/zmsg/zmsg/kv/internal/table"
)

// templates are commands: %k is a key, %m a member, %n a small number, %v a value.
var templates = strings.Split(strings.TrimSpace(`
set %k %v
set %k %v px 100000
append %k %v
setrange %k %n %v
setbit %k %n 1
getdel %k
incr %k
lpush %k %v %m
rpush %k %v %v %v
lpop %k %n
lset %k 0 %v
ltrim %k 1 -2
linsert %k before %m %v
lmove %k %k left right
sadd %k %m %m %n
srem %k %m %n
spop %k
smove %k %k %m
sunionstore %k %k %k
hset %k %m %v %n %v
hdel %k %m
hincrby %k %n %n
zadd %k %n %m %n %v
zrem %k %m
zincrby %k %n %m
zunionstore %k 2 %k %k
zremrangebyrank %k 0 %n
xadd %k * %m %v
xtrim %k maxlen %n
xgroup create %k %m $ mkstream
xreadgroup group %m %m count %n streams %k >
del %k
unlink %k
rename %k %k
copy %k %k replace
copy %k %k db %n replace
move %k %n
pexpire %k 100000
persist %k
pexpireat %k 1
get %k
hgetall %k
lrange %k 0 -1
smembers %k
zrange %k 0 -1
xrange %k - +
swapdb %n %n
select %n
multi
exec
exec
discard
`), "\n")

// command makes a random command; collections of a few hundred elements come from repeating it.
func command(rnd *rand.Rand) string {
	template := templates[rnd.IntN(len(templates))]
	if rnd.IntN(1000) == 0 {
		template = []string{"flushdb", "flushall"}[rnd.IntN(2)]
	}
	var words []string
	for word := range strings.FieldsSeq(template) {
		switch word {
		case "%k":
			word = fmt.Sprintf("key%d", rnd.IntN(30))
		case "%m":
			word = fmt.Sprintf("m%d", rnd.IntN(400))
		case "%n":
			word = fmt.Sprint(rnd.IntN(9))
		case "%v":
			word = strings.Repeat(string(rune('a'+rnd.IntN(26))), 1+rnd.IntN(1<<rnd.IntN(9)))
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// contents reads all of the tables: by database and key the deadline and the value.
func contents(tables []*table.Table) map[string]string {
	all := make(map[string]string)
	for db, t := range tables {
		for en := range t.All() {
			value := string(rdb.EncodeValue(nil, en, false))
			all[fmt.Sprint(db, " ", string(en.Key()))] = fmt.Sprint(en.Deadline(), " ", value)
		}
	}
	return all
}

// A snapshot is read without the lock while commands go on: it must stay as it was, which the race detector
// watches over too.
func TestSnapshotsDoNotChange(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	for _, policy := range []engine.Policy{engine.AllKeysLRU, engine.AllKeysLFU} {
		r.do("b", "config set maxmemory-policy "+string(policy))
		for round := range 12 {
			for range 600 {
				r.do("a", command(rnd))
			}
			r.e.Lock()
			s := r.e.Snapshot()
			want := contents(s.Tables)
			r.e.Unlock()
			var reader sync.WaitGroup
			reader.Go(func() {
				for range 3 {
					if got := contents(s.Tables); !maps.Equal(got, want) {
						t.Errorf("seed %d, round %d: the snapshot has changed", seed, round)
					}
				}
			})
			for range 600 {
				r.do("a", command(rnd))
			}
			reader.Wait()
			if got := contents(s.Tables); !maps.Equal(got, want) {
				t.Errorf("seed %d, round %d: the snapshot has changed in the end", seed, round)
			}
			s.Release()
		}
	}
}

// account compares what the keyspaces count with what they hold.
func (r *rig) account() error {
	r.e.Lock()
	defer r.e.Unlock()
	for _, k := range r.e.Keyspaces() {
		values, expires := 0, 0
		for en := range k.Table().All() {
			if b := en.Box(); b != nil {
				values += b.Val.(engine.Value).Bytes()
			}
			if en.Deadline() != 0 {
				expires++
			}
		}
		if got := k.Bytes() - k.Table().Bytes(); got != values {
			return fmt.Errorf("database %d counts %d bytes of values, and has %d", k.Index(), got, values)
		}
		if k.Expires() != expires {
			return fmt.Errorf("database %d counts %d deadlines, and has %d", k.Index(), k.Expires(), expires)
		}
	}
	return nil
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	for range 8 {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := newRig(t)
		var history []string
		var held *engine.Snapshot
		for range 1500 {
			history = append(history, command(rnd))
			r.do("a", history[len(history)-1])
			if err := r.account(); err != nil {
				t.Fatalf("seed %d: %v after %.200q", seed, err, history[max(0, len(history)-5):])
			}
			if rnd.IntN(100) == 0 {
				if held == nil {
					r.e.Lock()
					held = r.e.Snapshot()
					r.e.Unlock()
				} else {
					held.Release()
					held = nil
				}
			}
		}
		r.do("a", "discard")
		r.do("a", "flushall")
		if err := r.account(); err != nil {
			t.Errorf("seed %d: %v in the end", seed, err)
		}
	}
}

// What is logged, executed again, makes the same database.
func TestLogRepeats(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	r, again := newRig(t), newRig(t)
	for range 6000 {
		r.do("a", command(rnd))
	}
	r.do("a", "discard")
	in := []byte(r.log.text.String())
	for len(in) > 0 {
		n, _ := again.e.Process(again.client("a"), in, nil)
		if n == 0 {
			t.Fatalf("seed %d: the log ends with %.200q", seed, in)
		}
		in = in[n:]
	}
	got, want := contents(tables(again)), contents(tables(r))
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !bytes.Equal(canonical(got[key]), canonical(want[key])) {
			t.Errorf("seed %d: key %s has %.200q, not %.200q", seed, key, got[key], want[key])
		}
	}
	if len(got) != len(want) {
		t.Errorf("seed %d: %d keys, not %d", seed, len(got), len(want))
	}
}

// canonical brings the bytes of a value in an order: elements of sets and hashes have none.
func canonical(value string) []byte {
	b := []byte(value)
	slices.Sort(b)
	return b
}

func tables(r *rig) (all []*table.Table) {
	r.e.Lock()
	defer r.e.Unlock()
	for _, k := range r.e.Keyspaces() {
		all = append(all, k.Table())
	}
	return all
}
