// Package postgres keeps in PostgreSQL what lasts: feed items, counters, the idempotency keys of committed
// writes and dead letters; and what replicas agree on: the state of shards, and the nodes of IDs.
//
// Writes come in two ways. Drain takes what was queued, and moves positions with it; Direct takes writes
// while PostgreSQL is the home of their shard, and what replicas had queued in a Redis that was lost.
//
// Every error is a [model.Error]: Unavailable when the database is away or short of something, so
// that a write's outcome is unknown and the same call may be repeated; Invalid when it refuses a
// value; Internal else.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zmsg/zmsg/model"
)

// Config says how the database is reached.
type Config struct {
	DSN               DSN           `env:"POSTGRES_DSN" desc:"address, as URL or in keyword form"`
	MaxConns          int32         `env:"POSTGRES_MAX_CONNS" envDefault:"16" unit:"connections" desc:"most connections of this process for reads; while PostgreSQL stands in for Redis, writes take half of them"`
	ControlConns      int32         `env:"POSTGRES_CONTROL_CONNS" envDefault:"6" unit:"connections" desc:"most connections of this process for heartbeats, ID windows and the drain, which thus never wait for reads"` // 0 means DefaultControlConns
	MinConns          int32         `env:"POSTGRES_MIN_CONNS" envDefault:"2" unit:"connections" desc:"connections kept open when idle"`
	ConnectTimeout    time.Duration `env:"POSTGRES_CONNECT_TIMEOUT" envDefault:"3s" unit:"duration" desc:"longest wait for a new connection"`
	ConnLifetime      time.Duration `env:"POSTGRES_CONN_LIFETIME" envDefault:"30m" unit:"duration" desc:"age at which a connection is replaced, so that load follows a database that moves"`
	IdleInTransaction time.Duration `env:"POSTGRES_IDLE_IN_TRANSACTION" envDefault:"5s" unit:"duration" desc:"pause within a transaction after which the database ends it; bounds how long a stalled replica holds locks"`
}

// DefaultControlConns is the size of the second pool unless Config says otherwise.
const DefaultControlConns = 6

// Validate reports every setting that cannot work, by the name of its variable.
func (c Config) Validate() error {
	var errs []error
	if c.DSN == "" {
		errs = append(errs, errors.New("POSTGRES_DSN: an address is needed, such as postgres://user@host/database"))
	} else if _, err := pgx.ParseConfig(string(c.DSN)); err != nil {
		// Not the cause: it quotes the address, and what cannot be read may hold a password anywhere.
		errs = append(errs, errors.New("POSTGRES_DSN: the address cannot be read; such as postgres://user@host/database is wanted"))
	}
	if c.MaxConns < 1 || c.MinConns < 0 || c.MinConns > c.MaxConns {
		errs = append(errs, errors.New("POSTGRES_MAX_CONNS: must be at least 1 and at least POSTGRES_MIN_CONNS"))
	}
	if c.ControlConns < 0 {
		errs = append(errs, errors.New("POSTGRES_CONTROL_CONNS: must be at least 1"))
	}
	return errors.Join(errs...)
}

// DSN is the address of a database. It shows itself without password.
type DSN string

// String returns host, port, database and user.
func (d DSN) String() string {
	if d == "" {
		return ""
	}
	cfg, err := pgx.ParseConfig(string(d))
	if err != nil {
		return "(not readable)"
	}
	return fmt.Sprintf("postgres://%s@%s/%s", cfg.User, net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))), cfg.Database)
}

// GoString is String, so that %#v leaks nothing.
func (d DSN) GoString() string { return strconv.Quote(d.String()) }

// MarshalText is String, for encoders.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// DB is two pools of connections. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
	// control serves Shards, Drain, Nodes and flushes: however many slow reads and direct writes wait for
	// pool, permissions and ID windows are renewed in time, and the queue is drained.
	control *pgxpool.Pool
	direct  chan struct{} // one element for each direct transaction under way
	turns   turns         // of direct transactions
}

// Open makes the pools. It connects in the background: Ping tells whether the database answers.
//
// Parameters in the DSN win over those of cfg that are sent to the server. A PgBouncer in between must
// let idle_in_transaction_session_timeout pass (ignore_startup_parameters).
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, &model.Error{Kind: model.Invalid, Message: "the database cannot be reached so", Cause: err}
	}
	pc, err := poolConfig(cfg)
	if err != nil {
		return nil, err
	}
	db := &DB{direct: make(chan struct{}, (cfg.MaxConns+1)/2)}
	if db.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, translate(err)
	}
	pc = pc.Copy()
	pc.MaxConns = cmp.Or(cfg.ControlConns, DefaultControlConns)
	pc.MinConns = min(pc.MinConns, pc.MaxConns)
	if db.control, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		db.pool.Close()
		return nil, translate(err)
	}
	return db, nil
}

// poolConfig returns the configuration of the pool for reads and direct writes.
func poolConfig(cfg Config) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(string(cfg.DSN))
	if err != nil {
		return nil, &model.Error{Kind: model.Invalid, Field: "POSTGRES_DSN", Message: "cannot be read", Cause: err}
	}
	pc.MaxConns, pc.MinConns = cfg.MaxConns, cfg.MinConns
	pc.ConnConfig.ConnectTimeout = cfg.ConnectTimeout
	if cfg.ConnLifetime > 0 {
		pc.MaxConnLifetime = cfg.ConnLifetime
		pc.MaxConnLifetimeJitter = cfg.ConnLifetime / 10
	}
	params := pc.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "zmsg"
	}
	const idle = "idle_in_transaction_session_timeout"
	if params[idle] == "" && cfg.IdleInTransaction > 0 {
		params[idle] = strconv.FormatInt(cfg.IdleInTransaction.Milliseconds(), 10)
	}
	return pc, nil
}

// Close waits for calls under way, then closes all connections.
func (db *DB) Close() {
	db.pool.Close()
	db.control.Close()
}

// Ping asks the database for an answer.
func (db *DB) Ping(ctx context.Context) error { return translate(db.pool.Ping(ctx)) }

// readCommitted begins every transaction that waits for locks: each of its statements must see what
// was committed while an earlier one waited, whatever isolation is the server's default.
var readCommitted = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

const (
	begin  = "begin isolation level read committed"
	commit = "commit"
)

// transact runs the queued queries as one transaction in one round trip, on a control connection. An error
// rolls all back.
func (db *DB) transact(ctx context.Context, queue func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	b.Queue(begin)
	queue(b)
	b.Queue(commit)
	return translate(db.control.SendBatch(ctx, b).Close())
}
