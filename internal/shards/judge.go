package shards

import (
	"context"
	"slices"
	"time"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

type verdict int

const (
	keep verdict = iota
	enterIt
	openIt
)

// How patient the Keeper is. A home that answers again within a moment is not left: a move costs every
// replica a pause. It is not returned to at its first answer either.
func (k *Keeper) lostAfter() time.Duration { return k.cfg.Permission / 2 }
func (k *Keeper) backAfter() time.Duration { return k.cfg.Permission / 3 }

// judge decides what to do about one shard, and which home it is to get if it is to be opened.
func (k *Keeper) judge(ctx context.Context, sh model.Shard, alive []string) (verdict, string) {
	k.mu.Lock()
	seen := k.seen[sh.Shard]
	k.mu.Unlock()
	now := time.Now()
	lost := seen.process == "" && now.Sub(seen.since) >= k.lostAfter()
	switch {
	case !sh.Ready:
		if sh.Opener != k.Replica && slices.Contains(alive, sh.Opener) {
			return keep, "" // its opener lives
		}
		return k.target(seen, lost)
	case sh.Home == model.HomeSQL:
		switch {
		case k.Table.rows[sh.Shard].grant.Load() == nil:
			return enterIt, "" // first of all: the others may not let it go
		case seen.process != "" && now.Sub(seen.since) >= k.backAfter():
			return openIt, seen.process
		}
		return keep, ""
	case sh.Home != seen.process:
		return k.target(seen, lost)
	case k.Table.hasForgotten(sh.Shard, sh.Epoch):
		return openIt, seen.process
	case k.Table.rows[sh.Shard].grant.Load() != nil:
		return keep, ""
	case !k.Table.isDoubted(sh.Shard):
		return enterIt, ""
	}
	err := k.probe(ctx, sh)
	switch {
	case err == nil:
		return enterIt, "" // events were missed, nothing worse
	case keyspace.Refused(err):
		return openIt, seen.process
	default:
		return keep, ""
	}
}

// target opens a shard in the Redis process that serves it now; in SQL if none does for a while, or if
// the other replicas see another one.
func (k *Keeper) target(seen sight, lost bool) (verdict, string) {
	switch {
	case lost, seen.process != "" && k.estranged():
		return openIt, model.HomeSQL
	case seen.process != "":
		return openIt, seen.process
	default:
		return keep, ""
	}
}

// inFlux reports whether a shard moves, is about to, or has been refused to this replica.
func (k *Keeper) inFlux() bool {
	for s := range k.Space.Shards() {
		if k.Table.Away(s) || k.Table.isDoubted(s) {
			return true
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.last.Shards, func(sh model.Shard) bool { return !sh.Ready })
}
