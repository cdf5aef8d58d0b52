package cache

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// events returns the events of a shard, as the tailer reads them.
func (n *node) events(s int) []redis.XMessage {
	n.t.Helper()
	list, err := n.conn.Client().XRange(n.t.Context(), n.space.Events(s), "-", "+").Result()
	if err != nil {
		n.t.Fatal(err)
	}
	return list
}

// inShard returns an ID of a shard that no other test uses.
func (n *node) inShard(s int) model.ID {
	for {
		if id := newID(); n.space.Shard(id) == s {
			return id
		}
	}
}

func TestTailerAppliesEventsInOrder(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	g := n.grant(0)
	id, author := n.inShard(0), newID()
	n.l1.Fill(id, n.l1.Begin(id), g.Era, 1, []byte("old"))
	it := n.queue(item(id, author, "x"))
	n.Tailer.take(g, n.events(0))
	if _, _, ok := n.l1.Get(id, g.Era); ok {
		t.Error("L1 keeps what was there before the write")
	}
	if p, ok := n.overlay.Get(0, id); !ok || p != (Pending{ID: id, AuthorID: author, Version: it.Version}) {
		t.Errorf("overlay: %+v, %v", p, ok)
	}
	if n.filter.Absent(0, id, 1) {
		t.Error("the filter excludes the item")
	}
	n.l1.Fill(id, n.l1.Begin(id), g.Era, it.Version, []byte("new"))
	n.settle(it)
	n.Tailer.take(g, n.events(0)[1:])
	if n.overlay.Len() != 0 || n.table.ReleasedUpTo(0) != it.Version {
		t.Errorf("after the release: %d queued, released %d", n.overlay.Len(), n.table.ReleasedUpTo(0))
	}
	if _, _, ok := n.l1.Get(id, g.Era); !ok {
		t.Error("a release costs L1 its entry")
	}
	if err := n.Evict(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	n.l1.Fill(id, n.l1.Begin(id), g.Era, it.Version, []byte("new"))
	n.Tailer.take(g, n.events(0)[2:])
	if _, _, ok := n.l1.Get(id, g.Era); ok {
		t.Error("L1 keeps what was evicted")
	}
	if cursor, _ := n.filter.Cursor(0); cursor != 3 || !n.table.Holds(g) {
		t.Errorf("cursor %d, holds %v", cursor, n.table.Holds(g))
	}
}

// An event that is missing, repeated, of another epoch or damaged ends the permission: the shard is
// entered anew. The filter must not vouch for anything from that event on.
func TestTailerDoubtsWhatItCannotFollow(t *testing.T) {
	t.Parallel()
	const first = "1-1"
	for name, event := range map[string]redis.XMessage{
		"Gap":             {ID: "1-2", Values: map[string]any{"x": "7"}},
		"Repeated":        {ID: "1-0", Values: map[string]any{"x": "7"}},
		"LaterEpoch":      {ID: "2-1", Values: map[string]any{"x": "7"}},
		"NoVersion":       {ID: "tail", Values: map[string]any{"x": "7"}},
		"DamagedWrite":    {ID: first, Values: map[string]any{"v": "7 9"}},
		"DamagedNumber":   {ID: first, Values: map[string]any{"d": "7 x 1000"}},
		"DamagedEviction": {ID: first, Values: map[string]any{"x": "7x"}},
		"DamagedRelease":  {ID: first, Values: map[string]any{"r": "1-1"}},
		"UnknownKind":     {ID: first, Values: map[string]any{"z": "7"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, false)
			g := n.grant(0)
			n.Tailer.take(g, []redis.XMessage{event, {ID: "1-2", Values: map[string]any{"x": "7"}}})
			if n.table.Holds(g) {
				t.Fatal("the permission is held")
			}
			if cursor, _ := n.filter.Cursor(0); cursor != 0 {
				t.Errorf("the filter's cursor is %d", cursor)
			}
			fresh, err := n.table.AwaitGrant(t.Context(), 0, g, shards.Patience)
			if err != nil || fresh.Epoch != g.Epoch || fresh.Era <= g.Era {
				t.Errorf("entered anew as %+v, %v", fresh, err)
			}
			n.Tailer.take(g, []redis.XMessage{{ID: first, Values: map[string]any{"x": "7"}}}) // late, of the old era
			if cursor, _ := n.filter.Cursor(0); cursor != 0 || !n.table.Holds(fresh) {
				t.Error("events under an ended permission count")
			}
		})
	}
}

