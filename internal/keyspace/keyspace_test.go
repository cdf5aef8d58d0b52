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
