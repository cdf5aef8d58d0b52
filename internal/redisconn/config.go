package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Config says how Redis is reached. One address is a standalone server, several are a Cluster's
// seeds; with a SentinelMaster the addresses are those of the sentinels.
type Config struct {
	Addr           []string      `env:"REDIS_ADDR" desc:"addresses host:port: one server, several seeds of a Cluster, or sentinels"`
	Username       string        `env:"REDIS_USERNAME" desc:"ACL user"`
	Password       Secret        `env:"REDIS_PASSWORD" desc:"password of the user, or of requirepass"`
	DB             int           `env:"REDIS_DB" envDefault:"0" desc:"database number; Cluster knows only 0"`
	TLS            bool          `env:"REDIS_TLS" envDefault:"false" desc:"connect by TLS, verified against the system's roots"`
	SentinelMaster string        `env:"REDIS_SENTINEL_MASTER" desc:"name of the master that the sentinels watch"`
	PoolSize       int           `env:"REDIS_POOL_SIZE" envDefault:"32" unit:"connections" desc:"connections to each Redis process"`
	DialTimeout    time.Duration `env:"REDIS_DIAL_TIMEOUT" envDefault:"1s" unit:"duration" desc:"longest wait for a new connection"`
	ReadTimeout    time.Duration `env:"REDIS_READ_TIMEOUT" envDefault:"1s" unit:"duration" desc:"longest wait for a reply"`
	WriteTimeout   time.Duration `env:"REDIS_WRITE_TIMEOUT" envDefault:"1s" unit:"duration" desc:"longest wait for a command to leave"`

	// Blocking is how many commands may wait at a server at the same time, on connections beyond
	// PoolSize: of a Cluster each shard's events are read by a command of their own.
	Blocking int `env:"-"`

	// Dialer, if not nil, replaces the network: for an engine in the same process.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error) `env:"-"`
}

// Secret is a string that shows itself to nobody who prints or encodes it.
type Secret string

const mask = "***"

// String returns a mask, "" if there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString returns the mask too, so that %#v leaks nothing.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText returns the mask, for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String describes the target without its password.
func (c Config) String() string {
	var b strings.Builder
	b.WriteString("redis")
	if c.TLS {
		b.WriteString("s")
	}
	b.WriteString("://")
	if c.Username != "" || c.Password != "" {
		fmt.Fprintf(&b, "%s:%s@", c.Username, c.Password)
	}
	fmt.Fprintf(&b, "%s/%d", strings.Join(c.Addr, ","), c.DB)
	if c.SentinelMaster != "" {
		fmt.Fprintf(&b, "?sentinel_master=%s", c.SentinelMaster)
	}
	return b.String()
}

// GoString is String, so that %#v leaks nothing.
func (c Config) GoString() string { return c.String() }

// Validate reports every setting that cannot work, by the name of its variable.
func (c Config) Validate() error {
	var errs []error
	if len(c.Addr) == 0 {
		errs = append(errs, errors.New("REDIS_ADDR: an address is needed, such as localhost:6379"))
	}
	for _, addr := range c.Addr {
		if _, _, err := net.SplitHostPort(addr); err != nil && c.Dialer == nil {
			errs = append(errs, fmt.Errorf("REDIS_ADDR: %w", err))
		}
	}
	if c.clustered() && c.DB != 0 {
		errs = append(errs, errors.New("REDIS_DB: a Cluster has only database 0"))
	}
	if c.DB < 0 {
		errs = append(errs, errors.New("REDIS_DB: must not be negative"))
	}
	if c.PoolSize < 0 {
		errs = append(errs, errors.New("REDIS_POOL_SIZE: must not be negative"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"DIAL", c.DialTimeout}, {"READ", c.ReadTimeout}, {"WRITE", c.WriteTimeout}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("REDIS_%s_TIMEOUT: must not be negative", d.name))
		}
	}
	return errors.Join(errs...)
}

func (c Config) clustered() bool { return c.SentinelMaster == "" && len(c.Addr) > 1 }

func (c Config) tls() *tls.Config {
	if !c.TLS {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}
