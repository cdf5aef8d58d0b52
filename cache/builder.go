package cache

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Builder completes the Bloom filters of shards that were entered, and rebuilds those that have grown
// too full. One scan of SQL serves all that wait when it begins: by then their queues have been added
// and their events are followed, so whatever the scan misses reaches the filter as an event.
type Builder struct {
	*lifecycle.Loop
	space   *keyspace.Space
	table   *shards.Table
	filter  *Filter
	overlay *Overlay
	store   Store
	log     *zap.Logger

	mu      sync.Mutex
	waiting map[int]*Build // by shard; their queues have been added
	signal  chan struct{}
}

func newBuilder(d Deps, filter *Filter, overlay *Overlay) *Builder {
	b := &Builder{
		space: d.Space, table: d.Table, filter: filter, overlay: overlay, store: d.Store, log: d.Log,
		waiting: make(map[int]*Build), signal: make(chan struct{}, 1),
	}
	b.Loop = lifecycle.NewLoop(b.run)
	return b
}

// add hands over a build to which the shard's queue has been added.
func (b *Builder) add(shard int, build *Build) {
	b.mu.Lock()
	b.waiting[shard] = build
	b.mu.Unlock()
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

const (
	scanPage    = 20_000                // IDs that one statement of the scan returns
	gatherPause = 20 * time.Millisecond // shards are entered in groups: one scan for all of them
	growPeriod  = 10 * time.Second      // how often growth is looked at
	scanRetry   = time.Second
)

func (b *Builder) run(ctx context.Context) {
	tick := time.NewTicker(growPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.grow()
		case <-b.signal:
			pause(ctx, gatherPause)
		}
		for list := b.take(); len(list) > 0; list = b.take() {
			err := b.scan(ctx, list)
			if err == nil {
				continue
			}
			b.putBack(list)
			if ctx.Err() != nil {
				return
			}
			b.log.Warn("could not build the Bloom filter; absent items are looked for in the database", zap.Error(err))
			pause(ctx, scanRetry)
		}
	}
}

// grow begins larger filters for shards that have outgrown theirs. Events reach the new filter from its
// start on; what was queued before is in the overlay.
func (b *Builder) grow() {
	for _, s := range b.filter.Due() {
		g := b.table.Grant(s)
		if g == nil {
			continue
		}
		if build, ok := b.filter.StartBuild(s, g.Era); ok {
			build.Add(b.overlay.IDs(s)...)
			b.add(s, build)
		}
	}
}

func (b *Builder) take() map[int]*Build {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.waiting
	b.waiting = make(map[int]*Build)
	return list
}

func (b *Builder) putBack(list map[int]*Build) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s, build := range list {
		if b.waiting[s] == nil { // else the shard was entered anew meanwhile
			b.waiting[s] = build
		}
	}
}

// scan adds the IDs of all rows, each to its shard's filter, and completes the filters.
func (b *Builder) scan(ctx context.Context, list map[int]*Build) error {
	var after model.ID
	for {
		ids, err := b.store.ScanIDs(ctx, after, scanPage)
		if err != nil {
			return err
		}
		byShard := make(map[int][]model.ID, len(list))
		for _, id := range ids {
			if s := b.space.Shard(id); list[s] != nil {
				byShard[s] = append(byShard[s], id)
			}
		}
		for s, some := range byShard {
			list[s].Add(some...)
		}
		if len(ids) < scanPage {
			break
		}
		after = ids[len(ids)-1]
	}
	for _, build := range list {
		build.Complete()
	}
	return nil
}
