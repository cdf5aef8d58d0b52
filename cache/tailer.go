package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// Tailer follows the shards' event streams, each with a cursor of its own. Every sequence number of a
// shard is one event, so a number that is left out is a gap: something was missed, and the shard is
// entered anew.
type Tailer struct {
	*lifecycle.Loop
	space   *keyspace.Space
	table   *shards.Table
	redis   *redisconn.Conn
	log     *zap.Logger
	l1      *L1
	filter  *Filter
	overlay *Overlay
	metrics *metrics
	wake    func(shard int) // tells the drain of a queued write
	builder *Builder

	mu       sync.Mutex
	cursors  []cursor
	progress chan struct{} // closed and replaced when cursors have moved
}

// cursor is how far a shard's events were followed; grant is nil while they are not.
type cursor struct {
	grant *shards.Grant
	seq   uint64
}

const (
	// block is how long one read waits for events. Shards entered meanwhile wait as long to be followed.
	block = 100 * time.Millisecond
	// eventPage is how many events of a shard one read returns at most.
	eventPage = 1000
	// pendingPages is how many queued writes one call returns when a shard is entered.
	pendingPages = 1000
	retryPause   = 50 * time.Millisecond
)

// loop returns what follows the events. On a Cluster each shard is read by itself, for one command may
// name only keys of one slot.
func (t *Tailer) loop() *lifecycle.Loop {
	var runs []func(context.Context)
	all := make([]int, t.space.Shards())
	for s := range all {
		all[s] = s
		runs = append(runs, func(ctx context.Context) { t.follow(ctx, []int{s}) })
	}
	if t.redis.Clustered() {
		return lifecycle.NewLoop(runs...)
	}
	return lifecycle.NewLoop(func(ctx context.Context) { t.follow(ctx, all) })
}

// Enter begins to follow a shard: the cursor is the tip, the overlay is what the stream holds. What is
// written from here on comes as events; the stream is read after the tip, so nothing falls between.
func (t *Tailer) Enter(ctx context.Context, g *shards.Grant) (model.Version, error) {
	if t.space.IsCounter(g.Shard) {
		return t.enterCounters(ctx, g)
	}
	var released model.Version
	var build *Build
	from := "0-0"
	for first := true; ; first = false {
		cmd := g.Scripts.Cmd(ctx, keyspace.Pending, []string{t.space.Meta(g.Shard), t.space.Queue(g.Shard)},
			g.Epoch, from, pendingPages)
		if err := t.redis.Client().Process(ctx, cmd); err != nil {
			return 0, err
		}
		st, err := parsePending(cmd)
		if err != nil {
			return 0, err
		}
		if first {
			released = st.released
			t.table.Skip(g.Shard, st.skipped) // who waits for what is released must know
			t.overlay.Reset(g.Shard, g.Era, released)
			t.filter.Reset(g.Shard, g.Era, st.tip)
			build, _ = t.filter.StartBuild(g.Shard, g.Era)
		}
		for _, p := range st.writes {
			t.overlay.Add(g.Shard, g.Era, p)
			t.filter.Add(g.Shard, p.ID)
			from = keyspace.StreamID(p.Version)
		}
		if first {
			t.set(g, st.tip)
		}
		if len(st.writes) < pendingPages {
			break
		}
	}
	if build != nil {
		t.builder.add(g.Shard, build)
	}
	t.wake(g.Shard)
	return released, nil
}

// enterCounters begins to follow a shard of counters, of which nothing is kept in memory.
func (t *Tailer) enterCounters(ctx context.Context, g *shards.Grant) (model.Version, error) {
	cmd := g.Scripts.Cmd(ctx, keyspace.Pending, []string{t.space.Meta(g.Shard), t.space.Queue(g.Shard)}, g.Epoch, "0-0", 1)
	if err := t.redis.Client().Process(ctx, cmd); err != nil {
		return 0, err
	}
	st, err := parsePending(cmd)
	if err != nil {
		return 0, err
	}
	t.table.Skip(g.Shard, st.skipped)
	t.set(g, st.tip)
	t.wake(g.Shard)
	return st.released, nil
}

func (t *Tailer) set(g *shards.Grant, tip uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursors[g.Shard] = cursor{grant: g, seq: tip}
}

// Leave stops following a shard and forgets what hung on the grant, unless the shard has been entered
// anew. L1 needs no flush: its entries are of an era that nobody asks for any more.
func (t *Tailer) Leave(g *shards.Grant) {
	if t.unfollow(g) && !t.space.IsCounter(g.Shard) {
		t.filter.Reset(g.Shard, g.Era, 0)
		t.overlay.Reset(g.Shard, g.Era, 0)
	}
}

// unfollow ends the reading of events under g. It is false if another grant has taken its place.
func (t *Tailer) unfollow(g *shards.Grant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.cursors[g.Shard]; c.grant != nil && c.grant != g {
		return false
	}
	t.cursors[g.Shard] = cursor{}
	return true
}

