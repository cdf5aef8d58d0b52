package cache

import (
	"cmp"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/zmsg/zmsg/model"
)

func TestOverlayShowsTheLatestOfEachItem(t *testing.T) {
	t.Parallel()
	o := NewOverlay(2)
	o.Add(0, 1, Pending{ID: 10, AuthorID: 1, Version: 1})
	o.Add(1, 1, Pending{ID: 11, AuthorID: 2, Version: 1})
	o.Add(0, 1, Pending{ID: 12, AuthorID: 1, Version: 2})
	o.Add(0, 1, Pending{ID: 10, AuthorID: 1, Version: 3, Deleted: true})
	o.Add(0, 1, Pending{ID: 10, AuthorID: 1, Version: 2}) // late
	want := []Pending{{12, 1, 2, false}, {11, 2, 1, false}, {10, 1, 3, true}}
	if got := o.ByAuthors([]model.ID{1, 2, 2, 3}, 0); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := o.ByAuthors([]model.ID{1}, 12); !slices.Equal(got, want[2:]) {
		t.Errorf("below 12: got %v", got)
	}
	if p, ok := o.Get(0, 10); !ok || p != want[2] {
		t.Errorf("got %v %v", p, ok)
	}
	if _, ok := o.Get(1, 10); ok {
		t.Error("the item is in another shard, too")
	}
	o.Released(0, 1, 2)
	if got := o.ByAuthors([]model.ID{1, 2}, 0); !slices.Equal(got, want[1:]) || o.Len() != 2 {
		t.Errorf("released up to 2: got %v, %d", got, o.Len())
	}
	o.Released(0, 1, 3)
	o.Released(1, 1, 1)
	if o.Len() != 0 || len(o.ByAuthors([]model.ID{1, 2}, 0)) != 0 {
		t.Error("the released stay")
	}
	o.Add(0, 1, Pending{ID: 10, AuthorID: 1, Version: 3}) // its event comes after its release
	if o.Len() != 0 {
		t.Error("a released write came back")
	}
}

func TestOverlayEras(t *testing.T) {
	t.Parallel()
	o := NewOverlay(1)
	o.Reset(0, 2, 5)
	o.Add(0, 1, Pending{ID: 1, AuthorID: 1, Version: 9})
	o.Add(0, 2, Pending{ID: 2, AuthorID: 1, Version: 5})
	if o.Len() != 0 {
		t.Error("writes of an old era, or released ones, were taken")
	}
	o.Add(0, 2, Pending{ID: 2, AuthorID: 1, Version: 6})
	o.Released(0, 1, 100)
	o.Released(0, 3, 100)
	o.Reset(0, 1, 0)
	if o.Len() != 1 {
		t.Error("another era took effect")
	}
	o.Add(0, 3, Pending{ID: 3, AuthorID: 1, Version: 1}) // an own write may be ahead of Reset
	if _, ok := o.Get(0, 3); !ok || o.Len() != 1 {
		t.Error("the new era did not begin")
	}
	o.Reset(0, 3, 0)
	if o.Len() != 0 {
		t.Error("Reset left something")
	}
}

// naiveOverlay keeps every write of one shard in a list.
type naiveOverlay struct {
	era      uint32
	released model.Version
	writes   []Pending
}

func (n *naiveOverlay) add(era uint32, p Pending) {
	if era > n.era {
		*n = naiveOverlay{era: era}
	}
	if era == n.era && p.Version > n.released {
		n.writes = append(n.writes, p)
	}
}

func (n *naiveOverlay) release(era uint32, upTo model.Version) {
	if era != n.era || upTo <= n.released {
		return
	}
	n.released = upTo
	n.writes = slices.DeleteFunc(n.writes, func(p Pending) bool { return p.Version <= upTo })
}

func (n *naiveOverlay) latest(id model.ID) (latest Pending, ok bool) {
	for _, p := range n.writes {
		if p.ID == id && p.Version > latest.Version {
			latest, ok = p, true
		}
	}
	return latest, ok
}

