package kv

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/zmsg/zmsg/kv/internal/admin"
	"github.com/zmsg/zmsg/kv/internal/engine"
	"github.com/zmsg/zmsg/kv/internal/persist"
)

// Fsync says when what was written to the log is synced to the disk.
type Fsync string

// When the log is synced.
const (
	// EverySecond syncs once a second: a crash of the machine may lose that second and the time of a sync.
	EverySecond Fsync = "everysec"
	// Always syncs before a change is acknowledged; changes at the same time share a sync.
	Always Fsync = "always"
	// Never leaves it to the operating system.
	Never Fsync = "no"
)

// Progress is how far loading has come.
type Progress = persist.Progress

// Options say how a database is opened. The zero value keeps everything in memory only.
type Options struct {
	// Dir has the database's files; "" keeps none. It is made if it is not there, and locked against other
	// processes.
	Dir string
	// Fsync says when the log is synced; "" is EverySecond.
	Fsync Fsync
	// NoLog keeps no log: what is to be kept is saved with snapshots (SAVE, BGSAVE) alone.
	NoLog bool
	// MaxMemory limits the memory of keys and values, in bytes; 0 does not. What happens then, Policy says.
	MaxMemory int64
	// Policy is one of Redis's: noeviction (""), allkeys-lru, volatile-ttl, ….
	Policy string
	// Settings are further settings by the names that CONFIG SET has for them. They win over the others.
	Settings map[string]string
	// Progress is called at least once a second while the files are loaded. May be nil.
	Progress func(Progress)
	// Logger gets messages about loading, rewrites and failures; nil discards them.
	Logger *slog.Logger
	// OnShutdown is called when a client sends SHUTDOWN, which is refused without. It must not block: it
	// asks the program to end, which then closes the database.
	OnShutdown func()
}

// config turns the options into the engine's configuration, or says which setting is wrong.
func (o Options) config() (*engine.Config, error) {
	c := engine.Defaults()
	c.Dir = o.Dir
	c.AppendOnly = o.Dir != "" && !o.NoLog
	c.MaxMemory = o.MaxMemory
	settings := map[string]string{}
	if o.Fsync != "" {
		settings["appendfsync"] = string(o.Fsync)
	}
	if o.Policy != "" {
		settings["maxmemory-policy"] = o.Policy
	}
	maps.Copy(settings, o.Settings)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if err := admin.Set(c, name, settings[name]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalidOption, err)
		}
	}
	if c.MaxMemory < 0 {
		return nil, fmt.Errorf("%w: MaxMemory is %d, below 0", ErrInvalidOption, c.MaxMemory)
	}
	return c, nil
}
