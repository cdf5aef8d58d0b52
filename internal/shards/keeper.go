package shards

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/model"
)

// Store is the SQL side of permissions and epochs.
type Store interface {
	// Heartbeat renews the replica's permission for ttl and tells the state of all shards.
	Heartbeat(ctx context.Context, replica string, ttl time.Duration) (model.Heartbeat, error)
	// Leave ends the replica's permission.
	Leave(ctx context.Context, replica string) error
	// Claim begins new epochs, and tells how long older permissions of others may last.
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

// Config of the Keeper.
type Config struct {
	Shards     int           `env:"QUEUE_SHARDS" envDefault:"64" unit:"shards" desc:"number of shards; fixed at the first start, another value later refuses to start"`
	Permission time.Duration `env:"PERMISSION_TTL" envDefault:"3s" unit:"duration" desc:"how long a replica may use Redis without hearing from SQL that its epoch still holds; a new home waits as long"`
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

	beating chan struct{} // holds one value while a heartbeat is under way

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// NewKeeper returns a Keeper that has not started.
func NewKeeper(cfg Config, deps Deps) *Keeper {
	return &Keeper{Deps: deps, cfg: cfg, scripts: make(map[string]*keyspace.Scripts), beating: make(chan struct{}, 1)}
}

// Start renews once, so that a database that cannot be used is an error of the start, then goes on in
// the background until Stop.
func (k *Keeper) Start(ctx context.Context) error {
	if err := k.beat(ctx); err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel = cancel
	k.done.Go(func() { k.every(run, k.cfg.Permission/3, nil, func() { k.renew(run) }) })
	k.done.Go(func() { k.every(run, k.cfg.Permission/6, k.Table.poke, func() { k.reconcile(run) }) })
	k.Table.Poke()
	return nil
}

// Stop ends the permissions, so that other replicas need not wait for them.
func (k *Keeper) Stop(ctx context.Context) error {
	if k.cancel == nil {
		return nil
	}
	k.cancel()
	k.done.Wait()
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
	hb, err := k.Store.Heartbeat(ctx, k.Replica, k.cfg.Permission)
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

// Policy returns Redis's eviction policy as last seen, "" before the first look.
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

// reconcile compares what SQL says of every shard with the Redis process that serves it now.
func (k *Keeper) reconcile(ctx context.Context) {
	hb := k.heartbeat()
	homes := k.homes(ctx)
	k.probeAll(ctx)
	if ctx.Err() != nil {
		return
	}
	var enter []model.Shard
	var claims []model.Shard
	for _, sh := range hb.Shards {
		switch k.judge(ctx, sh, homes[sh.Shard], hb.Alive) {
		case enterIt:
			enter = append(enter, sh)
		case openIt:
			sh.Home = homes[sh.Shard]
			claims = append(claims, sh)
		case keep:
		}
	}
	k.enterAll(ctx, enter)
	if len(claims) == 0 || k.Table.SQLDown() {
		return
	}
	if err := k.open(ctx, claims, hb); err != nil && ctx.Err() == nil {
		k.Log.Warn("could not open shards", zap.Int("shards", len(claims)), zap.Error(err))
	}
	if ctx.Err() == nil {
		k.renew(ctx)
		k.Table.Poke()
	}
}

type verdict int

const (
	keep verdict = iota
	enterIt
	openIt
)

// judge decides what to do about one shard; home is the process that serves it now, "" if unknown.
func (k *Keeper) judge(ctx context.Context, sh model.Shard, home string, alive []string) verdict {
	if home == "" {
		return keep
	}
	if !sh.Ready {
		for _, name := range alive {
			if name == sh.Opener && name != k.Replica {
				return keep // its opener lives
			}
		}
		return openIt
	}
	if sh.Home != home {
		return openIt
	}
	if k.Table.rows[sh.Shard].grant.Load() != nil {
		return keep
	}
	if !k.Table.isDoubted(sh.Shard) {
		return enterIt
	}
	err := k.probe(ctx, sh)
	switch {
	case err == nil:
		return enterIt // events were missed, nothing worse
	case keyspace.Refused(err):
		return openIt
	default:
		return keep
	}
}

// probe asks Redis whether it serves the shard under the epoch that SQL tells.
func (k *Keeper) probe(ctx context.Context, sh model.Shard) error {
	sc, err := k.scriptsFor(sh.Home)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cmd := sc.Cmd(ctx, keyspace.Read, []string{k.Space.Meta(sh.Shard)}, sh.Epoch)
	return k.Redis.Client().Process(ctx, cmd)
}

// probeAll asks Redis about every shard that is in use. A shard that nobody writes to would not notice
// that its home was emptied, and would serve from L1 what other replicas have changed since.
func (k *Keeper) probeAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var grants []*Grant
	var cmds []*redis.Cmd
	pipe := k.Redis.Client().Pipeline()
	for s := range k.Space.Shards() {
		if g := k.Table.Grant(s); g != nil {
			cmd := g.Scripts.Cmd(ctx, keyspace.Read, []string{k.Space.Meta(s)}, g.Epoch)
			_ = pipe.Process(ctx, cmd) // only queues
			grants, cmds = append(grants, g), append(cmds, cmd)
		}
	}
	if len(cmds) == 0 {
		return
	}
	_, _ = pipe.Exec(ctx) // each reply holds its own error
	for i, g := range grants {
		if keyspace.Refused(cmds[i].Err()) {
			k.Table.Doubt(g)
		}
	}
}

const (
	callTimeout = 2 * time.Second
	parallel    = 8 // shards entered or opened at the same time
)

func (k *Keeper) enterAll(ctx context.Context, list []model.Shard) {
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, sh := range list {
		sc, err := k.scriptsFor(sh.Home)
		if err != nil {
			k.Log.Error("cannot use the home of a shard", zap.Int("shard", sh.Shard), zap.Error(err))
			continue
		}
		group.Go(func() error {
			g := k.Table.prepare(sh.Shard, sh.Epoch, sc)
			released, err := k.Follower.Enter(ctx, g)
			switch {
			case err == nil:
				k.Table.enter(g, released)
			case keyspace.Refused(err):
				k.Table.doubt(sh.Shard)
				k.Table.Poke()
			case ctx.Err() == nil:
				k.Log.Debug("cannot enter a shard", zap.Int("shard", sh.Shard), zap.Error(err))
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
}

// homes returns the process that serves each shard now, "" where that cannot be told.
func (k *Keeper) homes(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	homes := make([]string, k.Space.Shards())
	known := make(map[any]string) // by node
	var trouble error
	for s := range homes {
		node, err := k.Redis.Node(ctx, k.Space.Meta(s))
		if err != nil {
			trouble = err
			continue
		}
		process, asked := known[node]
		if !asked {
			process, err = k.identify(ctx, k.Space.Meta(s))
			known[node] = process
		}
		if err != nil {
			trouble = err
		}
		homes[s] = process
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return homes
	}
	was := k.Table.RedisDown()
	for s, process := range homes {
		k.Table.rows[s].away.Store(process == "" && trouble != nil)
	}
	switch is := k.Table.RedisDown(); {
	case is > 0 && was == 0:
		k.Log.Warn("Redis is out of reach; writes are refused, reads go to the database", zap.Int("shards", is), zap.Error(trouble))
	case is == 0 && was > 0:
		k.Log.Info("Redis is back")
	}
	return homes
}

// identify names the process that serves key, "" if it cannot be the home.
func (k *Keeper) identify(ctx context.Context, key string) (string, error) {
	id, err := k.Redis.Identity(ctx, key)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	k.policy = id.MaxMemoryPolicy
	k.mu.Unlock()
	if id.Role != "master" {
		return "", nil
	}
	return id.Process, nil
}

func (k *Keeper) scriptsFor(process string) (*keyspace.Scripts, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if sc := k.scripts[process]; sc != nil {
		return sc, nil
	}
	sc, err := keyspace.NewScripts(process)
	if err == nil {
		k.scripts[process] = sc
	}
	return sc, err
}
