package cache

import (
	"errors"
	"time"
)

// Config of the caches.
type Config struct {
	L1MaxBytes    int64         `env:"L1_MAX_BYTES" envDefault:"134217728" unit:"bytes" desc:"memory for items in the process; at least 1048576, or 0, which switches L1 off"`
	L1TTL         time.Duration `env:"L1_TTL" envDefault:"10s" unit:"duration" desc:"longest life of an item in L1; also how old a read can be while a replica is cut off from events"`
	L1AbsentTTL   time.Duration `env:"L1_ABSENT_TTL" envDefault:"1s" unit:"duration" desc:"how long L1 remembers that an item does not exist"`
	L2TTL         time.Duration `env:"L2_TTL" envDefault:"1h" unit:"duration" desc:"life of a stored item in Redis; a queued one stays until it is stored"`
	AbsentTTL     time.Duration `env:"L2_ABSENT_TTL" envDefault:"30s" unit:"duration" desc:"how long Redis remembers that an item does not exist"`
	EventsKept    int64         `env:"QUEUE_EVENTS_KEPT" envDefault:"8192" unit:"events" desc:"events kept for each shard; a replica that is further behind starts anew"`
	FilterItems   int64         `env:"BLOOM_ITEMS" envDefault:"1000000" unit:"items" desc:"items that the Bloom filter is made for at first; it grows"`
	FilterError   float64       `env:"BLOOM_ERROR" envDefault:"0.001" unit:"ratio" desc:"share of absent IDs that the Bloom filter lets through to SQL"`
	FlightTimeout time.Duration `env:"LOAD_TIMEOUT" envDefault:"5s" unit:"duration" desc:"longest read from Redis and SQL, of an item or of a page"`
}

// Validate reports everything that is wrong with c, each by the name of its variable.
func (c *Config) Validate() error {
	var errs []error
	need := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	need(c.L1MaxBytes == 0 || c.L1MaxBytes >= mebibyte, "L1_MAX_BYTES: must be 0 or at least 1048576")
	need(c.L1TTL > 0, "L1_TTL: must be positive")
	need(c.L1AbsentTTL > 0, "L1_ABSENT_TTL: must be positive")
	need(c.L2TTL >= time.Second, "L2_TTL: must be at least 1s")
	need(c.AbsentTTL >= time.Second, "L2_ABSENT_TTL: must be at least 1s")
	need(c.EventsKept > 0, "QUEUE_EVENTS_KEPT: must be positive")
	need(c.FilterItems >= 1, "BLOOM_ITEMS: must be positive")
	need(c.FilterError > 0 && c.FilterError < 1, "BLOOM_ERROR: must be above 0 and below 1")
	need(c.FlightTimeout > 0, "LOAD_TIMEOUT: must be positive")
	return errors.Join(errs...)
}
