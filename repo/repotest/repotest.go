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
	Apply(ctx context.Context, batch *model.Batch) (refused []int, err error)
}

// Shards keeps epochs and permissions.
type Shards interface {
	Init(ctx context.Context, n int) error
	Heartbeat(ctx context.Context, replica string, ttl time.Duration, sees ...string) (model.Heartbeat, error)
	Leave(ctx context.Context, replica string) error
	Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error)
	Confirm(ctx context.Context, claimed []model.Shard) ([]int, error)
}

// Repo is one database, empty but for its schema.
type Repo struct {
	Feeds      Feeds
	Tombstones Tombstones
	Drain      Drain
	Shards     Shards
	Nodes      snowflake.Nodes
}

// Run runs the suite. open returns a new Repo, which is closed by the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) Repo) {
	t.Helper()
	for _, tc := range slices.Concat(feedTests, drainTests, shardTests, nodeTests) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.run(t, open(t))
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
	refused, err := r.Drain.Apply(t.Context(), &model.Batch{Items: items})
	if err != nil || len(refused) > 0 {
		t.Fatalf("Apply: refused %v, %v", refused, err)
	}
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

// opened returns the repo's only replica "r" with n shards at home "h", ready in epoch 1.
func opened(t *testing.T, r Repo, n int) []model.Shard {
	t.Helper()
	if err := r.Shards.Init(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	claims := make([]model.Claim, n)
	for s := range claims {
		claims[s] = model.Claim{Shard: s, Home: "h"}
	}
	claimed, _, err := r.Shards.Claim(t.Context(), "r", claims)
	if err != nil || len(claimed) != n {
		t.Fatalf("Claim: %v, %v", claimed, err)
	}
	if confirmed, err := r.Shards.Confirm(t.Context(), claimed); err != nil || len(confirmed) != n {
		t.Fatalf("Confirm: %v, %v", confirmed, err)
	}
	return state(t, r)
}

// state reads the shards as a replica that asks for no permission worth waiting for.
func state(t *testing.T, r Repo) []model.Shard {
	t.Helper()
	h, err := r.Shards.Heartbeat(t.Context(), "r", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return h.Shards
}

// move returns the advance of a ready shard to a version.
func move(s model.Shard, to model.Version) model.Advance {
	return model.Advance{Shard: s.Shard, Epoch: s.Epoch, Home: s.Home, From: s.Position, To: to}
}

// sameTime wants the same instant in the same location: callers print times as they are.
func sameTime(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }
