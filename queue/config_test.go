package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/zmsg/zmsg/internal/redisconn"
)

func validConfig() Config {
	return Config{
		Durability: string(redisconn.LevelMemory), ReplicaAcks: 1, DurabilityTimeout: 2 * time.Second,
		Workers: 2, BatchItems: 4096, BatchBytes: 1 << 23, CounterFlush: 5 * time.Second,
		MaxWrites: 1, MaxBytes: 1, MaxAge: 10 * time.Second, MaxWaiting: 1, AwaitTimeout: time.Second,
		IdempotencyTTL: time.Hour, TombstoneRetention: 2 * time.Hour, TombstonePeriod: time.Minute,
	}
}

func TestConfigThatWorks(t *testing.T) {
	t.Parallel()
	for _, level := range []redisconn.Level{redisconn.LevelMemory, redisconn.LevelFsync, redisconn.LevelReplicated} {
		cfg := validConfig()
		cfg.Durability = string(level)
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", level, err)
		}
	}
}

func TestConfigThatCannotWorkNamesItsVariable(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(c *Config){
		"QUEUE_DURABILITY":         func(c *Config) { c.Durability = "hope" },
		"QUEUE_REPLICA_ACKS":       func(c *Config) { c.ReplicaAcks = 0 },
		"QUEUE_DURABILITY_TIMEOUT": func(c *Config) { c.DurabilityTimeout = 0 },
		"QUEUE_WORKERS":            func(c *Config) { c.Workers = 0 },
		"QUEUE_BATCH_ITEMS":        func(c *Config) { c.BatchItems = roundEntries + 1 },
		"QUEUE_BATCH_BYTES":        func(c *Config) { c.BatchBytes = 0 },
		"COUNTER_FLUSH_INTERVAL":   func(c *Config) { c.CounterFlush = 0 },
		"QUEUE_MAX_WRITES":         func(c *Config) { c.MaxWrites = 0 },
		"QUEUE_MAX_BYTES":          func(c *Config) { c.MaxBytes = 0 },
		"QUEUE_MAX_AGE":            func(c *Config) { c.MaxAge = 2*c.CounterFlush - 1 },
		"QUEUE_MAX_WAITING":        func(c *Config) { c.MaxWaiting = 0 },
		"QUEUE_AWAIT_TIMEOUT":      func(c *Config) { c.AwaitTimeout = 0 },
		"IDEMPOTENCY_TTL":          func(c *Config) { c.IdempotencyTTL = time.Millisecond },
		"TOMBSTONE_RETENTION":      func(c *Config) { c.TombstoneRetention = 2*time.Hour - 1 },
		"TOMBSTONE_PERIOD":         func(c *Config) { c.TombstonePeriod = 0 },
	} {
		cfg := validConfig()
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+":") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
