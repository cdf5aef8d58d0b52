package cache

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

// listModel knows the newest write of every item, and which of them have left the queue.
type listModel struct {
	n       *node
	authors []model.ID
	newest  map[model.ID]model.Item
	queued  []model.Item // in the order of their writes
}

// write queues a creation, a replacement or a deletion.
func (m *listModel) write(t *rapid.T, ids []model.ID) {
	id := rapid.SampledFrom(ids).Draw(t, "id")
	old, known := m.newest[id]
	it := item(id, rapid.SampledFrom(m.authors).Draw(t, "author"), textN(len(m.queued)))
	if known {
		it.AuthorID = old.AuthorID
	}
	if known && !old.Deleted && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
		it.Deleted, it.Content = true, nil
	}
	it = m.n.queue(it)
	m.newest[id] = it
	m.queued = append(m.queued, it)
}

// purge deletes the newest items: so many pending deletions that a page looks at only a part of them.
func (m *listModel) purge(t *rapid.T) {
	live := m.list(m.authors)
	for _, it := range live[:rapid.IntRange(0, len(live)).Draw(t, "purged")] {
		it.Deleted, it.Content = true, nil
		it = m.n.queue(it)
		m.newest[it.ID] = it
		m.queued = append(m.queued, it)
	}
}

// drain brings the oldest writes to SQL. Their release may come later, and their entries may be evicted
// then.
func (m *listModel) drain(t *rapid.T) {
	count := rapid.IntRange(0, len(m.queued)).Draw(t, "writes")
	release, evict := rapid.Bool().Draw(t, "release"), rapid.Bool().Draw(t, "evict")
	for _, it := range m.queued[:count] {
		m.n.sql.store(it)
		if !release {
			continue
		}
		m.n.release(m.n.space.Shard(it.ID), it.Version)
		if evict {
			m.n.forget(it.ID)
		}
	}
	if release {
		m.queued = m.queued[count:]
	}
}

// list returns what an exact list of the authors must show.
func (m *listModel) list(authors []model.ID) []model.Item {
	var want []model.Item
	for _, it := range m.newest {
		if !it.Deleted && slices.Contains(authors, it.AuthorID) {
			want = append(want, it)
		}
	}
	sortNewestFirst(want)
	return want
}

// pages returns all pages of a list, one after the other.
func (m *listModel) pages(t *rapid.T, authors []model.ID, limit int) []model.Item {
	var all []model.Item
	before := model.ID(0)
	for {
		page, err := m.n.List(m.n.t.Context(), authors, before, limit, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > limit || (page.More && len(page.Items) == 0) || page.Bypass {
			t.Fatalf("a page of %d items, limit %d, more %v, bypass %v", len(page.Items), limit, page.More, page.Bypass)
		}
		all = append(all, page.Items...)
		if !page.More {
			return all
		}
		before = page.Items[len(page.Items)-1].ID
	}
}

// TestListsMergeQueueAndSQL writes, drains and evicts at random: whatever the page size, the pages of a
// list, put together, are what a naive model knows, each item once and newest first.
func TestListsMergeQueueAndSQL(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	rapid.Check(t, func(t *rapid.T) {
		m := &listModel{n: n, newest: make(map[model.ID]model.Item), authors: []model.ID{newID(), newID(), newID()}}
		ids := make([]model.ID, rapid.IntRange(1, 30).Draw(t, "items"))
		for i := range ids {
			ids[i] = newID()
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "step") > 0 {
				m.write(t, ids)
			} else {
				m.drain(t)
			}
		}
		if rapid.Bool().Draw(t, "purge") {
			m.purge(t)
		}
		authors := m.authors[:rapid.IntRange(1, 3).Draw(t, "authors")]
		limit := rapid.SampledFrom([]int{1, 1, 2, 3, 10, 40}).Draw(t, "limit")
		got, want := m.pages(t, authors, limit), m.list(authors)
		if !slices.EqualFunc(got, want, func(a, b model.Item) bool {
			return a.ID == b.ID && a.Version == b.Version && string(a.Content) == string(b.Content)
		}) {
			t.Fatalf("limit %d: got %v, want %v", limit, got, want)
		}
	})
}

// However many of the newest items are deleted, the list goes on right below them.
func TestListGoesOnBelowPendingDeletions(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	const most = 3 * pendingFactor
	author := newID()
	base := model.ID(1) << 40 // IDs that follow each other
	for i := range most {
		n.queue(item(base+model.ID(i), author, "x"))
	}
	for deleted := range most {
		n.catchUp()
		want := base + model.ID(most-1-deleted)
		page, err := n.List(t.Context(), []model.ID{author}, 0, 1, true)
		if err != nil || len(page.Items) != 1 || page.Items[0].ID != want || (!page.More && want > base) {
			t.Fatalf("%d deleted: got %+v, %v, want %s", deleted, page, err, want)
		}
		gone := page.Items[0]
		gone.Deleted, gone.Content = true, nil
		n.queue(gone)
	}
}

// An item is written again, and that is drained, after the list has read what was queued.
func TestListPrefersTheNewerVersion(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	author := newID()
	it := item(newID(), author, "first")
	n.queue(it)
	n.catchUp()
	var newer model.Item
	n.sql.listed = func() {
		n.sql.listed = nil
		it.Content = []byte(`"second"`)
		newer = n.queue(it)
		n.settle(newer)
	}
	page, err := n.List(t.Context(), []model.ID{author}, 0, 10, false)
	if err != nil || len(page.Items) != 1 || page.Items[0].Version != newer.Version || string(page.Items[0].Content) != `"second"` {
		t.Errorf("got %+v, %v", page, err)
	}
}

func TestListIsAnErrorWithoutSQL(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	author := newID()
	n.queue(item(newID(), author, "queued"))
	n.catchUp()
	n.sql.setFail(model.NewUnavailable("away", nil))
	if page, err := n.List(t.Context(), []model.ID{author}, 0, 10, false); model.KindOf(err) != model.Unavailable {
		t.Errorf("got %+v, %v", page, err)
	}
}
