package repotest

import (
	"fmt"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

var claimTests = []test{
	{"Claims/Rules", claimRules},
	{"Claims/NoWayBack", noWayBack},
	{"Claims/OnlyTheLivingCount", livingCount},
	{"Claims/Unsettled", unsettled},
}

// claimCase is a claim by a replica "x", beside others that reach what sees tells.
type claimCase struct {
	present string // home, "" if the shard was never opened
	opening bool   // the present home is not ready
	sees    []string
	target  string
	want    bool
}

func (c claimCase) String() string {
	return fmt.Sprintf("from %q (opening: %v) to %q while %q are reached by the others", c.present, c.opening, c.target, c.sees)
}

func claimRules(t *testing.T, r Repo) {
	const sql = model.HomeSQL
	var none []string
	cases := []claimCase{
		// Alone, a replica decides alone.
		{"h", false, none, sql, true},
		{"h", false, none, "p", true},
		{"h", false, none, "h", true},
		{sql, false, none, "p", true},
		{"", false, none, "p", true},
		{"", false, none, sql, true},

		// Of two, one may go to SQL, and the way back needs both.
		{"h", false, []string{"h"}, sql, true},
		{"h", false, []string{""}, sql, true},
		{"h", false, []string{"h"}, "p", false},
		{"h", false, []string{""}, "p", false},
		{"h", false, []string{"p"}, "p", true},
		{sql, false, []string{""}, "h", false},
		{sql, false, []string{"p"}, "h", false},
		{sql, false, []string{"h"}, "h", true},

		// Of three, one that is cut off moves nobody.
		{"h", false, []string{"h", "h"}, sql, false},
		{"h", false, []string{"h", ""}, sql, true},
		{"h", false, []string{"h", "p"}, sql, true},
		{"h", false, []string{"", ""}, sql, true},
		{"h", false, []string{"h", "h"}, "p", false},
		{"h", false, []string{"h", ""}, "p", false},
		{"h", false, []string{"h", "p"}, "p", true},
		{sql, false, []string{"", ""}, "p", false},
		{sql, false, []string{"p", ""}, "p", true},
		{"", false, []string{"", ""}, "p", false},
		{"", false, []string{"p", ""}, "p", true},
		{"", false, []string{"", ""}, sql, true},

		// Of five.
		{"h", false, []string{"h", "h", "h", ""}, sql, false},
		{"h", false, []string{"h", "h", "", ""}, sql, true},
		{"h", false, []string{"p", "h", "", ""}, "p", false},
		{"h", false, []string{"p", "h", "p", "h"}, "p", true},
		{sql, false, []string{"h", "", "", ""}, "h", false},
		{sql, false, []string{"h", "h", "", ""}, "h", true},

		// The same home again needs nobody.
		{"h", false, []string{"", ""}, "h", true},
		{"h", true, []string{"p", "p"}, "h", true},
		// Nor does a home that is not ready spare others the count.
		{sql, true, []string{"", ""}, sql, true},
		{sql, true, []string{"h", "h"}, sql, true},
		{sql, true, []string{"", ""}, "h", false},
		{"h", true, []string{"h", "h"}, sql, false},
		{"h", true, []string{"h", ""}, "p", false},
		{"h", true, []string{"p", ""}, "p", true},
	}
	if err := r.Shards.Init(t.Context(), len(cases), len(cases)); err != nil {
		t.Fatal(err)
	}
	for s, c := range cases {
		if got := tryClaim(t, r, s, c); got != c.want {
			t.Errorf("%v: claimed %v, want %v", c, got, c.want)
		}
	}
}

// tryClaim brings shard s, which is new, to the present home, and tells whether the claim succeeds.
func tryClaim(t *testing.T, r Repo, s int, c claimCase) bool {
	t.Helper()
	before := model.Shard{Shard: s}
	if c.present != "" {
		before = open(t, r, model.Claim{Shard: s, Home: c.present}, !c.opening)
	}
	// What the claimant has said of itself does not count: its claim says more.
	beats(t, r, "x", s, "h")
	for i, home := range c.sees {
		beats(t, r, fmt.Sprintf("other%d", i), s, home)
	}
	got, _, err := r.Claims.Claim(t.Context(), "x", []model.Claim{{Shard: s, Epoch: before.Epoch, Home: c.target}})
	if err != nil {
		t.Fatal(err)
	}
	want := before
	if len(got) == 1 {
		want = model.Shard{Shard: s, Epoch: before.Epoch + 1, Home: c.target, Opener: "x"}
		if got[0] != want {
			t.Errorf("%v: claimed as %+v", c, got[0])
		}
	}
	if got := state(t, r)[s]; got != want {
		t.Errorf("%v: the shard is %+v, want %+v", c, got, want)
	}
	for i := range c.sees {
		leaves(t, r, fmt.Sprintf("other%d", i))
	}
	leaves(t, r, "x")
	return len(got) == 1
}

func beats(t *testing.T, r Repo, replica string, s int, home string) {
	t.Helper()
	sees := make([]string, s+1)
	sees[s] = home
	if _, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: replica, TTL: time.Hour, Sees: sees}); err != nil {
		t.Fatal(err)
	}
}