// follow reads the events of the given shards, again and again.
func (t *Tailer) follow(ctx context.Context, list []int) {
	for ctx.Err() == nil {
		grants, args := t.positions(list)
		if len(grants) == 0 {
			pause(ctx, block)
			continue
		}
		streams, err := t.redis.Client().XRead(ctx, args).Result()
		if err != nil && err != redis.Nil { //nolint:errorlint // the client returns it bare
			if ctx.Err() == nil {
				t.metrics.eventErrors.Inc()
				pause(ctx, retryPause)
			}
			continue
		}
		for _, st := range streams {
			if g := grants[st.Stream]; g != nil {
				t.take(g, st.Messages)
			}
		}
		t.advanced()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// positions returns what to read after which event.
func (t *Tailer) positions(list []int) (map[string]*shards.Grant, *redis.XReadArgs) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grants := make(map[string]*shards.Grant, len(list))
	var keys, ids []string
	for _, s := range list {
		if c := t.cursors[s]; c.grant != nil {
			key := t.space.Events(s)
			grants[key] = c.grant
			keys = append(keys, key)
			ids = append(ids, strconv.FormatInt(c.grant.Epoch, 10)+"-"+strconv.FormatUint(c.seq, 10))
		}
	}
	return grants, &redis.XReadArgs{Streams: append(keys, ids...), Count: eventPage, Block: block}
}

// take applies the events of one shard, in their order.
func (t *Tailer) take(g *shards.Grant, events []redis.XMessage) {
	t.mu.Lock()
	c := t.cursors[g.Shard]
	t.mu.Unlock()
	if c.grant != g {
		return
	}
	for _, m := range events {
		v, ok := keyspace.ParseStreamID(m.ID)
		n := covers(m)
		if !ok || v.Epoch() != g.Epoch || uint64(v.Seq()) != c.seq+n {
			t.metrics.gaps.Inc()
			t.log.Info("events were missed; following the shard anew", zap.Int("shard", g.Shard), zap.String("event", m.ID))
			t.unfollow(g) // or the same events would come again at once
			t.table.Doubt(g)
			return
		}
		for kind, value := range m.Values {
			text, _ := value.(string)
			if err := t.apply(g, v, kind, text); err != nil {
				// As good as missed. The cursor stays before it, so that the filter vouches for nothing.
				t.log.Error("an event cannot be read", zap.Int("shard", g.Shard), zap.String("event", m.ID), zap.Error(err))
				t.unfollow(g)
				t.table.Doubt(g)
				return
			}
		}
		c.seq += n
	}
	t.mu.Lock()
	if t.cursors[g.Shard].grant == g {
		t.cursors[g.Shard].seq = c.seq
	}
	t.mu.Unlock()
	if !t.space.IsCounter(g.Shard) {
		t.filter.Observe(g.Shard, g.Era, c.seq)
	}
}

// covers returns of how many sequence numbers an event tells. The changes of counters that one script made
// share an event; what is not readable is found out by the gap that it seems to be.
func covers(m redis.XMessage) uint64 {
	text, ok := m.Values["c"].(string)
	if !ok {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return n
}

// apply makes one event felt: v and d are writes (ID, author, time), c changes of counters (how many), x an
// eviction (ID), r a release (position, and that of the last round which left something out).
func (t *Tailer) apply(g *shards.Grant, v model.Version, kind, text string) error {
	t.metrics.events.Inc()
	switch kind {
	case "v", "d":
		p, at, err := parseEvent(text)
		if err != nil {
			return err
		}
		p.Version, p.Deleted = v, kind == "d"
		t.overlay.Add(g.Shard, g.Era, p) // before the filter: see Filter
		t.filter.Add(g.Shard, p.ID)
		t.l1.Invalidate(p.ID)
		t.metrics.lag.Observe(max(0, time.Since(at).Seconds()))
		t.wake(g.Shard)
	case "x":
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("eviction is damaged: %w", err)
		}
		t.filter.Add(g.Shard, model.ID(id)) // it may have come to SQL by another way than the queue
		t.l1.Invalidate(model.ID(id))
	case "c":
		t.wake(g.Shard)
	case "r":
		to, skipped, _ := strings.Cut(text, " ")
		up, err1 := keyspace.ParseHex(to)
		skip, err2 := keyspace.ParseHex(skipped)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		t.table.Skip(g.Shard, skip) // before the release, which its waiters act on
		if !t.space.IsCounter(g.Shard) {
			t.overlay.Released(g.Shard, g.Era, up)
		}
		t.table.Released(g, up)
	default:
		return fmt.Errorf("event of unknown kind %q", kind)
	}
	return nil
}

// advanced wakes those who wait for a cursor.
func (t *Tailer) advanced() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.progress)
	t.progress = make(chan struct{})
}

// catchUpPatience is how long an exact list waits for this replica's events.
const catchUpPatience = 2 * time.Second

// await waits until the cursor of g's shard has reached tip.
func (t *Tailer) await(ctx context.Context, g *shards.Grant, tip uint64) error {
	timer := time.NewTimer(catchUpPatience)
	defer timer.Stop()
	for {
		t.mu.Lock()
		c, progress := t.cursors[g.Shard], t.progress
		t.mu.Unlock()
		if c.grant == g && c.seq >= tip {
			return nil
		}
		if c.grant != g {
			return model.NewUnavailable("the shard has moved", nil)
		}
		select {
		case <-ctx.Done():
			return model.NewUnavailable("gave up waiting for events", ctx.Err())
		case <-timer.C:
			return model.NewUnavailable("this replica lags behind the events of others", nil)
		case <-progress:
		}
	}
}