func TestOverlayRandomOperations(t *testing.T) {
	t.Parallel()
	const shards, items = 2, 6
	rapid.Check(t, func(t *rapid.T) {
		o := NewOverlay(shards)
		naive := make([]naiveOverlay, shards)
		draw := func(t *rapid.T, name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, name) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := model.ID(draw(t, "id", 1, items))
				v := model.Version(draw(t, "version", 1, 40))
				// A version names one write: what it does follows from it.
				p := Pending{ID: id, AuthorID: model.ID(1 + v%3), Version: v*items + model.Version(id), Deleted: v%4 == 0}
				shard, era := int(id)%shards, uint32(draw(t, "era", 0, 2))
				o.Add(shard, era, p)
				naive[shard].add(era, p)
			},
			"release": func(t *rapid.T) {
				shard, era, v := draw(t, "shard", 0, shards-1), uint32(draw(t, "era", 0, 2)), model.Version(draw(t, "upTo", 0, 250))
				o.Released(shard, era, v)
				naive[shard].release(era, v)
			},
			"reset": func(t *rapid.T) {
				shard, era, v := draw(t, "shard", 0, shards-1), uint32(draw(t, "era", 0, 2)), model.Version(draw(t, "released", 0, 50))
				o.Reset(shard, era, v)
				if era >= naive[shard].era {
					naive[shard] = naiveOverlay{era: era, released: v}
				}
			},
			"": func(t *rapid.T) {
				authors := []model.ID{1, 3}
				before := model.ID(draw(t, "before", 0, items))
				var listed []Pending
				pending := 0
				for id := model.ID(1); id <= items; id++ {
					want, found := naive[int(id)%shards].latest(id)
					if got, ok := o.Get(int(id)%shards, id); ok != found || got != want {
						t.Fatalf("item %d: got %+v %v, want %+v %v", id, got, ok, want, found)
					}
					if found {
						pending++
					}
					if found && slices.Contains(authors, want.AuthorID) && (before == 0 || id < before) {
						listed = append(listed, want)
					}
				}
				slices.SortFunc(listed, func(a, b Pending) int { return cmp.Compare(b.ID, a.ID) })
				if got := o.ByAuthors(authors, before); !slices.Equal(got, listed) {
					t.Fatalf("got %v, want %v", got, listed)
				}
				if n := len(o.IDs(0)) + len(o.IDs(1)); n != pending {
					t.Fatalf("%d IDs, want %d", n, pending)
				}
				if o.Len() != pending {
					t.Fatalf("%d pending, want %d", o.Len(), pending)
				}
			},
		})
		for i := range o.shards { // what is kept for an empty shard must be empty
			o.Released(i, naive[i].era, 1<<40)
			if s := &o.shards[i]; len(s.latest)+len(s.authors)+len(s.order) != 0 {
				t.Fatalf("shard %d keeps %d items, %d authors, %d versions", i, len(s.latest), len(s.authors), len(s.order))
			}
		}
	})
}

func TestOverlayConcurrently(t *testing.T) {
	t.Parallel()
	const shards, writes = 8, 2000
	o := NewOverlay(shards)
	var wg sync.WaitGroup
	for shard := range shards {
		wg.Go(func() {
			for v := model.Version(1); v <= writes; v++ {
				id := model.ID(int64(v)%100*shards + int64(shard) + 1)
				o.Add(shard, 1, Pending{ID: id, AuthorID: id % 5, Version: v})
				if p, ok := o.Get(shard, id); !ok || p.Version < v {
					t.Errorf("item %d: %v %v after version %d", id, p, ok, v)
				}
				if v%10 == 0 {
					o.Released(shard, 1, v-50)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 200 {
				for i, list := 1, o.ByAuthors([]model.ID{0, 1, 2, 3, 4}, 0); i < len(list); i++ {
					if list[i-1].ID <= list[i].ID {
						t.Errorf("%d before %d", list[i-1].ID, list[i].ID)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := o.Len(); n != shards*50 {
		t.Errorf("%d pending, want %d", n, shards*50)
	}
}

func BenchmarkOverlayAddAndRelease(b *testing.B) {
	o := NewOverlay(1)
	b.ReportAllocs()
	for i := range b.N {
		v := model.Version(i + 1)
		o.Add(0, 1, Pending{ID: model.ID(i + 1), AuthorID: model.ID(i%1000 + 1), Version: v})
		if i%1000 == 999 {
			o.Released(0, 1, v-10_000)
		}
	}
}
