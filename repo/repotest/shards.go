package repotest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

var shardTests = []test{
	{"Shards/InitOnce", initOnce},
	{"Shards/InitAddsCounters", initCounters},
	{"Shards/InitRace", initRace},
	{"Shards/Heartbeat", heartbeats},
	{"Shards/ClaimAndConfirm", claimsAndConfirms},
	{"Shards/ClaimRace", claimRace},
	{"Shards/ClaimWaitsForPermissions", claimWaits},
	{"Shards/P1_HeartbeatClaimRace", heartbeatClaimRace},
}

func initOnce(t *testing.T, r Repo) {
	for range 2 {
		if err := r.Shards.Init(t.Context(), 4, 5); err != nil {
			t.Fatal(err)
		}
	}
	if got := state(t, r); len(got) != 5 {
		t.Errorf("there are %d shards", len(got))
	}
	for i, s := range state(t, r) {
		if s != (model.Shard{Shard: i}) {
			t.Errorf("a new shard is %+v", s)
		}
	}
	// Five for items are as many shards as there are, and yet others.
	for _, n := range []int{3, 5} {
		err := r.Shards.Init(t.Context(), n, n+1)
		var e *model.Error
		if !errors.As(err, &e) || e.Kind != model.Invalid || !strings.Contains(e.Message, "with 4 ") {
			t.Errorf("Init with %d shards instead of 4: %v", n, err)
		}
	}
}

// A database from before there were counters gets their shards; those of items stay as they are.
func initCounters(t *testing.T, r Repo) {
	before := opened(t, r, 4)
	if err := r.Shards.Init(t.Context(), 5, 6); model.KindOf(err) != model.Invalid {
		t.Errorf("Init with another number of shards: %v", err)
	}
	for range 2 {
		if err := r.Shards.Init(t.Context(), 4, 5); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := state(t, r), slices.Concat(before, []model.Shard{{Shard: 4}}); !slices.Equal(got, want) {
		t.Errorf("shards %+v, want %+v", got, want)
	}
}

// Replicas that start at once with different numbers agree on one of them.
func initRace(t *testing.T, r Repo) {
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = r.Shards.Init(t.Context(), 10+i%2, 15) })
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		if err == nil {
			won |= 1 << (i % 2)
		}
	}
	if n := len(state(t, r)); n != 15 || won == 0 || won == 3 {
		t.Errorf("%d shards exist: %v", n, errs)
	}
}

func heartbeats(t *testing.T, r Repo) {
	if err := r.Shards.Init(t.Context(), 2, 2); err != nil {
		t.Fatal(err)
	}
	beat := func(replica string, ttl time.Duration) []string {
		t.Helper()
		h, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: replica, TTL: ttl})
		if err != nil || len(h.Shards) != 2 {
			t.Fatalf("%+v, %v", h, err)
		}
		return h.Alive
	}
	beat("b", time.Minute)
	if got := beat("a", time.Minute); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("alive: %v", got)
	}
	if err := r.Shards.Leave(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if got := beat("a", time.Minute); !slices.Equal(got, []string{"a"}) {
		t.Errorf("alive after b left: %v", got)
	}
	beat("c", time.Microsecond)
	for deadline := time.Now().Add(5 * time.Second); ; {
		got := beat("a", time.Minute)
		if slices.Equal(got, []string{"a"}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("c never died: %v", got)
		}
	}
}

func claimsAndConfirms(t *testing.T, r Repo) {
	s := opened(t, r, 3)
	ctx := t.Context()
	claimed, wait, err := r.Claims.Claim(ctx, "q", []model.Claim{
		{Shard: 2, Epoch: 1, Home: "new"}, {Shard: 0, Epoch: 7, Home: "new"}, {Shard: 9, Home: "new"},
	})
	want := []model.Shard{{Shard: 2, Epoch: 2, Home: "new", Opener: "q"}}
	if err != nil || !slices.Equal(claimed, want) {
		t.Fatalf("claimed %+v, %v; want %+v", claimed, err, want)
	}
	if wait != 0 { // there is nobody else
		t.Errorf("wait is %v", wait)
	}
	s[2] = want[0]
	if got := state(t, r); !slices.Equal(got, s) {
		t.Errorf("shards %+v, want %+v", got, s)
	}
	for name, change := range map[string]func(s *model.Shard){
		"epoch":    func(s *model.Shard) { s.Epoch = 1 },
		"home":     func(s *model.Shard) { s.Home = "h" },
		"opener":   func(s *model.Shard) { s.Opener = "r" },
		"position": func(s *model.Shard) { s.Position = 4 },
	} {
		other := want[0]
		change(&other)
		if got, err := r.Claims.Confirm(ctx, []model.Shard{other}); err != nil || len(got) != 0 {
			t.Errorf("Confirm with another %s: %v, %v", name, got, err)
		}
	}
	for range 2 { // the answer to the first may have been lost
		if got, err := r.Claims.Confirm(ctx, claimed); err != nil || !slices.Equal(got, []int{2}) {
			t.Fatalf("Confirm: %v, %v", got, err)
		}
	}
	s[2].Ready = true
	if got := state(t, r); !slices.Equal(got, s) {
		t.Errorf("shards %+v, want %+v", got, s)
	}
}

