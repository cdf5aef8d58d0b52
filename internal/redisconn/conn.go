// Package redisconn reaches Redis: one server, Sentinel or Cluster. It tells which process serves a
// key and what that process is, loads scripts into exactly that process, and lets the commands of
// concurrent callers share pipelines.
package redisconn

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/zmsg/zmsg/model"
)

// Conn is a connection pool to Redis. It never repeats a command by itself: a script whose reply was
// lost may have run, and only its caller knows whether running it again is harmless.
type Conn struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil unless the target is a Cluster
	single  *redis.Client        // nil if it is
}

// noRetry switches off the client's repetition of commands. (0 would mean the client's default.)
const noRetry = -1

// Open makes the pool. Nothing is dialled before the first command, so Redis may be away.
func Open(cfg Config) (*Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redis configuration: %w", err)
	}
	switch {
	case cfg.SentinelMaster != "":
		c := redis.NewFailoverClient(cfg.failoverOptions())
		return &Conn{client: c, single: c}, nil
	case cfg.clustered():
		c := redis.NewClusterClient(cfg.clusterOptions())
		return &Conn{client: c, cluster: c}, nil
	default:
		c := redis.NewClient(cfg.options())
		return &Conn{client: c, single: c}, nil
	}
}

// Client returns the client of all commands whose place is found by their key.
func (c *Conn) Client() redis.UniversalClient { return c.client }

// Clustered reports whether keys are spread over several processes.
func (c *Conn) Clustered() bool { return c.cluster != nil }

// Node returns the client of the master process that serves key now. It is shared: do not close it.
func (c *Conn) Node(ctx context.Context, key string) (*redis.Client, error) {
	if c.cluster == nil {
		return c.single, nil
	}
	node, err := c.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, model.NewUnavailable("the Redis Cluster is out of reach", err)
	}
	return node, nil
}

// Close ends all connections. Commands under way fail.
func (c *Conn) Close() error { return c.client.Close() }

// One attempt to dial, instead of the client's five, lets callers learn within the dial timeout that
// Redis is away. Identification and maintenance notices would cost each new connection round trips,
// and errors from servers that do not know them.
const dialAttempts = 1

func (c Config) options() *redis.Options {
	return &redis.Options{
		Addr: c.Addr[0], Dialer: c.Dialer,
		Username: c.Username, Password: string(c.Password), DB: c.DB, TLSConfig: c.tls(),
		PoolSize: c.PoolSize + c.Blocking, MaxRetries: noRetry, DialerRetries: dialAttempts,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: noMaintenanceNotices(),
	}
}

func (c Config) failoverOptions() *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName: c.SentinelMaster, SentinelAddrs: c.Addr, Dialer: c.Dialer,
		Username: c.Username, Password: string(c.Password), DB: c.DB, TLSConfig: c.tls(),
		PoolSize: c.PoolSize + c.Blocking, MaxRetries: noRetry, DialerRetries: dialAttempts,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		ContextTimeoutEnabled: true, DisableIdentity: true,
	}
}

// clusterOptions forbids redirects as well: the Cluster client repeats a command that failed for any
// reason within its budget of redirects. After MOVED the caller gets that error, and the client
// learns the new layout before the next command.
func (c Config) clusterOptions() *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: c.Addr, Dialer: c.Dialer,
		Username: c.Username, Password: string(c.Password), TLSConfig: c.tls(),
		PoolSize: c.PoolSize + c.Blocking, MaxRetries: noRetry, MaxRedirects: noRetry, DialerRetries: dialAttempts,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		ContextTimeoutEnabled: true, DisableIdentity: true, DisableRoutingPolicies: true,
		MaintNotificationsConfig: noMaintenanceNotices(),
	}
}

func noMaintenanceNotices() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
