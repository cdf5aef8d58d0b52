package cache

import (
	"bytes"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"github.com/zmsg/zmsg/model"
)

// states returns items in every state that a read may find one in, by what that is.
func (n *node) states() map[string]model.ID {
	author := newID()
	ids := make(map[string]model.ID)
	next := func(name string) model.ID { ids[name] = newID(); return ids[name] }
	gone := func(id model.ID) model.Item {
		it := item(id, author, "")
		it.Deleted, it.Content = true, nil
		return it
	}
	n.settle(n.queue(item(next("in L2"), author, "in L2")))
	n.settle(n.queue(item(next("in SQL"), author, "in SQL")))
	n.forget(ids["in SQL"])
	n.queue(item(next("deleted in SQL"), author, "x"))
	n.settle(n.queue(gone(ids["deleted in SQL"])))
	n.forget(ids["deleted in SQL"])
	n.settle(n.queue(item(next("removed from SQL"), author, "x")))
	n.forget(ids["removed from SQL"])
	n.sql.mu.Lock()
	delete(n.sql.rows, ids["removed from SQL"])
	n.sql.mu.Unlock()
	// Last: who settles a shard settles all that was written to it before.
	n.queue(item(next("queued"), author, "queued"))
	n.queue(item(next("queued deletion"), author, "x"))
	n.queue(gone(ids["queued deletion"]))
	next("never written")
	return ids
}

func TestGetManyIsGetOfEach(t *testing.T) {
	t.Parallel()
	for _, exact := range []bool{false, true} {
		one, many := newNode(t, true), newNode(t, true)
		ids, same := one.states(), many.states()
		one.catchUp()
		many.catchUp()
		for range 2 { // from below, then from L1
			var list []model.ID
			for _, id := range same {
				list = append(list, id)
			}
			list = append(list, list...)
			docs, errs := many.GetMany(t.Context(), list, exact)
			got := make(map[model.ID]model.Doc)
			for i, id := range list {
				if errs[i] != nil {
					t.Fatal(errs[i])
				}
				if first, again := got[id]; again && !bytes.Equal(first.Body, docs[i].Body) {
					t.Errorf("an item asked for twice is %s and %s", first.Body, docs[i].Body)
				}
				got[id] = docs[i]
			}
			for name, id := range ids {
				want, err := one.Get(t.Context(), id, exact)
				if err != nil {
					t.Fatal(err)
				}
				doc := got[same[name]]
				if doc.Found() != want.Found() || doc.Found() != (len(doc.Body) > 0) || doc.Bypass != want.Bypass || doc.Tier != want.Tier {
					t.Errorf("%s, exact %v: GetMany %v %s, Get %v %s", name, exact, doc.Tier, doc.Body, want.Tier, want.Body)
				}
				live := name == "queued" || name == "in L2" || name == "in SQL"
				if want.Found() != live || (live && !bytes.Contains(want.Body, []byte(name))) {
					t.Errorf("%s: %s", name, want.Body)
				}
			}
		}
		if exact {
			continue
		}
		if one.sql.reads < 2 || many.sql.reads != 1 {
			t.Errorf("%d statements for single reads, %d for many", one.sql.reads, many.sql.reads)
		}
	}
}

func TestP10_ErrorIsNeverCachedAsAbsent(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	ids := n.states()
	n.catchUp()
	n.sql.setFail(model.NewUnavailable("away", nil))
	for _, name := range []string{"in SQL", "deleted in SQL"} {
		if doc, err := n.Get(t.Context(), ids[name], false); model.KindOf(err) != model.Unavailable {
			t.Errorf("%s: %s, %v", name, doc.Body, err)
		}
	}
	docs, errs := n.GetMany(t.Context(), []model.ID{ids["in SQL"], ids["queued"], ids["never written"]}, false)
	if errs[0] == nil || errs[1] != nil || !docs[1].Found() || errs[2] != nil || docs[2].Found() {
		t.Errorf("got %v, %v", docs, errs)
	}
	n.sql.setFail(nil)
	if doc, err := n.Get(t.Context(), ids["in SQL"], false); err != nil || !doc.Found() {
		t.Errorf("afterwards: %s, %v", doc.Body, err)
	}
	if may, err := n.MayExist(t.Context(), ids["in SQL"]); err != nil || !may {
		t.Errorf("afterwards: may exist %v, %v", may, err)
	}
}

