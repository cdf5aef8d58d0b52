// Package keyspace says where things are in Redis: how keys spread over shards, what the keys of a
// shard are called, how an entry is encoded, and the scripts that alone may change them.
//
// Every key of shard s carries the hash tag {s}, so that one script may touch an item's entry, its
// shard's stream and its events atomically, on Redis Cluster too:
//
//	zmsg:{s}:meta         hash, see below
//	zmsg:{s}:q            stream of queued writes, entry ID = version (<epoch>-<seq>)
//	zmsg:{s}:e            stream of events, which cover every sequence number given
//	zmsg:{s}:g            hash: stripe -> sequence of the last write of a key of that stripe; '*' -> of any key
//	zmsg:{s}:f:<id>       entry of item id
//	zmsg:{s}:k:<n>        hash of idempotency keys first used in the n-th period
//	zmsg:{s}:c:<subject>  hash of totals, metric -> value, and '!' -> stamp
//	zmsg:{s}:p:<subject>  hash of pending sums, metric -> sum of the queued changes after the released position
//	zmsg:{s}:w            written now and then to see whether Redis takes writes, by no script
//
// The fields of meta:
//
//	epoch  the epoch that is served
//	seq    the last sequence given
//	rel    the released position, in hex
//	skip   the position of the last release that SQL left something out of, in hex
//	kb     the oldest period of keys
//	kc     Unix seconds until which keys must be looked up in SQL first
//	cg     generation of the totals, 0 if it is not there
//
// Totals are a cache and have a TTL. They are hot, which is to say exact, if their stamp is
// '<epoch>:<cg>': then a total is SQL's value at the released position plus the pending sum. Pending sums
// have no TTL; a sum of 0 is not there. Integers in Lua are exact up to 2^53 only, so whatever may be
// greater is added by Redis, as strings.
//
// An entry of the stream has one field for the write and, if that has an idempotency key, a second one:
//
//	v<id> or d<id>  the record of a value or a deletion
//	i               subject|metric|delta|milliseconds of Unix time|flags (r: the counter was removed)
//	k               key|fingerprint|result, as WriteResult or CountResult is encoded
//
// The events of a shard:
//
//	v, d  id author milliseconds   a write of an item
//	x     id                       whatever is cached of the item must be forgotten
//	c     n                        n changes of counters, whose last sequence the event has
//	r     released, skipped        both in hex; see the release script
package keyspace

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/zmsg/zmsg/model"
)

// stripes is how many counters of writes a shard has for the guard of late fills: two keys of one
// stripe only make each other's fills be refused now and then.
const stripes = 1024

// Space maps keys to shards. Its methods are safe for concurrent use.
//
// Items and counters live in different shards: a write of an item is drained at once, changes of counters
// are drained seldom, so that many of them become one. The shards of items come first.
type Space struct {
	shards []shardKeys
	items  int
}

type shardKeys struct{ meta, queue, events, gen, prefix string }

// New returns the key space of so many shards of items, 1 or more, and a quarter of that of counters.
func New(items int) *Space {
	sp := &Space{shards: make([]shardKeys, items+max(1, items/4)), items: items}
	for s := range sp.shards {
		p := "zmsg:{" + strconv.Itoa(s) + "}:"
		sp.shards[s] = shardKeys{meta: p + "meta", queue: p + "q", events: p + "e", gen: p + "g", prefix: p}
	}
	return sp
}

// Shards returns the number of all shards.
func (sp *Space) Shards() int { return len(sp.shards) }

// ItemShards returns the number of shards of items.
func (sp *Space) ItemShards() int { return sp.items }

// IsCounter reports whether shard s is one of counters.
func (sp *Space) IsCounter(s int) bool { return s >= sp.items }

// Shard returns the shard of an item.
func (sp *Space) Shard(id model.ID) int { return int(mix(uint64(id)) % uint64(sp.items)) }

// ShardOfKey returns the shard of an idempotency key that has no item of its own: one of items.
func (sp *Space) ShardOfKey(key string) int { return int(hash(key) % uint64(sp.items)) }

// ShardOfSubject returns the shard of a subject's counters.
func (sp *Space) ShardOfSubject(subject string) int {
	return sp.items + int(hash(subject)%uint64(len(sp.shards)-sp.items))
}

// Meta returns the key of shard s's meta hash.
func (sp *Space) Meta(s int) string { return sp.shards[s].meta }

// Queue returns the key of shard s's stream of writes.
func (sp *Space) Queue(s int) string { return sp.shards[s].queue }

// Events returns the key of shard s's stream of events.
func (sp *Space) Events(s int) string { return sp.shards[s].events }

// Gen returns the key of shard s's write counters by stripe.
func (sp *Space) Gen(s int) string { return sp.shards[s].gen }

// Probe returns the key that is written to see whether the process that serves shard s takes writes.
func (sp *Space) Probe(s int) string { return sp.shards[s].prefix + "w" }

// Prefix returns what all keys of shard s begin with.
func (sp *Space) Prefix(s int) string { return sp.shards[s].prefix }

// Entry returns the key of item id, which is in shard s.
func (sp *Space) Entry(s int, id model.ID) string {
	b := make([]byte, 0, 40)
	b = append(b, sp.shards[s].prefix...)
	b = append(b, 'f', ':')
	return string(strconv.AppendInt(b, int64(id), 10))
}

// TotalsKey returns the key of the totals of a subject, which is in shard s.
func (sp *Space) TotalsKey(s int, subject string) string { return sp.shards[s].prefix + "c:" + subject }

// PendingKey returns the key of the pending sums of a subject, which is in shard s.
func (sp *Space) PendingKey(s int, subject string) string {
	return sp.shards[s].prefix + "p:" + subject
}

// Stripe returns the stripe of an item within its shard.
func Stripe(id model.ID) string {
	return strconv.FormatUint(mix(uint64(id))>>32%stripes, 10)
}

// hash is FNV-1a, mixed because its low bits depend on the low bits of the text alone.
func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return mix(h.Sum64())
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): Snowflake IDs share most of their
// bits, their shards should not.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// StreamID returns the stream ID of a version.
func StreamID(v model.Version) string {
	b := make([]byte, 0, 32)
	b = strconv.AppendInt(b, v.Epoch(), 10)
	b = append(b, '-')
	return string(strconv.AppendInt(b, v.Seq(), 10))
}

// ParseStreamID reads the ID of an entry of a shard's streams.
func ParseStreamID(id string) (model.Version, bool) {
	before, after, _ := strings.Cut(id, "-")
	epoch, err1 := parseInt(before)
	seq, err2 := parseInt(after)
	if err1 != nil || err2 != nil || epoch < 0 || epoch > model.MaxEpoch || seq < 0 || seq > model.MaxSeq {
		return 0, false
	}
	return model.NewVersion(epoch, seq), true
}
