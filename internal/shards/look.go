package shards

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/model"
)

// sight is what a replica sees of a shard's Redis: the process that serves it as master, "" for none, and
// since when it sees this.
type sight struct {
	process string
	since   time.Time
}

// sees returns the process that serves a shard now, "" for none.
func (k *Keeper) sees(s int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[s].process
}

// node is what one Redis process answered when it was looked at.
type node struct {
	process string // "" if it cannot be a home: out of reach, or no master
	memory  Memory
	err     error
}

// look asks the processes that serve the shards who they are. It marks the shards whose process does not
// answer as away. While they are, nothing else is sent to it: the looks find out when it is back.
func (k *Keeper) look(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	asked := make(map[*redis.Client]node)
	found := make([]node, k.Space.Shards())
	for s := range found {
		client, err := k.Redis.Node(bounded, k.Space.Meta(s))
		if err != nil {
			found[s].err = err
			continue
		}
		n, known := asked[client]
		if !known {
			n = k.identify(bounded, s)
			asked[client] = n
		}
		found[s] = n
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		k.notice(found)
	}
}

// identify asks the process that serves a shard who it is, and whether it takes writes: a home that answers
// and refuses them would never be left.
func (k *Keeper) identify(ctx context.Context, shard int) node {
	id, err := k.Redis.Identity(ctx, k.Space.Meta(shard))
	if err != nil {
		return node{err: err}
	}
	n := node{memory: Memory{Policy: id.MaxMemoryPolicy, Used: id.UsedMemory, Limit: id.MaxMemory}}
	if id.Role != "master" {
		return n
	}
	if n.err = k.Redis.Writable(ctx, k.Space.Probe(shard)); n.err == nil {
		n.process = id.Process
	}
	return n
}

// notice keeps what a look has found, and tells of a change.
func (k *Keeper) notice(found []node) {
	was := k.Table.RedisDown()
	var trouble error
	var memory Memory
	for s, n := range found {
		k.Table.setAway(s, n.err != nil)
		if n.err != nil {
			trouble = n.err
			continue
		}
		if memory.Policy == "" || n.memory.Evicts() && !memory.Evicts() || n.memory.Full() > memory.Full() && n.memory.Evicts() == memory.Evicts() {
			memory = n.memory
		}
	}
	k.mu.Lock()
	now := time.Now()
	for s, n := range found {
		if seen := &k.seen[s]; seen.since.IsZero() || seen.process != n.process {
			*seen = sight{process: n.process, since: now}
		}
	}
	if memory.Policy != "" {
		k.memory = memory
	}
	maps.DeleteFunc(k.scripts, func(process string, _ *keyspace.Scripts) bool {
		return !slices.ContainsFunc(found, func(n node) bool { return n.process == process || n.err != nil }) &&
			!slices.ContainsFunc(k.last.Shards, func(sh model.Shard) bool { return sh.Home == process })
	})
	k.mu.Unlock()
	switch is := k.Table.RedisDown(); {
	case is > 0 && was == 0:
		k.Log.Warn("Redis is out of reach; if it stays so, its shards move to the database", zap.Int("shards", is), zap.Error(trouble))
	case is == 0 && was > 0:
		k.Log.Info("Redis is back")
	}
}
