package zmsg_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/service"
)

// feeding is load on feed items: clients that write their own items, each write repeated until it is
// answered, and read them back at the replica that has answered; and readers of everybody's items, which
// never see a version fall.
type feeding struct {
	t        *testing.T
	replicas func() []*replica // those that take requests now
	stop     context.CancelFunc
	group    sync.WaitGroup
	answered atomic.Int64
	reads    atomic.Int64
	writing  pace
	reading  pace

	mu    sync.Mutex
	items []model.ID
	acked map[model.ID]feedItem
}

// feedItem is an item after its last acknowledged write.
type feedItem struct {
	author  model.ID
	text    string // "" if deleted
	version model.Version
}

// feedUnderLoad starts clients and readers, which end before the test does.
func feedUnderLoad(t *testing.T, clients, readers int, replicas func() []*replica) *feeding {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &feeding{t: t, replicas: replicas, stop: cancel, acked: make(map[model.ID]feedItem)}
	for n := range clients {
		f.group.Go(func() { f.write(ctx, newID(), rand.New(rand.NewPCG(3, uint64(n)))) })
	}
	for n := range readers {
		f.group.Go(func() { f.read(ctx, rand.New(rand.NewPCG(4, uint64(n)))) })
	}
	t.Cleanup(f.end)
	return f
}

// end stops the load and waits for the requests under way.
func (f *feeding) end() {
	f.stop()
	f.group.Wait()
}

// write creates, changes and deletes items of one author.
func (f *feeding) write(ctx context.Context, author model.ID, random *rand.Rand) {
	var mine []model.ID
	for n := 0; ctx.Err() == nil; n++ {
		next := feedWrite{feedItem: feedItem{author: author, text: fmt.Sprintf("%s: %d", author, n)}, key: fmt.Sprintf("%s-%d", author, n)}
		switch kind := random.IntN(10); {
		case kind == 0 || len(mine) == 0: // a new item, whose ID is made
		case kind == 1:
			next.id = newID()
		default:
			next.id = mine[random.IntN(len(mine))]
			if kind == 2 && f.alive(next.id) {
				next.text = ""
			}
		}
		if random.IntN(3) == 0 {
			next.store = model.StoreSync
		} else {
			next.store = model.StoreDelayed
		}
		r, ok := f.persist(ctx, &next, random)
		if !ok {
			return
		}
		if !slices.Contains(mine, next.id) {
			mine = append(mine, next.id)
		}
		f.keep(&next)
		f.readBack(ctx, r, &next)
		<-time.After(thinkTime)
	}
}

// alive reports whether the item's last write was no deletion.
func (f *feeding) alive(id model.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked[id].text != ""
}

// feedWrite is one write of an item.
type feedWrite struct {
	feedItem
	id    model.ID // 0 until the answer tells which one was made
	key   string
	store model.Store
}

func (w *feedWrite) send(ctx context.Context, r *replica) (service.Written, error) {
	o := service.WriteOptions{Store: w.store, IdempotencyKey: w.key, Fingerprint: w.text}
	switch {
	case w.id == 0:
		return r.Feeds.Create(ctx, draft(0, w.author, w.text), o)
	case w.text == "":
		return r.Feeds.Delete(ctx, w.id, o)
	default:
		return r.Feeds.Put(ctx, draft(w.id, w.author, w.text), o)
	}
}

// persist repeats one write, at any of the replicas, until it is answered, also when the load has ended, and
// returns who did.
func (f *feeding) persist(ctx context.Context, w *feedWrite, random *rand.Rand) (*replica, bool) {
	began := time.Now()
	for {
		list := f.replicas()
		r := list[random.IntN(len(list))]
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		res, err := w.send(bounded, r)
		cancel()
		if err == nil {
			w.id, w.version = res.Item.ID, res.Item.Version
			return r, true
		}
		if !unavailable(err) || time.Since(began) > giveUp {
			f.t.Errorf("write of %s (%q) after %v: %v", w.id, w.text, time.Since(began), err)
			return nil, false
		}
		<-time.After(20 * time.Millisecond)
	}
}

// keep takes a write that was acknowledged, of the load or of the test itself.
func (f *feeding) keep(w *feedWrite) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.acked[w.id]; !known {
		f.items = append(f.items, w.id)
	}
	f.acked[w.id] = w.feedItem
	f.answered.Add(1)
	f.writing.hit()
}

