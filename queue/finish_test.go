package queue

import (
	"context"
	"errors"
	"testing"

	"github.com/zmsg/zmsg/model"
)

// held is a database in which another transaction has locked all shards, for so many calls.
type held struct {
	Committer
	calls int
}

func (h *held) Apply(ctx context.Context, b *model.Batch) (applied model.Applied, err error) {
	if h.calls == 0 {
		return h.Committer.Apply(ctx, b)
	}
	h.calls--
	for _, a := range b.Advances {
		applied.Refused = append(applied.Refused, a.Shard)
	}
	return applied, nil
}

// A round that was cut short may hold its shards for a moment longer. The last drain waits for that.
func TestLastDrainWaitsForLocks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.commits = &held{Committer: r.sql, calls: 3}
	v := r.put(r.inShard(0, 0), `"a"`)
	w := r.worker(0)
	if err := w.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.sql.position(0) != v || len(r.queued(0)) > 0 {
		t.Errorf("position %d of %d, left are %v", r.sql.position(0), v, r.queued(0))
	}
	r.commits = &held{Committer: r.sql, calls: 1 << 30}
	r.put(r.inShard(0, 1), `"b"`)
	ctx, cancel := context.WithTimeout(t.Context(), 4*retryFirst)
	defer cancel()
	if err := w.finish(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it is locked: %v", err)
	}
	if r.sql.position(0) != v {
		t.Errorf("position %d of %d", r.sql.position(0), v)
	}
}
