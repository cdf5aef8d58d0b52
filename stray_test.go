package zmsg_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/internal/testenv"
)

// A replica that was given another Redis than the others takes nothing from them, and says why.
func TestP1_ReplicaWithAnotherRedisTakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.open(t), w.open(t)
	other := &world{dsn: w.dsn, redis: testenv.NewRedis(t, testenv.RedisOptions{})}
	stray := other.start(t)
	eventually(t, 20*time.Second, "the stray replica says why it is not ready", func() bool {
		return slices.ContainsFunc(stray.Checks(), func(c zmsg.Check) bool {
			return c.Name == "shards" && !c.OK && strings.Contains(c.Detail, "another Redis")
		})
	})
	if _, err := stray.Feeds.Put(within(t, 10*time.Second), draft(newID(), 7, "astray"), delayed); !unavailable(err) {
		t.Errorf("the stray replica took a write: %v", err)
	}
	for i := range 200 {
		r := []*replica{a, b}[i%2]
		id := newID()
		r.mustPut(t, id, 7, textN(i), delayed)
		if got := r.text(t, id, false); got != textN(i) {
			t.Fatalf("read %q", got)
		}
	}
	for _, r := range []*replica{a, b} {
		if !r.ready() {
			t.Errorf("a replica is not ready: %+v", r.Checks())
		}
	}
}
