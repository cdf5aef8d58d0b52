package cache

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/zmsg/zmsg/model"
)

// Filter knows, for each shard, which IDs may exist: a Bloom filter that answers "absent" only when
// it cannot be wrong. That needs two things. The filter is complete: it was built from everything
// that was queued or stored. And its cursor, the last event whose ID it has got, has reached the tip
// of the events that the caller read when it missed the item: no write can have slipped between.
//
// A filter is built aside, while events reach it already, in this order: StartBuild, then the IDs of
// the shard's queue, then those of SQL's rows, then Complete. An item that is queued moves to SQL
// only, so reading the queue first misses none; one that is written later arrives as an event. The
// queue may be read from memory instead (Overlay.IDs) if every write enters the overlay before it is
// added here: else one that the old filter has got alone would be in neither.
//
// A filter that has got more IDs than it was made for is still right, it lets more absent ones pass.
// Due names such shards: they are built anew, larger, while the old filter goes on answering. Filters
// take log2(e)*log2(1/falsePositive) bits for each ID of their capacity: 1.8 MB for a million IDs at
// 0.001.
//
// Its methods may be called concurrently.
type Filter struct {
	falsePositive float64
	shards        []filterShard
}

type filterShard struct {
	mu       sync.RWMutex
	era      uint32
	cursor   uint64        // the last event of this era whose ID has been added
	current  *countedBloom // nil: not complete
	build    *Build        // nil: none under way
	capacity int64         // of the next filter at least

	absent atomic.Int64 // answers
	passed atomic.Int64
}

// countedBloom is a Bloom filter that knows about how many IDs it has.
type countedBloom struct {
	bits     *bloom.BloomFilter
	items    int64
	capacity int64
}

// Build is a filter under construction. Its methods may be called concurrently with everything else.
type Build struct {
	shard *filterShard
	era   uint32
	bloom *countedBloom
}

// NewFilter returns the filter of so many shards, made for capacity IDs in all, which lets the given
// share (0 to 1, exclusive) of absent IDs pass. No shard is complete.
func NewFilter(shards int, capacity int64, falsePositive float64) (*Filter, error) {
	if shards < 1 || capacity < 1 || falsePositive <= 0 || falsePositive >= 1 {
		return nil, fmt.Errorf("filter: %d shards for %d items with %v false positives cannot be", shards, capacity, falsePositive)
	}
	f := &Filter{falsePositive: falsePositive, shards: make([]filterShard, shards)}
	for i := range f.shards {
		f.shards[i].capacity = max(minFilterCapacity, (capacity+int64(shards)-1)/int64(shards))
	}
	return f, nil
}

// minFilterCapacity is the least number of IDs a shard's filter is made for.
const minFilterCapacity = 64

// Absent reports that id has never been written to the shard up to the event tip. False says nothing.
func (f *Filter) Absent(shard int, id model.ID, tip uint64) bool {
	s := &f.shards[shard]
	s.mu.RLock()
	absent := s.current != nil && s.cursor >= tip && !s.current.test(id)
	s.mu.RUnlock()
	if absent {
		s.absent.Add(1)
	} else {
		s.passed.Add(1)
	}
	return absent
}

// Add notes that id exists, or may. It is to be called with an event's ID before Observe is called
// with its position.
func (f *Filter) Add(shard int, id model.ID) {
	s := &f.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.addOnce(id)
	}
	if s.build != nil {
		s.build.bloom.addOnce(id)
	}
}

// Observe moves the cursor to a position in the events of the era; all earlier events' IDs have been
// added. Other eras' positions are ignored, and so are earlier ones.
func (f *Filter) Observe(shard int, era uint32, cursor uint64) {
	s := &f.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if era == s.era && cursor > s.cursor {
		s.cursor = cursor
	}
}

// Reset distrusts what is known of the shard: it answers nothing until it has been built in this era.
// A build under way comes to nothing. Events are followed from the cursor on.
func (f *Filter) Reset(shard int, era uint32, cursor uint64) {
	s := &f.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.grow(s.current)
	}
	s.era, s.cursor = era, cursor
	s.current, s.build = nil, nil
}

