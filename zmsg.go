// Package zmsg is a feed, counter and ID store for social applications. Open assembles the engine:
// feed items and counters over a cache in the process, a cache and a queue in Redis, and PostgreSQL as the
// truth.
// The server in cmd/server is this engine with HTTP before it.
package zmsg

import (
	"cmp"
	"context"
	_ "embed" // for the contract
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/zmsg/zmsg/cache"
	"github.com/zmsg/zmsg/internal/keyspace"
	"github.com/zmsg/zmsg/internal/lifecycle"
	"github.com/zmsg/zmsg/internal/redisconn"
	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
	"github.com/zmsg/zmsg/queue"
	"github.com/zmsg/zmsg/repo/migrate"
	"github.com/zmsg/zmsg/repo/postgres"
	"github.com/zmsg/zmsg/service"
	"github.com/zmsg/zmsg/snowflake"
)

// OpenAPI is the contract of the HTTP service, as YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Config of the engine: one struct per package, each field a variable of the environment.
type Config struct {
	Postgres postgres.Config
	Redis    redisconn.Config
	Cache    cache.Config
	Queue    queue.Config
	Shards   shards.Config
	IDs      snowflake.Config

	Migrate         bool          `env:"MIGRATE" envDefault:"true" unit:"true|false" desc:"bring the database's schema up to date at start"`
	StartTimeout    time.Duration `env:"START_TIMEOUT" envDefault:"60s" unit:"duration" desc:"longest wait for the database, the migrations and an ID window at start"`
	DefaultStore    model.Store   `env:"DEFAULT_STORE" envDefault:"sync" unit:"sync|delayed" desc:"how writes of items are stored that do not say"`
	MaxContentBytes int           `env:"MAX_CONTENT_BYTES" envDefault:"65536" unit:"bytes" desc:"largest content of an item"`
}

// Validate reports everything that is wrong with c, each by the name of its variable.
func (c *Config) Validate() error {
	errs := []error{c.Postgres.Validate(), c.Redis.Validate(), c.Cache.Validate(), c.Queue.Validate(), c.Shards.Validate(), c.IDs.Validate()}
	if control := cmp.Or(c.Postgres.ControlConns, postgres.DefaultControlConns); control >= 0 && int(control) < c.Queue.Workers+4 {
		errs = append(errs, errors.New("POSTGRES_CONTROL_CONNS: must be at least QUEUE_WORKERS plus 4, so that heartbeats wait neither for the drain nor for journals that are stored"))
	}
	if c.MaxContentBytes <= 0 {
		errs = append(errs, errors.New("MAX_CONTENT_BYTES: must be positive"))
	}
	if c.StartTimeout <= 0 {
		errs = append(errs, errors.New("START_TIMEOUT: must be positive"))
	}
	return errors.Join(errs...)
}

// Options are what a program gives the engine besides its configuration. Both may be nil.
type Options struct {
	Log *zap.Logger
	// Registerer has the engine's metrics from Open to Close. It takes one engine at a time: Open fails
	// while it has those of another.
	Registerer prometheus.Registerer
}

// Engine is a running store. Its parts are safe for concurrent use until Close.
type Engine struct {
	Feeds    *service.Feeds
	Counters *service.Counters
	IDs      *service.IDs
	// DeadLetters are the queued writes that the database has refused, for an operator.
	DeadLetters *queue.DeadLetters

	cfg     Config
	log     *zap.Logger
	replica string
	db      *postgres.DB
	redis   *redisconn.Conn
	pipe    *redisconn.Pipeline
	durable *redisconn.Durable
	table   *shards.Table
	keeper  *shards.Keeper
	caches  *cache.Caches
	drainer *queue.Drainer
	backlog *queue.Backlog
	ids     *snowflake.Generator
	parts   lifecycle.Group

	metrics    *prometheus.Registry // those of all parts
	unregister func()               // takes metrics back from the program; nil if they are not there
}

// Open connects, migrates, and starts every part. What has been started is stopped again if a later
// part fails. Redis may be away: then the database does its work until it is there.
func Open(ctx context.Context, cfg Config, opts Options) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Registerer == nil {
		opts.Registerer = prometheus.NewRegistry()
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	e := &Engine{cfg: cfg, log: opts.Log, replica: replicaName(), metrics: prometheus.NewRegistry()}
	if err := e.open(ctx, opts.Registerer); err != nil {
		cleanUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		return nil, errors.Join(err, e.Close(cleanUp))
	}
	return e, nil
}

