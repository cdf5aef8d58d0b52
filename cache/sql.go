package cache

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zmsg/zmsg/internal/shards"
	"github.com/zmsg/zmsg/model"
)

// sqlReads are the reads that requests make of SQL. While SQL is known to be away they fail at once, and
// one that it does not answer ends after the timeout: waiting would hold connections and flights that L2
// could answer from.
type sqlReads struct {
	Store
	table   *shards.Table
	timeout time.Duration
	sent    prometheus.Counter
}

func (s sqlReads) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	return beginRead(ctx, s.table, s.timeout, s.sent)
}

// beginRead is called before each statement. It bounds the context, which the caller must cancel.
func beginRead(ctx context.Context, table *shards.Table, timeout time.Duration, sent prometheus.Counter) (context.Context, context.CancelFunc, error) {
	if table.SQLDown() {
		return nil, nil, model.NewUnavailable("the database is out of reach", model.ErrDatabase)
	}
	sent.Inc()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, nil
}

// sqlTotals is the same for counters.
type sqlTotals struct {
	TotalsStore
	table   *shards.Table
	timeout time.Duration
	sent    prometheus.Counter
}

func (s sqlTotals) Totals(ctx context.Context, shard int, subjects []string) (model.Totals, error) {
	ctx, cancel, err := beginRead(ctx, s.table, s.timeout, s.sent)
	if err != nil {
		return model.Totals{}, err
	}
	defer cancel()
	totals, err := s.TotalsStore.Totals(ctx, shard, subjects)
	if model.KindOf(err) == model.Unavailable && err != nil {
		err = model.NewUnavailable("the counters cannot be loaded", errors.Join(model.ErrDatabase, err))
	}
	return totals, err
}

func (s sqlReads) Get(ctx context.Context, id model.ID) (model.Item, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return model.Item{}, err
	}
	defer cancel()
	return s.Store.Get(ctx, id)
}

func (s sqlReads) GetMany(ctx context.Context, ids []model.ID) ([]model.Item, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return s.Store.GetMany(ctx, ids)
}

func (s sqlReads) ListByAuthors(ctx context.Context, authors []model.ID, before model.ID, limit int) ([]model.Item, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return s.Store.ListByAuthors(ctx, authors, before, limit)
}
