package repotest

import (
	"slices"
	"testing"
	"time"

	"github.com/zmsg/zmsg/model"
)

var feedTests = []test{
	{"Feeds/Get", getsItems},
	{"Feeds/GetMany", getsMany},
	{"Feeds/ListByAuthors", listsByAuthors},
	{"Feeds/ListIsStable", listIsStable},
	{"Feeds/ScanIDs", scansIDs},
	{"Feeds/P3_VersionsOnlyRise", versionsOnlyRise},
	{"Feeds/Tombstones", removesTombstones},
}

func getsItems(t *testing.T, r Repo) {
	want := item(1<<62, 7, 1<<61)
	store(t, r, want)
	wantItem(t, r, want)

	got, err := r.Feeds.Get(t.Context(), 5)
	if err != nil || got.Version != 0 {
		t.Errorf("Get of nothing: %+v, %v", got, err)
	}
	gone := tombstone(1<<62, 7, 1<<61+1)
	store(t, r, gone)
	wantItem(t, r, gone)
}

func getsMany(t *testing.T, r Repo) {
	store(t, r, item(3, 1, 1), item(1, 1, 2), tombstone(2, 1, 3))
	items, err := r.Feeds.GetMany(t.Context(), []model.ID{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(items, func(a, b model.Item) int { return int(a.ID - b.ID) })
	want := []model.Item{item(1, 1, 2), tombstone(2, 1, 3), item(3, 1, 1)}
	if !slices.EqualFunc(items, want, same) {
		t.Errorf("got %+v, want %+v", items, want)
	}
	if items, err := r.Feeds.GetMany(t.Context(), nil); err != nil || len(items) != 0 {
		t.Errorf("GetMany of nothing: %v, %v", items, err)
	}
}

func listsByAuthors(t *testing.T, r Repo) {
	var all []model.Item
	for id := model.ID(1); id <= 40; id++ {
		all = append(all, item(id, id%4, 1))
	}
	all[35] = tombstone(36, 0, 1)
	all = append(all, item(1<<63-1, 9, 1))
	store(t, r, all...)
	for _, tc := range []struct {
		authors []model.ID
		before  model.ID
		limit   int
		want    []model.ID
	}{
		{[]model.ID{0, 1}, 0, 4, []model.ID{40, 37, 33, 32}},
		{[]model.ID{0, 1}, 32, 3, []model.ID{29, 28, 25}},
		{[]model.ID{2}, 7, 10, []model.ID{6, 2}},
		{[]model.ID{2}, 1, 10, nil},
		{[]model.ID{99, 9}, 0, 10, []model.ID{1<<63 - 1}},
		{nil, 0, 10, nil},
	} {
		items, err := r.Feeds.ListByAuthors(t.Context(), tc.authors, tc.before, tc.limit)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(items); !slices.Equal(got, tc.want) {
			t.Errorf("authors %v before %d limit %d: got %v, want %v", tc.authors, tc.before, tc.limit, got, tc.want)
		}
		for _, it := range items {
			if !same(it, item(it.ID, it.AuthorID, 1)) {
				t.Errorf("listed %+v", it)
			}
		}
	}
}

// Pages follow each other without gap and repetition, whatever is inserted or deleted meanwhile.
func listIsStable(t *testing.T, r Repo) {
	for id := model.ID(10); id <= 100; id += 10 {
		store(t, r, item(id, 1, 1))
	}
	var seen []model.ID
	for before := model.ID(0); ; {
		page, err := r.Feeds.ListByAuthors(t.Context(), []model.ID{1}, before, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		seen = append(seen, ids(page)...)
		before = page[len(page)-1].ID
		store(t, r, item(1000+before, 1, 1), tombstone(before, 1, 2)) // newer ones, and the anchor goes
	}
	if want := []model.ID{100, 90, 80, 70, 60, 50, 40, 30, 20, 10}; !slices.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}

// Deleted items are found too: their tombstones still say whose they are.
func scansIDs(t *testing.T, r Repo) {
	store(t, r, item(5, 1, 1), item(1, 2, 1), tombstone(3, 1, 1), item(9, 3, 1))
	var all []model.ID
	for after := model.ID(0); ; {
		got, err := r.Feeds.ScanIDs(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		all = append(all, got...)
		after = got[len(got)-1]
	}
	if want := []model.ID{1, 3, 5, 9}; !slices.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}

func versionsOnlyRise(t *testing.T, r Repo) {
	store(t, r, item(1, 1, 5))
	store(t, r, item(1, 1, 4), item(2, 1, 1)) // late
	wantItem(t, r, item(1, 1, 5))
	wantItem(t, r, item(2, 1, 1))
	store(t, r, tombstone(1, 1, 6))
	store(t, r, item(1, 1, 5)) // late: must not bring it back
	wantItem(t, r, tombstone(1, 1, 6))
	store(t, r, tombstone(1, 1, 3)) // a late deletion of an earlier life
	store(t, r, item(1, 2, 7))      // a new life, of another author
	wantItem(t, r, item(1, 2, 7))
	store(t, r, tombstone(1, 1, 6)) // repeated
	wantItem(t, r, item(1, 2, 7))
}

func removesTombstones(t *testing.T, r Repo) {
	store(t, r, item(1, 1, 1), tombstone(2, 1, 2), tombstone(3, 1, 3), tombstone(4, 1, 4), tombstone(5, 1, 500))
	old := noon.Add(100 * time.Millisecond)
	first, err := r.Tombstones.Tombstones(t.Context(), old, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	next, err := r.Tombstones.Tombstones(t.Context(), old, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	found := slices.Concat(first, next)
	if want := []model.Tombstone{{ID: 2, Version: 2}, {ID: 3, Version: 3}, {ID: 4, Version: 4}}; !slices.Equal(found, want) {
		t.Fatalf("got %v, want %v", found, want)
	}

	store(t, r, item(2, 1, 9), tombstone(3, 1, 9)) // both were written since
	n, err := r.Tombstones.RemoveTombstones(t.Context(), append(found, model.Tombstone{ID: 1, Version: 1}))
	if err != nil || n != 1 {
		t.Fatalf("removed %d, %v; want 1", n, err)
	}
	wantItem(t, r, item(1, 1, 1))
	wantItem(t, r, item(2, 1, 9))
	wantItem(t, r, tombstone(3, 1, 9))
	if got, err := r.Feeds.Get(t.Context(), 4); err != nil || got.Version != 0 {
		t.Errorf("the removed tombstone is %+v, %v", got, err)
	}
}
