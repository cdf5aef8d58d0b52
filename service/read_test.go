package service_test

import (
	"encoding/base64"
	"slices"
	"testing"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

func listed(t *testing.T, f *service.Feeds, authors []model.ID, limit int) (ids []model.ID, cursors []string) {
	t.Helper()
	q := service.ListQuery{Authors: authors, Limit: limit}
	for {
		page, err := f.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			ids = append(ids, it.ID)
		}
		if page.NextCursor == "" {
			return ids, cursors
		}
		cursors = append(cursors, page.NextCursor)
		q.Cursor = page.NextCursor
	}
}

func TestFeeds_ListPagesThroughAllItemsOnce(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	for id := model.ID(1); id <= 10; id++ {
		w, err := f.Put(t.Context(), draft(id, 1+id%3, `1`), sync1)
		must(t, w, err)
	}
	got, cursors := listed(t, f, []model.ID{3, 1, 3}, 2)
	if want := []model.ID{9, 8, 6, 5, 3, 2}; !slices.Equal(got, want) || len(cursors) != 2 {
		t.Errorf("listed %v with %d cursors, want %v", got, len(cursors), want)
	}
	page, err := f.List(t.Context(), service.ListQuery{Authors: []model.ID{1, 3}, Cursor: cursors[0], Limit: 100})
	if err != nil || len(page.Items) != 4 {
		t.Errorf("the cursor with another order and limit gave %d items, %v", len(page.Items), err)
	}
}

func TestFeeds_ListRefuses(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	for id := model.ID(1); id <= 3; id++ {
		w, err := f.Put(t.Context(), draft(id, 1, `1`), sync1)
		must(t, w, err)
	}
	_, cursors := listed(t, f, []model.ID{1}, 2)
	tooMany := make([]model.ID, service.MaxListAuthors+1)
	for i := range tooMany {
		tooMany[i] = model.ID(i + 1)
	}
	broken, err := base64.RawURLEncoding.DecodeString(cursors[0])
	if err != nil {
		t.Fatal(err)
	}
	broken[8]++
	cases := map[string]struct {
		query service.ListQuery
		kind  model.Kind
		field string
	}{
		"NoAuthor":        {service.ListQuery{}, model.Invalid, "author_id"},
		"AuthorZero":      {service.ListQuery{Authors: []model.ID{1, 0}}, model.Invalid, "author_id"},
		"TooManyAuthors":  {service.ListQuery{Authors: tooMany}, model.Invalid, "author_id"},
		"NegativeLimit":   {service.ListQuery{Authors: []model.ID{1}, Limit: -1}, model.Invalid, "limit"},
		"Junk":            {service.ListQuery{Authors: []model.ID{1}, Cursor: "!"}, model.Malformed, "cursor"},
		"CutCursor":       {service.ListQuery{Authors: []model.ID{1}, Cursor: cursors[0][:10]}, model.Malformed, "cursor"},
		"CursorOfAnother": {service.ListQuery{Authors: []model.ID{1, 2}, Cursor: cursors[0]}, model.Malformed, "cursor"},
		"ChangedCursor": {service.ListQuery{
			Authors: []model.ID{1}, Cursor: base64.RawURLEncoding.EncodeToString(broken),
		}, model.Malformed, "cursor"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := f.List(t.Context(), c.query)
			wantErr(t, err, c.kind, c.field)
		})
	}
}

func TestFeeds_ListLimits(t *testing.T) {
	t.Parallel()
	f := newFeeds(newStore())
	for id := model.ID(1); id <= 120; id++ {
		w, err := f.Put(t.Context(), draft(id, 1, `1`), sync1)
		must(t, w, err)
	}
	for limit, want := range map[int]int{0: service.DefaultListLimit, 7: 7, 1000: service.MaxListLimit} {
		page, err := f.List(t.Context(), service.ListQuery{Authors: []model.ID{1}, Limit: limit})
		if err != nil || len(page.Items) != want {
			t.Errorf("limit %d gave %d items, %v, want %d", limit, len(page.Items), err, want)
		}
	}
}
