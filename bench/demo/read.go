package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/model"
)

const (
	invalidations     = 400 // trials
	invalidationLimit = 30 * time.Second
	absentIDs         = 1000 // IDs without an item that are read
	absentShare       = 2    // percent of the reads
)

// measureInvalidation writes through one replica and polls another until it shows the write. The other
// one has read the item before, so that it must drop a copy of it.
func (d *demo) measureInvalidation(ctx context.Context) (int, error) {
	w := d.newWriter(1 << 32)
	var live []*model.Item
	for _, it := range d.book.items {
		if !it.Deleted {
			live = append(live, it)
		}
	}
	if len(live) == 0 || len(d.api.bases) < 2 {
		return 0, nil
	}
	n := min(invalidations, len(live))
	for range n {
		if err := d.invalidateOnce(ctx, w, live[w.rng.IntN(len(live))]); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (d *demo) invalidateOnce(ctx context.Context, w *writer, it *model.Item) error {
	reader := (w.turn + 2) % len(w.api.bases) // not the one that edit takes
	if _, _, _, err := d.api.get(ctx, reader, it.ID, false); err != nil {
		return err
	}
	if err := w.edit(ctx, it); err != nil {
		return err
	}
	acknowledged := time.Now()
	for {
		got, found, ans, err := d.api.get(ctx, reader, it.ID, false)
		if err != nil {
			return err
		}
		late := time.Since(acknowledged)
		if found && got.Version == it.Version {
			d.report.delay(late)
			return nil
		}
		if !found || got.Version > it.Version || late > invalidationLimit {
			d.report.mismatch("invalidation", it.ID, "%v after version %d replica %d shows found %v, version %d (%s)",
				late, it.Version, ans.replica, found, got.Version, ans.header.Get("Cache-Status"))
			return nil
		}
	}
}

// readBack reads items over all replicas, some far more often than others and a few that never were,
// and compares each answer with the record.
func (d *demo) readBack(ctx context.Context) (int, error) {
	unused, err := d.api.mint(ctx, 0, absentIDs)
	if err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	workers := min(d.opts.workers, d.opts.reads)
	order := rand.New(rand.NewPCG(d.opts.seed, 1<<33)).Perm(len(d.book.items))
	for i := range workers {
		group.Go(func() error { return d.readSome(ctx, i, share(d.opts.reads, workers, i), order, unused) })
	}
	return d.opts.reads, group.Wait()
}

// readSome makes n reads. order tells which item has which rank; no item has the IDs in unused.
func (d *demo) readSome(ctx context.Context, worker, n int, order []int, unused []model.ID) error {
	rng := rand.New(rand.NewPCG(d.opts.seed, uint64(1<<34+worker)))
	tiers := map[string]int{}
	defer func() { d.report.reads(tiers) }()
	ranks := zipf(rng, max(2, len(order)))
	for i := range n {
		rank := int(ranks.Uint64())
		if rank >= len(order) {
			rank = 0
		}
		want := d.book.items[order[rank]]
		if rng.IntN(100) < absentShare {
			want = &model.Item{ID: unused[rng.IntN(len(unused))], Deleted: true}
		}
		start := time.Now()
		got, found, ans, err := d.api.get(ctx, (worker+i)%len(d.api.bases), want.ID, false)
		if err != nil {
			return err
		}
		d.report.latency("GET", time.Since(start))
		status := ans.header.Get("Cache-Status")
		tiers[tierOf(status)]++
		compare(d.report, fmt.Sprintf("read back from replica %d (%s)", ans.replica, status), want, &got, found)
	}
	return nil
}

// compare reports an item that was read and is not what the record says.
func compare(r *report, where string, want, got *model.Item, found bool) {
	switch {
	case found && want.Deleted:
		r.mismatch(where, want.ID, "is there with version %d, was deleted", got.Version)
	case !found && !want.Deleted:
		r.mismatch(where, want.ID, "is not there, has version %d", want.Version)
	case found:
		if diff := difference(want, got); diff != "" {
			r.mismatch(where, want.ID, "%s", diff)
		}
	}
}

// tierOf reads the tier from a Cache-Status header (RFC 9211).
func tierOf(status string) string {
	params := strings.Split(status, ";")
	for _, p := range params[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch name {
		case "detail":
			return value
		case "fwd":
			return "sql (" + value + ")"
		}
	}
	return "unknown"
}

// batchGet reads items from one replica and compares them with their records.
func (d *demo) batchGet(ctx context.Context, replica int, items []*model.Item) error {
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.ID.String()
	}
	req := request{
		method: http.MethodPost, path: "/feeds:batchGet",
		body: fmt.Appendf(nil, `{"ids":["%s"]}`, strings.Join(ids, `","`)),
	}
	var results batchAnswer
	ans, err := d.api.settleIf(ctx, replica, req, func(ans *answer) bool {
		results = batchAnswer{}
		return isFinal(ans, &results)
	})
	if err != nil {
		return err
	}
	if ans.status != http.StatusMultiStatus || len(results.Items) != len(items) {
		return unexpected(req, ans)
	}
	where := fmt.Sprintf("batch read from replica %d", ans.replica)
	for i, want := range items {
		res := &results.Items[i]
		var got model.Item
		switch {
		case res.Status == http.StatusOK && res.Item != nil:
			if got, err = res.Item.item(); err != nil {
				return err
			}
		case res.Status != http.StatusNotFound:
			d.report.mismatch(where, want.ID, "was answered with %d %s", res.Status, res.Problem)
			continue
		}
		compare(d.report, where, want, &got, res.Item != nil)
	}
	return nil
}

// inParallel runs work for every i below n on so many workers.
func inParallel(ctx context.Context, workers, n int, work func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	next := 0
	for range min(workers, n) {
		group.Go(func() error {
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return nil
				}
				if err := work(ctx, i); err != nil {
					return err
				}
			}
			return context.Cause(ctx)
		})
	}
	return group.Wait()
}
