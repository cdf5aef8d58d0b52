package shards

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/model"
)

// Store is the SQL side of permissions and epochs.
type Store interface {
	// Heartbeat renews the replica's permission for ttl and tells the state of all shards. sees are the
	// Redis processes that the replica reaches as masters.
	Heartbeat(ctx context.Context, replica string, ttl time.Duration, sees ...string) (model.Heartbeat, error)
	// Leave ends the replica's permission.
	Leave(ctx context.Context, replica string) error
	// Claim begins new epochs, and tells how long older permissions of others may last. It takes no shard
	// from a home that another living replica still sees.
	Claim(ctx context.Context, replica string, claims []model.Claim) ([]model.Shard, time.Duration, error)
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

// Deps are what the Keeper works with. Drain writes to SQL what the shard's stream holds beyond its
// position, under the claimed epoch, and returns the new position.
type Deps struct {
	Table    *Table
	Space    *keyspace.Space
	Redis    *redisconn.Conn
	Store    Store
	Follower Follower
	Drain    func(ctx context.Context, claimed model.Shard) (model.Version, error)
	Replica  string // unique name of this process
	Log      *zap.Logger
	Entries  Expiry
}

// Expiry is how long entries stay in L2 once they are released.
type Expiry struct{ Value, Deletion time.Duration }

// Keeper renews the replica's permissions and moves shards to the Redis process that serves them.
type Keeper struct {
	Deps
	cfg Config

	mu      sync.Mutex
	last    model.Heartbeat
	scripts map[string]*keyspace.Scripts // by process
	policy  string                       // Redis's eviction policy, as last seen
	seen    []string                     // the masters that the last look found
	strange strange

	beating chan struct{} // holds one value while a heartbeat is under way

	loop    *lifecycle.Loop
	started atomic.Bool
}

// NewKeeper returns a Keeper that has not started.
func NewKeeper(cfg Config, deps Deps) *Keeper {
	k := &Keeper{Deps: deps, cfg: cfg, scripts: make(map[string]*keyspace.Scripts), beating: make(chan struct{}, 1)}
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

// beat renews the permission. It counts from before SQL was asked, on the replica's own clock. One
// heartbeat is under way at a time: of two, the later one's news could be overwritten by the earlier's,
// which may still tell of an epoch that has ended meanwhile.
func (k *Keeper) beat(ctx context.Context) error {
	select {
	case k.beating <- struct{}{}:
		defer func() { <-k.beating }()
	case <-ctx.Done():
		return ctx.Err()
	}
	asked := k.Table.now()
	hb, err := k.Store.Heartbeat(ctx, k.Replica, k.cfg.Permission, k.seenHomes()...)
	if err != nil {
		return err
	}
	if len(hb.Shards) != k.Space.Shards() {
		return errors.New("the database tells of another number of shards")
	}
	for _, sh := range hb.Shards {
		if g := k.Table.heard(sh); g != nil {
			k.Follower.Leave(g)
		}
	}
	k.mu.Lock()
	k.last = hb
	k.mu.Unlock()
	// A renewal must not revive the grant of an ended epoch: those are gone by now.
	k.Table.extend(asked + k.cfg.Permission)
	k.Table.setMembers(hb.Alive, k.Replica)
	if k.Table.sqlDown.Swap(false) {
		k.Log.Info("the database is back")
	}
	return nil
}

// seenHomes returns the masters that the last look found.
func (k *Keeper) seenHomes() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen
}

// StrangeHome returns the Redis process that serves shards for other replicas while this one reaches
// another, "" if there is none. A restart or a failover looks so for a moment, which does not count.
func (k *Keeper) StrangeHome() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.strange.told {
		return k.strange.home
	}
	return ""
}

// strange is a home that this replica cannot take shards from, and does not reach.
type strange struct {
	home  string
	since time.Time
	told  bool
}

// setStrange keeps the strange home, "" for none, and tells of it once it has lasted.
func (k *Keeper) setStrange(home, mine string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if home != k.strange.home {
		k.strange = strange{home: home, since: time.Now()}
	}
	if home == "" || k.strange.told || time.Since(k.strange.since) < 2*k.cfg.Permission {
		return
	}
	k.strange.told = true
	k.Log.Error("other replicas use another Redis than this one, which therefore serves nothing; all must be given the same",
		zap.String("theirs", home), zap.String("mine", mine))
}

// Policy returns Redis's eviction policy as last seen, "" before the first look. Of several processes'
// it is one that may take queued writes, if any may.
func (k *Keeper) Policy() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.policy
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
