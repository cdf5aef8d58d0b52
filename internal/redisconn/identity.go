package redisconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zmsg/zmsg/model"
)

// Identity is what one Redis process says of itself.
type Identity struct {
	// Process names the process in its present role: "<run id>:<replication id>". A restart changes
	// the run id, a promotion the replication id, so a process that was demoted and promoted again
	// is another one.
	Process         string
	Role            string // "master" or "slave"
	MaxMemory       int64  // bytes; 0: no limit
	MaxMemoryPolicy string // what is evicted at the limit, such as "noeviction"
	UsedMemory      int64  // bytes
	Version         string // of the commands it knows, as "7.0.15"; a Valkey names the Redis it follows
	AppendOnly      bool   // writes are logged to its disk
	Replicas        int    // connected to it
}

// ErrIdentity means that another process answers than the one that was expected.
var ErrIdentity = errors.New("another Redis process answers")

// Identity asks the process that serves key. One that still reads its data, or cannot write its log,
// refuses all writes although it answers: it is out of reach, and the error Unavailable. Where no master of a
// Cluster answers, the layout is asked for anew in the background: the client does so by itself only when a
// living process redirects it.
func (c *Conn) Identity(ctx context.Context, key string) (Identity, error) {
	node, err := c.Node(ctx, key)
	if err != nil {
		return Identity{}, err
	}
	id, err := identify(ctx, node)
	if c.cluster != nil && (err != nil || id.Role != "master") {
		c.cluster.ReloadState(ctx)
	}
	return id, err
}

// refusals begin the replies of a master that answers but takes no write, whatever is written: it cannot save its
// data, too few replicas are connected, or it has just become a replica.
var refusals = []string{"MISCONF", "NOREPLICAS", "READONLY"}

// probeTTL is how long the key of a probe is kept.
const probeTTL = 10 * time.Second

// Writable writes to key, which must be used for nothing else, in the process that serves it. The error is
// Unavailable if that takes no writes at all, or does not answer. One whose memory is full is writable: what it
// holds can be removed.
func (c *Conn) Writable(ctx context.Context, key string) error {
	node, err := c.Node(ctx, key)
	if err != nil {
		return err
	}
	err = node.Set(ctx, key, time.Now().UnixMilli(), probeTTL).Err()
	reply := redis.Error(nil)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &reply):
		return model.NewUnavailable("Redis is out of reach", err)
	case slices.ContainsFunc(refusals, func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) }):
		return model.NewUnavailable("Redis refuses all writes", err)
	default:
		return nil // such as OOM, or a key that is served elsewhere by now
	}
}

// Load puts the scripts into the cache of exactly the process named by process (see
// Identity.Process) that serves key, and of no other: the check and the loading share one
// connection. The error wraps ErrIdentity if another process answers.
func (c *Conn) Load(ctx context.Context, key, process string, scripts ...*redis.Script) (err error) {
	node, err := c.Node(ctx, key)
	if err != nil {
		return err
	}
	conn := node.Conn()
	defer func() { err = errors.Join(err, conn.Close()) }()
	found, err := identify(ctx, conn)
	if err != nil {
		return err
	}
	if found.Process != process {
		return fmt.Errorf("%w: %s instead of %s", ErrIdentity, found.Process, process)
	}
	for _, script := range scripts {
		hash, err := script.Load(ctx, conn).Result()
		if err != nil {
			return model.NewUnavailable("Redis does not take a script", err)
		}
		if hash != script.Hash() {
			return fmt.Errorf("script is %s to Redis, %s here", hash, script.Hash())
		}
	}
	return nil
}

// informer is the part of a client, or of one of its connections, that answers INFO.
type informer interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
}

// identify asks for the default sections: several by name are known only since Redis 7.
func identify(ctx context.Context, from informer) (Identity, error) {
	text, err := from.Info(ctx).Result()
	if err != nil {
		return Identity{}, model.NewUnavailable("Redis is out of reach", err)
	}
	return parseInfo(text)
}

func parseInfo(text string) (Identity, error) {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			fields[name] = value
		}
	}
	for _, name := range []string{"run_id", "master_replid", "role", "maxmemory", "maxmemory_policy", "used_memory"} {
		if fields[name] == "" {
			return Identity{}, fmt.Errorf("INFO of Redis lacks %s", name)
		}
	}
	switch {
	case fields["loading"] == "1":
		return Identity{}, model.NewUnavailable("Redis is reading its data", nil)
	case fields["aof_enabled"] == "1" && fields["aof_last_write_status"] == "err":
		return Identity{}, model.NewUnavailable("Redis cannot write its log, and refuses all writes", nil)
	}
	numbers := make(map[string]int64)
	for _, name := range []string{"maxmemory", "used_memory", "connected_slaves"} {
		n, err := strconv.ParseInt(cmp.Or(fields[name], "0"), 10, 64)
		if err != nil {
			return Identity{}, fmt.Errorf("INFO of Redis: %s: %w", name, err)
		}
		numbers[name] = n
	}
	return Identity{
		Process:         fields["run_id"] + ":" + fields["master_replid"],
		Role:            fields["role"],
		MaxMemory:       numbers["maxmemory"],
		MaxMemoryPolicy: fields["maxmemory_policy"],
		UsedMemory:      numbers["used_memory"],
		Version:         fields["redis_version"],
		AppendOnly:      fields["aof_enabled"] == "1",
		Replicas:        int(numbers["connected_slaves"]),
	}, nil
}

// settings returns the settings whose names match pattern, none if the server tells none: those of a
// provider often forbid CONFIG.
func settings(ctx context.Context, node *redis.Client, pattern string) (map[string]string, error) {
	values, err := node.ConfigGet(ctx, pattern).Result()
	if reply := redis.Error(nil); errors.As(err, &reply) {
		return nil, nil
	}
	if err != nil {
		return nil, model.NewUnavailable("Redis is out of reach", err)
	}
	return values, nil
}
