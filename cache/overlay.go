package cache

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zmsg/zmsg/model"
)

// Pending is a write that is queued and not yet in SQL.
type Pending struct {
	ID       model.ID
	AuthorID model.ID // of a deletion, the author of the deleted item
	Version  model.Version
	Deleted  bool
}

// Overlay knows the queued writes that this replica has made or heard of, so that lists show them
// before SQL does. It holds the latest write of each item, and is as large as the backlog of the
// queue, which the queue bounds. Its methods may be called concurrently; shards do not block each
// other.
type Overlay struct {
	shards []overlayShard
}

// overlayShard is the overlay of one shard. Invariants: every item of latest has its version in order
// and its ID in authors; order is sorted by version.
type overlayShard struct {
	mu       sync.RWMutex
	era      uint32
	released model.Version // SQL has everything up to it
	latest   map[model.ID]Pending
	authors  map[model.ID]map[model.ID]struct{} // author to the items of latest
	order    []queuedVersion                    // those replaced since included

	size atomic.Int64 // len(latest), so that reads skip an empty shard without its lock
}

type queuedVersion struct {
	version model.Version
	id      model.ID
}

// NewOverlay returns an overlay of so many shards, all empty in era 0.
func NewOverlay(shards int) *Overlay {
	o := &Overlay{shards: make([]overlayShard, shards)}
	for i := range o.shards {
		o.shards[i].clear()
	}
	return o
}

// Add notes a queued write. Ignored are writes of an older era, of what is released, and of an item
// whose later write is known. A newer era than the shard's begins here, with nothing released.
func (o *Overlay) Add(shard int, era uint32, p Pending) {
	s := &o.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if era > s.era {
		s.era, s.released = era, 0
		s.clear()
	}
	if era < s.era || p.Version <= s.released {
		return
	}
	old, known := s.latest[p.ID]
	if known && old.Version >= p.Version {
		return
	}
	if known {
		s.unlink(old)
	}
	s.latest[p.ID] = p
	items := s.authors[p.AuthorID]
	if items == nil {
		items = make(map[model.ID]struct{})
		s.authors[p.AuthorID] = items
	}
	items[p.ID] = struct{}{}
	s.insert(queuedVersion{p.Version, p.ID})
	s.size.Store(int64(len(s.latest)))
}

// insert keeps order sorted. Writes arrive nearly in order, so the place is found from the end.
func (s *overlayShard) insert(q queuedVersion) {
	at := len(s.order)
	for at > 0 && s.order[at-1].version > q.version {
		at--
	}
	s.order = slices.Insert(s.order, at, q)
}

// unlink removes an item from its author's.
func (s *overlayShard) unlink(p Pending) {
	items := s.authors[p.AuthorID]
	delete(items, p.ID)
	if len(items) == 0 {
		delete(s.authors, p.AuthorID)
	}
}

// Released forgets the writes up to a version, which are in SQL now. An item with a later write stays.
func (o *Overlay) Released(shard int, era uint32, upTo model.Version) {
	s := &o.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if era != s.era || upTo <= s.released {
		return
	}
	s.released = upTo
	n := 0
	for ; n < len(s.order) && s.order[n].version <= upTo; n++ {
		q := s.order[n]
		if p, ok := s.latest[q.id]; ok && p.Version == q.version {
			s.unlink(p)
			delete(s.latest, q.id)
		}
	}
	s.order = slices.Delete(s.order, 0, n)
	if len(s.latest) == 0 {
		s.clear() // maps and slices that a burst has grown go, too
	}
	s.size.Store(int64(len(s.latest)))
}

// Reset empties the shard for an era in which everything up to released is in SQL. An older era than
// the shard's is ignored.
func (o *Overlay) Reset(shard int, era uint32, released model.Version) {
	s := &o.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if era < s.era {
		return
	}
	s.era, s.released = era, released
	s.clear()
}

func (s *overlayShard) clear() {
	s.latest = make(map[model.ID]Pending)
	s.authors = make(map[model.ID]map[model.ID]struct{})
	s.order = nil
	s.size.Store(0)
}

// ByAuthors returns the pending items of the authors with IDs below before (0: all), newest first,
// deletions included. Each is the latest pending write of its item.
func (o *Overlay) ByAuthors(authors []model.ID, before model.ID) []Pending {
	var found []Pending
	for i := range o.shards {
		s := &o.shards[i]
		if s.size.Load() == 0 {
			continue
		}
		s.mu.RLock()
		for _, author := range authors {
			for id := range s.authors[author] {
				if before == 0 || id < before {
					found = append(found, s.latest[id])
				}
			}
		}
		s.mu.RUnlock()
	}
	slices.SortFunc(found, func(a, b Pending) int { return cmp.Compare(b.ID, a.ID) })
	return slices.Compact(found) // an author named twice
}

// Get returns the latest pending write of an item of the shard.
func (o *Overlay) Get(shard int, id model.ID) (Pending, bool) {
	s := &o.shards[shard]
	if s.size.Load() == 0 {
		return Pending{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.latest[id]
	return p, ok
}

// IDs returns the items of a shard with a pending write.
func (o *Overlay) IDs(shard int) []model.ID {
	s := &o.shards[shard]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.latest))
}

// Len returns the number of items with a pending write.
func (o *Overlay) Len() int {
	n := int64(0)
	for i := range o.shards {
		n += o.shards[i].size.Load()
	}
	return int(n)
}
