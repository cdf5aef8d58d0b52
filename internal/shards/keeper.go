package shards

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/model"
)

// Store is the SQL side of permissions and epochs.
type Store interface {
	// Heartbeat renews the replica's permission and tells the state of all shards.
	Heartbeat(ctx context.Context, b model.Beat) (model.Heartbeat, error)
	// Leave ends the replica's permission.
	Leave(ctx context.Context, replica string) error
	// Claim begins new epochs, and tells how long older permissions of others may last. It moves no shard
	// against what most of the living replicas see.
	Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error)
	// Unsettled reports whether another living replica may still work under an older epoch than those claimed.
	Unsettled(ctx context.Context, replica string, claimed []model.Shard) (bool, error)
	// Confirm makes claimed shards ready whose position is still the one given.
	Confirm(ctx context.Context, claimed []model.Shard) ([]int, error)
}

// Follower is told when a permission begins and ends.
type Follower interface {
	// Enter begins to follow the shard's events and returns the released position.
	Enter(ctx context.Context, g *Grant) (model.Version, error)
	// Leave forgets what hung on a permission, unless the shard has been entered anew since.
	Leave(g *Grant)
}

// Deps are what the Keeper works with.
type Deps struct {
	Table    *Table
	Space    *keyspace.Space
	Redis    *redisconn.Conn
	Store    Store
	Follower Follower
	// Drain writes to SQL what the shard's stream holds beyond its position, under the claimed epoch, and
	// returns the new position.
	Drain func(ctx context.Context, claimed model.Shard) (model.Version, error)
	// Flush writes to SQL what this replica has queued under older epochs than the shard's, and what is
	// not there yet: the stream that holds it may be lost.
	Flush    func(ctx context.Context, sh model.Shard) error
	Replica  string // unique name of this process
	Log      *zap.Logger
	Entries  Expiry
	KeyCheck time.Duration // how long after an opening unknown idempotency keys are looked up in SQL
	// Registerer takes the Keeper's metrics.
	Registerer prometheus.Registerer
}

// Expiry is how long entries stay in L2 once they are released.
type Expiry struct{ Value, Deletion time.Duration }

// Keeper renews the replica's permissions and moves shards to the Redis process that serves them, or to
// SQL while none does.
type Keeper struct {
	Deps
	cfg     Config
	metrics *metrics

	mu      sync.Mutex
	last    model.Heartbeat
	scripts map[string]*keyspace.Scripts // by process
	memory  Memory
	seen    []sight // what the last look found of each shard
	settled []int64 // epoch of each shard under which this replica works
	strange strange

	claimFrom time.Time // no claims before; of reconcile alone

	beating chan struct{} // holds one value while a heartbeat is under way

	loop    *lifecycle.Loop
	started atomic.Bool
}

// NewKeeper returns a Keeper that has not started.
func NewKeeper(cfg Config, deps Deps) *Keeper {
	n := deps.Space.Shards()
	k := &Keeper{
		Deps: deps, cfg: cfg, metrics: newMetrics(deps.Registerer, deps.Table), scripts: make(map[string]*keyspace.Scripts),
		seen: make([]sight, n), settled: make([]int64, n), beating: make(chan struct{}, 1),
	}
	k.loop = lifecycle.NewLoop(
		func(ctx context.Context) { k.every(ctx, cfg.Permission/3, nil, func() { k.renew(ctx) }) },
		func(ctx context.Context) { k.every(ctx, cfg.Permission/6, k.Table.poke, func() { k.reconcile(ctx) }) },
	)
	return k
}

// Start renews once, so that a database that cannot be used is an error of the start, then goes on in
// the background until Stop.
func (k *Keeper) Start(ctx context.Context) error {
	if err := k.beat(ctx); err != nil {
		return err
	}
	k.started.Store(true)
	k.Table.Poke()
	return k.loop.Start(ctx)
}

// Stop ends the permissions, so that other replicas need not wait for them.
func (k *Keeper) Stop(ctx context.Context) error {
	if !k.started.Load() {
		return nil
	}
	if err := k.loop.Stop(ctx); err != nil {
		return err
	}
	for s := range k.Space.Shards() {
		k.leave(s)
	}
	return k.Store.Leave(ctx, k.Replica)
}

// minPause keeps pokes from making a busy loop.
const minPause = 10 * time.Millisecond

func (k *Keeper) every(ctx context.Context, period time.Duration, poke <-chan struct{}, f func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-poke:
		}
		f()
		if poke == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(minPause):
		}
	}
}

