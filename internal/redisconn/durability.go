package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/model"
)

// Level names what an acknowledged command survives.
type Level string

// The levels.
const (
	// LevelMemory promises what Redis does by its configuration: without a log, nothing beyond its death.
	LevelMemory Level = "memory"
	// LevelFsync means that the disk of the Redis process has the command.
	LevelFsync Level = "fsync"
	// LevelReplicated means that replicas have the command in memory.
	LevelReplicated Level = "replicated"
)

// Durability is what is asked for. Its zero value is LevelMemory.
type Durability struct {
	Level    Level
	Replicas int           // of LevelReplicated: how many must have a command; default 1
	Timeout  time.Duration // how long disk or replicas are waited for, at least 1ms; default 2s
}

// Validate reports every setting that cannot work, by the name of its variable.
func (d Durability) Validate() error {
	var errs []error
	switch d.Level {
	case "", LevelMemory, LevelFsync, LevelReplicated:
	default:
		errs = append(errs, fmt.Errorf("QUEUE_DURABILITY: %q is none of memory, fsync and replicated", string(d.Level)))
	}
	if d.Replicas < 0 {
		errs = append(errs, errors.New("QUEUE_REPLICA_ACKS: must not be negative"))
	}
	if d.Timeout != 0 && d.Timeout < time.Millisecond {
		errs = append(errs, errors.New("QUEUE_DURABILITY_TIMEOUT: must be at least 1ms"))
	}
	return errors.Join(errs...)
}

func (d Durability) withDefaults() Durability {
	d.Level = cmp.Or(d.Level, LevelMemory)
	d.Replicas = cmp.Or(d.Replicas, 1)
	d.Timeout = cmp.Or(d.Timeout, 2*time.Second)
	return d
}

// Mode is how a Redis process meets a level.
type Mode uint8

// The modes.
const (
	ModeMemory  Mode = iota // as it is configured; nothing is waited for
	ModeAlways              // appendfsync always: it writes to disk before it replies
	ModeWaitAOF             // WAITAOF ends each pipeline
	ModeWait                // WAIT ends each pipeline
)

// String describes the mode for a log.
func (m Mode) String() string {
	return [...]string{"memory", "appendfsync always", "WAITAOF", "WAIT"}[m]
}

// ErrNotDurable means that a level is not met. Commands that were answered by it have run, or may have,
// and may be lost yet.
var ErrNotDurable = errors.New("not durable")

// CheckDurability says how the processes that serve the keys meet d: if in different ways, by that one that
// takes longest. An error that wraps ErrNotDurable says in words for the operator why one of them cannot;
// any other means that one is out of reach.
func (c *Conn) CheckDurability(ctx context.Context, d Durability, keys ...string) (Mode, error) {
	d = d.withDefaults()
	if err := d.Validate(); err != nil || d.Level == LevelMemory {
		return ModeMemory, err
	}
	checked := make(map[*redis.Client]bool)
	mode := ModeMemory
	for _, key := range keys {
		node, err := c.Node(ctx, key)
		if err != nil {
			return ModeMemory, err
		}
		if checked[node] {
			continue
		}
		checked[node] = true
		m, err := d.metBy(ctx, node)
		if err != nil {
			return ModeMemory, err
		}
		mode = max(mode, m)
	}
	return mode, nil
}

// metBy asks a process whether it can meet the level.
func (d Durability) metBy(ctx context.Context, node *redis.Client) (Mode, error) {
	id, err := identify(ctx, node)
	if err != nil {
		return ModeMemory, err
	}
	cannot := func(format string, args ...any) (Mode, error) {
		return ModeMemory, fmt.Errorf("ZMSG_QUEUE_DURABILITY: %s needs %w (%s): %w", d.Level, fmt.Errorf(format, args...), title(node, id), ErrNotDurable)
	}
	if id.Role != "master" {
		return cannot("a master, got a %s", id.Role)
	}
	if d.Level == LevelReplicated {
		if id.Replicas < d.Replicas {
			return cannot("ZMSG_QUEUE_REPLICA_ACKS=%d replicas, got %d", d.Replicas, id.Replicas)
		}
		return ModeWait, nil
	}
	if !id.AppendOnly {
		return cannot("appendonly yes, got no")
	}
	told, err := settings(ctx, node, logSettings)
	if err != nil {
		return ModeMemory, err
	}
	err = node.Do(ctx, "waitaof", 1, 0, 1).Err()
	switch reply := redis.Error(nil); {
	case err == nil && told["appendfsync"] == "no":
		return cannot("appendfsync always or everysec, got no")
	case err == nil:
		return ModeWaitAOF, nil
	case unknownCommand(err):
		if missing := always(told); missing != nil {
			return cannot("%w, as this Redis does not know WAITAOF", missing)
		}
		return ModeAlways, nil
	case errors.As(err, &reply):
		return cannot("WAITAOF, got %q", err.Error())
	default:
		return ModeMemory, model.NewUnavailable("Redis is out of reach", err)
	}
}

func unknownCommand(err error) bool { return redis.HasErrorPrefix(err, "unknown command") }

// title names a process in messages. The address of a sentinel's master is not known to its client.
func title(node *redis.Client, id Identity) string {
	addr := node.Options().Addr
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "Redis " + id.Version
	}
	return "Redis " + id.Version + " at " + addr
}

// proof is the commands that end a pipeline, and tells by their replies whether its other commands, and all
// that they have seen, are durable.
type proof struct {
	cmds  []redis.Cmder
	check func() error
}

// markTTL is how long the mark of a proof is kept. It is of no use to anybody.
const markTTL = time.Minute

// proof waits for what its connection has written last. Since Redis 7.2 a connection that only read has
// nothing to wait for, although it may have shown what others wrote just now; so it writes a mark first,
// behind all that. Before, and in ModeAlways, reads are waited for as well.
func (d Durability) proof(ctx context.Context, mode Mode, mark string) proof {
	if mode == ModeAlways {
		return alwaysProof(ctx)
	}
	set := redis.NewStatusCmd(ctx, "set", mark, "", "px", markTTL.Milliseconds())
	patience := d.Timeout.Milliseconds()
	if mode == ModeWait {
		wait := redis.NewIntCmd(ctx, "wait", d.Replicas, patience)
		return proof{[]redis.Cmder{set, wait}, func() error {
			if err := errors.Join(set.Err(), wait.Err()); err != nil {
				return err
			}
			if n := wait.Val(); n < int64(d.Replicas) {
				return fmt.Errorf("%d of %d replicas have it after %v", n, d.Replicas, d.Timeout)
			}
			return nil
		}}
	}
	wait := redis.NewIntSliceCmd(ctx, "waitaof", 1, 0, patience)
	return proof{[]redis.Cmder{set, wait}, func() error {
		if err := errors.Join(set.Err(), wait.Err()); err != nil {
			return err
		}
		if n := wait.Val(); len(n) == 0 || n[0] < 1 {
			return fmt.Errorf("the disk does not have it after %v", d.Timeout)
		}
		return nil
	}}
}

// alwaysProof shows that the process that ran the pipeline writes to disk before it replies. It may have
// been configured anew, and after a failover it is another one.
func alwaysProof(ctx context.Context) proof {
	get := redis.NewMapStringStringCmd(ctx, "config", "get", logSettings)
	return proof{[]redis.Cmder{get}, func() error {
		if err := get.Err(); err != nil {
			return err
		}
		if missing := always(get.Val()); missing != nil {
			return fmt.Errorf("it needs %w", missing)
		}
		return nil
	}}
}

// logSettings matches the names of all settings of the log.
const logSettings = "*append*"

// always says what keeps a process with these settings from writing to disk before each reply.
func always(told map[string]string) error {
	for _, want := range [][2]string{{"appendonly", "yes"}, {"appendfsync", "always"}, {"no-appendfsync-on-rewrite", "no"}} {
		if got := told[want[0]]; got != want[1] {
			return fmt.Errorf("%s %s, got %s", want[0], want[1], cmp.Or(got, "no answer to CONFIG GET"))
		}
	}
	return nil
}
