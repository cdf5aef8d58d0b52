package shards

import (
	"errors"
	"time"
)

// Config of the Keeper.
type Config struct {
	Shards     int           `env:"QUEUE_SHARDS" envDefault:"64" unit:"shards" desc:"number of shards of items; counters have a quarter as many of their own; fixed at the first start, another value later refuses to start"`
	Permission time.Duration `env:"PERMISSION_TTL" envDefault:"3s" unit:"duration" desc:"how long a replica may use a shard without hearing from SQL that its epoch still holds; a new home waits as long for a replica that says nothing; Redis counts as lost after half of it"`
}

// Validate reports everything that is wrong with c, each by the name of its variable.
func (c *Config) Validate() error {
	var errs []error
	if c.Shards < 1 || c.Shards > 4096 {
		errs = append(errs, errors.New("QUEUE_SHARDS: must be from 1 to 4096"))
	}
	if c.Permission < 300*time.Millisecond {
		errs = append(errs, errors.New("PERMISSION_TTL: must be at least 300ms"))
	}
	return errors.Join(errs...)
}
