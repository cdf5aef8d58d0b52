package shards

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// reconcile compares what SQL says of every shard with the Redis process that serves it now.
func (k *Keeper) reconcile(ctx context.Context) {
	k.look(ctx)
	k.probeAll(ctx)
	if k.inFlux() {
		k.renew(ctx) // others wait to hear of this replica, and it for news of them
	}
	if ctx.Err() != nil {
		return
	}
	hb := k.heartbeat()
	var enter []model.Shard
	var claims []model.Shard
	for _, sh := range hb.Shards {
		switch verdict, home := k.judge(ctx, sh, hb.Alive); verdict {
		case enterIt:
			enter = append(enter, sh)
		case openIt:
			sh.Home = home
			claims = append(claims, sh)
		case keep:
		}
	}
	k.enterAll(ctx, enter)
	if len(claims) == 0 {
		k.setStrange("", "")
		return
	}
	if k.Table.SQLDown() || time.Now().Before(k.claimFrom) {
		return
	}
	if err := k.open(ctx, claims, hb); err != nil && ctx.Err() == nil {
		k.putOff()
		k.Log.Warn("could not move shards", zap.Int("shards", len(claims)), zap.Error(err))
	}
	if ctx.Err() == nil {
		k.renew(ctx)
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
		if g := k.Table.Redis(s); g != nil && !k.Table.Away(s) {
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
		if !k.isSettled(sh) {
			continue // own writes that were acknowledged would be missed; each heartbeat tries again to store them
		}
		if sh.Home == model.HomeSQL {
			k.Table.enter(k.Table.prepare(sh.Shard, sh.Epoch, nil), 0)
			continue
		}
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
