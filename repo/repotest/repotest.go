// Package repotest is the conformance suite of the SQL repositories: what it demands, the rest of the
// program relies on.
package repotest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/snowflake"
)

// Feeds reads items.
type Feeds interface {
	Get(ctx context.Context, id model.ID) (model.Item, error)
	GetMany(ctx context.Context, ids []model.ID) ([]model.Item, error)
	ListByAuthors(ctx context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error)
	ScanIDs(ctx context.Context, after model.ID, limit int) ([]model.ID, error)
}

// Tombstones finds and removes what was deleted long ago.
type Tombstones interface {
	Tombstones(ctx context.Context, olderThan time.Time, after model.ID, limit int) ([]model.Tombstone, error)
	RemoveTombstones(ctx context.Context, tombstones []model.Tombstone) (int64, error)
}

// Drain writes batches.
type Drain interface {
	Apply(ctx context.Context, batch *model.Batch) (model.Applied, error)
}

// Counters reads counters.
type Counters interface {
	Totals(ctx context.Context, shard int, subjects []string) (model.Totals, error)
}

// Keys remembers idempotency keys.
type Keys interface {
	Recall(ctx context.Context, shard int, key string) (record string, ok bool, err error)
	Expire(ctx context.Context, olderThan time.Time) (int64, error)
}

// DeadLetters reads what could not be stored.
type DeadLetters interface {
	List(ctx context.Context, after int64, limit int) ([]model.DeadLetter, error)
	Get(ctx context.Context, id int64) (model.DeadLetter, error)
	Count(ctx context.Context) (int64, error)
	Stored(ctx context.Context, shard int, v model.Version) (bool, error)
}

// Retries decides about what could not be stored.
type Retries interface {
	RetryItem(ctx context.Context, id int64) (applied bool, err error)
	Discard(ctx context.Context, id int64) (bool, error)
}

// Shards keeps epochs and permissions.
type Shards interface {
	Init(ctx context.Context, items, total int) error
	All(ctx context.Context) ([]model.Shard, error)
	Heartbeat(ctx context.Context, beat model.Beat) (model.Heartbeat, error)
	Leave(ctx context.Context, replica string) error
}

// Claims begins epochs.
type Claims interface {
	Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error)
	Unsettled(ctx context.Context, replica string, claimed []model.Shard) (bool, error)
	Confirm(ctx context.Context, claimed []model.Shard) ([]int, error)
}

// Direct writes without the queue.
type Direct interface {
	Write(ctx context.Context, shard int, epoch int64, w *model.Write) (model.WriteResult, error)
	Count(ctx context.Context, shard int, epoch int64, counts []model.Count) ([]model.CountResult, error)
	Remember(ctx context.Context, shard int, epoch int64, key string, result []byte) (stored []byte, replayed bool, err error)
	Flush(ctx context.Context, shard int, epoch int64, writes []model.Queued) (model.Applied, error)
}

// Repo is one database, empty but for its schema.
type Repo struct {
	Feeds      Feeds
	Tombstones Tombstones
	Drain      Drain
	Shards     Shards
	Claims     Claims
	Direct     Direct
	Nodes      snowflake.Nodes
	Counters   Counters
	Keys       Keys
	Letters    DeadLetters
	Retries    Retries
	// SQL runs a statement, and returns the number in its first row, 0 if there is none.
	SQL func(t *testing.T, statement string, args ...any) int64
}

// Run runs the suite. connect returns a new Repo, which is closed by the test's cleanup.
func Run(t *testing.T, connect func(t *testing.T) Repo) {
	t.Helper()
	for _, tc := range slices.Concat(feedTests, drainTests, counterTests, keyTests, badRowTests, letterTests, shardTests, claimTests, directTests, countTests, flushTests, nodeTests) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, connect(t))
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, r Repo)
}

// noon is the time of the first item in every test.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// item returns a live item whose fields differ from those of any other ID and version.
func item(id, author model.ID, v model.Version) model.Item {
	return model.Item{
		ID: id, AuthorID: author, Kind: "post", Version: v,
		Content:   fmt.Appendf(nil, `{ "id":%d, "v" : %d, "s":"é\u0000\ud83d\ude00" }`, id, v),
		CreatedAt: noon.Add(time.Duration(id) * time.Millisecond),
		UpdatedAt: noon.Add(time.Duration(v) * time.Millisecond),
	}
}

func tombstone(id, author model.ID, v model.Version) model.Item {
	it := item(id, author, v)
	it.Kind, it.Content, it.Deleted = "", nil, true
	return it
}

// store writes items without moving any shard.
func store(t *testing.T, r Repo, items ...model.Item) {
	t.Helper()
	applied, err := r.Drain.Apply(t.Context(), &model.Batch{Writes: puts(items...)})
	if err != nil || len(applied.Refused) > 0 || len(applied.DeadLetters) > 0 {
		t.Fatalf("Apply: %+v, %v", applied, err)
	}
}

// puts returns the items as writes of shard 0.
func puts(items ...model.Item) []model.Queued {
	var writes []model.Queued
	for i := range items {
		writes = append(writes, model.Queued{Version: items[i].Version, Item: &items[i]})
	}
	return writes
}

// wantItem fails the test unless the item is stored exactly so.
func wantItem(t *testing.T, r Repo, want model.Item) {
	t.Helper()
	got, err := r.Feeds.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !same(got, want) {
		t.Fatalf("item %d:\n got %+v\nwant %+v", want.ID, got, want)
	}
}

// same compares all fields; times in UTC, because callers print them as they are.
func same(a, b model.Item) bool {
	return a.ID == b.ID && a.AuthorID == b.AuthorID && a.Kind == b.Kind && string(a.Content) == string(b.Content) &&
		sameTime(a.CreatedAt, b.CreatedAt) && sameTime(a.UpdatedAt, b.UpdatedAt) && a.Version == b.Version && a.Deleted == b.Deleted
}

func ids(items []model.Item) []model.ID {
	out := make([]model.ID, len(items))
	for i := range items {
		out[i] = items[i].ID
	}
	return out
}

// opened returns n shards for items at home "h", ready in epoch 1, opened by a replica "r" that takes no
// further part.
func opened(t *testing.T, r Repo, n int) []model.Shard {
	t.Helper()
	if err := r.Shards.Init(t.Context(), n, n); err != nil {
		t.Fatal(err)
	}
	for s := range n {
		open(t, r, model.Claim{Shard: s, Home: "h"}, true)
	}
	return state(t, r)
}

// open makes a claim, and confirms it if it is to be ready. It returns the shard.
func open(t *testing.T, r Repo, c model.Claim, ready bool) model.Shard {
	t.Helper()
	claimed, _, err := r.Claims.Claim(t.Context(), "r", []model.Claim{c})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: %v, %v", claimed, err)
	}
	if !ready {
		return claimed[0]
	}
	if confirmed, err := r.Claims.Confirm(t.Context(), claimed); err != nil || len(confirmed) != 1 {
		t.Fatalf("Confirm: %v, %v", confirmed, err)
	}
	claimed[0].Ready = true
	return claimed[0]
}

// state returns all shards.
func state(t *testing.T, r Repo) []model.Shard {
	t.Helper()
	all, err := r.Shards.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// move returns the advance of a ready shard to a version.
func move(s model.Shard, to model.Version) model.Advance {
	return model.Advance{Shard: s.Shard, Epoch: s.Epoch, Home: s.Home, From: s.Position, To: to}
}

// sameTime wants the same instant in the same location: callers print times as they are.
func sameTime(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }
