package zmsg

import (
	"fmt"
	"strings"

	"github.com/zmsg/zmsg/cache"
	"github.com/zmsg/zmsg/queue"
)

// Check is one thing that the engine needs.
type Check struct {
	Name     string
	OK       bool
	Required bool   // while it is not OK, the engine should get no requests
	Detail   string // what is wrong, or how it stands
}

// Checks tells how the engine stands, from memory: it asks nobody.
func (e *Engine) Checks() []Check {
	granted, total := e.table.Granted(), e.table.Shards()
	checks := []Check{
		{Name: "database", OK: !e.table.SQLDown(), Detail: "answers"},
		{Name: "redis", OK: e.table.RedisDown() == 0, Required: true, Detail: "answers"},
		{Name: "shards", OK: granted == total, Required: true, Detail: fmt.Sprintf("%d of %d usable", granted, total)},
		{Name: "ids", OK: true, Required: true, Detail: "a window is held"},
		{Name: "eviction", OK: true, Required: true, Detail: e.keeper.Policy()},
	}
	if !checks[0].OK {
		checks[0].Detail = "out of reach: delayed writes and cached reads only"
	}
	if !checks[1].OK {
		checks[1].Detail = "out of reach: reads from the database only"
	}
	if err := e.ids.Ready(); err != nil {
		checks[3].OK, checks[3].Detail = false, "no window is held"
	}
	if p := e.keeper.Policy(); strings.HasPrefix(p, "allkeys-") {
		checks[4].OK = false
		checks[4].Detail = p + " may evict queued writes: set maxmemory-policy to noeviction or volatile-lru"
	}
	return checks
}

// Stats are the engine's figures for a person to read.
type Stats struct {
	Replicas []string    `json:"replicas"`
	Shards   int         `json:"shards_usable"`
	Queue    queue.Stats `json:"queue"`
	Cache    cache.Stats `json:"cache"`
	IDs      any         `json:"ids"`
}

// Stats returns the present figures.
func (e *Engine) Stats() Stats {
	return Stats{
		Replicas: e.table.Alive(), Shards: e.table.Granted(),
		Queue: e.drainer.Stats(), Cache: e.caches.Stats(), IDs: e.ids.Stats(),
	}
}