func leaves(t *testing.T, r Repo, replica string) {
	t.Helper()
	if err := r.Shards.Leave(t.Context(), replica); err != nil {
		t.Fatal(err)
	}
}

// Whatever number of replicas reach Redis, either the way to SQL is open or the way back: else the shard
// would move to and fro, or be stuck.
func noWayBack(t *testing.T, r Repo) {
	const most = 6
	if err := r.Shards.Init(t.Context(), most*most*2, most*most*2); err != nil {
		t.Fatal(err)
	}
	next := 0
	try := func(replicas, reach int, present, target string) bool {
		sees := make([]string, replicas)
		for i := range reach {
			sees[i] = "h"
		}
		next++
		return tryClaim(t, r, next-1, claimCase{present: present, sees: sees, target: target})
	}
	for replicas := 2; replicas <= most; replicas++ {
		for reach := 1; reach < replicas; reach++ {
			away := try(replicas-1, reach, "h", model.HomeSQL)   // by one that does not reach h
			back := try(replicas-1, reach-1, model.HomeSQL, "h") // by one that does
			if away == back {
				t.Errorf("%d of %d replicas reach Redis: to SQL %v, back %v", reach, replicas, away, back)
			}
		}
	}
}

// A replica whose permission has run out has no say, and another shard's processes are none of this one's.
func livingCount(t *testing.T, r Repo) {
	opened(t, r, 2)
	for _, replica := range []string{"a", "b"} {
		_, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: replica, TTL: time.Hour, Sees: []string{"", "h"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	to := func(s int) bool {
		got, _, err := r.Claims.Claim(t.Context(), "x", []model.Claim{{Shard: s, Epoch: 1, Home: model.HomeSQL}})
		if err != nil {
			t.Fatal(err)
		}
		return len(got) == 1
	}
	if to(1) || !to(0) {
		t.Errorf("the shard that most reach was taken, or the other was not: %+v", state(t, r))
	}
	leaves(t, r, "a")
	leaves(t, r, "b")
	for _, replica := range []string{"c", "d"} {
		beat := model.Beat{Replica: replica, TTL: time.Microsecond, Sees: []string{"", "h"}}
		if _, err := r.Shards.Heartbeat(t.Context(), beat); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); !to(1); {
		if time.Now().After(deadline) {
			t.Fatal("dead replicas hold the shard")
		}
	}
}

func unsettled(t *testing.T, r Repo) {
	shards := []model.Shard{{Shard: 0, Epoch: 4}, {Shard: 1, Epoch: 7}}
	if err := r.Shards.Init(t.Context(), 2, 2); err != nil {
		t.Fatal(err)
	}
	beat := func(replica string, ttl time.Duration, settled ...int64) {
		t.Helper()
		if _, err := r.Shards.Heartbeat(t.Context(), model.Beat{Replica: replica, TTL: ttl, Settled: settled}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, want bool, claimed ...model.Shard) {
		t.Helper()
		if got, err := r.Claims.Unsettled(t.Context(), "x", claimed); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", when, got, err, want)
		}
	}
	want("nobody is there", false, shards...)
	beat("x", time.Hour)
	want("the claimant itself", false, shards...)
	beat("a", time.Hour)
	want("a replica that has said nothing", true, shards...)
	beat("a", time.Hour, 4)
	want("settled in one shard", true, shards...)
	want("settled in this shard", false, shards[0])
	beat("a", time.Hour, 5, 7)
	want("settled in all", false, shards...)
	beat("b", time.Hour, 5, 6)
	want("another one is not", true, shards...)
	want("another one is not, in the other shard", false, shards[0])
	want("nothing was claimed", false)
	leaves(t, r, "b")
	want("it has left", false, shards...)
	beat("c", time.Microsecond, 0, 0)
	for deadline := time.Now().Add(5 * time.Second); ; {
		if got, err := r.Claims.Unsettled(t.Context(), "x", shards); err != nil || !got {
			want("a dead replica", false, shards...)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a dead replica is waited for")
		}
	}
}
