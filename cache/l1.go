package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/allegro/bigcache/v3"

	"github.com/zmsg/zmsg/model"
)

// L1Config bounds the local cache.
type L1Config struct {
	MaxBytes  int64         // memory of all entries; 0 switches the cache off, else at least 1 MiB
	TTL       time.Duration // of items
	AbsentTTL time.Duration // of the news that an item does not exist; 0: not cached
}

// L1 keeps items as they are served, in the memory of this process, the oldest fill leaving first.
// Its methods may be called concurrently.
//
// A reader notes the generation of an ID before it asks elsewhere (Begin) and hands it over with what
// it has found (Fill). An invalidation raises the generation, so that a late fill stores nothing.
// Generations are kept in stripes shared by many IDs: a collision only costs a fill. They work while
// the cache is off, too.
type L1 struct {
	entries   *bigcache.BigCache // nil: off
	maxBody   int                // bytes; a longer one is not worth the entries it would evict
	ttl       time.Duration
	absentTTL time.Duration
	now       func() time.Time
	start     time.Time // expiries count from here, so that only the monotonic clock matters
	stripes   [stripeCount]stripe
}

// Gen is a generation of an item and the moment at which it was noted: a read of that generation tells
// how things were then, or later.
type Gen struct {
	count uint64
	began time.Duration
}

// stripe guards the fills and invalidations of the IDs that hash to it, and counts their reads.
type stripe struct {
	mu     sync.Mutex
	gen    atomic.Uint64 // written under mu
	hits   atomic.Int64
	misses atomic.Int64
	_      [32]byte // fills a cache line, so that stripes do not slow each other
}

const stripeCount = 1024

// An entry is a header and the body: expiry in nanoseconds since start, version, era.
const (
	versionAt  = 8
	eraAt      = 16
	headerSize = 20
)

const mebibyte = 1 << 20

// NewL1 returns a cache that tells the time by now.
func NewL1(cfg L1Config, now func() time.Time) (*L1, error) {
	l := &L1{ttl: cfg.TTL, absentTTL: cfg.AbsentTTL, now: now, start: now()}
	switch {
	case cfg.MaxBytes == 0:
		return l, nil
	case cfg.MaxBytes < mebibyte:
		return nil, fmt.Errorf("L1: %d bytes are too few, at least %d or 0", cfg.MaxBytes, mebibyte)
	case cfg.TTL <= 0 || cfg.AbsentTTL < 0:
		return nil, errors.New("L1: the TTL must be positive")
	}
	// bigcache limits the bytes of entries alone. A quarter is left to its index and to the garbage
	// of growing, so that the process keeps to MaxBytes with items of common size.
	megabytes := max(1, cfg.MaxBytes*3/4/mebibyte)
	shards := 1 << min(8, bits.Len64(uint64(megabytes))-1) // at least 1 MiB each, at most 256
	var err error
	l.entries, err = bigcache.New(context.Background(), bigcache.Config{
		Shards:           shards,
		HardMaxCacheSize: int(megabytes),
		// Expiry is checked here, to the nanosecond. Without a CleanWindow bigcache has no goroutine
		// that would need to be stopped: each fill removes an entry that is past its LifeWindow.
		LifeWindow: max(cfg.TTL, cfg.AbsentTTL) + time.Second,
		// The initial size: small, it grows to the limit by doubling.
		MaxEntriesInWindow: shards, MaxEntrySize: 256,
		Hasher: idHash{},
		Logger: discard{},
	})
	if err != nil {
		return nil, fmt.Errorf("L1: %w", err)
	}
	l.maxBody = int(megabytes) * mebibyte / shards / 8
	return l, nil
}

// Get returns what is known of id in this era, version 0 if that is its absence. The body is the
// caller's.
func (l *L1) Get(id model.ID, era uint32) (version model.Version, body []byte, ok bool) {
	s := l.stripe(id)
	e, found := l.lookup(id)
	if !found || e.era() != era || e.expiry() <= l.elapsed() {
		s.misses.Add(1)
		return 0, nil, false
	}
	s.hits.Add(1)
	if body = e[headerSize:]; len(body) == 0 {
		return 0, nil, true
	}
	return e.version(), body, true
}

// Begin returns the generation of id, to be noted before the read whose result shall be filled in.
func (l *L1) Begin(id model.ID) Gen { return Gen{l.stripe(id).gen.Load(), l.elapsed()} }