func TestTailerEntersWithTheQueueAsItStands(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	author := newID()
	var ids []model.ID
	for range 3 {
		id := n.inShard(0)
		ids = append(ids, id)
		n.queue(item(id, author, "x"))
	}
	gone := item(ids[1], author, "")
	gone.Deleted, gone.Content = true, nil
	gone = n.queue(gone)
	n.settle(n.queue(item(ids[0], author, "x"))) // releases all that came before, too
	last := n.queue(item(ids[2], author, "y"))
	g := n.grant(0)
	n.table.Doubt(g)
	fresh, err := n.table.AwaitGrant(t.Context(), 0, g, shards.Patience)
	if err != nil {
		t.Fatal(err)
	}
	if got := n.overlay.ByAuthors([]model.ID{author}, 0); len(got) != 1 || got[0].ID != ids[2] || got[0].Version != last.Version {
		t.Errorf("overlay %+v", got)
	}
	if got := n.table.ReleasedUpTo(0); got <= gone.Version || got >= last.Version {
		t.Errorf("released up to %d", got)
	}
	tip, _, err := n.readL2(t.Context(), fresh, nil)
	if cursor, _ := n.filter.Cursor(0); err != nil || cursor != tip {
		t.Errorf("the cursor is %d, the tip %d, %v", cursor, tip, err)
	}
}

// A round left something out, and was released while the replica did not follow the shard. Who waits for the
// release learns of it by the entry, and must learn with it that it is to ask for dead letters.
func TestP7_TailerEntersKnowingWhatSQLLeftOut(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	for s := range n.space.Shards() {
		g := n.grant(s)
		v := model.NewVersion(g.Epoch, 1)
		if s < testShards {
			v = n.queue(item(n.inShard(s), newID(), "refused")).Version
		}
		if err := n.complete(t.Context(), g, v, v); err != nil {
			t.Fatal(err)
		}
		n.table.Doubt(g)
		if _, err := n.table.AwaitGrant(t.Context(), s, g, shards.Patience); err != nil {
			t.Fatal(err)
		}
		if released, skipped := n.table.ReleasedUpTo(s), n.table.Skipped(s); released != v || skipped != v {
			t.Errorf("shard %d entered as released up to %d, left out at %d, want %d", s, released, skipped, v)
		}
	}
}

func TestExactListWaitsForEvents(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	author := newID()
	for i := range 50 {
		n.queue(item(newID(), author, textN(i)))
		n.catchUp()
		if got := len(n.overlay.ByAuthors([]model.ID{author}, 0)); got != i+1 {
			t.Fatalf("%d of %d writes are known", got, i+1)
		}
	}
	deaf := newNode(t, false)
	deaf.queue(item(newID(), author, "x"))
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := deaf.List(ctx, []model.ID{author}, 0, 10, true); model.KindOf(err) != model.Unavailable {
		t.Errorf("without events: %v", err)
	}
}

func TestParsePendingRefusesDamage(t *testing.T) {
	t.Parallel()
	position := keyspace.Hex(5)
	for _, reply := range [][]any{
		{},
		{int64(1)},
		{int64(1), position},
		{int64(1), "x", position},
		{int64(1), position, "x"},
		{int64(1), position, position, "1-1 v7"},
		{int64(1), position, position, "1-1 v 9"},
		{int64(1), position, position, "x v7 9"},
		{int64(1), position, position, "1-1 v7 x"},
		{int64(1), position, position, int64(3)},
	} {
		cmd := redis.NewCmd(t.Context())
		cmd.SetVal(reply)
		if st, err := parsePending(cmd); err == nil {
			t.Errorf("%v is read as %+v", reply, st)
		}
	}
	cmd := redis.NewCmd(t.Context())
	cmd.SetVal([]any{int64(7), position, keyspace.Hex(4), "1-6 d7 9"})
	st, err := parsePending(cmd)
	want := Pending{ID: 7, AuthorID: 9, Version: model.NewVersion(1, 6), Deleted: true}
	if err != nil || st.tip != 7 || st.released != 5 || st.skipped != 4 || len(st.writes) != 1 || st.writes[0] != want {
		t.Errorf("got %+v, %v", st, err)
	}
}
