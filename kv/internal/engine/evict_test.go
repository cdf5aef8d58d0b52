package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/kv/internal/engine"
)

// over fills a database, to which prepare gives its uses and deadlines, and then makes it a little too
// large, so that some of its keys go. It returns which.
func over(t *testing.T, policy engine.Policy, prepare func(k *engine.Keyspace, i int, key []byte)) (r *rig, gone map[int]bool) {
	t.Helper()
	const n = 200
	r = newRig(t)
	r.do("a", "config set maxmemory-samples 64 maxmemory-policy "+string(policy))
	r.e.Lock()
	k := r.e.Keyspace(0)
	for i := range n {
		key := fmt.Appendf(nil, "key%03d", i)
		k.SetString(key, []byte(strings.Repeat("v", 1000)), 0)
		prepare(k, i, key)
	}
	memory := r.e.Memory()
	r.e.Unlock()
	r.logged()
	r.do("a", fmt.Sprintf("config set maxmemory %d", memory-10000))
	r.do("a", "set new 1")
	gone = make(map[int]bool)
	for i := range n {
		if r.do("a", fmt.Sprintf("exists key%03d", i)) == ":0|" {
			gone[i] = true
		}
	}
	return r, gone
}

func TestEviction(t *testing.T) {
	t.Parallel()
	far := time.Now().UnixMilli() + 1e6
	for policy, prepare := range map[engine.Policy]func(k *engine.Keyspace, i int, key []byte){
		// In each case the keys with low numbers shall go.
		engine.AllKeysLRU: func(k *engine.Keyspace, i int, key []byte) {
			k.SetUse(k.Peek(key), time.Duration(1000-i)*time.Second, 0)
		},
		engine.VolatileLRU: func(k *engine.Keyspace, i int, key []byte) {
			en := k.Peek(key)
			if i < 100 {
				en = k.SetDeadline(en, far)
			}
			k.SetUse(en, time.Duration(1000-i)*time.Second, 0)
		},
		engine.AllKeysLFU: func(k *engine.Keyspace, i int, key []byte) { k.SetUse(k.Peek(key), 0, 20+i) },
		engine.VolatileLFU: func(k *engine.Keyspace, i int, key []byte) {
			en := k.Peek(key)
			if i < 100 {
				en = k.SetDeadline(en, far)
			}
			k.SetUse(en, 0, 20+i)
		},
		engine.VolatileTTL: func(k *engine.Keyspace, i int, key []byte) {
			if i < 150 {
				k.SetDeadline(k.Peek(key), far+int64(i)*1000)
			}
		},
		engine.VolatileRandom: func(k *engine.Keyspace, i int, key []byte) {
			if i < 50 {
				k.SetDeadline(k.Peek(key), far)
			}
		},
		engine.AllKeysRandom: func(*engine.Keyspace, int, []byte) {},
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			r, gone := over(t, policy, prepare)
			if len(gone) < 5 || len(gone) > 20 {
				t.Errorf("%d keys have gone", len(gone))
			}
			for i := range gone {
				if i >= 75 && policy != engine.AllKeysRandom {
					t.Errorf("key %d has gone", i)
				}
			}
			if got := r.do("a", "get new"); got != "$1|1|" {
				t.Errorf("the new key: %q", got)
			}
			log := r.logged()
			if strings.Count(log, "DEL key") != len(gone) || !strings.HasPrefix(log, "SELECT 0; DEL key") || !strings.HasSuffix(log, "; set new 1") {
				t.Errorf("logged %q for %d keys", log, len(gone))
			}
		})
	}
}

func TestNothingToEvict(t *testing.T) {
	t.Parallel()
	const oom = "-OOM command not allowed when used memory > 'maxmemory'.|"
	for _, policy := range []engine.Policy{engine.NoEviction, engine.VolatileLRU, engine.VolatileTTL} {
		r := newRig(t)
		r.expect(
			"a: set k 1", "+OK|", "a: multi", "+OK|", "a: set k 2", "+QUEUED|",
			"b: config set maxmemory 1 maxmemory-policy "+string(policy), "+OK|",
			"a: exec", "-EXECABORT Transaction discarded because of: "+strings.TrimPrefix(oom, "-"),
			"a: set k 1", oom, "a: get k", "$1|1|", "a: del k", ":1|", "a: multi", "+OK|", "a: set k 1", oom,
			"a: exec", "-EXECABORT Transaction discarded because of previous errors.|",
		)
	}
}

func TestSomeMemoryIsFreed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 3000 {
		r.do("a", fmt.Sprintf("set key%d %s", i, strings.Repeat("v", 200)))
	}
	r.e.Lock()
	memory := r.e.Memory()
	r.e.Unlock()
	r.do("a", fmt.Sprintf("config set maxmemory %d maxmemory-policy allkeys-random", memory/2))
	r.do("a", "set new 1")
	r.e.Lock()
	defer r.e.Unlock()
	for range 1000 { // each takes half a millisecond at most; what is left is for the next
		r.e.OverMemory()
	}
	if n := r.e.Keyspace(0).Len(); n < 900 || n > 2000 || r.e.Memory() > memory/2+100 {
		t.Errorf("%d of 3000 keys are left in %d of %d bytes", n, r.e.Memory(), memory)
	}
}