// Fill stores what a read has found, unless id has been invalidated since the generation was noted. No
// body means that id does not exist; version is then that of its deletion, 0 if it is not known. The
// body is copied.
//
// What must not be stored leaves its version behind as a floor: the reader answers with it, so no read
// that is under way may fill in less from now on, although nothing has invalidated it.
func (l *L1) Fill(id model.ID, gen Gen, era uint32, version model.Version, body []byte) {
	if l.entries == nil {
		return
	}
	s := l.stripe(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	present, found := l.lookup(id)
	if found && l.newer(present, era, version) {
		return
	}
	ttl := l.ttl
	if len(body) == 0 {
		ttl = l.absentTTL
	}
	expiry := gen.began + ttl // what took long to read is that much older
	if s.gen.Load() != gen.count || expiry <= l.elapsed() || len(body) > l.maxBody {
		if version == 0 {
			return
		}
		expiry, body = floor, nil
	}
	// An error could only mean that the entry exceeds a shard, which maxBody excludes.
	_ = l.entries.Set(l1Key(id), newL1Entry(expiry, version, era, body))
}

// floor is the expiry of an entry that only says which version has been answered.
const floor time.Duration = -1

// newer reports whether the entry that is there must not be replaced. Of one that has expired only its
// version counts, and an unknown one (an item whose deletion is forgotten) gives way to it no more.
func (l *L1) newer(e l1Entry, era uint32, version model.Version) bool {
	if e.era() != era {
		return e.era() > era // a read of an ended era may be late; eras only rise
	}
	expired := e.expiry() <= l.elapsed()
	return e.version() > version && (version != 0 || !expired || e.expiry() == floor)
}

// Invalidate removes id, and makes fills void that rest on reads begun before.
func (l *L1) Invalidate(id model.ID) {
	s := l.stripe(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen.Add(1)
	if l.entries != nil {
		l.remove(id)
	}
}

// L1Stats are the cache's counters since its start and its present size.
type L1Stats struct {
	Entries int   `json:"entries"` // expired ones included
	Bytes   int64 `json:"bytes"`   // allocated for entries, without their index
	Hits    int64 `json:"hits"`
	Misses  int64 `json:"misses"`
}

// Stats returns the counters. It visits every stripe and is not for hot paths.
func (l *L1) Stats() L1Stats {
	var st L1Stats
	for i := range l.stripes {
		st.Hits += l.stripes[i].hits.Load()
		st.Misses += l.stripes[i].misses.Load()
	}
	if l.entries != nil {
		st.Entries = l.entries.Len()
		st.Bytes = int64(l.entries.Capacity())
	}
	return st
}

func (l *L1) stripe(id model.ID) *stripe {
	return &l.stripes[mix(uint64(id))>>(64-10)] // 2^10 stripes; bigcache takes the low bits
}

func (l *L1) elapsed() time.Duration { return l.now().Sub(l.start) }

func (l *L1) lookup(id model.ID) (l1Entry, bool) {
	if l.entries == nil {
		return nil, false
	}
	e, err := l.entries.Get(l1Key(id)) // the only error is that there is none
	return e, err == nil
}

func (l *L1) remove(id model.ID) {
	_ = l.entries.Delete(l1Key(id)) // the only error is that there is none
}

// l1Entry is a copy of what the cache holds.
type l1Entry []byte

func newL1Entry(expiry time.Duration, version model.Version, era uint32, body []byte) l1Entry {
	e := make(l1Entry, headerSize, headerSize+len(body))
	binary.LittleEndian.PutUint64(e, uint64(expiry))
	binary.LittleEndian.PutUint64(e[versionAt:], uint64(version))
	binary.LittleEndian.PutUint32(e[eraAt:], era)
	return append(e, body...)
}

func (e l1Entry) expiry() time.Duration { return time.Duration(binary.LittleEndian.Uint64(e)) }

func (e l1Entry) version() model.Version {
	return model.Version(binary.LittleEndian.Uint64(e[versionAt:]))
}

func (e l1Entry) era() uint32 { return binary.LittleEndian.Uint32(e[eraAt:]) }

func l1Key(id model.ID) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(id))
	return string(b[:])
}

// idHash hashes keys without collisions: mix is a permutation. Only ID 0, which does not exist, gets
// the hash 0, which bigcache takes for "deleted".
type idHash struct{}

// Sum64 returns the hash of a key of eight bytes.
func (idHash) Sum64(key string) uint64 {
	_ = key[7]
	return mix(uint64(key[0]) | uint64(key[1])<<8 | uint64(key[2])<<16 | uint64(key[3])<<24 |
		uint64(key[4])<<32 | uint64(key[5])<<40 | uint64(key[6])<<48 | uint64(key[7])<<56)
}

// mix is the finalizer of SplitMix64: every bit of the result depends on every bit of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// discard is a logger that says nothing.
type discard struct{}

// Printf does nothing.
func (discard) Printf(string, ...any) {}
