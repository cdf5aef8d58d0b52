package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg/internal/failpoint"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// open makes the home of each of the shards the one that is set in it, in a new epoch:
//
//  1. SQL: epoch+1, not ready. From now on nobody renews a permission for an older epoch, and nobody
//     writes to SQL directly under one.
//  2. Wait until every other living replica has said that it works under no older epoch any more, and has
//     stored what it had queued there. Once its permission must have run out, one that lives is given some
//     more time to store the rest.
//  3. Of a home in Redis: drain what the stream still holds beyond the position, then run the opening
//     script, which refuses while SQL lacks something, else makes the epoch the one served.
//  4. SQL: ready, if the position is still the one that the script was called with.
//
// An attempt that fails anywhere is given up: the next one has an epoch of its own, so a late step of
// this one finds itself refused.
func (k *Keeper) open(ctx context.Context, shards []model.Shard, hb model.Heartbeat) error {
	claims := make([]model.Claim, len(shards))
	first := true
	for i, sh := range shards {
		claims[i] = model.Claim{Shard: sh.Shard, Epoch: sh.Epoch, Home: sh.Home}
		first = first && hb.Shards[sh.Shard].Home == ""
	}
	claimed, wait, err := k.Store.Claim(ctx, k.Replica, claims)
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if len(claimed) == 0 {
		return k.refused(ctx, shards) // somebody else was first, or most replicas see it otherwise
	}
	// Not before the claim: who is refused goes on where the shard is.
	for _, sh := range claimed {
		k.leave(sh.Shard)
	}
	k.setStrange("", "")
	if err := failpoint.Hit("open.after_claim"); err != nil {
		return err
	}
	if first {
		wait = 0 // no home yet, so nobody ever had a permission
	}
	k.Log.Info("moving shards", zap.Int("shards", len(claimed)), zap.String("to", claimed[0].Home), zap.Duration("wait_at_most", wait))
	if err := k.awaitSettled(ctx, claimed, wait); err != nil {
		return err
	}
	var toRedis, ready []model.Shard
	for _, sh := range claimed {
		if sh.Home == model.HomeSQL {
			ready = append(ready, sh)
		} else {
			toRedis = append(toRedis, sh)
		}
	}
	opened, err := k.openRedis(ctx, toRedis)
	if err2 := failpoint.Hit("open.before_confirm"); err2 != nil {
		return err2
	}
	confirmed, err2 := k.Store.Confirm(ctx, append(ready, opened...))
	for _, s := range confirmed {
		if slices.ContainsFunc(ready, func(sh model.Shard) bool { return sh.Shard == s }) {
			k.metrics.toSQL.Inc()
		} else {
			k.metrics.toRedis.Inc()
		}
	}
	if n := len(ready) + len(opened); err2 == nil && len(confirmed) < n {
		err2 = fmt.Errorf("%d of %d shards have moved on meanwhile", n-len(confirmed), n)
	}
	k.Log.Info("moved shards", zap.Int("shards", len(confirmed)))
	k.Table.Poke()
	return errors.Join(err, err2)
}

// settlePoll is how often it is looked whether other replicas have left older epochs.
const settlePoll = 20 * time.Millisecond

// settleGrace is how many times the permission an opener waits beyond its end for replicas that live: what they
// still have to store may be much. Readers would miss it in SQL, and it would be lost if Redis has lost it.
const settleGrace = 2

// awaitSettled waits for the other replicas, for most until their permissions have run out, and stores before
// what this one has queued under older epochs.
func (k *Keeper) awaitSettled(ctx context.Context, claimed []model.Shard, most time.Duration) error {
	deadline := time.Now().Add(most) // before the flush, which takes its time
	for _, sh := range claimed {
		if err := k.flush(ctx, sh); err != nil {
			return fmt.Errorf("store what was queued in shard %d: %w", sh.Shard, err)
		}
	}
	if most <= 0 {
		return nil // there are no others
	}
	for end := deadline.Add(settleGrace * k.cfg.Permission); ; {
		unsettled, err := k.Store.Unsettled(ctx, k.Replica, claimed)
		if err != nil {
			return err
		}
		if !unsettled {
			return nil
		}
		if !time.Now().Before(end) {
			k.Log.Error("another replica does not store what it has queued; its writes may be missed until it does, or lost")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePoll):
		}
	}
}

// openRedis opens the shards in the Redis processes that are to be their homes, and returns those that
// have succeeded.
func (k *Keeper) openRedis(ctx context.Context, claimed []model.Shard) ([]model.Shard, error) {
	if err := k.loadScripts(ctx, claimed); err != nil {
		return nil, err
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
	err := group.Wait()
	var ready []model.Shard
	for _, sh := range opened {
		if sh != nil {
			ready = append(ready, *sh)
		}
	}
	return ready, err
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
		k.Entries.Value.Milliseconds(), k.Entries.Deletion.Milliseconds(), int64(k.keyCheck(sh)/time.Second))
	if err := k.Redis.Client().Process(ctx, cmd); err != nil {
		return fmt.Errorf("opening script: %w", err)
	}
	switch answer, _ := cmd.Text(); answer {
	case "ok":
		return failpoint.Hit("open.after_script")
	case "newer":
		return errors.New("a later attempt has opened it")
	default:
		return fmt.Errorf("the opening script refuses: %s", answer)
	}
}

// refused finds out why a claim got nothing: a shard whose epoch stands where it stood has a home that
// most replicas want it to keep.
func (k *Keeper) refused(ctx context.Context, shards []model.Shard) error {
	if err := k.beat(ctx); err != nil {
		return err
	}
	now := k.heartbeat().Shards
	for _, sh := range shards {
		cur := now[sh.Shard]
		if cur.Epoch != sh.Epoch {
			continue
		}
		k.putOff()
		if mine := k.sees(sh.Shard); cur.Ready && mine != "" && mine != cur.Home {
			k.setStrange(cur.Home, mine)
			return nil
		}
	}
	return nil
}

// putOff lets the next attempt wait: every attempt has an epoch of its own, and every claim makes direct
// writes wait. Requests that look for a shard poke the Keeper much more often.
func (k *Keeper) putOff() { k.claimFrom = time.Now().Add(k.cfg.Permission / 10) }

// keyCheck returns for how long keys that Redis does not know are looked up in SQL after the opening. In the
// first epoch of a shard nobody has used one yet. Lookups would make every request with a key wait for SQL, and
// fail while that is away.
func (k *Keeper) keyCheck(sh *model.Shard) time.Duration {
	if sh.Epoch == 1 {
		return 0
	}
	return k.KeyCheck
}