// renew is beat in the background. While SQL is away nobody can open a new epoch through it, so what
// a replica may do it may go on doing: delayed writes and cached reads outlive the database. A database
// that hangs is found out in time: a third of the permission has passed before the call, half of it may
// pass within.
func (k *Keeper) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Permission/2)
	defer cancel()
	err := k.beat(ctx)
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if !k.Table.sqlDown.Swap(true) {
		k.Log.Warn("the database is out of reach; delayed writes and cached reads go on", zap.Error(err))
	}
	if int64(k.Table.now()) >= k.Table.until.Load() {
		// It ran out before this was known, as after a pause: Redis must confirm each epoch first.
		k.doubtAll()
	}
	k.Table.extend(k.Table.now() + k.cfg.Permission)
}

// doubtAll gives up every permission until Redis has confirmed its epoch.
func (k *Keeper) doubtAll() {
	for s := range k.Space.Shards() {
		if g := k.Table.rows[s].grant.Load(); g != nil {
			k.Table.Doubt(g)
		}
	}
}

// beat renews the permission, and settles what its news ask for.
func (k *Keeper) beat(ctx context.Context) error {
	for settled := true; settled; {
		hb, err := k.exchange(ctx)
		if err != nil {
			return err
		}
		// Others wait to hear of it; at the next heartbeat, if the time for this one is over: that it was
		// spent on storing says nothing of the database, which has just answered.
		settled = k.settle(ctx, hb.Shards) && ctx.Err() == nil
	}
	return nil
}

// exchange is one heartbeat. The permission counts from before SQL was asked, on the replica's own clock. One
// is under way at a time: of two, the later one's news could be overwritten by the earlier's, which may still
// tell of an epoch that has ended meanwhile.
func (k *Keeper) exchange(ctx context.Context) (model.Heartbeat, error) {
	select {
	case k.beating <- struct{}{}:
		defer func() { <-k.beating }()
	case <-ctx.Done():
		return model.Heartbeat{}, ctx.Err()
	}
	asked := k.Table.now()
	hb, err := k.Store.Heartbeat(ctx, k.report())
	if err != nil {
		return hb, err
	}
	if len(hb.Shards) != k.Space.Shards() {
		return hb, errors.New("the database tells of another number of shards")
	}
	for _, sh := range hb.Shards {
		if g := k.Table.heard(sh); g != nil {
			k.Follower.Leave(g)
		}
	}
	k.mu.Lock()
	k.last = hb
	k.mu.Unlock()
	if int64(k.Table.now()) >= k.Table.until.Load() {
		// They ran out before, as after a pause: events may wait to be read, so that L1 is behind what others
		// have acknowledged. Each shard is entered anew.
		k.doubtAll()
	}
	// A renewal must not revive the grant of an ended epoch: those are gone by now.
	k.Table.confirm(asked + k.cfg.Permission)
	if k.Table.setMembers(hb.Alive, k.Replica) {
		k.metrics.takeovers.Inc()
	}
	if k.Table.sqlDown.Swap(false) {
		k.Log.Info("the database is back")
	}
	return hb, nil
}

// report is what this replica says of itself.
func (k *Keeper) report() model.Beat {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := model.Beat{Replica: k.Replica, TTL: k.cfg.Permission, Sees: make([]string, len(k.seen)), Settled: slices.Clone(k.settled)}
	for s := range k.seen {
		b.Sees[s] = k.seen[s].process
	}
	return b
}

// flushes is how many journals of shards are stored at the same time. Heartbeats share their connections.
const flushes = 2

// settle brings to SQL what this replica had queued under epochs that have ended, which it has left by
// now. It reports whether there is news for others.
func (k *Keeper) settle(ctx context.Context, list []model.Shard) bool {
	var ended []model.Shard
	k.mu.Lock()
	for _, sh := range list {
		if sh.Epoch > k.settled[sh.Shard] {
			ended = append(ended, sh)
		}
	}
	k.mu.Unlock()
	var news atomic.Bool
	var group errgroup.Group
	group.SetLimit(flushes)
	for _, sh := range ended {
		group.Go(func() error {
			if err := k.flush(ctx, sh); err != nil {
				k.Log.Warn("could not store what was queued in an ended epoch; it will be tried again", zap.Int("shard", sh.Shard), zap.Error(err))
				return nil
			}
			news.Store(true)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	return news.Load()
}

// flush settles one shard whose grant of an older epoch has been left.
func (k *Keeper) flush(ctx context.Context, sh model.Shard) error {
	if err := k.Flush(ctx, sh); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled[sh.Shard] = max(k.settled[sh.Shard], sh.Epoch)
	return nil
}

// isSettled reports whether everything that this replica had queued under older epochs of the shard is stored.
func (k *Keeper) isSettled(sh model.Shard) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled[sh.Shard] >= sh.Epoch
}

func (k *Keeper) leave(s int) {
	if g := k.Table.leave(s); g != nil {
		k.Follower.Leave(g)
	}
}

// heartbeat returns the last heartbeat.
func (k *Keeper) heartbeat() model.Heartbeat {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}