// StartBuild begins a new filter of the shard, which replaces the present one once it is complete. It
// is false if the era is not the shard's, or a build is under way: then its owner goes on.
func (f *Filter) StartBuild(shard int, era uint32) (*Build, bool) {
	s := &f.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.era != era || s.build != nil {
		return nil, false
	}
	if s.current != nil {
		s.grow(s.current)
	}
	s.build = &Build{shard: s, era: era, bloom: newCountedBloom(s.capacity, f.falsePositive)}
	return s.build, true
}

// grow gives the next filter room for twice the items of the present one, if that is overfull.
func (s *filterShard) grow(present *countedBloom) {
	if present.items <= present.capacity {
		return
	}
	for s.capacity < 2*present.items {
		s.capacity *= 2
	}
}

// Add puts IDs of the queue or of SQL into the filter under construction.
func (b *Build) Add(ids ...model.ID) {
	b.shard.mu.Lock()
	defer b.shard.mu.Unlock()
	for _, id := range ids {
		b.bloom.add(id)
	}
}

// Complete makes the filter answer: everything that was queued or stored has been added. It is false,
// and nothing changes, if the shard has been reset meanwhile or the build was abandoned.
func (b *Build) Complete() bool {
	b.shard.mu.Lock()
	defer b.shard.mu.Unlock()
	if b.shard.build != b || b.shard.era != b.era {
		return false
	}
	b.shard.current, b.shard.build = b.bloom, nil
	return true
}

// Abandon gives the build up, so that another may start. After Complete it does nothing.
func (b *Build) Abandon() {
	b.shard.mu.Lock()
	defer b.shard.mu.Unlock()
	if b.shard.build == b {
		b.shard.build = nil
	}
}

// Cursor returns the position up to which the shard's events have been observed, and whether the
// filter is complete.
func (f *Filter) Cursor(shard int) (cursor uint64, complete bool) {
	s := &f.shards[shard]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cursor, s.current != nil
}

// Due returns the shards whose filters have outgrown their capacity and are not being built.
func (f *Filter) Due() []int {
	var due []int
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.RLock()
		if s.build == nil && s.current != nil && s.current.items > s.current.capacity {
			due = append(due, i)
		}
		s.mu.RUnlock()
	}
	return due
}

// FilterStats describe all shards together.
type FilterStats struct {
	Shards   int   `json:"shards"`
	Complete int   `json:"complete"` // shards that can answer
	Bytes    int64 `json:"bytes"`    // of memory, builds included
	Items    int64 `json:"items"`    // IDs in the complete filters, about
	Capacity int64 `json:"capacity"` // of the complete filters
	Absent   int64 `json:"absent"`   // answers that spared SQL a query
	Passed   int64 `json:"passed"`   // answers "may exist", or "not known"
}

// Stats returns the state of the filter.
func (f *Filter) Stats() FilterStats {
	st := FilterStats{Shards: len(f.shards)}
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.RLock()
		if s.current != nil {
			st.Complete++
			st.Items += s.current.items
			st.Capacity += s.current.capacity
			st.Bytes += s.current.bytes()
		}
		if s.build != nil {
			st.Bytes += s.build.bloom.bytes()
		}
		s.mu.RUnlock()
		st.Absent += s.absent.Load()
		st.Passed += s.passed.Load()
	}
	return st
}

func newCountedBloom(capacity int64, falsePositive float64) *countedBloom {
	n := uint(min(capacity, math.MaxInt32))
	return &countedBloom{bits: bloom.NewWithEstimates(n, falsePositive), capacity: capacity}
}

// add counts every call: the rows of SQL come once each, while a filter that is filled beyond its
// capacity takes most of them for known.
func (c *countedBloom) add(id model.ID) {
	b := idBytes(id)
	c.bits.Add(b[:])
	c.items++
}

// addOnce counts only IDs that are new to the filter: each write of an item is an event.
func (c *countedBloom) addOnce(id model.ID) {
	b := idBytes(id)
	if !c.bits.TestAndAdd(b[:]) {
		c.items++
	}
}

func (c *countedBloom) test(id model.ID) bool {
	b := idBytes(id)
	return c.bits.Test(b[:])
}

func (c *countedBloom) bytes() int64 { return int64(c.bits.Cap()) / 8 }

func idBytes(id model.ID) (b [8]byte) {
	binary.LittleEndian.PutUint64(b[:], uint64(id))
	return b
}