// Without Redis, SQL answers at once what is not known to be queued; for the rest a read waits until the
// shard has moved to SQL with what was queued.
func TestP9_ReadsGoAroundRedisAndFillNothing(t *testing.T) {
	t.Parallel()
	logging.Disable() // connections break, as they should
	n := newNode(t, true)
	ids := n.states()
	n.catchUp()
	era := make(map[string]uint32)
	for name, id := range ids {
		era[name] = n.grant(n.space.Shard(id)).Era
	}
	n.sql.setStay(true)
	if err := n.redis.Kill(); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{"in L2": true, "in SQL": true, "queued": true}
	want := func(name string, bypass bool) {
		t.Helper()
		doc, err := n.Get(t.Context(), ids[name], false)
		if err != nil || doc.Bypass != bypass || doc.Tier != model.TierSQL || doc.Found() != found[name] {
			t.Errorf("%s: %+v, %v", name, doc, err)
		}
		if _, _, ok := n.l1.Get(ids[name], era[name]); ok {
			t.Errorf("%s: L1 keeps what may be older than the queue", name)
		}
	}
	author := n.sql.row(ids["in SQL"]).AuthorID
	around := func() {
		t.Helper()
		for name := range ids {
			if name != "queued" && name != "queued deletion" {
				want(name, true)
			}
		}
		docs, errs := n.GetMany(t.Context(), []model.ID{ids["in SQL"], ids["never written"]}, false)
		if errs[0] != nil || !docs[0].Found() || !docs[0].Bypass || errs[1] != nil || docs[1].Found() {
			t.Errorf("many: %+v, %v", docs, errs)
		}
		page, err := n.List(t.Context(), []model.ID{newID()}, 0, 10, false)
		if err != nil || len(page.Items) != 0 || !page.Bypass {
			t.Errorf("list: %+v, %v", page, err)
		}
	}
	around() // before anybody knows
	n.eventually("the loss is noticed", func() bool { return n.table.Away(0) })
	around()
	if may, err := n.MayExist(t.Context(), ids["never written"]); err != nil || !may {
		t.Errorf("without Redis something is excluded: %v, %v", may, err)
	}

	n.sql.setStay(false)
	docs, errs := n.GetMany(t.Context(), []model.ID{ids["in SQL"], ids["queued"]}, false)
	if errs[0] != nil || errs[1] != nil || !docs[1].Found() || docs[1].Bypass {
		t.Errorf("many: %+v, %v", docs, errs)
	}
	page, err := n.List(t.Context(), []model.ID{author}, 0, 10, false)
	if err != nil || len(page.Items) != 3 {
		t.Errorf("list: %+v, %v", page, err)
	}
	n.eventually("all shards are at home in SQL", func() bool { return n.table.AtSQL() == n.space.Shards() })
	for name := range ids {
		want(name, false)
	}
	if err := n.Evict(t.Context(), ids["in SQL"]); err != nil {
		t.Errorf("evict: %v", err)
	}
	if err := n.redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.eventually("reads fill the caches again", func() bool {
		_, err := n.Get(t.Context(), ids["in SQL"], false)
		doc, err2 := n.Get(t.Context(), ids["in SQL"], false)
		return err == nil && err2 == nil && doc.Found() && doc.Tier == model.TierL1
	})
}

func TestFlightsOfReadersAreJoined(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	it := n.queue(item(newID(), newID(), "x"))
	n.settle(it)
	n.forget(it.ID)
	n.catchUp()
	const readers = 50
	results := make(chan error, readers)
	n.sql.mu.Lock() // SQL is slow
	for range readers {
		go func() {
			doc, err := n.Get(t.Context(), it.ID, false)
			if err == nil && !doc.Found() {
				err = errors.New("not found")
			}
			results <- err
		}()
	}
	n.eventually("a reader waits for SQL", func() bool {
		n.flight.mu.Lock()
		defer n.flight.mu.Unlock()
		return len(n.flight.calls) == 1
	})
	n.sql.mu.Unlock()
	for range readers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n.sql.reads != 1 {
		t.Errorf("%d statements for one item", n.sql.reads)
	}
}