// readBack reads what has just been acknowledged, at the replica that did. Nobody else writes the item.
func (f *feeding) readBack(ctx context.Context, r *replica, w *feedWrite) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	doc, err := r.Feeds.Get(bounded, w.id, false)
	switch {
	case unavailable(err):
	case err != nil:
		f.t.Errorf("read of %s: %v", w.id, err)
	case textOf(f.t, doc) != w.text:
		f.t.Errorf("%s reads %q@%s (%s, bypass %v) where %q@%s has just been acknowledged",
			w.id, textOf(f.t, doc), doc.Version, doc.Tier, doc.Bypass, w.text, w.version)
	}
}

// read reads items at one replica. Only an answer that says that Redis was out of reach may be older than
// one before it.
func (f *feeding) read(ctx context.Context, random *rand.Rand) {
	seen := make(map[*replica]map[model.ID]model.Version)
	for ctx.Err() == nil {
		<-time.After(thinkTime)
		id, low, ok := f.pick(random)
		if !ok {
			continue
		}
		list := f.replicas()
		r, exact := list[random.IntN(len(list))], random.IntN(2) == 0
		if seen[r] == nil {
			seen[r] = make(map[model.ID]model.Version)
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		doc, err := r.Feeds.Get(bounded, id, exact)
		cancel()
		if err != nil {
			if !unavailable(err) {
				f.t.Errorf("read of %s: %v", id, err)
			}
			continue
		}
		f.reads.Add(1)
		f.reading.hit()
		if exact && doc.Bypass {
			f.t.Errorf("an exact read of %s went around Redis", id)
		}
		if !doc.Found() || doc.Bypass {
			continue
		}
		if exact {
			seen[r][id] = max(seen[r][id], low)
		}
		if doc.Version < seen[r][id] {
			f.t.Errorf("%s reads version %s (%s, exact %v) after %s", id, doc.Version, doc.Tier, exact, seen[r][id])
		}
		seen[r][id] = max(seen[r][id], doc.Version)
	}
}

// pick returns any item, and the version that has been acknowledged of it.
func (f *feeding) pick(random *rand.Rand) (id model.ID, version model.Version, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.items) == 0 {
		return 0, 0, false
	}
	id = f.items[random.IntN(len(f.items))]
	return id, f.acked[id].version, true
}

// awaitAnswers waits until so many more writes are answered.
func (f *feeding) awaitAnswers(n int64) {
	f.t.Helper()
	want := f.answered.Load() + n
	eventually(f.t, giveUp, "writes are answered", func() bool { return f.answered.Load() >= want })
}

// wantExact checks every item and every list on every replica, and, once the queue is empty, in SQL,
// where there are some items of others.
func (f *feeding) wantExact(w *world, others int) {
	f.t.Helper()
	lists := make(map[model.ID][]model.ID)
	for id, last := range f.acked {
		if last.text != "" {
			lists[last.author] = append(lists[last.author], id)
		}
	}
	for _, r := range f.replicas() {
		for id, last := range f.acked {
			if got := r.text(f.t, id, true); got != last.text {
				f.t.Errorf("%s reads %q; acknowledged is %q@%s", id, got, last.text, last.version)
			}
		}
		for author, ids := range lists {
			got := r.listed(f.t, true, author)
			slices.Sort(ids)
			slices.Sort(got)
			if !slices.Equal(got, ids) {
				f.t.Errorf("author %s: %d items are listed, %d are there: %v, %v", author, len(got), len(ids), got, ids)
			}
		}
	}
	w.awaitDrained(f.t)
	rows := w.rows(f.t)
	for id, last := range f.acked {
		if got := rows[id]; got.version != last.version || got.deleted != (last.text == "") {
			f.t.Errorf("%s is %+v in SQL; acknowledged is %q@%s", id, got, last.text, last.version)
		}
	}
	if len(rows) != len(f.acked)+others {
		f.t.Errorf("%d rows of %d items", len(rows), len(f.acked))
	}
	if f.reads.Load() == 0 || f.answered.Load() == 0 {
		f.t.Error("nothing was read or written")
	}
	f.t.Logf("%d writes of %d items, longest pause %v; %d reads, longest pause %v",
		f.answered.Load(), len(rows), f.writing.gap(), f.reads.Load(), f.reading.gap())
}

// rows returns the rows of all items in SQL, without their content.
func (w *world) rows(t *testing.T) map[model.ID]row {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), "SELECT id, version, deleted FROM feeds")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[model.ID]row)
	var id model.ID
	var one row
	if _, err := pgx.ForEachRow(rows, []any{&id, &one.version, &one.deleted}, func() error {
		found[id] = one
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}
