// Package keyspace says where things are in Redis: how keys spread over shards, what the keys of a
// shard are called, how an entry is encoded, and the scripts that alone may change them.
//
// Every key of shard s carries the hash tag {s}, so that one script may touch an item's entry, its
// shard's stream and its events atomically, on Redis Cluster too:
//
//	zmsg:{s}:meta      hash: epoch, seq (last sequence given), rel (released position), kb (oldest key bucket)
//	zmsg:{s}:q         stream of queued writes, entry ID = version (<epoch>-<seq>)
//	zmsg:{s}:e         stream of events, one for every sequence number given
//	zmsg:{s}:g         hash: stripe -> sequence of the last write of a key of that stripe
//	zmsg:{s}:f:<id>    entry of item id
//	zmsg:{s}:k:<n>     hash of idempotency keys first used in the n-th period
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
type Space struct {
	shards []shardKeys
}

type shardKeys struct{ meta, queue, events, gen, prefix string }

// New returns the key space of n shards, 1 or more.
func New(n int) *Space {
	sp := &Space{shards: make([]shardKeys, n)}
	for s := range sp.shards {
		p := "zmsg:{" + strconv.Itoa(s) + "}:"
		sp.shards[s] = shardKeys{meta: p + "meta", queue: p + "q", events: p + "e", gen: p + "g", prefix: p}
	}
	return sp
}

// Shards returns the number of shards.
func (sp *Space) Shards() int { return len(sp.shards) }

// Shard returns the shard of an item.
func (sp *Space) Shard(id model.ID) int {
	return int(mix(uint64(id)) % uint64(len(sp.shards)))
}

// ShardOfKey returns the shard of an idempotency key that has no item of its own.
func (sp *Space) ShardOfKey(key string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return int(mix(h.Sum64()) % uint64(len(sp.shards)))
}

// Meta returns the key of shard s's meta hash.
func (sp *Space) Meta(s int) string { return sp.shards[s].meta }

// Queue returns the key of shard s's stream of writes.
func (sp *Space) Queue(s int) string { return sp.shards[s].queue }

// Events returns the key of shard s's stream of events.
func (sp *Space) Events(s int) string { return sp.shards[s].events }

// Gen returns the key of shard s's write counters by stripe.
func (sp *Space) Gen(s int) string { return sp.shards[s].gen }

// Prefix returns what all keys of shard s begin with.
func (sp *Space) Prefix(s int) string { return sp.shards[s].prefix }

// Entry returns the key of item id, which is in shard s.
func (sp *Space) Entry(s int, id model.ID) string {
	b := make([]byte, 0, 40)
	b = append(b, sp.shards[s].prefix...)
	b = append(b, 'f', ':')
	return string(strconv.AppendInt(b, int64(id), 10))
}

// Stripe returns the stripe of an item within its shard.
func Stripe(id model.ID) string {
	return strconv.FormatUint(mix(uint64(id))>>32%stripes, 10)
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