// cleanUpTimeout bounds how long a failed Open waits for the parts that it stops again.
const cleanUpTimeout = 10 * time.Second

func (e *Engine) open(ctx context.Context, registerer prometheus.Registerer) error {
	if err := e.openSQL(ctx); err != nil {
		return err
	}
	e.cfg.Redis.Blocking = e.cfg.Shards.Shards
	conn, err := redisconn.Open(e.cfg.Redis)
	if err != nil {
		return err
	}
	e.redis = conn
	e.pipe = redisconn.NewPipeline(conn.Client(), redisconn.PipelineConfig{})
	if err := e.openQueue(ctx); err != nil {
		return err
	}
	if err := e.assemble(); err != nil { //nolint:contextcheck // what is made there is started with ctx below
		return err
	}
	if err := e.register(registerer); err != nil {
		return err
	}
	return e.parts.Start(ctx)
}

// register gives the metrics of all parts to a registerer as one collector, so that Close can take them
// back.
func (e *Engine) register(r prometheus.Registerer) error {
	e.metrics.MustRegister(newCollector(e))
	if err := r.Register(e.metrics); err != nil {
		return fmt.Errorf("register metrics, of which another engine's may be there: %w", err)
	}
	e.unregister = func() { r.Unregister(e.metrics) }
	return nil
}

// openSQL connects to the database and checks, or makes, its schema.
func (e *Engine) openSQL(ctx context.Context) error {
	db, err := postgres.Open(ctx, e.cfg.Postgres)
	if err != nil {
		return err
	}
	e.db = db
	if err := waitFor(ctx, db.Ping); err != nil {
		return fmt.Errorf("the database at %s does not answer: %w", e.cfg.Postgres.DSN, err)
	}
	dsn := string(e.cfg.Postgres.DSN)
	if e.cfg.Migrate {
		if err := migrate.Up(ctx, dsn, e.log); err != nil {
			return err
		}
	}
	status, err := migrate.Version(ctx, dsn)
	if err != nil {
		return err
	}
	if err := status.Check(); err != nil {
		return err
	}
	return db.Shards().Init(ctx, e.cfg.Shards.Shards, keyspace.New(e.cfg.Shards.Shards).Shards())
}

// openQueue makes the connections on which writes are queued, and checks that Redis can promise what is asked
// of it. While Redis is away nothing is known: writes that it cannot promise are refused later.
func (e *Engine) openQueue(ctx context.Context) error {
	durability := redisconn.Durability{
		Level: redisconn.Level(e.cfg.Queue.Durability), Replicas: e.cfg.Queue.ReplicaAcks, Timeout: e.cfg.Queue.DurabilityTimeout,
	}
	e.durable = redisconn.NewDurable(e.redis, redisconn.PipelineConfig{}, durability)
	space := keyspace.New(e.cfg.Shards.Shards)
	metas := make([]string, space.Shards())
	for s := range metas {
		metas[s] = space.Meta(s)
	}
	mode, err := e.redis.CheckDurability(ctx, durability, metas...)
	switch {
	case errors.Is(err, redisconn.ErrNotDurable):
		return err
	case err != nil:
		e.log.Warn("Redis does not answer, so it is not known whether it meets QUEUE_DURABILITY", zap.Error(err))
	default:
		e.log.Info("queued writes survive as configured", zap.String("durability", e.cfg.Queue.Durability), zap.Stringer("by", mode))
	}
	return nil
}

