package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/zmsg/zmsg/internal/redisconn"
)

// Config of the queue.
type Config struct {
	Durability         string        `env:"QUEUE_DURABILITY" envDefault:"memory" unit:"memory|fsync|replicated" desc:"what a 202 survives: memory (Redis has it, and writes it down as it is configured to), fsync (Redis has it on disk), replicated (replicas of Redis have it too)"`
	ReplicaAcks        int           `env:"QUEUE_REPLICA_ACKS" envDefault:"1" unit:"replicas" desc:"how many replicas of Redis must have a write before it is answered, with QUEUE_DURABILITY=replicated"`
	DurabilityTimeout  time.Duration `env:"QUEUE_DURABILITY_TIMEOUT" envDefault:"2s" unit:"duration" desc:"longest wait for what QUEUE_DURABILITY promises; after it the outcome of the write is unknown"`
	Workers            int           `env:"QUEUE_WORKERS" envDefault:"2" unit:"workers" desc:"drains of this replica's items under way at the same time; its counters have one of their own"`
	BatchItems         int           `env:"QUEUE_BATCH_ITEMS" envDefault:"4096" unit:"writes" desc:"most writes of items in one transaction of the drain"`
	BatchBytes         int64         `env:"QUEUE_BATCH_BYTES" envDefault:"8388608" unit:"bytes" desc:"about the most content in one transaction of the drain"`
	CounterFlush       time.Duration `env:"COUNTER_FLUSH_INTERVAL" envDefault:"5s" unit:"duration" desc:"how long changes of counters are gathered before they are stored, as one row for each counter; reads are exact meanwhile"`
	MaxWrites          int64         `env:"QUEUE_MAX_WRITES" envDefault:"1000000" unit:"writes" desc:"most writes that may be queued before delayed ones wait for their commit; at twice as many writes are refused"`
	MaxBytes           int64         `env:"QUEUE_MAX_BYTES" envDefault:"268435456" unit:"bytes" desc:"about the most memory that queued writes may take before delayed ones wait for their commit; at twice as much writes are refused"`
	MaxAge             time.Duration `env:"QUEUE_MAX_AGE" envDefault:"60s" unit:"duration" desc:"age of the oldest queued write from which on delayed ones wait for their commit"`
	MaxWaiting         int           `env:"QUEUE_MAX_WAITING" envDefault:"4096" unit:"writes" desc:"most synchronous writes of this process that wait for their commit; more are refused"`
	AwaitTimeout       time.Duration `env:"QUEUE_AWAIT_TIMEOUT" envDefault:"10s" unit:"duration" desc:"longest wait of a synchronous write for its commit"`
	IdempotencyTTL     time.Duration `env:"IDEMPOTENCY_TTL" envDefault:"24h" unit:"duration" desc:"how long an Idempotency-Key is remembered at least"`
	TombstoneRetention time.Duration `env:"TOMBSTONE_RETENTION" envDefault:"48h" unit:"duration" desc:"how long the row of a deleted item is kept; at least twice IDEMPOTENCY_TTL"`
	TombstonePeriod    time.Duration `env:"TOMBSTONE_PERIOD" envDefault:"1m" unit:"duration" desc:"how often rows of items deleted long ago, and idempotency keys that are too old, are removed"`
}

// Validate reports everything that is wrong with c, each by the name of its variable.
func (c *Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	switch redisconn.Level(c.Durability) {
	case redisconn.LevelMemory, redisconn.LevelFsync, redisconn.LevelReplicated:
	default:
		need(false, "QUEUE_DURABILITY: %q is none of memory, fsync and replicated", c.Durability)
	}
	need(c.ReplicaAcks >= 1, "QUEUE_REPLICA_ACKS: must be positive")
	need(c.DurabilityTimeout >= time.Millisecond, "QUEUE_DURABILITY_TIMEOUT: must be at least 1ms")
	need(c.Workers >= 1, "QUEUE_WORKERS: must be positive")
	need(c.BatchItems > 0 && c.BatchItems <= roundEntries, "QUEUE_BATCH_ITEMS: must be from 1 to %d", roundEntries)
	need(c.BatchBytes > 0, "QUEUE_BATCH_BYTES: must be positive")
	need(c.CounterFlush > 0, "COUNTER_FLUSH_INTERVAL: must be positive")
	need(c.MaxWrites > 0, "QUEUE_MAX_WRITES: must be positive")
	need(c.MaxBytes > 0, "QUEUE_MAX_BYTES: must be positive")
	// Counters are that old before they are drained, although nothing is wrong.
	need(c.MaxAge > 0 && c.MaxAge/2 >= c.CounterFlush, "QUEUE_MAX_AGE: must be at least twice COUNTER_FLUSH_INTERVAL, %v", c.CounterFlush)
	need(c.MaxWaiting > 0, "QUEUE_MAX_WAITING: must be positive")
	need(c.AwaitTimeout > 0, "QUEUE_AWAIT_TIMEOUT: must be positive")
	need(c.IdempotencyTTL >= time.Second, "IDEMPOTENCY_TTL: must be at least 1s")
	// A key is remembered for two periods at most. As long as it may be, the row of its item must be there.
	need(c.TombstoneRetention > 0 && c.TombstoneRetention/2 >= c.IdempotencyTTL,
		"TOMBSTONE_RETENTION: must be at least twice IDEMPOTENCY_TTL, %v, so that the repeat of a request finds the item deleted since", c.IdempotencyTTL)
	need(c.TombstonePeriod > 0, "TOMBSTONE_PERIOD: must be positive")
	return errors.Join(errs...)
}
