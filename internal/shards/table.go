// Package shards holds a replica's permissions: under which epoch, and in which home (a Redis process,
// or SQL while Redis is lost), it may use each shard now. The Keeper renews them in SQL, notices when a
// home is lost or back, and opens a new epoch; the Table is what everybody else looks at.
package shards

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// Grant is the permission to use one shard under one epoch, in Redis or, while Redis is lost, in SQL. An
// era is a replica's own count of how often it began to use the shard: whatever it remembers of an
// earlier era is not trusted.
type Grant struct {
	Shard   int
	Epoch   int64
	Era     uint32
	SQL     bool              // the home is SQL: no cache, no queue, no events
	Scripts *keyspace.Scripts // of the Redis process that is the home; nil if SQL is
}

// Table is the state of all shards as one replica sees it. Its methods are safe for concurrent use.
type Table struct {
	space     *keyspace.Space
	start     time.Time    // base of the monotonic clock
	until     atomic.Int64 // end of the permissions
	confirmed atomic.Int64 // end of those that need SQL's own word, for homes in SQL
	rows      []row

	sqlDown  atomic.Bool
	members  atomic.Pointer[members]
	poke     chan struct{} // wakes the Keeper
	moved    chan struct{} // told when other replicas share the work
	deserted atomic.Bool   // a replica has gone that shared it
}

type row struct {
	grant atomic.Pointer[Grant]
	away  atomic.Bool // the process that serves the shard does not answer

	mu       sync.Mutex
	era      uint32
	heard    int64         // epoch as last heard, ready or not
	epoch    int64         // served, by SQL's word; 0: none is ready
	home     string        // as last heard, ready or not
	told     model.Version // SQL's position, as the last heartbeat told
	position model.Version // the same, or what was released since
	skipped  model.Version // position of the last round that left something out, as last heard
	released model.Version
	doubted  bool          // a script refused the current grant
	forgot   int64         // epoch in which SQL was found to have lost commits; 0: none
	changed  chan struct{} // closed and replaced when released or grant changes
}

