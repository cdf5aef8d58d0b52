package shards

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// reconcile compares what SQL says of every shard with the Redis process that serves it now.
func (k *Keeper) reconcile(ctx context.Context) {
	hb := k.heartbeat()
	homes := k.look(ctx)
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
	if len(claims) == 0 {
		k.setStrange("", "")
		return
	}
	if k.Table.SQLDown() {
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

// node is what one Redis process answered when it was looked at.
type node struct {
	process string // "" if it cannot be a home: out of reach, or no master
	policy  string
	err     error
}

// look asks the processes that serve the shards who they are. It marks the shards whose process does not
// answer as away, and returns the process of each, "" where it cannot be a home.
func (k *Keeper) look(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	asked := make(map[*redis.Client]node)
	found := make([]node, k.Space.Shards())
	for s := range found {
		client, err := k.Redis.Node(ctx, k.Space.Meta(s))
		if err != nil {
			found[s].err = err
			continue
		}
		n, known := asked[client]
		if !known {
			n = k.identify(ctx, k.Space.Meta(s))
			asked[client] = n
		}
		found[s] = n
	}
	homes := make([]string, len(found))
	for s, n := range found {
		homes[s] = n.process
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		k.notice(found)
	}
	return homes
}

// notice keeps what a look has found, and tells of a change.
func (k *Keeper) notice(found []node) {
	was := k.Table.RedisDown()
	var trouble error
	policy := ""
	for s, n := range found {
		k.Table.setAway(s, n.err != nil)
		if n.err != nil {
			trouble = n.err
		}
		if n.policy != "" && !strings.HasPrefix(policy, evictsAll) {
			policy = n.policy
		}
	}
	k.mu.Lock()
	k.seen = nil
	for _, n := range found {
		if n.process != "" && !slices.Contains(k.seen, n.process) {
			k.seen = append(k.seen, n.process)
		}
	}
	if policy != "" {
		k.policy = policy
	}
	maps.DeleteFunc(k.scripts, func(process string, _ *keyspace.Scripts) bool {
		return !slices.ContainsFunc(found, func(n node) bool { return n.process == process || n.err != nil }) &&
			!slices.ContainsFunc(k.last.Shards, func(sh model.Shard) bool { return sh.Home == process })
	})
	k.mu.Unlock()
	switch is := k.Table.RedisDown(); {
	case is > 0 && was == 0:
		k.Log.Warn("Redis is out of reach; writes are refused, reads go to the database", zap.Int("shards", is), zap.Error(trouble))
	case is == 0 && was > 0:
		k.Log.Info("Redis is back")
	}
}

// evictsAll begins the names of the eviction policies that may take queued writes.
const evictsAll = "allkeys-"

func (k *Keeper) identify(ctx context.Context, key string) node {
	id, err := k.Redis.Identity(ctx, key)
	n := node{policy: id.MaxMemoryPolicy, err: err}
	if err == nil && id.Role == "master" {
		n.process = id.Process
	}
	return n
}

// scriptsFor returns the scripts of a process. They are kept as long as the process is seen, or named by
// SQL.
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
