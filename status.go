package zmsg

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/zmsg/zmsg/cache"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/queue"
	"github.com/zmsg/zmsg/snowflake"
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
	shards := fmt.Sprintf("%d of %d usable", granted, total)
	if n := e.table.AtSQL(); n > 0 {
		shards += fmt.Sprintf(", %d of them in the database, without caches and queue", n)
	}
	switch e.keeper.StrangeHome() {
	case "":
	case model.HomeSQL:
		shards += ": most replicas do not reach the Redis that this one reaches; all must be given the same"
	default:
		shards += ": other replicas use another Redis than this one; all must be given the same"
	}
	sqlDown, redisDown := e.table.SQLDown(), e.table.RedisDown() > 0
	withoutSQL, withoutRedis := "out of reach: delayed writes and cached reads only", "out of reach: the database does its work"
	if sqlDown && redisDown {
		withoutSQL, withoutRedis = "out of reach", "out of reach"
	}
	memory, level := e.keeper.Memory(), e.backlog.Level()
	return []Check{
		optional(check("database", !sqlDown, "answers", withoutSQL)),
		optional(check("redis", !redisDown, "answers", withoutRedis)),
		check("shards", granted == total, shards, shards),
		check("ids", e.ids.Ready() == nil, "a window is held", "no window is held"),
		check("eviction", !memory.Evicts(), memory.Policy,
			memory.Policy+" may evict queued writes: set maxmemory-policy to noeviction or volatile-lru"),
		optional(check("queue", level == "ok", level, level+": delayed writes wait for their commit, or are refused")),
	}
}

// check returns a required check with the detail that fits.
func check(name string, ok bool, good, bad string) Check {
	detail := bad
	if ok {
		detail = good
	}
	return Check{Name: name, OK: ok, Required: true, Detail: detail}
}

// optional returns c as one without which the engine should still get requests.
func optional(c Check) Check {
	c.Required = false
	return c
}

// Stats are the engine's figures for a person to read.
type Stats struct {
	Replicas []string        `json:"replicas"`
	Shards   int             `json:"shards_usable"`
	Queue    queue.Stats     `json:"queue"`
	Cache    cache.Stats     `json:"cache"`
	IDs      snowflake.Stats `json:"ids"`
}

// Stats returns the present figures.
func (e *Engine) Stats() Stats {
	return Stats{
		Replicas: e.table.Alive(), Shards: e.table.Granted(),
		Queue: e.drainer.Stats(), Cache: e.caches.Stats(), IDs: e.ids.Stats(),
	}
}

// Queue tells how the queue stands. It asks SQL for the number of dead letters, the rest is in memory.
func (e *Engine) Queue(ctx context.Context) model.QueueReport {
	r := model.QueueReport{
		Replica: e.replica, Replicas: e.table.Alive(), Shards: e.backlog.Report(),
		Level: e.backlog.Level(), Waiting: e.backlog.Waiting(), DeadLetters: -1, Work: e.work(),
	}
	if n, err := e.db.DeadLetters().Count(ctx); err == nil {
		r.DeadLetters = n
	}
	return r
}

// work reads from the metrics what has been done for the queue.
func (e *Engine) work() model.QueueWork {
	families, err := e.metrics.Gather()
	if err != nil {
		e.log.Warn("metrics cannot be gathered", zap.Error(err))
	}
	sum := make(map[string]float64) // by name, and by name{label} where there is one
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += "{" + l.GetValue() + "}"
			}
			sum[key] += m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
			sum[key+" count"] += float64(m.GetHistogram().GetSampleCount())
		}
	}
	n := func(key string) int64 { return int64(sum[key]) }
	w := model.QueueWork{
		Commits:    n("zmsg_queue_commits_total"),
		ItemWrites: n("zmsg_queue_writes_total"), ItemRows: n("zmsg_queue_rows_total"),
		Increments: n("zmsg_queue_increments_total"), IncrementRows: n("zmsg_queue_increment_rows_total"),
		DeadLetters: n("zmsg_queue_dead_letters_total"), Lost: n("zmsg_queue_lost_total"), Takeovers: n("zmsg_takeovers_total"),
		MovedToRedis: n("zmsg_home_changes_total{redis}"), MovedToSQL: n("zmsg_home_changes_total{sql}"),
	}
	if commits := sum["zmsg_queue_commit_seconds count"]; commits > 0 {
		w.CommitTime = time.Duration(sum["zmsg_queue_commit_seconds"] / commits * float64(time.Second))
	}
	return w
}