// waitFor repeats f until it succeeds or ctx ends: a database may start later than we do.
func waitFor(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// assemble makes the parts and tells them of each other.
func (e *Engine) assemble() error {
	cfg, space := e.cfg, keyspace.New(e.cfg.Shards.Shards)
	e.table = shards.NewTable(space)
	expiry := shards.Expiry{Value: cfg.Cache.L2TTL, Deletion: cfg.Cache.AbsentTTL}
	e.drainer = queue.NewDrainer(cfg.Queue, queue.DrainerDeps{
		Space: space, Table: e.table, Redis: e.redis, Log: e.log, Entries: expiry, EventsKept: cfg.Cache.EventsKept, Registerer: e.metrics,
		Commits: e.db.Drain(), Shards: e.db.Shards(), Rows: e.db.Feeds(), Keys: e.db.Keys(),
	})
	var err error
	e.caches, err = cache.New(cfg.Cache, cache.Deps{
		Space: space, Table: e.table, Redis: e.redis, Pipe: e.pipe, Store: e.db.Feeds(), Totals: e.db.Counters(),
		Wake: e.drainer.Wake, Complete: e.drainer.Complete, Log: e.log, Registerer: e.metrics,
	})
	if err != nil {
		return err
	}
	journal := queue.NewJournal(cfg.Queue, queue.JournalDeps{
		Table: e.table, Direct: e.db.Direct(), Drainer: e.drainer, Log: e.log, Registerer: e.metrics,
	})
	e.keeper = shards.NewKeeper(cfg.Shards, shards.Deps{
		Table: e.table, Space: space, Redis: e.redis, Store: e.db.Shards(), Follower: e.caches.Tailer,
		Drain: e.drainer.DrainLeftovers, Flush: journal.Flush, Replica: e.replica, Log: e.log, Entries: expiry,
		KeyCheck: 2 * cfg.Queue.IdempotencyTTL, Registerer: e.metrics,
	})
	if e.ids, err = snowflake.New(cfg.IDs, e.db.Nodes()); err != nil {
		return err
	}
	e.backlog = queue.NewBacklog(cfg.Queue, queue.BacklogDeps{
		Space: space, Table: e.table, Redis: e.redis, Journal: journal, Drainer: e.drainer, Memory: e.keeper.Memory, Log: e.log,
		Registerer: e.metrics,
	})
	e.serve(space, journal)

	e.parts.Add("ID lease", e.ids)
	e.parts.Add("Bloom filter", e.caches.Builder)
	e.parts.Add("events", e.caches.Tailer)
	e.parts.Add("permissions", e.keeper)
	e.parts.Add("last moves", shards.NewEnding(e.keeper, journal.Unstored))
	e.parts.Add("backlog", e.backlog)
	e.parts.Add("drain", e.drainer)
	return nil
}

// serve makes what requests are answered by.
func (e *Engine) serve(space *keyspace.Space, journal *queue.Journal) {
	cfg := e.cfg
	producer := queue.NewProducer(cfg.Queue, queue.ProducerDeps{
		Space: space, Table: e.table, Pipe: e.durable, Loader: e.caches.Reader, Observer: e.caches.Reader,
		Drainer: e.drainer, Rows: e.db.Feeds(), Direct: e.db.Direct(), Keys: e.db.Keys(), Letters: e.db.DeadLetters(),
		Journal: journal, Backlog: e.backlog,
	})
	counts := queue.NewCounts(cfg.Queue, queue.CountsDeps{
		Space: space, Table: e.table, Pipe: e.durable, Drainer: e.drainer, Shards: e.db.Shards(), Direct: e.db.Direct(),
		Keys: e.db.Keys(), Totals: e.caches.Counters, Letters: e.db.DeadLetters(), Journal: journal, Backlog: e.backlog,
	})
	minter := minter{e.ids}
	e.Feeds = service.NewFeeds(service.FeedsDeps{
		Reader: e.caches.Reader, Evictor: e.caches.Reader, Writer: producer, Minter: minter, Results: producer,
		ShardOf: space.Shard, ShardOfKey: space.ShardOfKey, Now: time.Now,
		Config: service.Config{DefaultStore: cfg.DefaultStore, MaxContentBytes: cfg.MaxContentBytes},
	})
	e.Counters = service.NewCounters(service.CountersDeps{Reader: e.caches.Counters, Writer: counts, Results: producer})
	e.IDs = service.NewIDs(service.IDsDeps{Minter: minter, Results: producer, Decode: decodeID})
	e.DeadLetters = queue.NewDeadLetters(queue.DeadLettersDeps{
		Letters: e.db.DeadLetters(), Space: space, Table: e.table, Evictor: e.caches.Reader, Counts: counts,
	})
}

// replicaName is unique to this process, and tells an operator which one it is.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// Close stops every part, in reverse order: the queue is drained once more as far as ctx allows, and
// permissions and the ID node are given back.
func (e *Engine) Close(ctx context.Context) error {
	errs := []error{e.parts.Stop(ctx)}
	if e.unregister != nil {
		e.unregister()
		e.unregister = nil // by now they may be another engine's
	}
	if e.caches != nil {
		e.caches.Close()
	}
	if e.durable != nil {
		e.durable.Close()
	}
	if e.pipe != nil {
		e.pipe.Close()
	}
	if e.redis != nil {
		errs = append(errs, e.redis.Close())
	}
	if e.db != nil {
		e.db.Close()
	}
	return errors.Join(errs...)
}