// NewTable returns a table without any permission.
func NewTable(space *keyspace.Space) *Table {
	t := &Table{space: space, start: time.Now(), rows: make([]row, space.Shards()), poke: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
	for i := range t.rows {
		t.rows[i].changed = make(chan struct{})
	}
	t.members.Store(&members{})
	return t
}

// now is the replica's own monotonic clock.
func (t *Table) now() time.Duration { return time.Since(t.start) }

// Grant returns the permission for a shard, nil if there is none now.
func (t *Table) Grant(s int) *Grant {
	g := t.rows[s].grant.Load()
	if g == nil {
		return nil
	}
	end := &t.until
	if g.SQL {
		end = &t.confirmed
	}
	if int64(t.now()) >= end.Load() {
		return nil
	}
	return g
}

// Redis returns the permission for a shard if its home is Redis, nil else.
func (t *Table) Redis(s int) *Grant {
	if g := t.Grant(s); g != nil && !g.SQL {
		return g
	}
	return nil
}

// confirm lets all permissions last until then, by SQL's word.
func (t *Table) confirm(until time.Duration) {
	t.confirmed.Store(int64(until))
	t.extend(until)
}

// extend lets all permissions last until then, except those for homes in SQL. Those that have run out
// and are still there come into force again: the caller gives them up first.
func (t *Table) extend(until time.Duration) {
	if was := t.until.Swap(int64(until)); was > int64(t.now()) {
		return
	}
	for i := range t.rows {
		r := &t.rows[i]
		r.mu.Lock()
		r.broadcast()
		r.mu.Unlock()
	}
}

// Holds reports whether g is still in force. It is asked again before an answer is given.
func (t *Table) Holds(g *Grant) bool { return t.Grant(g.Shard) == g }

// Doubt gives up a permission because its home refused it or because events were missed. The Keeper finds
// out what is true and enters the epoch anew, or opens another one.
func (t *Table) Doubt(g *Grant) {
	r := &t.rows[g.Shard]
	r.mu.Lock()
	if r.grant.CompareAndSwap(g, nil) {
		r.doubted = true
		r.broadcast()
	}
	r.mu.Unlock()
	t.Poke()
}

// Forgot says that SQL stands before what it has said in the epoch: a standby has taken over that lacks the last
// commits. What Redis holds, released or total, does not go with that any more: the Keeper opens another epoch.
func (t *Table) Forgot(s int, epoch int64) {
	r := &t.rows[s]
	r.mu.Lock()
	r.forgot = epoch
	r.mu.Unlock()
	t.Poke()
}

// hasForgotten reports whether Forgot was told of this epoch.
func (t *Table) hasForgotten(s int, epoch int64) bool {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgot == epoch
}

// Poke makes the Keeper look now.
func (t *Table) Poke() {
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

// Released says that SQL holds everything of the shard up to v, and the queue no longer does.
func (t *Table) Released(g *Grant, v model.Version) {
	r := &t.rows[g.Shard]
	r.mu.Lock()
	defer r.mu.Unlock()
	if v > r.released && r.grant.Load() == g {
		r.released = v
		r.position = max(r.position, v)
		r.broadcast()
	}
}

// Skip says that the round which reached v left something out, or put it among the dead letters.
func (t *Table) Skip(s int, v model.Version) {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped = max(r.skipped, v)
}

// Skipped returns the position of the shard's last round that left something out, as last heard. It is
// heard of before the release of that round.
func (t *Table) Skipped(s int) model.Version {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped
}

// ReleasedUpTo returns the released position as this replica has heard of it.
func (t *Table) ReleasedUpTo(s int) model.Version {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.released
}

// Position returns up to where SQL holds the shard's writes, as last heard.
func (t *Table) Position(s int) model.Version {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position
}

// Home returns the epoch and the home of a shard as last heard: the epoch is 0 while none is ready.
func (t *Table) Home(s int) (epoch int64, home string) {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch, r.home
}

// SQLDown reports whether the last renewal found SQL out of reach.
func (t *Table) SQLDown() bool { return t.sqlDown.Load() }

// Away reports whether the last look found the Redis process of the shard out of reach.
func (t *Table) Away(s int) bool { return t.rows[s].away.Load() }

// setAway keeps whether the shard's process answers. Nobody waits for one that does not.
func (t *Table) setAway(s int, away bool) {
	r := &t.rows[s]
	if r.away.Swap(away) == away {
		return
	}
	r.mu.Lock()
	r.broadcast()
	r.mu.Unlock()
}

// RedisDown reports for how many shards the last look found Redis out of reach.
func (t *Table) RedisDown() int {
	n := 0
	for s := range t.rows {
		if t.Away(s) {
			n++
		}
	}
	return n
}

// Granted returns how many shards this replica may use now.
func (t *Table) Granted() int { return t.countUsable(func(*Grant) bool { return true }) }

// AtSQL returns how many shards this replica uses in SQL now, because Redis is lost.
func (t *Table) AtSQL() int { return t.countUsable(func(g *Grant) bool { return g.SQL }) }

func (t *Table) countUsable(counts func(*Grant) bool) int {
	n := 0
	for s := range t.rows {
		if g := t.usable(s); g != nil && counts(g) {
			n++
		}
	}
	return n
}

// usable returns the permission for a shard if the shard's home can be reached.
func (t *Table) usable(s int) *Grant {
	if g := t.Grant(s); g != nil && (g.SQL || !t.Away(s)) {
		return g
	}
	return nil
}

// Shards returns the number of shards.
func (t *Table) Shards() int { return len(t.rows) }

func (t *Table) changed(s int) <-chan struct{} {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// broadcast wakes everybody who waits on the row. The caller holds mu.
func (r *row) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// leave gives up the permission of a shard and returns it, nil if there was none.
func (t *Table) leave(s int) *Grant {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.grant.Swap(nil)
	if g != nil {
		r.broadcast()
	}
	return g
}

// prepare returns the grant that enter will publish. No scripts: the home is SQL.
func (t *Table) prepare(s int, epoch int64, scripts *keyspace.Scripts) *Grant {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.era++
	return &Grant{Shard: s, Epoch: epoch, Era: r.era, SQL: scripts == nil, Scripts: scripts}
}

// enter publishes a grant, unless SQL has told of another epoch meanwhile. released is the position
// that Redis held when the replica began to follow.
func (t *Table) enter(g *Grant, released model.Version) {
	r := &t.rows[g.Shard]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epoch != g.Epoch {
		return
	}
	r.doubted = false
	r.released = released
	r.grant.Store(g)
	r.broadcast()
}

// heard keeps what a heartbeat told of a shard. It returns the grant that has ended by that, if any.
func (t *Table) heard(sh model.Shard) *Grant {
	r := &t.rows[sh.Shard]
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case sh.Epoch != r.heard:
		r.heard, r.position = sh.Epoch, 0 // what an earlier epoch had reached may be lost
	case sh.Position < r.told:
		r.forgot = sh.Epoch
	}
	r.told = sh.Position
	r.position = max(r.position, sh.Position)
	r.skipped = max(r.skipped, sh.Skipped)
	r.epoch, r.home = 0, sh.Home
	if sh.Ready {
		r.epoch = sh.Epoch
	}
	if g := r.grant.Load(); g != nil && g.Epoch != r.epoch {
		r.grant.Store(nil)
		r.broadcast()
		return g
	}
	return nil
}

// doubt makes the next look probe the shard before it is entered.
func (t *Table) doubt(s int) {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubted = true
}

// isDoubted reports whether a grant was refused since the shard was last entered.
func (t *Table) isDoubted(s int) bool {
	r := &t.rows[s]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubted
}
