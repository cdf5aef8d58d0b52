package queue

import (
	"errors"
	"fmt"
	"time"
)

// Config of the queue.
type Config struct {
	Durability         string        `env:"QUEUE_DURABILITY" envDefault:"memory" unit:"level" desc:"what a 202 survives: memory (Redis has it, and writes it down as it is configured to)"`
	Workers            int           `env:"QUEUE_WORKERS" envDefault:"2" unit:"workers" desc:"drains of this replica under way at the same time"`
	BatchItems         int           `env:"QUEUE_BATCH_ITEMS" envDefault:"4096" unit:"writes" desc:"most writes in one transaction of the drain"`
	BatchBytes         int64         `env:"QUEUE_BATCH_BYTES" envDefault:"8388608" unit:"bytes" desc:"about the most content in one transaction of the drain"`
	AwaitTimeout       time.Duration `env:"QUEUE_AWAIT_TIMEOUT" envDefault:"10s" unit:"duration" desc:"longest wait of a synchronous write for its commit"`
	IdempotencyTTL     time.Duration `env:"IDEMPOTENCY_TTL" envDefault:"24h" unit:"duration" desc:"how long an Idempotency-Key is remembered at least"`
	TombstoneRetention time.Duration `env:"TOMBSTONE_RETENTION" envDefault:"48h" unit:"duration" desc:"how long the row of a deleted item is kept; at least twice IDEMPOTENCY_TTL"`
	TombstonePeriod    time.Duration `env:"TOMBSTONE_PERIOD" envDefault:"1m" unit:"duration" desc:"how often rows of items deleted long ago are removed"`
}

// Validate reports everything that is wrong with c, each by the name of its variable.
func (c *Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(c.Durability == "memory", "QUEUE_DURABILITY: %q is not a level that is supported: memory is", c.Durability)
	need(c.Workers >= 1, "QUEUE_WORKERS: must be positive")
	need(c.BatchItems > 0, "QUEUE_BATCH_ITEMS: must be positive")
	need(c.BatchBytes > 0, "QUEUE_BATCH_BYTES: must be positive")
	need(c.AwaitTimeout > 0, "QUEUE_AWAIT_TIMEOUT: must be positive")
	need(c.IdempotencyTTL >= time.Second, "IDEMPOTENCY_TTL: must be at least 1s")
	// A key is remembered for two periods at most. As long as it may be, the row of its item must be there.
	need(c.TombstoneRetention > 0 && c.TombstoneRetention/2 >= c.IdempotencyTTL,
		"TOMBSTONE_RETENTION: must be at least twice IDEMPOTENCY_TTL, %v, so that the repeat of a request finds the item deleted since", c.IdempotencyTTL)
	need(c.TombstonePeriod > 0, "TOMBSTONE_PERIOD: must be positive")
	return errors.Join(errs...)
}