// Of many claimants of one epoch one gets each shard.
func claimRace(t *testing.T, r Repo) {
	const shards = 4
	opened(t, r, shards)
	var mu sync.Mutex
	owners := make(map[int][]string)
	var g errgroup.Group
	for _, replica := range []string{"a", "b", "c", "d", "e", "f"} {
		g.Go(func() error {
			var claims []model.Claim
			for s := range shards {
				claims = append(claims, model.Claim{Shard: s, Epoch: 1, Home: replica})
			}
			if replica > "c" {
				slices.Reverse(claims)
			}
			claimed, _, err := r.Claims.Claim(t.Context(), replica, claims)
			mu.Lock()
			defer mu.Unlock()
			for _, s := range claimed {
				owners[s.Shard] = append(owners[s.Shard], replica)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, s := range state(t, r) {
		if got := owners[s.Shard]; len(got) != 1 || s.Epoch != 2 || s.Home != got[0] || s.Opener != got[0] {
			t.Errorf("shard %+v was claimed by %v", s, got)
		}
	}
}

func claimWaits(t *testing.T, r Repo) {
	opened(t, r, 1)
	for replica, ttl := range map[string]time.Duration{"a": time.Hour, "b": time.Minute} {
		if _, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: replica, TTL: ttl}); err != nil {
			t.Fatal(err)
		}
	}
	// A shorter permission takes nothing back of the longer one.
	if _, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: "b", TTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	between := func(claimant string, epoch int64, lowest, highest time.Duration) {
		t.Helper()
		claimed, wait, err := r.Claims.Claim(t.Context(), claimant, []model.Claim{{Epoch: epoch, Home: "h"}})
		if err != nil || len(claimed) != 1 || wait < lowest || wait > highest {
			t.Errorf("claim by %s: %v, wait %v, %v; want %v to %v", claimant, claimed, wait, err, lowest, highest)
		}
	}
	between("b", 1, 50*time.Minute, time.Hour)
	between("a", 2, 30*time.Second, time.Minute) // its own permission is no reason to wait
	for _, replica := range []string{"a", "b"} {
		if err := r.Shards.Leave(t.Context(), replica); err != nil {
			t.Fatal(err)
		}
	}
	between("c", 3, 0, time.Second)
}

// Whatever the interleaving: once a claim has returned with its wait, no permission for the older
// epoch lasts beyond the wait, measured on the replicas' own clock.
func heartbeatClaimRace(t *testing.T, r Repo) {
	opened(t, r, 1)
	const ttl = 2 * time.Second
	type grant struct {
		epoch int64
		until time.Time
	}
	var mu sync.Mutex
	var grants []grant
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var g errgroup.Group
	for _, replica := range []string{"a", "b", "c", "d"} {
		g.Go(func() error {
			for ctx.Err() == nil {
				asked := time.Now()
				h, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: replica, TTL: ttl}) //nolint:contextcheck // ctx ends the loop, not a call
				if err != nil {
					return err
				}
				mu.Lock()
				grants = append(grants, grant{h.Shards[0].Epoch, asked.Add(ttl)})
				mu.Unlock()
			}
			return nil
		})
	}
	ends := make(map[int64]time.Time) // of each epoch
	for epoch := int64(1); epoch <= 100; epoch++ {
		claimed, wait, err := r.Claims.Claim(t.Context(), "x", []model.Claim{{Epoch: epoch, Home: "h"}})
		if err != nil || len(claimed) != 1 {
			t.Fatalf("claim of epoch %d: %v, %v", epoch, claimed, err)
		}
		ends[epoch] = time.Now().Add(wait)
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	old := 0
	for _, p := range grants {
		end, ended := ends[p.epoch]
		if ended {
			old++
		}
		if ended && p.until.After(end) {
			t.Errorf("a permission for epoch %d lasts %v longer than the claim's wait", p.epoch, p.until.Sub(end))
		}
	}
	if old == 0 {
		t.Error("no heartbeat ran beside the claims")
	}
}
