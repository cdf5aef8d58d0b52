package shards

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// open makes the process that serves each of the shards its home, in a new epoch:
//
//  1. SQL: epoch+1, not ready. From now on nobody renews a permission for an older epoch.
//  2. Wait until every older permission must have run out.
//  3. Drain what the stream still holds beyond the position.
//  4. The opening script: refuses while SQL lacks something, else makes the epoch the one served.
//  5. SQL: ready, if the position is still the one that the script was called with.
//
// An attempt that fails anywhere is given up: the next one has an epoch of its own, so a late step of
// this one finds itself refused.
func (k *Keeper) open(ctx context.Context, shards []model.Shard, hb model.Heartbeat) error {
	claims := make([]model.Claim, len(shards))
	first := true
	for i, sh := range shards {
		claims[i] = model.Claim{Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home}
		first = first && hb.Shards[sh.Shard].Home == ""
		k.leave(sh.Shard)
	}
	claimed, wait, err := k.Store.Claim(ctx, k.Replica, claims)
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if len(claimed) == 0 {
		return k.refused(ctx, shards) // somebody else was first, or the home is not lost
	}
	k.setStrange("", "")
	if first {
		wait = 0 // no home yet, so nobody ever had a permission
	}
	k.Log.Info("opening shards", zap.Int("shards", len(claimed)), zap.Duration("wait", wait))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
	}
	if err := k.loadScripts(ctx, claimed); err != nil {
		return err
	}
	opened := make([]*model.Shard, len(claimed))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, sh := range claimed {
		group.Go(func() error {
			if err := k.openOne(ctx, &sh); err != nil {
				return fmt.Errorf("shard %d: %w", sh.Shard, err)
			}
			opened[i] = &sh
			return nil
		})
	}
	err = group.Wait()
	var ready []model.Shard
	for _, sh := range opened {
		if sh != nil {
			ready = append(ready, *sh)
		}
	}
	confirmed, err2 := k.Store.Confirm(ctx, ready)
	k.Log.Info("opened shards", zap.Int("shards", len(confirmed)))
	return errors.Join(err, err2)
}

// loadScripts puts the scripts into the claimed homes. Nothing else ever does.
func (k *Keeper) loadScripts(ctx context.Context, claimed []model.Shard) error {
	loaded := make(map[string]bool)
	for _, sh := range claimed {
		if loaded[sh.Home] {
			continue
		}
		sc, err := k.scriptsFor(sh.Home)
		if err != nil {
			return err
		}
		if err := k.Redis.Load(ctx, k.Space.Meta(sh.Shard), sh.Home, sc.All()...); err != nil {
			return fmt.Errorf("load scripts: %w", err)
		}
		loaded[sh.Home] = true
	}
	return nil
}

// openOne drains the shard and runs the opening script. It leaves in sh the position it was opened at.
func (k *Keeper) openOne(ctx context.Context, sh *model.Shard) error {
	position, err := k.Drain(ctx, *sh)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	sh.Position = position
	sc, err := k.scriptsFor(sh.Home)
	if err != nil {
		return err
	}
	keys := []string{k.Space.Meta(sh.Shard), k.Space.Queue(sh.Shard), k.Space.Events(sh.Shard), k.Space.Gen(sh.Shard)}
	cmd := sc.Cmd(ctx, keyspace.Open, keys, sh.Epoch, keyspace.Hex(position), k.Space.Prefix(sh.Shard),
		k.Entries.Value.Milliseconds(), k.Entries.Deletion.Milliseconds())
	if err := k.Redis.Client().Process(ctx, cmd); err != nil {
		return fmt.Errorf("opening script: %w", err)
	}
	switch answer, _ := cmd.Text(); answer {
	case "ok":
		return nil
	case "newer":
		return errors.New("a later attempt has opened it")
	default:
		return fmt.Errorf("the opening script refuses: %s", answer)
	}
}

// refused finds out why a claim got nothing: a shard whose epoch stands where it stood has a home that
// other replicas still reach.
func (k *Keeper) refused(ctx context.Context, shards []model.Shard) error {
	if err := k.beat(ctx); err != nil {
		return err
	}
	now := k.heartbeat().Shards
	for _, sh := range shards {
		if cur := now[sh.Shard]; cur.Epoch == sh.Epoch && cur.Ready && cur.Home != sh.Home {
			k.setStrange(cur.Home, sh.Home)
			return nil
		}
	}
	return nil
}
