package keyspace

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/zmsg/zmsg/model"
)

// snowflakes returns n IDs as a busy node mints them: 3 a millisecond.
func snowflakes(n int) []model.ID {
	ids := make([]model.ID, n)
	for i := range ids {
		ids[i] = model.ID(int64(123_456_789+i/3)<<22 | 17<<12 | int64(i%3))
	}
	return ids
}

// chiSquared tells how far counts are from all being equal; about len(counts) if they are random.
func chiSquared(counts []int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	want := float64(total) / float64(len(counts))
	sum := 0.0
	for _, n := range counts {
		sum += (float64(n) - want) * (float64(n) - want) / want
	}
	return sum
}

func TestConsecutiveSnowflakesSpreadEvenly(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for _, shards := range []int{1, 2, 7, 64, 1000} {
		sp := New(shards)
		counts := make([]int, shards)
		stripe := make(map[string]int)
		for _, id := range snowflakes(n) {
			s := sp.Shard(id)
			counts[s]++
			if s == 0 {
				stripe[Stripe(id)]++
			}
		}
		// Random counts give shards-1 on average, with a deviation of sqrt(2*shards).
		if x, limit := chiSquared(counts), float64(shards)+8*math.Sqrt(2*float64(shards)); x > limit {
			t.Errorf("%d shards: chi squared %.0f > %.0f; least %d, most %d", shards, x, limit, slices.Min(counts), slices.Max(counts))
		}
		if shards == 64 && len(stripe) < stripes*3/4 {
			t.Errorf("the keys of one shard share %d of %d stripes", len(stripe), stripes)
		}
	}
	keys, sp := make([]int, 64), New(64)
	for i := range n {
		keys[sp.ShardOfKey(fmt.Sprintf("key-%d", i))]++
	}
	if x := chiSquared(keys); x > 64+6*12 {
		t.Errorf("idempotency keys: chi squared %.0f", x)
	}
}

func TestItemsAndCountersLiveInDifferentShards(t *testing.T) {
	t.Parallel()
	for items, counters := range map[int]int{1: 1, 3: 1, 4: 1, 8: 2, 64: 16} {
		sp := New(items)
		if sp.ItemShards() != items || sp.Shards() != items+counters {
			t.Errorf("%d shards of items: %d of %d", items, sp.ItemShards(), sp.Shards())
		}
		for s := range sp.Shards() {
			if sp.IsCounter(s) != (s >= items) {
				t.Errorf("%d shards of items: shard %d holds counters: %v", items, s, sp.IsCounter(s))
			}
		}
		const n = 20_000
		subjects := make([]int, counters)
		for i, id := range snowflakes(n) {
			key, subject := sp.ShardOfKey(fmt.Sprint("key-", i)), sp.ShardOfSubject("post:"+id.String())
			if sp.IsCounter(sp.Shard(id)) || sp.IsCounter(key) || !sp.IsCounter(subject) {
				t.Fatalf("%d shards of items: item %s in %d, key in %d, subject in %d", items, id, sp.Shard(id), key, subject)
			}
			subjects[subject-items]++
		}
		if x, limit := chiSquared(subjects), float64(counters)+8*math.Sqrt(2*float64(counters)); x > limit {
			t.Errorf("%d shards of counters: chi squared %.0f > %.0f: %d", counters, x, limit, subjects)
		}
	}
}

// One script may name all keys of a shard on a Cluster: they carry one hash tag, and no other shard's.
func TestKeysOfAShardShareItsHashTag(t *testing.T) {
	t.Parallel()
	sp := New(3)
	if sp.Shards() != 4 || sp.ItemShards() != 3 {
		t.Fatal(sp.Shards(), sp.ItemShards())
	}
	seen := make(map[string]bool)
	for s := range sp.Shards() {
		tag := fmt.Sprintf("zmsg:{%d}:", s)
		for _, key := range []string{
			sp.Meta(s), sp.Queue(s), sp.Events(s), sp.Gen(s), sp.Entry(s, 42), sp.Prefix(s) + "k:1",
			sp.TotalsKey(s, "a"), sp.PendingKey(s, "a"),
		} {
			if !strings.HasPrefix(key, tag) || seen[key] {
				t.Errorf("key %q of shard %d", key, s)
			}
			seen[key] = true
		}
		if got, want := sp.Entry(s, 1<<63-1), tag+"f:9223372036854775807"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
