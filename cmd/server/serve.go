package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"github.com/zmsg/zmsg"
	"github.com/zmsg/zmsg/handlers"
	"github.com/zmsg/zmsg/internal/envconfig"
)

// app is the running service: the engine and its two listeners.
type app struct {
	cfg      Config
	log      *zap.Logger
	engine   *zmsg.Engine
	api      *http.Server
	admin    *http.Server // nil if it is switched off
	listener net.Listener
	second   net.Listener
	draining atomic.Bool
}

// serve runs the service, whose configuration is valid, until ctx ends, then shuts it down in order.
func serve(ctx context.Context, cfg Config, environ []string, errOut io.Writer) error {
	log, err := cfg.logger(zapcore.AddSync(errOut))
	if err != nil {
		return usageError{err}
	}
	for _, name := range envconfig.Unknown(cfg, environ) {
		log.Warn("a variable is no setting; is it misspelt?", zap.String("variable", name))
	}
	a, err := start(ctx, cfg, log)
	if err != nil {
		return err
	}
	return a.run(ctx)
}

// start opens the engine and the listeners.
func start(ctx context.Context, cfg Config, log *zap.Logger) (*app, error) {
	redis.SetLogger(redisLog{log})
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	log.Info("starting", zap.String("version", version),
		zap.Stringer("postgres", cfg.Engine.Postgres.DSN), zap.Stringer("redis", cfg.Engine.Redis))
	engine, err := zmsg.Open(ctx, cfg.Engine, zmsg.Options{Log: log, Registerer: reg})
	if err != nil {
		return nil, err
	}
	a := &app{cfg: cfg, log: log, engine: engine}
	if err := a.listen(ctx, reg); err != nil {
		return nil, errors.Join(err, a.closeEngine(context.WithoutCancel(ctx)))
	}
	return a, nil
}

func (a *app) listen(ctx context.Context, reg *prometheus.Registry) error {
	h, err := handlers.New(handlers.Deps{
		Config: a.cfg.HTTP, Reads: a.engine.Feeds, Writes: a.engine.Feeds, Batches: a.engine.Feeds, IDs: a.engine.IDs,
		CounterReads: a.engine.Counters, CounterWrites: a.engine.Counters,
		Ready: a.checks, Logger: a.log, Registerer: reg, OpenAPI: zmsg.OpenAPI,
	})
	if err != nil {
		return err
	}
	a.api = handlers.NewServer(&a.cfg.HTTP, h)
	var lc net.ListenConfig
	if a.listener, err = lc.Listen(ctx, "tcp", a.cfg.HTTP.Addr); err != nil {
		return fmt.Errorf("%sADDR: %w", envconfig.Prefix, err)
	}
	if a.cfg.HTTP.AdminAddr == "off" {
		return nil
	}
	a.admin = handlers.NewAdminServer(&a.cfg.HTTP, handlers.Admin(handlers.AdminDeps{
		Gatherer: reg, Stats: func() any { return a.engine.Stats() }, Queue: a.engine.Queue, DeadLetters: a.engine.DeadLetters, Logger: a.log,
	}))
	if a.second, err = lc.Listen(ctx, "tcp", a.cfg.HTTP.AdminAddr); err != nil {
		return errors.Join(fmt.Errorf("%sADMIN_ADDR: %w", envconfig.Prefix, err), a.listener.Close())
	}
	return nil
}

// checks is what readiness rests on. What is wrong but not required shows, and does not fail it.
func (a *app) checks(context.Context) []handlers.Check {
	var list []handlers.Check
	for _, c := range a.engine.Checks() {
		list = append(list, handlers.Check{Name: c.Name, OK: c.OK, Degraded: !c.OK && !c.Required, Detail: c.Detail})
	}
	if a.draining.Load() {
		list = append(list, handlers.Check{Name: "shutdown", Detail: "the service is stopping"})
	}
	return list
}

// run serves until ctx ends or a listener fails, then stops everything.
func (a *app) run(ctx context.Context) error {
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error { return closedIsFine(a.api.Serve(a.listener)) })
	fields := []zap.Field{zap.Stringer("addr", a.listener.Addr())}
	if a.admin != nil {
		group.Go(func() error { return closedIsFine(a.admin.Serve(a.second)) })
		fields = append(fields, zap.Stringer("admin_addr", a.second.Addr()))
	}
	a.log.Info("serving", fields...)
	<-failed.Done()
	err := a.shutdown(context.WithoutCancel(ctx))
	return errors.Join(group.Wait(), err)
}

func closedIsFine(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

const (
	// closeTimeout bounds the end of the engine: the last drain, and what is given back.
	closeTimeout = 10 * time.Second
	// adminGrace is the longest wait for open requests of the second listener, which go on until the
	// engine has ended.
	adminGrace = time.Second
)

// shutdown fails readiness first, so that load balancers send nothing more, then ends open requests,
// then the engine. Each step has a time of its own: a request that is stuck must not cost the queue its
// last drain.
func (a *app) shutdown(ctx context.Context) error {
	a.log.Info("stopping")
	a.draining.Store(true)
	<-time.After(a.cfg.DrainDelay)
	var errs []error
	if err := end(ctx, a.api, a.cfg.HTTP.ShutdownGrace); err != nil {
		a.log.Warn("requests were cut off", zap.Error(err))
		errs = append(errs, err)
	}
	errs = append(errs, a.closeEngine(ctx))
	if a.admin != nil {
		errs = append(errs, end(ctx, a.admin, adminGrace))
	}
	a.log.Info("stopped")
	return errors.Join(errs...)
}

// end waits for the open requests of s, then cuts off those that are left.
func end(ctx context.Context, s *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still open after %v: %w", grace, err), s.Close())
	}
	return nil
}

func (a *app) closeEngine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return a.engine.Close(ctx)
}
