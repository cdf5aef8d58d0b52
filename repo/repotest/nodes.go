package repotest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/snowflake"
)

var nodeTests = []test{
	{"Nodes/Acquire", acquiresNodes},
	{"Nodes/Extend", extendsNodes},
	{"Nodes/ReleaseAndSucceed", releasesNodes},
	{"Nodes/P5_AllTaken", allNodesTaken},
	{"Nodes/P5_PausedHolder", pausedHolder},
}

func acquire(t *testing.T, r Repo, holder string, window time.Duration) snowflake.Grant {
	t.Helper()
	g, err := r.Nodes.Acquire(t.Context(), holder, window)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func acquiresNodes(t *testing.T, r Repo) {
	before := time.Now().UnixMilli()
	a := acquire(t, r, "a", time.Minute)
	after := time.Now().UnixMilli()
	if a.Now < before-1000 || a.Now > after+1000 {
		t.Errorf("the grant's clock shows %d, ours %d", a.Now, after)
	}
	want := snowflake.Grant{Node: 0, Holder: "a", Epoch: 1, Now: a.Now, From: a.Now, Until: a.Now + 60_000}
	if a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	if b := acquire(t, r, "b", time.Minute); b.Node != 1 || b.From < a.Now {
		t.Errorf("the second grant is %+v", b)
	}
}

func extendsNodes(t *testing.T, r Repo) {
	a := acquire(t, r, "a", time.Minute)
	longer, err := r.Nodes.Extend(t.Context(), a, time.Hour)
	if err != nil || longer.Until != longer.Now+3_600_000 || longer.Node != a.Node || longer.Holder != "a" || longer.From != a.From {
		t.Fatalf("extended to %+v, %v", longer, err)
	}
	again, err := r.Nodes.Extend(t.Context(), longer, time.Minute)
	if err != nil || again.Until != longer.Until {
		t.Errorf("a shorter window moved the end from %d to %+v, %v", longer.Until, again, err)
	}
	a.Holder = "somebody else"
	if _, err := r.Nodes.Extend(t.Context(), a, time.Minute); !errors.Is(err, snowflake.ErrLost) {
		t.Errorf("Extend by another holder: %v", err)
	}
}

func releasesNodes(t *testing.T, r Repo) {
	a := acquire(t, r, "a", time.Hour)
	stranger := a
	stranger.Holder = "b"
	if err := r.Nodes.Release(t.Context(), stranger, a.From); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Nodes.Extend(t.Context(), a, time.Minute); err != nil {
		t.Fatalf("after a stranger's release: %v", err)
	}
	if err := r.Nodes.Release(t.Context(), a, a.From-1); err != nil { // unused
		t.Fatal(err)
	}
	if _, err := r.Nodes.Extend(t.Context(), a, time.Minute); !errors.Is(err, snowflake.ErrLost) {
		t.Errorf("Extend after Release: %v", err)
	}
	b := acquire(t, r, "b", time.Hour)
	if b.Node != a.Node || b.Epoch != 2 || b.From < a.From || b.From < b.Now {
		t.Errorf("after %+v comes %+v", a, b)
	}
	if err := r.Nodes.Release(t.Context(), b, b.Until+1e6); err != nil { // never raises the end
		t.Fatal(err)
	}
	if again, err := r.Nodes.Extend(t.Context(), b, time.Millisecond); err != nil || again.Until != b.Until {
		t.Errorf("a release moved the end from %d to %+v, %v", b.Until, again, err)
	}
}

// Many who start at once get a node each, until there is none left.
func allNodesTaken(t *testing.T, r Repo) {
	var mu sync.Mutex
	taken := make(map[int]bool)
	none := 0
	var g errgroup.Group
	g.SetLimit(8)
	for i := range snowflake.NodeCount + 10 {
		g.Go(func() error {
			grant, err := r.Nodes.Acquire(t.Context(), fmt.Sprint(i), time.Hour)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, snowflake.ErrNoNode):
				none++
				return nil
			case err != nil:
				return err
			case taken[grant.Node] || grant.Node < 0 || grant.Node >= snowflake.NodeCount:
				return fmt.Errorf("node %d is given twice, or is none", grant.Node)
			}
			taken[grant.Node] = true
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(taken) != snowflake.NodeCount || none != 10 {
		t.Errorf("%d nodes were given, %d times none", len(taken), none)
	}
}

// A process sleeps past its window while another takes its node. Awake, with its clock where it was,
// it makes IDs that differ from the other's; once it hears of its loss it moves to another node.
func pausedHolder(t *testing.T, r Repo) {
	gate := &gate{Nodes: r.Nodes}
	cfg := snowflake.Config{Window: 300 * time.Millisecond, MaxWait: 10 * time.Second}
	frozen := cfg
	frozen.Elapsed = func() time.Duration { return 0 }
	sleeper := startGenerator(t, gate, frozen)
	made := mint(t, sleeper, 1)
	gate.shut.Store(true)
	node, end := made[0].Parts().Node, sleeper.Stats().Until

	other := succeed(t, r, cfg, node, end)
	theirs := mint(t, other, 10_000)
	if first := theirs[0].Parts(); first.Node != node || first.Time.Before(end) {
		t.Fatalf("the successor of node %d until %v begins with %+v", node, end, first)
	}
	// Its clock has not moved, so its window is still good to it.
	for _, id := range mint(t, sleeper, 10_000) {
		if p := id.Parts(); p.Node != node || !p.Time.Before(theirs[0].Parts().Time) {
			t.Fatalf("the sleeper made %+v, its successor began with %+v", p, theirs[0].Parts())
		}
	}
	gate.shut.Store(false)
	for deadline := time.Now().Add(10 * time.Second); sleeper.Stats().Lost == 0; {
		if time.Now().After(deadline) {
			t.Fatalf("the sleeper never learned of its loss: %+v", sleeper.Stats())
		}
		<-time.After(5 * time.Millisecond)
	}
	if p := mint(t, sleeper, 1)[0].Parts(); p.Node == node {
		t.Errorf("after its loss the sleeper makes %+v", p)
	}
}

// succeed returns a generator that holds node after its reservation has ended.
func succeed(t *testing.T, r Repo, cfg snowflake.Config, node int, end time.Time) *snowflake.Generator {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		g, err := r.Nodes.Acquire(t.Context(), "probe", time.Millisecond)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("node %d never became free: %+v, %v", node, g, err)
		}
		if g.Now > end.UnixMilli() {
			break
		}
	}
	// The lowest free node is taken first: this one, as soon as the last probe's millisecond is over.
	for {
		g := startGenerator(t, r.Nodes, cfg)
		if mint(t, g, 1)[0].Parts().Node == node {
			return g
		}
	}
}

// gate fails every extension while it is shut, as does a process that sleeps.
type gate struct {
	snowflake.Nodes
	shut atomic.Bool
}

var errShut = errors.New("asleep")

func (g *gate) Extend(ctx context.Context, grant snowflake.Grant, window time.Duration) (snowflake.Grant, error) {
	if g.shut.Load() {
		return grant, errShut
	}
	return g.Nodes.Extend(ctx, grant, window)
}

func startGenerator(t *testing.T, nodes snowflake.Nodes, cfg snowflake.Config) *snowflake.Generator {
	t.Helper()
	g, err := snowflake.New(cfg, nodes)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return g
}

func mint(t *testing.T, g *snowflake.Generator, n int) []snowflake.ID {
	t.Helper()
	ids, err := g.Mint(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
