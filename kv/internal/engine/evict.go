package engine

import (
	"math"
	"time"

	"github.com/zmsg/zmsg/kv/internal/table"
)

// Policy says which keys make room when memory is over the limit. The names are Redis's.
type Policy string

// The policies.
const (
	NoEviction     Policy = "noeviction"
	AllKeysLRU     Policy = "allkeys-lru"
	AllKeysLFU     Policy = "allkeys-lfu"
	AllKeysRandom  Policy = "allkeys-random"
	VolatileLRU    Policy = "volatile-lru"
	VolatileLFU    Policy = "volatile-lfu"
	VolatileRandom Policy = "volatile-random"
	VolatileTTL    Policy = "volatile-ttl"
)

// Policies are all policies.
var Policies = []Policy{
	VolatileLRU, VolatileLFU, VolatileRandom, VolatileTTL, AllKeysLRU, AllKeysLFU, AllKeysRandom, NoEviction,
}

func (p Policy) lfu() bool { return p == AllKeysLFU || p == VolatileLFU }
func (p Policy) volatile() bool {
	return p == VolatileLRU || p == VolatileLFU || p == VolatileRandom || p == VolatileTTL
}

// evictor keeps the place among the databases from which the next victim is taken.
type evictor struct{ next int }

const (
	// evictSlice is how long a command evicts at most, as Redis's maxmemory-eviction-tenacity has it, and
	// evictTick how long the tenths of a second do, which go on with what is left.
	evictSlice = 500 * time.Microsecond
	evictTick  = 20 * time.Millisecond
	// evictRound is how many keys are removed between looks at the clock.
	evictRound = 16
)

// evict removes keys by the policy until memory is under the limit, or the time is over. It reports false if
// there is nothing to remove.
func (e *Engine) evict(atMost time.Duration) bool {
	limit := e.config.MaxMemory
	if limit <= 0 || e.Memory() <= int(limit) {
		return true
	}
	began := time.Now()
	for n := 1; e.Memory() > int(limit); n++ {
		if e.config.Policy == NoEviction || e.loading || !e.evictOne() {
			return false
		}
		if n%evictRound == 0 && time.Since(began) > atMost {
			return true
		}
	}
	return true
}

// evictOne removes the best victim of a sample. It reports false if there is none.
func (e *Engine) evictOne() bool {
	var victim *table.Entry
	var from *Keyspace
	best := math.Inf(-1)
	for range e.spaces {
		k := e.spaces[e.evictions.next%len(e.spaces)]
		e.evictions.next++
		k.sample(e.config.MaxMemorySamples, func(en *table.Entry) {
			if score := e.victimScore(en); score > best {
				victim, from, best = en, k, score
			}
		})
	}
	if victim == nil {
		return false
	}
	key := victim.Key()
	from.leaving(victim)
	from.t.Delete(key)
	e.stats.Evicted++
	from.removedByEngine(key, EventEvicted, "evicted")
	return true
}

// sample visits about n keys that the policy may evict.
func (k *Keyspace) sample(n int, visit func(*table.Entry)) {
	if !k.e.config.Policy.volatile() {
		for range min(n, k.t.Len()) {
			visit(k.t.Random(k.e.rand))
		}
		return
	}
	// Where few keys have a deadline, chance does not find them: go on from where the last search ended, once
	// round at most, and not beyond the last there is.
	found := 0
	for rounds := 0; found < min(n, k.expires) && rounds < 2; {
		k.scan = k.t.ScanMortal(k.scan, func(en *table.Entry) {
			found++
			visit(en)
		})
		if k.scan == 0 {
			rounds++
		}
	}
}

// victimScore is higher for what shall go first.
func (e *Engine) victimScore(en *table.Entry) float64 {
	switch e.config.Policy {
	case VolatileTTL:
		return -float64(en.Deadline())
	case AllKeysLRU, VolatileLRU:
		return float64(e.idleSeconds(en.LRU()))
	case AllKeysLFU, VolatileLFU:
		return float64(255 - e.lfuDecayed(en.LRU()))
	default:
		return e.rand.Float64()
	}
}

// Idle is how long an entry has not been used: OBJECT IDLETIME.
func (e *Engine) Idle(en *table.Entry) time.Duration {
	return time.Duration(e.idleSeconds(en.LRU())) * time.Second
}

// Frequency is the logarithmic counter of an entry's uses: OBJECT FREQ.
func (e *Engine) Frequency(en *table.Entry) int { return int(e.lfuDecayed(en.LRU())) }

// SetUse sets an entry's idle time, or its counter under an LFU policy: RESTORE's IDLETIME and FREQ.
func (k *Keyspace) SetUse(en *table.Entry, idle time.Duration, frequency int) {
	if k.e.config.Policy.lfu() {
		en.SetLRU(minutes()<<8 | uint32(frequency&255))
		return
	}
	en.SetLRU((k.e.lruClock - uint32(idle/time.Second)) & (1<<24 - 1))
}

func (e *Engine) idleSeconds(lru uint32) uint32 { return (e.lruClock - lru) & (1<<24 - 1) }

// The 24 bits of an entry are, under an LFU policy, 16 bits of minutes and 8 bits of a counter that grows
// with the logarithm of the uses and falls with time, as in Redis: https://redis.io/docs/reference/eviction.
const lfuFirst = 5

func minutes() uint32 { return uint32(time.Now().Unix()/60) & 0xffff }

func (e *Engine) lfuDecayed(lru uint32) uint32 {
	counter := lru & 255
	if e.config.LFUDecayTime <= 0 {
		return counter
	}
	periods := (minutes() - lru>>8) & 0xffff / uint32(e.config.LFUDecayTime)
	if periods > counter {
		return 0
	}
	return counter - periods
}

func (e *Engine) firstUse() uint32 {
	if e.config.Policy.lfu() {
		return minutes()<<8 | lfuFirst
	}
	return e.lruClock
}

func (e *Engine) nextUse(lru uint32) uint32 {
	if !e.config.Policy.lfu() {
		return e.lruClock
	}
	counter := e.lfuDecayed(lru)
	if counter < 255 {
		above := max(0, float64(counter)-lfuFirst)
		if e.rand.Float64() < 1/(above*float64(e.config.LFULogFactor)+1) {
			counter++
		}
	}
	return minutes()<<8 | counter
}

// OverMemory reports whether memory is over its limit though what may be evicted has been.
func (e *Engine) OverMemory() bool { return !e.evict(evictSlice) }
