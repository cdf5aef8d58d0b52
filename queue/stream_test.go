package queue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// batches draws batches of writes over a few items, each part of one shard.
func batches() *rapid.Generator[*batch] {
	return rapid.Custom(func(t *rapid.T) *batch {
		b := &batch{}
		for s := range rapid.IntRange(1, 3).Draw(t, "shards") {
			p := part{grant: &shards.Grant{Shard: s, Epoch: 1}, from: model.NewVersion(1, 10)}
			for seq := range rapid.IntRange(1, 20).Draw(t, "writes") {
				p.writes = append(p.writes, model.Item{
					ID:      model.ID(rapid.IntRange(1, 8).Draw(t, "item")*3 + s), // an item is in one shard
					Version: model.NewVersion(1, int64(11+seq)),
					Deleted: rapid.Bool().Draw(t, "deleted"),
				})
			}
			p.to = p.writes[len(p.writes)-1].Version
			b.parts = append(b.parts, p)
		}
		return b
	})
}

// wantMerged checks the merged items against the newest write of every item.
func wantMerged(t *rapid.T, b *batch) {
	newest := make(map[model.ID]model.Item)
	writes := 0
	for _, p := range b.parts {
		for _, it := range p.writes {
			writes++
			if newest[it.ID].Version < it.Version {
				newest[it.ID] = it
			}
		}
	}
	if b.writes != writes || len(b.items) != len(newest) {
		t.Fatalf("%d writes of %d items are %d of %d", writes, len(newest), b.writes, len(b.items))
	}
	for i, it := range b.items {
		if want := newest[it.ID]; it.Version != want.Version || it.Deleted != want.Deleted {
			t.Fatalf("item %s: %+v, want %+v", it.ID, it, want)
		}
		if i > 0 && b.items[i-1].ID >= it.ID {
			t.Fatalf("items are not sorted: %s before %s", b.items[i-1].ID, it.ID)
		}
	}
}

func TestMergeKeepsTheNewestWriteOfEveryItemSorted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := batches().Draw(t, "batch")
		b.merge()
		wantMerged(t, b)
		b.drop([]int{rapid.IntRange(0, 3).Draw(t, "refused")})
		wantMerged(t, b)
	})
}

func TestChunksOfAReleaseCoverItWithoutGaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := part{from: model.NewVersion(1, 5)}
		for i := range rapid.IntRange(1, 3*releaseChunk).Draw(t, "writes") {
			p.writes = append(p.writes, model.Item{ID: model.ID(i + 1), Version: model.NewVersion(1, int64(6+2*i))})
		}
		p.to = p.writes[len(p.writes)-1].Version
		at, covered := p.from, 0
		for _, c := range p.chunks() {
			if c.from != at || c.to != c.writes[len(c.writes)-1].Version || len(c.writes) > releaseChunk {
				t.Fatalf("chunk from %d to %d of %d writes after %d", c.from, c.to, len(c.writes), at)
			}
			at, covered = c.to, covered+len(c.writes)
		}
		if at != p.to || covered != len(p.writes) {
			t.Fatalf("%d of %d writes are covered, up to %d", covered, len(p.writes), at)
		}
	})
}

func TestParseWrite(t *testing.T) {
	t.Parallel()
	it := model.Item{
		ID: 7, AuthorID: 9, Kind: "post", Content: []byte("a|b"), CreatedAt: time.UnixMilli(1).UTC(), UpdatedAt: time.UnixMilli(2).UTC(),
	}
	record := string(keyspace.AppendRecord(nil, &it))
	for op, deleted := range map[string]bool{"v": false, "d": true} {
		got, err := parseWrite(redis.XMessage{ID: "3-4", Values: map[string]any{op + "7": record}})
		if err != nil || got.ID != 7 || got.Version != model.NewVersion(3, 4) || got.Deleted != deleted ||
			got.AuthorID != 9 || string(got.Content) != "a|b" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	for name, m := range map[string]redis.XMessage{
		"NoVersion":   {ID: "x-4", Values: map[string]any{"v7": record}},
		"NoField":     {ID: "3-4", Values: map[string]any{}},
		"TwoFields":   {ID: "3-4", Values: map[string]any{"v7": record, "v8": record}},
		"NoOperation": {ID: "3-4", Values: map[string]any{"": record}},
		"UnknownOp":   {ID: "3-4", Values: map[string]any{"z7": record}},
		"NoItem":      {ID: "3-4", Values: map[string]any{"v": record}},
		"SignedItem":  {ID: "3-4", Values: map[string]any{"v+7": record}},
		"NoText":      {ID: "3-4", Values: map[string]any{"v7": 5}},
		"NoRecord":    {ID: "3-4", Values: map[string]any{"v7": "9|post|1"}},
	} {
		if it, err := parseWrite(m); err == nil || !strings.Contains(err.Error(), m.ID) {
			t.Errorf("%s: got %+v, %v, want an error that names the entry", name, it, err)
		}
	}
}

func testWorker(cfg Config, n int) *worker {
	d := NewDrainer(cfg, DrainerDeps{Table: shards.NewTable(keyspace.New(n)), Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	return d.workers[0]
}

func TestAdaptKeepsBatchesNearTheirLimit(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	w := testWorker(Config{Workers: 1, BatchItems: 1000, BatchBytes: limit}, 1)
	for range 20 {
		w.adapt(10, 1)
	}
	if w.perShard != 1000 {
		t.Errorf("small writes: %d for each shard", w.perShard)
	}
	for range 20 {
		w.adapt(0, 0)
		w.adapt(limit/2, 10)
	}
	if w.perShard != 1000 {
		t.Errorf("an empty round, or one of the right size, changed it to %d", w.perShard)
	}
	for range 20 {
		w.adapt(limit+1, 10)
	}
	if w.perShard != 1 {
		t.Errorf("huge writes: %d for each shard", w.perShard)
	}
}

func TestParseReplay(t *testing.T) {
	t.Parallel()
	got, err := parseReplay("7|2|3|1000|2000|1")
	want := model.WriteResult{
		Outcome: model.OutcomeApplied, ID: 7, Version: model.NewVersion(2, 3), CreatedAt: time.UnixMilli(1000).UTC(),
		UpdatedAt: time.UnixMilli(2000).UTC(), Replayed: true,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, s := range []string{"", "7|2|3|1000|2000", "7|2|3|1000|2000|1|9", "7|2|x|1000|2000|1"} {
		if got, err := parseReplay(s); err == nil {
			t.Errorf("%q is read as %+v", s, got)
		}
	}
}

func TestConditionsAsTheScriptReadsThem(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]model.Cond{
		"":                                   {},
		"a":                                  {Absent: true},
		"x":                                  {Exists: true},
		"m0000000000000005,000001000000000a": {Exists: true, Match: []model.Version{5, model.NewVersion(1, 10)}},
	} {
		if got := condition(c); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
}

func TestTakeEmptiesTheSetOfWokenShards(t *testing.T) {
	t.Parallel()
	w := testWorker(Config{Workers: 1}, 4)
	for _, s := range []int{3, 1, 3} {
		w.wake(s)
	}
	if got := w.take(); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("got %v", got)
	}
	if got := w.take(); len(got) != 0 {
		t.Errorf("taken twice: %v", got)
	}
}
